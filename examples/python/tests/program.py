"""A server program in a process of its own, with its application in a folder of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from support import PATIENCE, request

#: An application. / returns the id of the process, and /thread the name of the thread. /wait begins
#: its response, and finishes it when the test says so. /exit raises `SystemExit`.
APPLICATION = """
import os, sys, threading

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/wait":
        return wait()
    if environ["PATH_INFO"] == "/exit":
        sys.exit()
    if environ["PATH_INFO"] == "/thread":
        return [threading.current_thread().name.encode()]
    return [str(os.getpid()).encode()]

def wait():
    yield b"begun"
    with open("fifo") as go_on:
        yield go_on.read().encode()

class Holder:
    app = staticmethod(application)

def make():
    return application
"""


class Program:
    """``python -m`` with `arguments`. The application is the module `app`."""

    def __init__(self, *arguments, application=APPLICATION):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        os.mkfifo(self.folder / "fifo")
        self.write(application)
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            stderr=subprocess.PIPE,
            text=True,
            # Gunicorn keeps its control socket in XDG_RUNTIME_DIR.
            env=dict(os.environ, PYTHONFAULTHANDLER="1", XDG_RUNTIME_DIR=self._folder.name),
        )
        self._watchdog = threading.Timer(2 * PATIENCE, self.process.kill)
        self._watchdog.start()
        self.server_address = None

    def write(self, application):
        """Replace the application."""
        new = self.folder / "new"
        new.write_text(application)
        new.rename(self.folder / "app.py")

    def go_on(self):
        """Let a response to /wait end."""
        (self.folder / "fifo").write_text(" and finished")

    def get(self, path="/"):
        return request(self, "GET", path).content

    def reads_until(self, text):
        """Read standard error up to a line that contains `text`. Return the line."""
        seen = []
        for line in self.process.stderr:
            seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not written: {''.join(seen)}")

    def ends(self):
        """Wait until every process has ended. Return the status and the rest of standard error."""
        stderr = self.process.stderr.read()
        return self.process.wait(PATIENCE), stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=PATIENCE)
        self.process.kill()
        self.process.communicate()
        self._watchdog.cancel()
        self._folder.cleanup()


def begin(client):
    """Send a request whose response waits. Return when it has begun."""
    client.sendall(b"GET /wait HTTP/1.0\r\n\r\n")
    data = b""
    while not data.endswith(b"begun"):
        data += client.recv(1000)
