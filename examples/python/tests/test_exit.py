"""Interpreters that end at random moments while clients ask: no crash, whatever the moment is.

`EXITS` in the environment says how many. CI has time for few; try more by hand.
"""

import contextlib
import os
import random
import signal
import socket
import sys
import threading
import unittest

from support import PATIENCE, run

EXITS = int(os.environ.get("EXITS", "12"))

#: Serves until the line of the test comes, or a signal. Then the interpreter ends, each time in
#: another way.
PROGRAM = """
import os, sys, threading
from serve_forever.simple_server import WSGIRequestHandler, make_server

class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass

def app(environ, start_response):
    path = environ["PATH_INFO"]
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/exit":
        sys.exit(0)
    if path == "/body":
        return [environ["wsgi.input"].read()]
    if path == "/stream":
        return (b"x" * 1000 for _ in range(100))
    if path == "/write":
        for _ in range(100):
            write(b"x" * 1_000_000)
    return [b"hello"]

way, threads = sys.argv[1], int(sys.argv[2])
server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
server.threads = threads
print(server.server_port, flush=True)
if way == "daemon":
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.readline()
elif way == "shutdown":
    loop = threading.Thread(target=server.serve_forever)
    loop.start()
    sys.stdin.readline()
    server.shutdown()
elif way == "drain":
    threading.Thread(target=lambda: (sys.stdin.readline(), server.request_drain(5)), daemon=True).start()
    server.serve_forever()
elif way == "exit":
    server.serve_forever()
elif way == "interrupt":
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
"""

#: Ends while a thread runs the application, which takes and releases the interpreter's lock.
BUSY = """
import socket, sys, threading
from socketserver import ThreadingMixIn
from serve_forever.simple_server import WSGIServer, make_server

class Server(ThreadingMixIn, WSGIServer):
    ATTRIBUTE
    access_log = False

begun = threading.Event()

def app(environ, start_response):
    print("begun", flush=True)
    begun.set()
    for number in range(20_000_000):
        pass
    print("finished", flush=True)
    start_response("200 OK", [])
    return []

server = make_server("127.0.0.1", 0, app, Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = socket.create_connection(server.server_address)
client.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
begun.wait()
END
"""

WAYS = ("daemon", "shutdown", "drain", "exit", "interrupt")
REQUESTS = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n" + b"x" * 10000,
    b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
)
#: Its client does not read, so the application stays in `write` until the end breaks it off.
WRITE = b"GET /write HTTP/1.1\r\nHost: a\r\n\r\n"


def load(address, seed, is_over):
    """Ask until the server is gone."""
    chance = random.Random(seed)
    while not is_over.is_set():
        with contextlib.suppress(OSError), socket.create_connection(address, PATIENCE) as client:
            for _ in range(chance.randrange(1, 50)):
                client.sendall(chance.choice(REQUESTS))
                if not client.recv(chance.choice((1, 100_000))):
                    break


def end(process, way, address):
    """Let the program end in its way."""
    if way == "interrupt":
        process.send_signal(signal.SIGINT)
        return
    if way == "exit":
        with socket.create_connection(address, PATIENCE) as client:
            client.sendall(b"GET /exit HTTP/1.0\r\n\r\n")
            with contextlib.suppress(OSError):
                client.recv(1)
        return
    process.stdin.write("\n")
    process.stdin.flush()


class Exits(unittest.TestCase):
    def test_at_random_moments_under_load(self):
        for number in range(EXITS):
            way, threads = WAYS[number % len(WAYS)], (0, 4)[number // len(WAYS) % 2]
            with self.subTest(number, way=way, threads=threads):
                status, stderr = self.end_once(number, way, threads)
                self.assertEqual((status, stderr), (0, ""))

    def test_while_threads_write_to_clients_that_do_not_read(self):
        for number in range(EXITS):
            way = ("daemon", "shutdown")[number % 2]
            with self.subTest(number, way=way), contextlib.ExitStack() as stack:
                process = run(PROGRAM, way, "4", stdin=-1)
                stack.callback(process.kill)
                address = ("127.0.0.1", int(process.stdout.readline()))
                for _ in range(4):
                    client = stack.enter_context(socket.create_connection(address, PATIENCE))
                    client.sendall(WRITE)
                    client.recv(1)
                _, stderr = process.communicate("\n", timeout=PATIENCE)
                self.assertEqual((process.returncode, stderr), (0, ""))

    def test_while_a_thread_runs_the_application(self):
        """The interpreter waits for the request. From Python 3.14 on, it does not wait for daemon threads."""
        daemon_is_left = sys.version_info >= (3, 14)
        for attribute in ("daemon_threads = True", "block_on_close = False"):
            for end in ("", "server.server_close()", "server.shutdown(); server.server_close()"):
                with self.subTest(attribute, end=end):
                    process = run(BUSY.replace("ATTRIBUTE", attribute).replace("END", end))
                    try:
                        stdout, stderr = process.communicate(timeout=PATIENCE)
                    finally:
                        process.kill()
                    self.assertEqual((process.returncode, stderr), (0, ""))
                    if not (daemon_is_left and "daemon" in attribute):
                        self.assertEqual(stdout, "begun\nfinished\n")

    def end_once(self, seed, way, threads):
        """Return the status of the program, and what it has written to standard error."""
        process = run(PROGRAM, way, str(threads), stdin=-1)
        address = ("127.0.0.1", int(process.stdout.readline()))
        is_over = threading.Event()
        clients = [
            threading.Thread(target=load, args=[address, 1000 * seed + client, is_over])
            for client in range(4)
        ]
        for client in clients:
            client.start()
        # The moment is random. Nothing depends on it but what the process is doing then.
        is_over.wait(random.Random(seed).random() * 0.3)
        end(process, way, address)
        try:
            _, stderr = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            is_over.set()
            for client in clients:
                client.join()
        return process.returncode, stderr


if __name__ == "__main__":
    unittest.main()
