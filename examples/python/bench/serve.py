"""usage: serve.py SERVER THREADS APPLICATION PORT. Serve an application with one of the servers."""

import logging
import os
import sys

from app import load

HOST = "127.0.0.1"


def serve_forever(threads, name, port):
    from serve_forever.simple_server import make_server

    server = make_server(HOST, port, load(name))
    server.threads, server.access_log = threads, False
    server.serve_forever()


def wsgiref(threads, name, port):
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args):
            pass

    make_server(HOST, port, load(name), handler_class=Quiet).serve_forever()


def bjoern(threads, name, port):
    import bjoern

    bjoern.run(load(name), HOST, port)


def bjoern_with_date(threads, name, port):
    """Serve with bjoern, which writes neither ``Date`` nor ``Server``. The application does it here."""
    import time
    from email.utils import formatdate

    import bjoern

    app, last, date = load(name), 0, ""

    def with_date(environ, start_response):
        def start(status, headers, exc_info=None):
            nonlocal last, date
            if (now := int(time.time())) != last:
                last, date = now, formatdate(now, usegmt=True)
            return start_response(status, [*headers, ("Date", date), ("Server", "bjoern")])

        return app(environ, start)

    bjoern.run(with_date, HOST, port)


def waitress(threads, name, port):
    import waitress

    logging.getLogger("waitress").setLevel(logging.ERROR)
    waitress.serve(load(name), host=HOST, port=port, threads=max(threads, 1), asyncore_use_poll=True)


def granian(threads, name, port):
    os.execv(
        sys.executable,
        [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", HOST),
            *("--port", str(port), "--no-log", "--no-ws", "--http", "1", "--factory"),
            *("--blocking-threads", str(max(threads, 1)), "--backpressure", "1000"),
            f"app:{name}",
        ],
    )


def gunicorn(threads, name, port):
    kind = ["-k", "gthread", "--threads", str(threads)] if threads else ["-k", "sync"]
    os.execv(
        sys.executable,
        [
            *(sys.executable, "-m", "gunicorn", *kind, "--bind", f"{HOST}:{port}"),
            *("--log-level", "error", f"app:load('{name}')"),
        ],
    )


if __name__ == "__main__":
    server, threads, name, port = sys.argv[1:]
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    globals()[server](int(threads), name, int(port))
