"""Reports: every one goes to ``sys.stderr``, as it is at that moment, or to ``logging``."""

import contextlib
import io
import logging
import os
import socket
import sys
import tempfile
import threading
import unittest
from unittest import mock

from serve_forever.simple_server import WSGIRequestHandler, WSGIServer, make_server

from support import PATIENCE, Quiet, ask, connect, exchange, read_all, request, serving, stderr_of_server
from test_server import hello, ok
from test_stopping import stopping_late

try:
    import resource
except ImportError:
    resource = None


class Reports(unittest.TestCase):
    threads = 0

    def serving(self, app=hello, **attributes):
        return serving(app, threads=self.threads, **attributes)

    def failing_verify(self, errors):
        """Return a class of servers that raises each of `errors` for one client."""

        class Failing(WSGIServer):
            def verify_request(self, request, client_address):
                if errors:
                    raise errors.pop()
                return True

        return Failing

    def test_an_application_that_does_not_call_start_response(self):
        """The traceback is like that of its own mistakes. There is no frame that it could show."""
        with stderr_of_server() as stderr, self.serving(lambda environ, start_response: [b""]) as server:
            self.assertEqual(request(server).status, 500)
        self.assertEqual(stderr.getvalue(), "AssertionError: the body came before start_response()\n")

    def test_a_hook_that_fails(self):
        """The report is that of `socketserver.BaseServer.handle_error`."""
        server_class = self.failing_verify([LookupError("of the hook")])
        with stderr_of_server() as stderr, self.serving(server_class=server_class) as server:
            with connect(server) as client:
                address = client.getsockname()
                self.assertEqual(read_all(client), b"")
            self.assertEqual(request(server).content, b"hello")
        rule, first, *traceback, last, end = stderr.getvalue().split("\n")
        self.assertEqual((rule, last, end), ("-" * 40, "-" * 40, ""))
        self.assertEqual(first, f"Exception occurred during processing of request from {address}")
        self.assertEqual(traceback[0], "Traceback (most recent call last):")
        self.assertEqual(traceback[-1], "LookupError: of the hook")
        self.assertIn("in verify_request", "\n".join(traceback))

    def test_a_hook_that_ends_the_program(self):
        server_class = self.failing_verify([SystemExit(3)])
        with make_server("127.0.0.1", 0, hello, server_class, Quiet) as server:
            server.threads, server.timeout = self.threads, PATIENCE
            with connect(server) as client:
                with self.assertRaises(SystemExit) as raised:
                    server.handle_request()
                self.assertEqual(raised.exception.code, 3)
                read_all(client)

    def test_a_body_that_cannot_be_kept(self):
        with (
            mock.patch.dict(os.environ, TMPDIR="/a folder/that does not exist"),
            stderr_of_server() as stderr,
            self.serving(max_body_memory=1000) as server,
        ):
            answer = exchange(server, b"POST / HTTP/1.0\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000))
        self.assertRegex(answer, rb"^HTTP/1\.1 5\d\d ")
        self.assertIn("\nException occurred during processing of request from ('127.0.0.1', ", stderr.getvalue())
        self.assertIn("\nOSError: ", stderr.getvalue())


class ReportsOnThreads(Reports):
    threads = 2


@contextlib.contextmanager
def descriptor_2():
    """Let standard error of the process be a file. Yield the file."""
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(before, 2)
            os.close(before)


class TheAccessLog(unittest.TestCase):
    """The native loop writes it to descriptor 2, but only if that is where `sys.stderr` writes."""

    def log_of(self, act, threads=0, app=hello, before=lambda server: None):
        """Replace `sys.stderr` of a server that serves. Return what is logged for what `act` does.

        `before` runs before `sys.stderr` is replaced.
        """
        self.enterContext(mock.patch("sys.stderr", sys.__stderr__))  # a test runner may have its own
        with descriptor_2() as file:
            with serving(app, handler_class=WSGIRequestHandler, threads=threads) as server:
                request(server, target="/first")
                before(server)
                with stderr_of_server() as stderr:
                    act(server)
                    server.shutdown()
            file.seek(0)
            self.assertRegex(file.read(), rb'^127\.0\.0\.1 - - \[.+\] "GET /first HTTP/1\.1" 200 5\n$')
        return stderr.getvalue()

    def test_a_request(self):
        for threads in (0, 2):
            with self.subTest(threads=threads):
                log = self.log_of(lambda server: request(server, target="/a"), threads)
                self.assertRegex(log, r'^127\.0\.0\.1 - - \[.+\] "GET /a HTTP/1\.1" 200 5\n$')

    def test_an_error_page(self):
        """Here the application is not called after the change."""
        for threads in (0, 2):
            with self.subTest(threads=threads):
                log = self.log_of(lambda server: exchange(server, b"nonsense\r\n\r\n"), threads)
                self.assertRegex(log, r"^127\.0\.0\.1 - - \[.+\] code 400, message .+\n127\.0\.0\.1 ")

    def test_a_streamed_response(self):
        """Here the application has returned before the change."""
        begun, go_on = threading.Event(), threading.Event()

        def app(environ, start_response):
            if environ["PATH_INFO"] != "/streamed":
                return hello(environ, start_response)
            ok(start_response)
            return blocks()

        def blocks():
            yield b"first"
            begun.set()
            go_on.wait(PATIENCE)
            yield b"last"

        def go_on_and_read(client):
            go_on.set()
            self.assertTrue(read_all(client).endswith(b"last"))

        for threads in (0, 2):
            begun.clear()
            go_on.clear()
            clients = []

            def before(server):
                clients.append(ask(server, "/streamed"))
                self.assertTrue(begun.wait(PATIENCE))

            with self.subTest(threads=threads):
                log = self.log_of(lambda server: go_on_and_read(clients[0]), threads, app, before)
                clients[0].close()
                self.assertRegex(log, r'^127\.0\.0\.1 - - \[.+\] "GET /streamed HTTP/1\.0" 200 9\n$')

    def test_a_process_without_standard_error(self):
        """Another file may have its descriptor. Nothing is written there, nor to standard output."""

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/":
                return hello(environ, start_response)
            raise LookupError

        self.enterContext(mock.patch("sys.__stderr__", None))
        self.enterContext(mock.patch("sys.stderr", None))
        with descriptor_2() as file, contextlib.redirect_stdout(io.StringIO()) as stdout:
            with serving(app, handler_class=WSGIRequestHandler) as server:
                self.assertEqual(request(server).content, b"hello")
                self.assertEqual(request(server, target="/fails").status, 500)
            file.seek(0)
            self.assertEqual((file.read(), stdout.getvalue()), (b"", ""))


@unittest.skipIf(resource is None, "there are no limits of descriptors here")
class Logging(unittest.TestCase):
    """What concerns no request goes to the logger `serve_forever`."""

    def handle_records(self, emit):
        """Let `emit` get what is logged."""
        logger, handler = logging.getLogger("serve_forever"), logging.Handler()
        handler.emit = emit
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)

    def test_a_client_that_cannot_be_accepted(self):
        records, reported = [], threading.Event()
        self.handle_records(lambda record: (records.append(record), reported.set()))
        with serving(hello) as server, socket.socket() as client, socket.socket() as first:
            client.settimeout(PATIENCE)
            first.connect(server.server_address)
            first.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertTrue(read_all(first).endswith(b"hello"))
            first.close()
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            with contextlib.ExitStack() as stack:
                stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free(), limits[1]))
                client.connect(server.server_address)
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                self.assertTrue(reported.wait(PATIENCE))
            # It is tried again after a while.
            self.assertTrue(read_all(client).endswith(b"hello"))
        self.assertEqual([record.levelname for record in records], ["ERROR"])
        self.assertIn("cannot accept", records[0].getMessage())

    def test_ctrl_c_while_something_is_logged(self):
        def interrupt(record):
            raise KeyboardInterrupt

        self.handle_records(interrupt)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)

        def app(environ, start_response):
            """Let the next client find no free descriptor."""
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free(), limits[1]))
            second.connect(server.server_address)
            return hello(environ, start_response)

        with (
            make_server("127.0.0.1", 0, app, handler_class=Quiet) as server,
            connect(server) as first,
            socket.socket() as second,
            stopping_late(server) as late,
        ):
            first.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with self.assertRaises(KeyboardInterrupt):
                server.serve_forever()
            self.assertFalse(late.is_set())


def lowest_free():
    """Return the lowest descriptor that is not in use."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


if __name__ == "__main__":
    unittest.main()
