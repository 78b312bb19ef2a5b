"""A worker class for gunicorn: ``gunicorn -k serve_forever.gunicorn_worker.Worker module:app``.

Gunicorn listens, makes the processes and loads the application. In each process the native loop serves.
These settings of gunicorn have a meaning here: ``threads``, ``keepalive``, ``graceful_timeout``,
``timeout``, ``max_requests``, ``accesslog``, and all that concern the processes.
"""

import os
import socket
import sys
import threading
import time

from gunicorn.workers import base

from .simple_server import WSGIRequestHandler, WSGIServer

#: How often gunicorn hears that this worker is alive, in seconds.
INTERVAL = 1.0


class Handler(WSGIRequestHandler):
    """Writes the log of requests where gunicorn writes it."""

    def log_message(self, format, *args):
        line = "%s - - [%s] %s"
        self.server.worker.log.access_log.info(
            line, self.client_address[0], self.log_date_time_string(), format % args
        )


class Server(WSGIServer):
    """Serves one of gunicorn's sockets."""

    worker = None

    def service_actions(self):
        self.worker.tick()


class Worker(base.Worker):
    """A process of gunicorn's."""

    #: As in `WSGIServer`. Set it in a subclass.
    share_threads = False

    def run(self):
        self._next_tick = 0.0
        app = self.wsgi if self.max_requests == sys.maxsize else self._counted
        self._servers = [self._server(listener, app) for listener in self.sockets]
        if not self.alive:
            return
        threads = [
            threading.Thread(target=self._serve, args=[server], daemon=True)
            for server in self._servers[1:]
        ]
        for thread in threads:
            thread.start()
        self._serve(self._servers[0])
        for thread in threads:
            thread.join()
        for server in self._servers:
            server.server_close()

    def tick(self):
        """Tell gunicorn that this worker is alive. Stop if gunicorn is gone."""
        now = time.monotonic()
        if now < self._next_tick:
            return
        self._next_tick = now + INTERVAL
        self.notify()
        if os.getppid() != self.ppid:
            self.log.info("Parent changed, shutting down: %s", self)
            self._stop()

    def handle_exit(self, sig, frame):
        """SIGTERM: let the requests that have begun finish."""
        super().handle_exit(sig, frame)
        self._stop()

    def _serve(self, server):
        """Serve one socket. When that ends, for example by `SystemExit`, the others end, too."""
        try:
            server.serve_forever(INTERVAL)
        finally:
            self._stop()

    def _stop(self):
        self.alive = False
        for server in getattr(self, "_servers", ()):
            server.request_drain(self.cfg.graceful_timeout)

    def _server(self, listener, app):
        listener = getattr(listener, "sock", listener)
        if self.cfg.is_ssl:
            self._give_up("it has no TLS")
        if listener.family not in (socket.AF_INET, socket.AF_INET6):
            self._give_up("it serves TCP only")
        server = Server.from_socket(listener, app, Handler)
        server.worker = self
        server.threads = self.cfg.threads if self.cfg.threads > 1 else 0
        server.share_threads = self.share_threads
        server.multiprocess = self.cfg.workers > 1
        server.keep_alive_timeout = float(self.cfg.keepalive)
        server.access_log = bool(self.cfg.accesslog)
        return server

    def _give_up(self, reason):
        self.log.error("%s cannot serve this: %s", type(self).__name__, reason)
        sys.exit(3)  # gunicorn's status of a worker that cannot boot

    def _counted(self, environ, start_response):
        """Call the application. Stop after `max_requests`."""
        self.nr += 1
        # Several threads count, so it can happen that none of them sees the number itself.
        if self.nr >= self.max_requests and self.alive:
            self.alive = False  # so this is logged once
            self.log.info("Autorestarting worker after current request.")
            self._stop()
        return self.wsgi(environ, start_response)
