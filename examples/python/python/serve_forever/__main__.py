"""Serve a WSGI application: ``python -m serve_forever module:app``."""

import argparse
import importlib
import signal
import socket
import sys
import threading

from . import prefork
from .simple_server import WSGIRequestHandler, WSGIServer


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m serve_forever",
        description="Serve a WSGI application.",
        epilog="SIGTERM lets the requests that have begun finish. Ctrl-C stops at once.",
    )
    parser.add_argument(
        "application",
        metavar="MODULE:APP",
        help="a module, and the name of the application in it (default: application). "
        "NAME() calls a function that returns the application",
    )
    parser.add_argument(
        "--bind",
        metavar="HOST:PORT",
        type=address,
        default=("127.0.0.1", 8000),
        help="where to listen (default: 127.0.0.1:8000). :PORT means every interface",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=natural,
        default=0,
        help="run the application on N threads (default: 0, on the thread of the loop)",
    )
    parser.add_argument(
        "--share-threads",
        action="store_true",
        help="let a thread go on with other requests while a streamed response waits for its client",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=natural,
        default=0,
        help="serve in N processes that share the socket (default: 0, in this process)",
    )
    parser.add_argument(
        "--reload",
        action="store_true",
        help="load the application again when a file of it has changed",
    )
    parser.add_argument(
        "--drain",
        metavar="SECONDS",
        type=duration,
        default=30.0,
        help="how long requests may take to finish after SIGTERM (default: 30)",
    )
    parser.add_argument(
        "--no-access-log", action="store_true", help="do not log requests to standard error"
    )
    return parser.parse_args(argv)


def address(text):
    """Return host and port of ``HOST:PORT``, ``[HOST]:PORT``, ``:PORT`` or ``PORT``."""
    host, colon, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} does not end with a port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return (host if colon else "127.0.0.1", int(port))


def natural(text):
    """Return a number that is not negative."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def duration(text):
    """Return a number of seconds that a program can wait for."""
    seconds = float(text)
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise ValueError(text)
    return seconds


def load(name):
    """Return the application that ``MODULE:APP`` names."""
    module, _, path = name.partition(":")
    path = path or "application"
    is_factory = path.endswith("()")
    app = importlib.import_module(module)
    for attribute in path.removesuffix("()").split("."):
        app = getattr(app, attribute)
    if is_factory:
        app = app()
    if not callable(app):
        raise TypeError(f"{name} is not callable")
    return app


class Command:
    """What was asked for on the command line, with the socket that listens."""

    def __init__(self, options):
        self.options = options
        self.listener = listen(options.bind)

    def server(self, app):
        """Make a server for `app` on the socket."""
        server = WSGIServer.from_socket(self.listener, app, WSGIRequestHandler)
        server.threads = self.options.threads
        server.share_threads = self.options.share_threads
        server.multiprocess = self.options.workers > 1
        server.access_log = not self.options.no_access_log
        return server

    def serve(self):
        """Serve in this process, until a signal comes. Return the exit status."""
        app = load(self.options.application)
        with self.server(app) as server:
            signal.signal(signal.SIGTERM, lambda *_: server.request_drain(self.options.drain))
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print("\nKeyboard interrupt received, exiting.", file=sys.stderr)
        return 0

    def work(self, worker):
        """Serve in a process that the supervisor has made. Return the exit status."""
        # Python takes a compiled file that is as old and as long as its source, to the second, for
        # the same version. An editor can be faster.
        sys.dont_write_bytecode |= self.options.reload
        try:
            app = load(self.options.application)
        except (Exception, SystemExit) as error:
            is_exit = isinstance(error, SystemExit)
            if is_exit and (worker.must_stop or not self.options.reload):
                raise
            files = prefork.Files(error)
            sys.excepthook(*sys.exc_info())
            if not self.options.reload:
                return prefork.CANNOT_LOAD
            worker.wait_for_change(files)
            return 0
        worker.watch(prefork.Files() if self.options.reload else None)
        with self.server(app) as server:
            worker.serves(server)
            server.serve_forever()
        return 0


def listen(bind):
    """Return a socket that listens."""
    family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
    return socket.create_server(bind, family=family, backlog=WSGIServer.request_queue_size)


def main(argv=None):
    """Run the command. Return its exit status."""
    options = arguments(argv)
    try:
        command = Command(options)
    except OSError as error:
        print(f"cannot listen on {options.bind}: {error}", file=sys.stderr)
        return 1
    host, port = command.listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    print(f"Serving {options.application} on http://{host}:{port}/", file=sys.stderr, flush=True)
    if options.workers > 0 or options.reload:
        count = max(options.workers, 1)
        return prefork.Supervisor(command.work, count, options.drain).run()
    return command.serve()


if __name__ == "__main__":
    sys.exit(main())
