"""Uploads: large bodies wait in a file until they are whole, on the loop and on threads."""

import hashlib
import http.client
import resource
import unittest

from support import PATIENCE, request, serving
from test_server import ok

MIB = 1024 * 1024


def digest(environ, start_response):
    """Send the type of the input, the length that is announced, and a hash of the body."""
    source = environ["wsgi.input"]
    body, length = hashlib.sha256(), 0
    while block := source.read(65536):
        body.update(block)
        length += len(block)
    ok(start_response)
    announced, coding = environ["CONTENT_LENGTH"], environ.get("HTTP_TRANSFER_ENCODING")
    return [f"{type(source).__name__} {announced} {coding} {length} {body.hexdigest()}".encode()]


def expected(name, body):
    return f"{name} {len(body)} None {len(body)} {hashlib.sha256(body).hexdigest()}".encode()


class Uploads(unittest.TestCase):
    threads = 0

    def serving(self, app=digest, **attributes):
        return serving(app, threads=self.threads, **attributes)

    def test_where_a_body_is_kept(self):
        """What arrives together with the head needs no file, so the limit is a large one here."""
        with self.serving(max_body_memory=300_000) as server:
            for length, name in ((0, "Input"), (300_000, "BytesIO"), (300_001, "Input")):
                body = bytes(length)
                with self.subTest(length):
                    self.assertEqual(request(server, "POST", "/", body).content, expected(name, body))

    def test_an_upload_of_50_mib(self):
        """It is not in memory: this process, which also holds the body, stays small."""
        body = bytes(range(256)) * (50 * MIB // 256)
        with self.serving() as server:
            request(server, "POST", "/", body[:MIB])
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            content = request(server, "POST", "/", body).content
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.assertEqual(content, expected("Input", body))
        self.assertLess(after - before, 10 * 1024, "in KiB")

    def test_a_chunked_upload(self):
        body = bytes(range(256)) * (3 * MIB // 256)
        blocks = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
        with self.serving() as server:
            content = request(server, "POST", "/", blocks, encode_chunked=True).content
        self.assertEqual(content, expected("Input", body))

    def test_lines(self):
        lines = [b"%d\n" % number for number in range(500)]

        def app(environ, start_response):
            source = environ["wsgi.input"]
            found = [source.readline(), source.readline(1), source.readline(), *source.readlines(10)]
            found += [next(source), *source]
            ok(start_response)
            return [b"same" if b"".join(found) == b"".join(lines) else repr(found).encode()]

        with self.serving(app, max_body_memory=1000) as server:
            self.assertEqual(request(server, "POST", "/", b"".join(lines)).content, b"same")

    def test_reading_in_a_generator(self):
        def app(environ, start_response):
            ok(start_response)
            for line in environ["wsgi.input"]:
                yield line.upper()

        with self.serving(app, max_body_memory=10) as server:
            content = request(server, "POST", "/", b"one\ntwo\nthree\n").content
        self.assertEqual(content, b"ONE\nTWO\nTHREE\n")

    def test_more_than_the_limit(self):
        with self.serving(max_body=5000) as server:
            connection = http.client.HTTPConnection(*server.server_address[:2], timeout=PATIENCE)
            connection.putrequest("POST", "/")
            connection.putheader("Content-Length", "5001")
            connection.endheaders()
            self.assertEqual(connection.getresponse().status, 413)
            connection.close()


class UploadsOnThreads(Uploads):
    threads = 2


if __name__ == "__main__":
    unittest.main()
