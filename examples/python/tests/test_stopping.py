"""How a server ends: shutdown, drain, signals, exceptions, and the end of the interpreter."""

import contextlib
import io
import os
import signal
import socket
import socketserver
import threading
import unittest

from serve_forever.simple_server import WSGIServer, make_server

from support import PATIENCE, Quiet, ask, connect, read_all, request, run, serving
from test_server import hello, ok

#: The beginning of each program: it serves on a free port, and prints the port.
PROGRAM = """
import os, signal, socketserver, sys, threading
from serve_forever.simple_server import WSGIRequestHandler, make_server

class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass

arrived = threading.Event()
go_on = threading.Event()

def app(environ, start_response):
    start_response("200 OK", [])
    path = environ["PATH_INFO"]
    if path == "/exit":
        sys.exit(3)
    if path == "/wait":
        print("waiting", flush=True)
        go_on.wait()
    if path == "/spin":
        print("waiting", flush=True)
        while True:
            pass
    if path == "/endless":
        return endless()
    return [b"hello"]

def endless():
    while True:
        yield b"x" * 1000

server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
server.threads = int(sys.argv[1])
print(server.server_port, flush=True)
"""


class Program:
    """A program that serves, in a process of its own."""

    def __init__(self, program, threads):
        self.process = run(PROGRAM + program, str(threads))
        self.server_address = ("127.0.0.1", int(self.process.stdout.readline()))

    def ends(self):
        """Wait for the end. Return the status and what was written to standard error."""
        _, stderr = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def stopping_late(server):
    """Shut the server down when all patience is lost, so a test that fails ends. Yield an event that tells so."""
    late = threading.Event()
    timer = threading.Timer(PATIENCE, lambda: (late.set(), server.shutdown()))
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


class Shutdown(unittest.TestCase):
    def test_a_server_serves_again_after_a_shutdown(self):
        for threads in (0, 2):
            server = make_server("127.0.0.1", 0, hello, handler_class=Quiet)
            server.threads = threads
            with self.subTest(threads=threads), server:
                for _ in range(3):
                    thread = threading.Thread(target=server.serve_forever)
                    thread.start()
                    self.assertEqual(request(server).content, b"hello")
                    server.shutdown()
                    thread.join(PATIENCE)
                    self.assertFalse(thread.is_alive())

    def test_a_server_can_be_closed_when_shutdown_has_returned(self):
        for _ in range(100):
            server = make_server("127.0.0.1", 0, hello, handler_class=Quiet)
            thread = threading.Thread(target=server.serve_forever)
            with server:
                thread.start()
                self.assertEqual(request(server).content, b"hello")
                server.shutdown()
                self.assertTrue(server._native.server.close())
            thread.join(PATIENCE)

    def test_server_close_waits_for_threads_as_in_socketserver(self):
        cases = [({}, True), ({"daemon_threads": True}, False), ({"block_on_close": False}, False)]
        for attributes, waits in cases:
            with self.subTest(attributes), contextlib.ExitStack() as stack:
                arrived, is_closed, finished = (threading.Event() for _ in range(3))

                def app(environ, start_response):
                    arrived.set()
                    is_closed.wait(0.1 if waits else PATIENCE)
                    finished.set()
                    return hello(environ, start_response)

                class Threads(socketserver.ThreadingMixIn, WSGIServer):
                    pass

                server = make_server("127.0.0.1", 0, app, Threads, Quiet)
                vars(server).update(attributes)
                loop = threading.Thread(target=server.serve_forever)
                loop.start()
                stack.callback(loop.join, PATIENCE)
                stack.enter_context(ask(server, "/"))
                arrived.wait(PATIENCE)
                server.shutdown()
                server.server_close()
                self.assertEqual(finished.is_set(), waits)
                is_closed.set()
                finished.wait(PATIENCE)

    def test_a_shutdown_that_comes_first(self):
        with make_server("127.0.0.1", 0, hello, handler_class=Quiet) as server:
            server.shutdown()
            server.serve_forever()

    def test_a_shutdown_by_the_application(self):
        """Python waits for ever here."""
        for threads in (0, 2):
            with self.subTest(threads=threads):
                server = make_server("127.0.0.1", 0, None, handler_class=Quiet)
                server.threads = threads

                def app(environ, start_response):
                    server.request_drain(PATIENCE)
                    if not threads:
                        server.shutdown()
                    return hello(environ, start_response)

                server.set_app(app)
                with server:
                    client = ask(server, "/")
                    server.serve_forever()
                with client:
                    read_all(client)

    def test_the_application_closes_the_server(self):
        server = make_server("127.0.0.1", 0, None, handler_class=Quiet)

        def app(environ, start_response):
            server.server_close()
            return hello(environ, start_response)

        server.set_app(app)
        with ask(server, "/") as client:
            server.serve_forever()
            read_all(client)
        with self.assertRaises(OSError):
            socket.create_connection(server.server_address, PATIENCE)

    def test_drain_finishes_the_request(self):
        for threads in (0, 2):
            arrived, go_on = threading.Event(), threading.Event()

            def app(environ, start_response):
                arrived.set()
                go_on.wait(PATIENCE)
                return hello(environ, start_response)

            with self.subTest(threads=threads), serving(app, threads=threads) as server:
                with ask(server, "/") as client:
                    arrived.wait(PATIENCE)
                    server.request_drain(PATIENCE)
                    go_on.set()
                    self.assertTrue(read_all(client).endswith(b"hello"))
                self.assertEqual(server.drain(PATIENCE)[1], 0)

    def test_two_loops_at_once(self):
        with serving(hello) as server:
            request(server)
            with self.assertRaisesRegex(RuntimeError, "running already"):
                server.serve_forever()

    def test_handle_request(self):
        with make_server("127.0.0.1", 0, hello, handler_class=Quiet) as server:
            with ask(server, "/") as client:
                server.handle_request()
                self.assertTrue(read_all(client).endswith(b"hello"))

    def test_handle_request_in_vain(self):
        timed_out = []
        with make_server("127.0.0.1", 0, hello, handler_class=Quiet) as server:
            server.timeout = 0.0
            server.handle_timeout = lambda: timed_out.append(True)
            server.handle_request()
        self.assertEqual(timed_out, [True])

    def test_an_exception_of_service_actions_leaves_serve_forever(self):
        class Failing(WSGIServer):
            def service_actions(self):
                raise LookupError("of the service")

        with make_server("127.0.0.1", 0, hello, Failing, Quiet) as server:
            with self.assertRaisesRegex(LookupError, "of the service"):
                server.serve_forever(0.01)

    def test_sys_exit_in_an_application(self):
        """It leaves serve_forever, from whatever thread and whatever part of the response."""

        def in_close(environ, start_response):
            class Result(list):
                def close(self):
                    raise SystemExit(3)

            ok(start_response)
            return Result([b"a", b"b"])

        def in_block(environ, start_response):
            ok(start_response)
            yield b"a"
            raise SystemExit(3)

        def in_call(environ, start_response):
            raise SystemExit(3)

        for threads in (0, 2):
            for app in (in_call, in_block, in_close):
                with self.subTest(app.__name__, threads=threads):
                    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
                        server.threads = threads
                        with ask(server, "/") as client:
                            with self.assertRaises(SystemExit) as raised:
                                server.serve_forever()
                            self.assertEqual(raised.exception.code, 3)

    def test_an_exception_for_the_program_while_a_traceback_is_printed(self):
        """Ctrl-C often arrives then, if the application fails often."""

        class Interrupting(io.StringIO):
            def write(self, text):
                if errors:
                    raise errors.pop()
                return super().write(text)

        def fails(environ, start_response):
            raise LookupError

        def begins_nothing(environ, start_response):
            return [b""]

        for threads in (0, 2):
            for app in (fails, begins_nothing):
                for kind in (KeyboardInterrupt, SystemExit):
                    errors = [kind()]
                    with (
                        self.subTest(app.__name__, threads=threads, kind=kind.__name__),
                        contextlib.redirect_stderr(Interrupting()),
                        make_server("127.0.0.1", 0, app, handler_class=Quiet) as server,
                    ):
                        server.threads = threads
                        with ask(server, "/") as client, stopping_late(server) as late:
                            with self.assertRaises(kind):
                                server.serve_forever()
                            self.assertFalse(late.is_set())


class Signals(unittest.TestCase):
    def test_ctrl_c_while_nothing_happens(self):
        program = "server.serve_forever(poll_interval=None)"
        for threads in (0, 2):
            with self.subTest(threads=threads), Program(program, threads) as server:
                self.assertEqual(request(server).content, b"hello")
                server.process.send_signal(signal.SIGINT)
                status, stderr = server.ends()
                self.assertEqual(status, -signal.SIGINT, stderr)
                self.assertIn("KeyboardInterrupt", stderr)

    def test_ctrl_c_in_the_application(self):
        with Program("server.serve_forever()", 0) as server, ask(server, "/spin"):
            server.process.stdout.readline()
            server.process.send_signal(signal.SIGINT)
            status, stderr = server.ends()
            self.assertEqual(status, -signal.SIGINT, stderr)

    def test_ctrl_c_while_a_thread_is_in_the_application(self):
        """As with Python's own threads, the program ends when the request has ended."""
        program = """
try:
    server.serve_forever()
finally:
    go_on.set()
"""
        with Program(program, 2) as server, ask(server, "/wait") as client:
            server.process.stdout.readline()
            server.process.send_signal(signal.SIGINT)
            status, stderr = server.ends()
            self.assertEqual(status, -signal.SIGINT, stderr)
            read_all(client)

    def test_a_second_ctrl_c_while_a_thread_is_in_the_application(self):
        program = """
try:
    server.serve_forever()
finally:
    print("interrupted", flush=True)
"""
        with Program(program, 2) as server, ask(server, "/wait"):
            server.process.stdout.readline()
            server.process.send_signal(signal.SIGINT)
            server.process.stdout.readline()
            while server.process.poll() is None:
                server.process.send_signal(signal.SIGINT)
                with contextlib.suppress(Exception):
                    server.process.wait(0.2)
            status, stderr = server.ends()
            self.assertNotIn("Fatal", stderr)
            self.assertNotIn(status, (-signal.SIGABRT, -signal.SIGSEGV), stderr)

    def test_a_handler_of_the_program(self):
        """It runs at once, and the loop goes on."""
        program = """
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
signal.signal(signal.SIGTERM, lambda *_: server.request_drain(10))
server.serve_forever(poll_interval=None)
print("drained", flush=True)
"""
        with Program(program, 0) as server:
            self.assertEqual(request(server).content, b"hello")
            server.process.send_signal(signal.SIGUSR1)
            self.assertEqual(server.process.stdout.readline(), "handled\n")
            self.assertEqual(request(server).content, b"hello")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.stdout.readline(), "drained\n")
            self.assertEqual(server.ends(), (0, ""))


class TheEndOfTheInterpreter(unittest.TestCase):
    """The main thread ends while others serve: no crash, and status 0."""

    PROGRAM = """
thread = threading.Thread(target=server.serve_forever, daemon=True)
thread.start()
sys.stdin.readline()
"""

    def test_between_and_during_requests(self):
        for threads in (0, 2):
            for path in ("/", "/endless"):
                with self.subTest(path, threads=threads):
                    process = run(PROGRAM + self.PROGRAM, str(threads), stdin=-1)
                    address = ("127.0.0.1", int(process.stdout.readline()))
                    client = socket.create_connection(address, PATIENCE)
                    client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                    client.recv(1)
                    _, stderr = process.communicate("\n", timeout=PATIENCE)
                    client.close()
                    self.assertEqual((process.returncode, stderr), (0, ""))

    def test_a_request_that_does_not_end(self):
        """A daemon thread is left alone, and dies with the process."""
        process = run(PROGRAM + self.PROGRAM, "0", stdin=-1)
        address = ("127.0.0.1", int(process.stdout.readline()))
        with socket.create_connection(address, PATIENCE) as client:
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            process.stdout.readline()
            _, stderr = process.communicate("\n", timeout=PATIENCE)
        self.assertEqual((process.returncode, stderr), (0, ""))


class Forks(unittest.TestCase):
    def test_children_after_bind_share_the_socket(self):
        program = """
signal.signal(signal.SIGTERM, lambda *_: server.request_drain(10))
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        os.write(1, b"begun\\n")  # before this, Python forgets a signal
        server.serve_forever()
        os._exit(0)
    children.append(child)
sys.stdin.readline()
for child in children:
    os.kill(child, signal.SIGTERM)
sys.exit(max(os.waitpid(child, 0)[1] for child in children))
"""
        process = run(PROGRAM + program, "0", stdin=-1)
        address = ("127.0.0.1", int(process.stdout.readline()))
        for _ in range(3):
            self.assertEqual(process.stdout.readline(), "begun\n")
        for _ in range(20):
            with socket.create_connection(address, PATIENCE) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                self.assertTrue(read_all(client).endswith(b"hello"))
        _, stderr = process.communicate("\n", timeout=PATIENCE)
        self.assertEqual((process.returncode, stderr), (0, ""))

    def test_a_child_of_a_server_that_runs(self):
        """It can serve the same socket, and its end does not disturb the parent."""

        def app(environ, start_response):
            ok(start_response)
            return [str(os.getpid()).encode()]

        for threads in (0, 2):
            with self.subTest(threads=threads), serving(app, threads=threads) as server:
                own = str(os.getpid()).encode()
                self.assertEqual(request(server).content, own)
                child = os.fork()
                if not child:
                    status = 1
                    try:
                        server.timeout = 0.0
                        server.handle_request()
                        server.server_close()
                        status = 0
                    finally:
                        os._exit(status)
                self.assertEqual(os.waitpid(child, 0)[1], 0)
                for _ in range(3):
                    self.assertEqual(request(server).content, own)


if __name__ == "__main__":
    unittest.main()
