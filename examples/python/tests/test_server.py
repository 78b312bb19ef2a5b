"""The server as an application and a client see it, on the loop and on threads."""

import contextlib
import contextvars
import io
import json
import sys
import threading
import time
import unittest
import weakref
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

from serve_forever.simple_server import demo_app

from support import PATIENCE, ask, connect, exchange, read_all, request, reset_when_closed, serving, stderr_of_server


def ok(start_response):
    """Begin a response. The list is a new one, because the standard loop changes it."""
    return start_response("200 OK", [("Content-Type", "text/plain")])


def hello(environ, start_response):
    ok(start_response)
    return [b"hello"]


def variables(environ, start_response):
    """Send the environ as JSON."""
    ok(start_response)
    return [json.dumps({key: repr(value) for key, value in environ.items()}).encode()]


class OnTheLoop(unittest.TestCase):
    """What holds on the loop. A subclass repeats it on threads."""

    threads = 0

    def serving(self, app, **attributes):
        return serving(app, threads=self.threads, **attributes)

    def test_the_program_of_the_article(self):
        with self.serving(demo_app) as server:
            response = request(server, target="/a%20b?c=d")
        self.assertEqual(response.status, 200)
        self.assertTrue(response.content.startswith(b"Hello world!\n\n"))
        self.assertIn(b"PATH_INFO = '/a b'\n", response.content)

    def test_environ(self):
        with self.serving(variables) as server:
            fields = {"X-A": "b", "Content-Type": "text/css", "Cookie": "c"}
            found = json.loads(request(server, "POST", "/p%C3%A4?q", b"body", fields).content)
        expected = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/pÃ¤",
            "QUERY_STRING": "q",
            "CONTENT_TYPE": "text/css",
            "CONTENT_LENGTH": "4",
            "SERVER_PORT": str(server.server_port),
            "SERVER_NAME": server.server_name,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_X_A": "b",
            "HTTP_COOKIE": "c",
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
            "wsgi.multithread": self.threads > 0,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        self.assertEqual({key: found.get(key) for key in expected}, {k: repr(v) for k, v in expected.items()})
        self.assertNotIn("HTTP_CONTENT_TYPE", found)

    def test_a_change_of_environ_ends_with_the_request(self):
        def app(environ, start_response):
            seen = environ.get("mine", "nothing")
            environ["mine"] = "something"
            environ["SERVER_NAME"] = "changed"
            ok(start_response)
            return [seen.encode()]

        with self.serving(app) as server:
            for _ in range(3):
                self.assertEqual(request(server).content, b"nothing")

    def test_no_value_of_another_request_is_in_an_environ(self):
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            keys = [key for key in environ if key.startswith(("HTTP_", "X_"))]
            seen = [environ["REQUEST_METHOD"], environ["REQUEST_URI"], environ["CONTENT_TYPE"]]
            return [repr([*seen, *sorted((key, environ[key]) for key in keys)]).encode()]

        clients = [
            ("GET", "/a", {"Cookie": "a=1"}),
            ("GET", "/a", {"Cookie": "a=2"}),
            ("GET", "/ab", {}),
            ("DELETE", "/", {"Accept": "x", "Cookie": "a=1"}),
            ("GET", "/a", {"Cookie": "", "Accept": "x"}),
            ("GET", "/a", {"Content-Type": "a/b", "X-One": "1"}),
            ("GET", "/a", {"X-One": "1", "X-Two": "2"}),
        ]
        with self.serving(app) as server:
            host = "%s:%d" % server.server_address
            for number in range(150):  # an environ is copied 64 times
                method, target, fields = clients[(number + number // 7) % len(clients)]
                more = {} if number % 3 else {f"X-Only-{number}": "3"}
                content = request(server, method, target, headers={**fields, **more}).content
                got = {"Host": host, "Accept-Encoding": "identity", **fields, **more}
                kind = got.pop("Content-Type", "")
                keys = {"HTTP_" + key.upper().replace("-", "_"): got[key] for key in got}
                expected = [method, target, kind, *sorted(keys.items())]
                self.assertEqual(content.decode(), repr(expected))

    def test_the_base_environ_is_read_for_each_request(self):
        app = lambda environ, start_response: (ok(start_response), [environ["added"].encode()])[1]
        with self.serving(app) as server:
            for value in ("a", "b"):
                server.base_environ["added"] = value
                self.assertEqual(request(server).content, value.encode())

    @unittest.skipIf(getattr(sys, "_is_gil_enabled", lambda: True)(), "the interpreter's lock prevents it")
    def test_the_base_environ_changes_while_it_is_read(self):
        ended = threading.Event()

        def change(base_environ):
            while not ended.is_set():
                for number in range(50):
                    base_environ[f"more{number}"] = "b"
                for number in range(50):
                    del base_environ[f"more{number}"]

        with self.serving(hello) as server, connect(server) as client:
            thread = threading.Thread(target=change, args=(server.base_environ,))
            thread.start()
            try:
                for _ in range(50):
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
                    received = b""
                    while received.count(b"hello") < 100:
                        more = client.recv(65536)
                        self.assertTrue(more, "the server has closed the connection")
                        received += more
            finally:
                ended.set()
                thread.join(PATIENCE)

    def test_errors_are_the_stderr_of_the_moment(self):
        def app(environ, start_response):
            environ["wsgi.errors"].write(environ["PATH_INFO"])
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b""]

        with self.serving(app) as server:
            for path in ("/1", "/2", "/3"):
                with contextlib.redirect_stderr(io.StringIO()) as stderr:
                    request(server, target=path)
                self.assertEqual(stderr.getvalue(), path)

    def test_input(self):
        def app(environ, start_response):
            ok(start_response)
            source = environ["wsgi.input"]
            parts = [source.read(2), source.readline(), source.readline(1)]
            parts += [*source.readlines(3), *source, source.read(), source.read(5)]
            return [repr(parts).encode()]

        body = b"one\ntwo\nthree\nfour\nfive"
        expected = [b"on", b"e\n", b"t", b"wo\n", b"three\n", b"four\n", b"five", b"", b""]
        for chunked in (False, True):
            with self.subTest(chunked=chunked), self.serving(app) as server:
                content = request(server, "POST", "/", iter([body]) if chunked else body, encode_chunked=chunked).content
                self.assertEqual(content, repr(expected).encode())

    def test_input_without_a_body(self):
        def app(environ, start_response):
            ok(start_response)
            source = environ["wsgi.input"]
            return [repr([source.read(), source.read(5), source.readline(), source.readlines(), *source]).encode()]

        with self.serving(app) as server:
            for method, body in (("GET", None), ("POST", b""), ("GET", None)):
                self.assertEqual(request(server, method, "/", body).content, b"[b'', b'', b'', []]")

    def test_an_input_can_be_wrapped(self):
        """A body of every size is like a file of Python: one that is empty, in memory, or in a file."""

        def app(environ, start_response):
            ok(start_response)
            source, kind = environ["wsgi.input"], environ["PATH_INFO"]
            if kind == "/text":
                return [io.TextIOWrapper(source, "ascii").read().encode()]
            if kind == "/buffered":
                with io.BufferedReader(source) as buffered:
                    return [buffered.read(2) + buffered.readline() + buffered.read()]
            if kind == "/readinto":
                buffer = bytearray(400_000)
                lengths = [source.readinto(memoryview(buffer)[:3]), source.readinto(memoryview(buffer)[3:])]
                self.assertEqual(source.readinto(buffer[:5]), 0)
                return [bytes(buffer[: sum(lengths)])]
            return [repr([source.readable(), source.writable(), source.seekable(), source.closed]).encode()]

        with self.serving(app, max_body_memory=1000) as server:
            for body in (b"", b"abc\nd", b"one\ntwo\n" * 40_000):
                for path in ("/text", "/buffered", "/readinto", "/text"):
                    with self.subTest(path, length=len(body)):
                        response = request(server, "POST", path, body)
                        self.assertEqual((response.status, response.content), (200, body))
            for body in (b"", bytes(300_000)):
                with self.subTest("methods", length=len(body)):
                    content = request(server, "POST", "/", body).content
                    self.assertEqual(content, b"[True, False, False, False]")

    def test_an_input_is_not_read_into_what_is_read_only(self):
        def app(environ, start_response):
            ok(start_response)
            source = environ["wsgi.input"]
            with self.assertRaises(TypeError):
                source.readinto(b"read-only")
            return [source.read()]

        with self.serving(app, max_body_memory=1000) as server:
            for body in (b"", bytes(300_000)):
                self.assertEqual(request(server, "POST", "/", body).content, body)

    def test_a_closed_input(self):
        """That of an empty body stays open: it belongs to other requests, too."""

        def app(environ, start_response):
            ok(start_response)
            source = environ["wsgi.input"]
            source.close()
            source.close()
            results = [source.closed]
            for call in (source.read, source.readline, source.readlines, source.readable, source.flush):
                try:
                    results.append(call())
                except ValueError as error:
                    results.append(str(error))
            return [repr(results).encode()]

        closed = [True] + ["I/O operation on closed file."] * 5
        with self.serving(app, max_body_memory=1000) as server:
            for body, expected in ((b"", [False, b"", b"", [], True, None]), (b"a", closed), (bytes(300_000), closed)):
                with self.subTest(length=len(body)):
                    self.assertEqual(request(server, "POST", "/", body).content, repr(expected).encode())

    def test_bodies(self):
        """One block has a length; several are chunked; none is empty."""
        bodies = {
            "list": lambda: [b"abc"],
            "tuple": lambda: (b"abc",),
            "blocks": lambda: [b"a", b"", b"bc"],
            "generator": lambda: (part for part in (b"a", b"bc")),
            "large": lambda: [b"abc" * 100_000],
            "large blocks": lambda: (b"abc" * 100_000 for _ in range(3)),
            "empty": lambda: [],
            "file": lambda: FileWrapper(io.BytesIO(b"abc" * 10_000)),
        }

        def app(environ, start_response):
            ok(start_response)
            return bodies[environ["QUERY_STRING"].replace("+", " ")]()

        with self.serving(app) as server:
            for name, body in bodies.items():
                with self.subTest(name):
                    expected = b"".join(body())
                    response = request(server, target="/?" + name.replace(" ", "+"))
                    self.assertEqual(response.content, expected)
                    one = name in ("list", "tuple", "large", "empty")
                    length = str(len(expected)) if one else None
                    self.assertEqual(response.getheader("Content-Length"), length)

    def test_head_has_no_body(self):
        with self.serving(hello) as server:
            answer = exchange(server, b"HEAD / HTTP/1.0\r\n\r\n")
        head, end, body = answer.partition(b"\r\n\r\n")
        self.assertIn(b"\r\nContent-Length: 5\r\n", head)
        self.assertEqual((end, body), (b"\r\n\r\n", b""))

    def test_keep_alive(self):
        with self.serving(hello) as server:
            answer = exchange(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
            self.assertEqual(server._native.server.stats()["accepted"], 1)
        self.assertEqual(answer.count(b"\r\n\r\nhello"), 3)

    def test_the_validator_agrees(self):
        def app(environ, start_response):
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))
            environ["wsgi.errors"].flush()
            write = ok(start_response)
            if environ["QUERY_STRING"] == "write":
                write(b"written ")
            return [body or b"nothing", b"."]

        with stderr_of_server() as stderr, self.serving(validator(app)) as server:
            self.assertEqual(request(server).content, b"nothing.")
            self.assertEqual(request(server, "POST", "/?a", b"form").content, b"form.")
            self.assertEqual(request(server, "POST", "/?write", b"form").content, b"written form.")
            self.assertEqual(request(server, "HEAD").content, b"")
        self.assertEqual(stderr.getvalue(), "")

    def test_write(self):
        def app(environ, start_response):
            write = ok(start_response)
            write(b"a")
            write(b"b" * 100_000)
            return [b"c"]

        with self.serving(app) as server:
            self.assertEqual(request(server).content, b"a" + b"b" * 100_000 + b"c")

    def test_a_late_start_response(self):
        def app(environ, start_response):
            start_response("201 Created", [("X-Late", "yes")])
            yield b"late"

        with self.serving(app) as server:
            response = request(server)
        self.assertEqual((response.status, response.getheader("X-Late")), (201, "yes"))
        self.assertEqual(response.content, b"late")

    def test_exc_info_before_the_head_is_sent(self):
        def app(environ, start_response):
            ok(start_response)
            try:
                raise KeyError("lost")
            except KeyError:
                start_response("503 Sorry", [("X-E", "1")], sys.exc_info())
            return [b"sorry"]

        with self.serving(app) as server:
            response = request(server)
        self.assertEqual((response.status, response.reason), (503, "Sorry"))
        self.assertIsNone(response.getheader("Content-Type"))

    def test_exc_info_after_the_head_is_sent(self):
        """The exception is raised again, and the client sees that the response is incomplete."""
        raised = []

        def app(environ, start_response):
            ok(start_response)
            yield b"x" * 70_000
            try:
                raise KeyError("lost")
            except KeyError:
                try:
                    start_response("500 No", [], sys.exc_info())
                except KeyError as error:
                    raised.append(error)
                    raise

        with stderr_of_server() as stderr, self.serving(app) as server:
            answer = exchange(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertNotIn(b"\r\n0\r\n", answer)
        self.assertEqual([str(error) for error in raised], ["'lost'"])
        self.assertIn("KeyError: 'lost'", stderr.getvalue())

    def test_mistakes_are_a_500_and_a_traceback(self):
        def twice(environ, start_response):
            ok(start_response)
            ok(start_response)

        def never(environ, start_response):
            return [b"x"]

        def text(environ, start_response):
            ok(start_response)
            return ["text"]

        def bytes_status(environ, start_response):
            start_response(b"200 OK", [])

        def bad_field(environ, start_response):
            start_response("200 OK", [("A", "b\r\nC: d")])

        def three_parts(environ, start_response):
            start_response("200 OK", [("A", "b", "c")])

        def nothing(environ, start_response):
            ok(start_response)

        def broken(environ, start_response):
            raise LookupError("broken")

        def late(environ, start_response):
            ok(start_response)
            yield b""
            raise LookupError("late")

        cases = {
            twice: "AssertionError",
            text: "AssertionError: a block of the body must be a bytes instance",
            bytes_status: "AssertionError: Status must be of type str (got <class 'bytes'>)",
            bad_field: "AssertionError",
            three_parts: "ValueError",
            nothing: "TypeError",
            broken: "LookupError: broken",
            late: "LookupError: late",
            never: "AssertionError: the body came before start_response()",
        }
        for app, report in cases.items():
            with self.subTest(app.__name__), stderr_of_server() as stderr:
                with self.serving(app) as server:
                    response = request(server)
                    self.assertEqual(response.status, 500)
                    self.assertIn(b"A server error occurred", response.content)
                self.assertIn(report, stderr.getvalue())

    def test_close_is_called_once(self):
        closed = threading.Semaphore(0)

        class Result:
            def __init__(self, blocks):
                self.blocks = iter(blocks)

            def __iter__(self):
                return self

            def __next__(self):
                block = next(self.blocks)
                if block is None:
                    raise LookupError
                return block

            def close(self):
                closed.release()

        blocks = {"": [b"a", b"b"], "fails": [b"a", None], "at once": [None], "empty": []}

        def app(environ, start_response):
            ok(start_response)
            return Result(blocks[environ["QUERY_STRING"].replace("+", " ")])

        with stderr_of_server(), self.serving(app) as server:
            for name in blocks:
                with self.subTest(name):
                    exchange(server, f"GET /?{name.replace(' ', '+')} HTTP/1.0\r\n\r\n".encode())
                    self.assertTrue(closed.acquire(timeout=PATIENCE))
                    self.assertFalse(closed.acquire(blocking=False))

    def test_close_is_called_when_the_client_leaves(self):
        closed = threading.Event()

        def app(environ, start_response):
            ok(start_response)
            try:
                while True:
                    yield b"x" * 10_000
            finally:
                closed.set()

        with self.serving(app) as server:
            with connect(server) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                client.recv(1)
            self.assertTrue(closed.wait(PATIENCE))

    def test_each_request_has_a_context_of_its_own(self):
        variable = contextvars.ContextVar("variable", default="fresh")

        def app(environ, start_response):
            seen = variable.get()
            variable.set("set in the call")
            ok(start_response)

            def blocks():
                yield seen.encode() + b", " + variable.get().encode()
                variable.set("set in a block")
                for _ in range(20):
                    yield b"." * 10_000
                yield variable.get().encode()

            return blocks()

        with self.serving(app) as server:
            for _ in range(3):
                content = request(server).content.replace(b".", b"")
                self.assertEqual(content, b"fresh, set in the callset in a block")

    def test_start_response_and_write_after_their_request(self):
        """A request that keeps nothing comes first: the next one may get the same objects, but may keep them."""
        kept = {}

        def app(environ, start_response):
            if call := kept.get(environ["QUERY_STRING"]):
                call()
            write = ok(start_response)
            if environ["PATH_INFO"] == "/keep-start-response":
                kept["start_response"] = lambda: start_response("404 Not Found", [])
            elif environ["PATH_INFO"] == "/keep-write":
                kept["write"] = lambda: write(b"secret")
            return [b"answer"]

        with stderr_of_server() as stderr, self.serving(app) as server:
            for name in ("start_response", "write"):
                for path in ("/", "/keep-" + name.replace("_", "-"), "/"):
                    self.assertEqual(request(server, target=path).content, b"answer")
                self.assertEqual(request(server, target=f"/?{name}").status, 500)
        self.assertEqual(stderr.getvalue().count("RuntimeError: start_response() and write() can be called only"), 2)

    def test_a_weak_reference_to_start_response(self):
        """A middleware may keep data of a request by it. Another request must not find them."""
        users = weakref.WeakKeyDictionary()

        def app(environ, start_response):
            found = users.get(start_response, "nobody")
            users[start_response] = environ["PATH_INFO"]
            ok(start_response)
            return [found.encode()]

        with self.serving(app) as server:
            for user in ("/a", "/b", "/c"):
                self.assertEqual(request(server, target=user).content, b"nobody")

    def test_set_app_changes_the_next_request(self):
        with self.serving(hello) as server, connect(server) as client:
            file = client.makefile("rb")
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            while file.readline() != b"\r\n":
                pass
            self.assertEqual(file.read(5), b"hello")
            server.set_app(lambda environ, start_response: (start_response("404 Gone", []), [b"other"])[1])
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(file.readline(), b"HTTP/1.1 404 Gone\r\n")


class OnThreads(OnTheLoop):
    """The same on four threads."""

    threads = 4

    def test_the_threads_are_the_program_s(self):
        """They have names, and keep their thread-local variables from request to request."""
        local = threading.local()

        def app(environ, start_response):
            local.count = getattr(local, "count", 0) + 1
            ok(start_response)
            return [f"{threading.current_thread().name} {local.count}".encode()]

        with self.serving(app) as server:
            found = [request(server).content.decode().split() for _ in range(20)]
        counts = {}
        for name, count in found:
            counts.setdefault(name, []).append(int(count))
        self.assertLessEqual(set(counts), {f"serve_forever-{number}" for number in range(1, 5)})
        for seen in counts.values():
            self.assertEqual(seen, list(range(1, len(seen) + 1)))

    def test_a_response_stays_on_its_thread(self):
        def app(environ, start_response):
            ok(start_response)
            own = threading.get_ident()
            for _ in range(50):
                assert threading.get_ident() == own
                yield b"x" * 10_000

        with self.serving(app) as server:
            self.assertEqual(len(request(server).content), 500_000)

    def test_a_thread_finishes_a_response_before_it_begins_another(self):
        """Also for a slow client. With `share_threads`, a thread has several responses by turns."""
        for shared in (False, True):
            calls = []

            def app(environ, start_response):
                ok(start_response)
                name = environ["PATH_INFO"]
                calls.append(("begins", name))
                try:
                    for _ in range(2000 if name == "/slow" else 1):
                        yield b"x" * 10_000
                finally:
                    calls.append(("ends", name))

            slow, quick = (("begins", "/slow"), ("ends", "/slow")), (("begins", "/quick"), ("ends", "/quick"))
            with self.subTest(shared=shared), serving(app, threads=1, share_threads=shared) as server:
                with ask(server, "/slow") as client:
                    client.recv(1)
                    with ask(server, "/quick") as other:
                        if shared:  # the slow client has not read yet
                            self.assertTrue(read_all(other).endswith(b"x" * 10_000))
                        self.assertGreater(len(read_all(client)), 20_000_000)
                        read_all(other)
            self.assertEqual(calls, [slow[0], *quick, slow[1]] if shared else [*slow, *quick])

    def test_requests_run_simultaneously(self):
        barrier = threading.Barrier(4, timeout=PATIENCE)

        def app(environ, start_response):
            barrier.wait()
            ok(start_response)
            return [b"met"]

        with self.serving(app) as server:
            clients = [connect(server) for _ in range(4)]
            for client in clients:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            for client in clients:
                with client:
                    self.assertTrue(read_all(client).endswith(b"met"))

    def test_write_after_the_client_has_left(self):
        """It raises an error of connections, as in wsgiref, and nothing is printed."""
        arrived, go_on, raised = threading.Event(), threading.Event(), []
        ended = threading.Event()

        def app(environ, start_response):
            arrived.set()
            go_on.wait(PATIENCE)
            write = ok(start_response)
            try:
                for _ in range(PATIENCE * 100):  # the thread may be told a little later
                    write(b"too late")
                    time.sleep(0.01)
            except Exception as error:
                raised.append(type(error))
                raise
            finally:
                ended.set()
            return []

        with stderr_of_server() as stderr, self.serving(app) as server:
            with connect(server) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                arrived.wait(PATIENCE)
                reset_when_closed(client)
            for _ in range(PATIENCE * 100):
                if not server._native.server.stats()["open"]:
                    break
                go_on.wait(0.01)
            go_on.set()
            self.assertTrue(ended.wait(PATIENCE))
        self.assertEqual(raised, [BrokenPipeError])
        self.assertEqual(stderr.getvalue(), "")


if __name__ == "__main__":
    unittest.main()
