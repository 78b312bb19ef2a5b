"""usage: soak.py [--minutes 10]. Serve a mixed load for long, on the loop and on four threads.

The interpreter checks its memory (``PYTHONMALLOC=debug``). The script fails if a server ends, writes to
standard error, or grows.
"""

import argparse
import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
import time

from support import PATIENCE, run

PROGRAM = """
import contextvars, sys, time
from serve_forever.simple_server import make_server

variable = contextvars.ContextVar("variable")

def app(environ, start_response):
    path = environ["PATH_INFO"]
    head = [("Content-Type", "text/plain")]
    if path == "/late":
        try:
            raise ValueError
        except ValueError:
            start_response("200 OK", head)
            start_response("500 Wrong", head, sys.exc_info())
        return [b"late"]
    write = start_response("200 OK", head)
    variable.set(path)
    if path == "/write":
        write(b"x" * 100)
    if path == "/body":
        return [b"%d" % sum(len(line) for line in environ["wsgi.input"])]
    if path == "/stream":
        return (b"x" * 1000 for _ in range(100))
    if path == "/large":
        return [b"x" * 1_000_000]
    return [b"hello"]

server = make_server("127.0.0.1", 0, app)
server.threads, server.access_log = int(sys.argv[1]), False
print(server.server_port, flush=True)
server.serve_forever()
"""

#: Requests. After some of them, the client leaves early.
REQUESTS = [
    *(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for path in ("/", "/late", "/write")),
    *(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for path in ("/stream", "/large")),
    b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + b"line\n" * 4000,
    b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000,
    b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
    b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nunfinished",
    b"nonsense\r\n\r\n",
]


class Load:
    """Clients that ask until they are stopped."""

    def __init__(self, address, clients):
        self.address = address
        self.count = 0
        self._is_over = threading.Event()
        self._clients = [
            threading.Thread(target=self._ask, args=[random.Random(seed)]) for seed in range(clients)
        ]
        for client in self._clients:
            client.start()

    def stop(self):
        self._is_over.set()
        for client in self._clients:
            client.join()

    def _ask(self, chance):
        while not self._is_over.is_set():
            with (
                contextlib.suppress(OSError),
                socket.create_connection(self.address, PATIENCE) as client,
            ):
                for _ in range(chance.randrange(1, 30)):
                    client.sendall(chance.choice(REQUESTS))
                    self.count += 1
                    client.settimeout(1)
                    if not client.recv(chance.choice((1, 1_000_000))):
                        break


def resident(process):
    """Return the memory of a process in KiB."""
    with open(f"/proc/{process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def soak(threads, seconds):
    """Serve the load. Return whether all is well."""
    process = run(PROGRAM, str(threads))
    load = Load(("127.0.0.1", int(process.stdout.readline())), 6)
    sizes = []
    for _ in range(20):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds / 20)
            break
        sizes.append(resident(process))
    load.stop()
    alive = process.poll() is None
    process.kill()
    stderr = process.communicate()[1]
    print(f"{threads} threads: {load.count} requests, KiB resident: {sizes}", flush=True)
    if stderr:
        print(stderr)
    # The first quarter fills caches and free lists.
    grows = len(sizes) == 20 and max(sizes[15:]) > 1.1 * max(sizes[:5])
    return alive and not stderr and not grows


def main():
    """Soak both kinds of server."""
    os.environ["PYTHONMALLOC"] = "debug"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    began = time.monotonic()
    results = [soak(threads, minutes * 30) for threads in (0, 4)]
    print(f"{(time.monotonic() - began) / 60:.1f} minutes:", "well" if all(results) else "NOT well")
    return not all(results)


if __name__ == "__main__":
    sys.exit(main())
