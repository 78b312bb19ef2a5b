"""What the tests share: a server on a thread, and clients."""

import contextlib
import http.client
import io
import os
import socket
import struct
import subprocess
import sys
import threading

from serve_forever.simple_server import WSGIRequestHandler, WSGIServer, make_server

#: No test waits longer than this for anything, in seconds.
PATIENCE = 30


class Quiet(WSGIRequestHandler):
    """A handler that logs nothing."""

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(app, *, threads=None, server_class=WSGIServer, handler_class=Quiet, **attributes):
    """Serve `app` on a thread. Yield the server."""
    server = make_server("127.0.0.1", 0, app, server_class, handler_class)
    if threads is not None:
        server.threads = threads
    for name, value in attributes.items():
        setattr(server, name, value)
    thread = threading.Thread(target=server.serve_forever, name="loop")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()
        assert not thread.is_alive(), "serve_forever did not return"


def connect(server):
    """Return a socket that is connected to the server."""
    return socket.create_connection(server.server_address[:2], PATIENCE)


def ask(server, path):
    """Return a socket on which a request was sent, and nothing was read."""
    client = connect(server)
    client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    return client


def request(server, method="GET", target="/", body=None, headers=None, **more):
    """Send a request on a connection of its own. Return the response, with its `content`."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, target, body, headers or {}, **more)
        response = connection.getresponse()
        response.content = response.read()
        return response


def exchange(server, data):
    """Send bytes, and return what comes until the server closes the connection."""
    with connect(server) as client:
        with contextlib.suppress(OSError):  # the server may close before it has read all
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def read_all(client):
    """Return what comes until the connection is closed, or broken off."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := client.recv(65536):
            data += more
    return data


def reset_when_closed(client):
    """Let the end of this socket be a reset, as if the client's process had died."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def run(program, *arguments, **more):
    """Run a Python program in a process of its own, with faulthandler. Return the process."""
    environment = dict(os.environ, PYTHONUNBUFFERED="1", PYTHONFAULTHANDLER="1")
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **more,
    )


@contextlib.contextmanager
def stderr_of_server():
    """Replace ``sys.stderr``. Yield the text stream."""
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream):
        yield stream
