"""Subclasses: what the native loop honours, and when the standard loop serves instead."""

import socket
import socketserver
import threading
import unittest
import warnings
from wsgiref import simple_server as standard

from serve_forever.simple_server import ThreadingWSGIServer, WSGIRequestHandler, WSGIServer, make_server

from support import PATIENCE, Quiet, exchange, request, serving, stderr_of_server
from test_server import hello, ok


class Honoured(unittest.TestCase):
    def serving(self, app, server_class=WSGIServer, handler_class=Quiet, **attributes):
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("error")  # a warning says that the standard loop serves
        return serving(app, server_class=server_class, handler_class=handler_class, **attributes)

    def test_the_types(self):
        with make_server("127.0.0.1", 0, hello) as server:
            self.assertIsInstance(server, standard.WSGIServer)
            self.assertIs(server.get_app(), hello)
            self.assertEqual(server.server_address, server.socket.getsockname())

    def test_verify_request(self):
        seen = []

        class Picky(WSGIServer):
            def verify_request(self, request, client_address):
                seen.append((request.getpeername(), client_address))
                return len(seen) > 1

        with self.serving(hello, Picky) as server:
            self.assertEqual(exchange(server, b"GET / HTTP/1.0\r\n\r\n"), b"")
            self.assertEqual(request(server).content, b"hello")
        self.assertEqual([peer == address for peer, address in seen], [True, True])

    def test_get_app(self):
        class Choosing(WSGIServer):
            def get_app(self):
                return super().get_app()["app"]

        with self.serving({"app": hello}, Choosing) as server:
            self.assertEqual(request(server).content, b"hello")

    def test_service_actions(self):
        class Counting(WSGIServer):
            count = 0

            def service_actions(self):
                self.count += 1

        with self.serving(hello, Counting) as server:
            request(server)
        self.assertGreater(server.count, 0)

    def test_threads_of_the_mixin(self):
        class Threading(socketserver.ThreadingMixIn, WSGIServer):
            pass

        def app(environ, start_response):
            ok(start_response)
            return [str(environ["wsgi.multithread"]).encode()]

        for server_class in (Threading, ThreadingWSGIServer):
            with self.subTest(server_class), self.serving(app, server_class) as server:
                self.assertEqual(request(server).content, b"True")
                names = [thread.name for thread in threading.enumerate()]
                self.assertEqual(sum(name.startswith("serve_forever-") for name in names), 8)

    def test_the_log(self):
        """The line is that of the standard module, but for the protocol's version."""
        with stderr_of_server() as stderr, self.serving(hello, handler_class=WSGIRequestHandler) as server:
            request(server, target="/a?b")
        line = r'^127\.0\.0\.1 - - \[\d\d/\w+/\d{4} \d\d:\d\d:\d\d\] "GET /a\?b HTTP/1\.1" 200 5\n$'
        self.assertRegex(stderr.getvalue(), line)

    def test_log_methods(self):
        lines = []

        class Logging(WSGIRequestHandler):
            def log_request(self, code="-", size="-"):
                lines.append((self.client_address[0], self.command, self.path, int(code), size))

            def log_error(self, format, *args):
                lines.append(format % args)

        with self.serving(hello, handler_class=Logging) as server:
            request(server, target="/a")
            exchange(server, b"nonsense\r\n\r\n")
        self.assertEqual(lines[0], ("127.0.0.1", "GET", "/a", 200, 5))
        self.assertTrue(lines[1].startswith("code 400, message"), lines)

    def test_no_log(self):
        with stderr_of_server() as stderr:
            with self.serving(hello, handler_class=WSGIRequestHandler, access_log=False) as server:
                request(server)
        self.assertEqual(stderr.getvalue(), "")

    def test_an_inherited_socket(self):
        listener = socket.create_server(("127.0.0.1", 0))
        with WSGIServer.from_socket(listener, hello, Quiet) as server:
            with socket.create_connection(listener.getsockname()) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                server.handle_request()
                self.assertTrue(client.makefile("rb").read().endswith(b"hello"))

    def test_ipv6(self):
        class SixthVersion(WSGIServer):
            address_family = socket.AF_INET6

        def app(environ, start_response):
            ok(start_response)
            return [environ["REMOTE_ADDR"].encode()]

        try:
            server = make_server("::1", 0, app, SixthVersion, Quiet)
        except OSError as error:
            self.skipTest(str(error))
        with server, socket.create_connection(server.server_address[:2]) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            server.handle_request()
            self.assertTrue(client.makefile("rb").read().endswith(b"::1"))


class FallingBack(unittest.TestCase):
    """The standard loop serves, with a warning. It answers with HTTP/1.0."""

    def check(self, reason, server_class=WSGIServer, handler_class=Quiet, change=None):
        with make_server("127.0.0.1", 0, hello, server_class, handler_class) as server:
            if change:
                change(server)
            with socket.create_connection(server.server_address[:2]) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                with self.assertWarnsRegex(RuntimeWarning, f"the standard loop serves, because .*{reason}"):
                    server.handle_request()
                answer = client.makefile("rb").read()
        self.assertTrue(answer.startswith(b"HTTP/1.0 200 OK\r\n"), answer)
        self.assertTrue(answer.endswith(b"hello"), answer)

    def test_process_request(self):
        class Own(WSGIServer):
            def process_request(self, request, client_address):
                super().process_request(request, client_address)

        self.check("Own.process_request is overridden", Own)

    def test_a_method_of_the_instance(self):
        def change(server):
            server.finish_request = lambda request, address: Quiet(request, address, server)

        self.check("WSGIServer.finish_request is overridden", change=change)

    @unittest.skipUnless(hasattr(socketserver, "ForkingMixIn"), "needs fork")
    def test_forking(self):
        class Forking(socketserver.ForkingMixIn, WSGIServer):
            pass

        self.check("Forking.process_request is overridden", Forking)

    def test_a_wrapped_socket(self):
        class Wrapped(socket.socket):
            pass

        def change(server):
            plain = server.socket
            server.socket = Wrapped(fileno=plain.detach())

        self.check("its socket is a Wrapped", change=change)

    def test_a_handler_with_an_environ_of_its_own(self):
        class Own(Quiet):
            def get_environ(self):
                return super().get_environ()

        self.check("Own.get_environ is overridden", handler_class=Own)


class EndingTheStandardLoop(unittest.TestCase):
    """Each way to end a server also ends the standard loop."""

    class Own(WSGIServer):
        def get_request(self):
            return super().get_request()

    def setUp(self):
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("ignore")

    def test_shutdown(self):
        with serving(hello, server_class=self.Own) as server:
            self.assertEqual(request(server).content, b"hello")

    def test_drain(self):
        for end in (lambda server: server.drain(PATIENCE), lambda server: server.request_drain(PATIENCE)):
            server = make_server("127.0.0.1", 0, hello, self.Own, Quiet)
            loop = threading.Thread(target=server.serve_forever, daemon=True)
            with self.subTest(end), server:
                loop.start()
                self.assertEqual(request(server).content, b"hello")
                end(server)
                loop.join(PATIENCE)
                self.assertFalse(loop.is_alive())

    def test_an_end_that_comes_first(self):
        for method, arguments in (("shutdown", []), ("drain", [PATIENCE]), ("request_drain", [PATIENCE])):
            for server_class in (self.Own, WSGIServer):
                server = make_server("127.0.0.1", 0, hello, server_class, Quiet)
                loop = threading.Thread(target=server.serve_forever, daemon=True)
                with self.subTest(method, server_class=server_class), server:
                    getattr(server, method)(*arguments)
                    loop.start()
                    loop.join(PATIENCE)
                    self.assertFalse(loop.is_alive())


if __name__ == "__main__":
    unittest.main()
