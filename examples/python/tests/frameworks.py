"""What the tests of Flask and of Django have in common: the same requests, with `wsgiref.validate`."""

import hashlib
import http.client
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode
from wsgiref.validate import validator

from streams import closed
from support import PATIENCE, connect, request, reset_when_closed, serving, stderr_of_server

MIB = 1024 * 1024
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BOUNDARY = "a-line-that-separates"


def form(**values):
    """Return the body of a form."""
    return urlencode(values, doseq=True).encode()


def multipart(file):
    """Return the body of a form with a file, and its header fields."""
    line = f"--{BOUNDARY}"
    before = (
        f'{line}\r\nContent-Disposition: form-data; name="note"\r\n\r\ncaf\u00e9\r\n'
        f'{line}\r\nContent-Disposition: form-data; name="file"; filename="data.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = before.encode() + file + f"\r\n{line}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def without_extensions(app):
    """Remove what PEP 3333 does not have. With it, Flask reads as the validator does not allow."""

    def call(environ, start_response):
        environ.pop("wsgi.input_terminated")
        return app(environ, start_response)

    return call


class Frameworks:
    """The tests. A subclass has the application, and on how many threads it runs."""

    module = None
    threads = 0

    @classmethod
    def setUpClass(cls):
        cls.stderr = cls.enterClassContext(stderr_of_server())
        app = without_extensions(validator(cls.module.app))
        cls.server = cls.enterClassContext(serving(app, threads=cls.threads))

    @classmethod
    def tearDownClass(cls):
        # `wsgiref.validate` says here that an iterator was not closed.
        assert "was not closed" not in cls.stderr.getvalue()

    def ask(self, method, target, body=None, headers=None, **more):
        return request(self.server, method, target, body, headers or {}, **more)

    def test_a_page(self):
        answer = self.ask("GET", "/")
        self.assertEqual((answer.status, answer.content), (200, b"Hello, World!"))
        self.assertEqual(answer.getheader("Content-Length"), "13")

    def test_head(self):
        answer = self.ask("HEAD", "/")
        self.assertEqual((answer.status, answer.content), (200, b""))

    def test_a_page_that_does_not_exist(self):
        self.assertEqual(self.ask("GET", "/absent").status, 404)

    def test_keep_alive(self):
        client = http.client.HTTPConnection(*self.server.server_address[:2], timeout=PATIENCE)
        self.addCleanup(client.close)
        sockets = set()
        for method, target, body in [("GET", "/", None), ("POST", "/body", b"x"), ("GET", "/", None)]:
            client.request(method, target, body)
            answer = client.getresponse()
            answer.read()
            self.assertEqual(answer.status, 200)
            sockets.add(client.sock)
        self.assertEqual(len(sockets), 1)

    def test_a_file_of_50_mib(self):
        file = b"0123456789abcdef" * (50 * MIB // 16)
        answer = self.ask("POST", "/upload", *multipart(file))
        expected = {"name": "data.bin", "sha256": hashlib.sha256(file).hexdigest(), "note": "caf\u00e9"}
        self.assertEqual(json.loads(answer.content), expected)

    def test_a_body_of_50_mib(self):
        body = b"0123456789abcdef" * (50 * MIB // 16)
        answer = self.ask("POST", "/body", body, {"Content-Type": "application/octet-stream"})
        self.assertEqual(answer.content.decode(), hashlib.sha256(body).hexdigest())

    def test_a_chunked_body(self):
        blocks = [b"%d" % number * 1000 for number in range(100)]
        headers = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
        answer = self.ask("POST", "/body", iter(blocks), headers, encode_chunked=True)
        self.assertEqual(answer.content.decode(), hashlib.sha256(b"".join(blocks)).hexdigest())

    def test_a_stream_has_one_context_and_one_thread(self):
        def stream(word):
            return self.ask("GET", f"/stream?count=200&word={word}").content.decode()

        words = [f"word{number}" for number in range(16)]
        with ThreadPoolExecutor(8) as clients:
            for word, text in zip(words, clients.map(stream, words)):
                lines = [line.split() for line in text.splitlines()]
                self.assertEqual([line[:2] for line in lines], [[word, str(n)] for n in range(200)])
                self.assertEqual(len({line[2] for line in lines}), 1)

    def test_a_stream_is_closed_when_its_client_leaves(self):
        closed.clear()
        with connect(self.server) as client:
            client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            client.recv(1)
            reset_when_closed(client)
        self.assertTrue(closed.wait(PATIENCE))

    def test_a_session(self):
        answer = self.ask("GET", "/session")
        self.assertEqual(answer.content, b"nobody")
        answer = self.ask("POST", "/session", form(user="guido"), FORM)
        cookie = answer.getheader("Set-Cookie").partition(";")[0]
        self.assertEqual(self.ask("GET", "/session", None, {"Cookie": cookie}).content, b"guido")

    def test_an_error(self):
        with self.assertLogs(level=logging.ERROR) as logs:
            answer = self.ask("GET", "/error")
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"the view has failed", answer.content)
        self.assertIn("the view has failed", "\n".join(logs.output))
        self.assertEqual(self.ask("GET", "/").status, 200)

    def test_many_clients(self):
        """Each of 20 clients gets the answers to its own requests."""

        def client(number):
            for count in range(20):
                body = b"%d/%d" % (number, count)
                content = self.ask("POST", "/body", body, {"Content-Type": "text/plain"}).content
                if content.decode() != hashlib.sha256(body).hexdigest():
                    return False
            return True

        with ThreadPoolExecutor(20) as clients:
            self.assertTrue(all(clients.map(client, range(20))))
