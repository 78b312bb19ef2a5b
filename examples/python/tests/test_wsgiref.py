"""CPython's own tests of ``wsgiref``, with this package in the place of ``wsgiref.simple_server``.

The source is read from the Python that runs the tests. It is loaded twice: once with another import, and
once so that each request goes through a socket to the native loop.
"""

import importlib.util
import io
import re
import socket
import threading
import types
import unittest
from contextlib import redirect_stderr
from http import HTTPStatus
from wsgiref import simple_server as standard

from serve_forever import simple_server

from support import PATIENCE, read_all


def load(name):
    """Load CPython's tests as a module with this name."""
    try:
        found = importlib.util.find_spec("test.test_wsgiref")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise unittest.SkipTest("this Python has no tests of wsgiref")
    with open(found.origin, encoding="utf-8") as file:
        source = file.read()
    statement = "from {}.simple_server import"
    assert statement.format("wsgiref") in source
    source = source.replace(statement.format("wsgiref"), statement.format("serve_forever"))
    module = types.ModuleType(name)
    exec(compile(source, found.origin, "exec"), module.__dict__)
    return module


def as_wsgiref_says_it(answer):
    """Return the answer as ``wsgiref`` writes it: HTTP/1.0, no ``Connection``, its own name, and the
    reason of this version of Python.
    """
    head, end, body = answer.partition(b"\r\n\r\n")
    version, *fields = head.split(b"\r\n")
    fields = [field for field in fields if not field.startswith((b"Connection:", b"Server:"))]
    fields.insert(0, b"Server: " + standard.software_version.encode())
    version = version.replace(b"HTTP/1.1", b"HTTP/1.0")
    version = version.replace(b"URI Too Long", HTTPStatus.REQUEST_URI_TOO_LONG.phrase.encode())
    return b"\r\n".join([version, *fields]) + end + body


def run_amock(app=None, data=b"GET / HTTP/1.0\r\n\r\n"):
    """Do what CPython's function of this name does, with a socket and the native loop."""
    app = app or natively.hello_app
    errors = io.StringIO()
    with simple_server.make_server("127.0.0.1", 0, app) as server:
        loop = threading.Thread(target=server.handle_request)
        with redirect_stderr(errors), socket.create_connection(server.server_address) as client:
            loop.start()
            client.settimeout(PATIENCE)
            client.sendall(re.sub(rb"(?<!\r)\n", b"\r\n", data))
            client.shutdown(socket.SHUT_WR)
            answer = read_all(client)
            loop.join(PATIENCE)
    return as_wsgiref_says_it(answer), errors.getvalue()


replaced = load("replaced")
natively = load("natively")
natively.run_amock = run_amock
# A byte above 127 in the request line gets status 400, as RFC 9112 section 3 recommends.
del natively.IntegrationTests.test_cp1252_url


def load_tests(loader, tests, pattern):
    """Collect the tests of the two modules."""
    for module in (replaced, natively):
        tests.addTests(loader.loadTestsFromModule(module))
    return tests


if __name__ == "__main__":
    unittest.main()
