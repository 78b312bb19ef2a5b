"""``wsgiref.simple_server`` on a reactor written in Rust.

The names, the arguments and the behaviour are those of the standard module::

    from serve_forever.simple_server import make_server

    with make_server("", 8000, app) as server:
        server.serve_forever()

Python binds the socket, and a native loop serves it. If a server was changed in a way that only the
standard loop can honour, there is a warning, and the standard loop serves it.
"""

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
import weakref
from socketserver import ThreadingMixIn
from wsgiref import simple_server as standard
from wsgiref.simple_server import demo_app
from wsgiref.util import FileWrapper, guess_scheme

from . import _native

__all__ = ["ThreadingWSGIServer", "WSGIRequestHandler", "WSGIServer", "demo_app", "make_server"]

#: How many threads a server with ``socketserver.ThreadingMixIn`` has.
MIXIN_THREADS = 8

#: Methods of a server that only the standard loop calls.
_STANDARD_ONLY = (
    "_handle_request_noblock",
    "close_request",
    "fileno",
    "finish_request",
    "get_request",
    "handle_error",
    "process_request",
    "process_request_thread",
    "shutdown_request",
)

#: What a handler class may override: methods that write the log, and what the native loop decides
#: by itself.
_LOG_METHODS = frozenset(
    ["address_string", "log_date_time_string", "log_error", "log_message", "log_request"]
)
_IRRELEVANT = frozenset(
    ["disable_nagle_algorithm", "protocol_version", "rbufsize", "server_version", "sys_version", "wbufsize"]
)


class WSGIRequestHandler(standard.WSGIRequestHandler):
    """Says how requests are logged. Override ``log_message`` or ``log_request`` for that.

    The native loop makes no handler for a request, unless one of these methods is overridden. If
    another method is overridden, the standard loop serves.
    """


class WSGIServer(standard.WSGIServer):
    """``wsgiref.simple_server.WSGIServer`` with a native loop.

    You can set the attributes in a subclass, or in an instance before it serves. Times are in
    seconds and sizes in bytes.
    """

    #: On how many threads the application runs. 0: on the thread that calls `serve_forever`.
    threads = 0
    #: Whether a thread goes on with other requests while a streamed response waits for its client.
    share_threads = False
    #: The value of ``wsgi.multiprocess``: whether other processes run the same application.
    multiprocess = False
    #: Whether requests are logged to ``sys.stderr``, as in the standard module.
    access_log = True
    #: A larger body of a request is kept in a temporary file.
    max_body_memory = 1024 * 1024
    #: A larger body gets status 413.
    max_body = 1024 * 1024 * 1024
    #: How long a connection may stay open between two requests.
    keep_alive_timeout = 15.0
    #: How long an application on threads may take for its response. Then the client gets status 503.
    response_timeout = 3600.0
    #: How many clients the kernel keeps until they are accepted. Set it in a subclass: a server
    #: listens as soon as it is made.
    request_queue_size = 1024

    # They are here for a subclass that does not call `__init__`.
    _lock = threading.Lock()
    _native = None  # made when it is first needed, so a program can fork before
    _stop_early = False  # the end was asked for before a loop has begun
    _runs_standard_loop = False

    def __init__(self, server_address, RequestHandlerClass, bind_and_activate=True):
        self._lock = threading.Lock()
        super().__init__(server_address, RequestHandlerClass, bind_and_activate)

    @classmethod
    def from_socket(cls, listener, app, handler_class=WSGIRequestHandler):
        """Make a server for `app` on a socket that listens already, for example an inherited one."""
        server = cls(listener.getsockname(), handler_class, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.address_family = listener.family
        host, port = listener.getsockname()[:2]
        server.server_name, server.server_port = socket.getfqdn(host), port
        server.setup_environ()
        server.set_app(app)
        return server

    # The life cycle: the standard methods.

    def serve_forever(self, poll_interval=0.5):
        """Serve until `shutdown`. `poll_interval` says how often `service_actions` runs when idle."""
        if self._falls_back():
            return self._serve_standard(poll_interval)
        native = self._open()
        if native is None:  # shutdown() came first
            return None
        with self._running(native):
            return native.server.serve_forever(poll_interval)

    def handle_request(self):
        """Serve one request. Wait for it as long as `timeout` says."""
        if self._falls_back():
            return super().handle_request()
        timeouts = [it for it in (self.socket.gettimeout(), self.timeout) if it is not None]
        native = self._open(ignore_stop=True)
        with self._running(native):
            return native.server.handle_request(min(timeouts, default=None))

    def shutdown(self):
        """Stop `serve_forever`, and wait until it has returned.

        Unlike the standard method, it does not wait if nothing serves, and if an application calls
        it on the thread that serves.
        """
        native = self._native_or_stop()
        if native is not None:
            native.server.shutdown(None)

    def request_drain(self, timeout):
        """Let `serve_forever` return as soon as the requests that have begun are finished.

        It returns immediately, so a signal handler can call it. Connections that are still open
        after `timeout` seconds are reset. The server cannot serve again afterwards. The standard
        loop has no such limit: it ends after the request that it serves.
        """
        self._stop_early = True  # first: a loop may begin meanwhile
        native = self._native
        if self._runs_standard_loop:
            self._stop_early = False
            # It waits for the loop, which may be on this thread.
            threading.Thread(target=super().shutdown, daemon=True).start()
        elif native is not None:
            self._stop_early = False
            native.server.request_drain(timeout)

    def drain(self, timeout):
        """Do as `request_drain`, and wait until `serve_forever` has ended.

        Return how many connections were finished, and how many were reset.
        """
        native = self._native_or_stop()
        return (0, 0) if native is None else native.server.drain(timeout)

    def server_close(self):
        """Close the socket and the connections. Wait for the threads.

        As with `socketserver.ThreadingMixIn`, it does not wait if `block_on_close` is false or
        `daemon_threads` is true.
        """
        with self._lock:
            native, self._native = self._native, None
        if native is not None:
            is_daemon = getattr(self, "daemon_threads", False)
            native.close(wait=getattr(self, "block_on_close", True) and not is_daemon)
        super().server_close()

    def set_app(self, application):
        """Replace the application, from the next request on."""
        super().set_app(application)
        native = self._native
        if native is not None:
            native.server.set_program(self._app(), self.base_environ)

    # The native server, and the standard loop.

    def _native_or_stop(self):
        """Return the native server. If another loop runs or will run, stop that and return None."""
        with self._lock:
            is_standard = self._runs_standard_loop
            native = None if is_standard else self._native
            self._stop_early = not is_standard and native is None
        if is_standard:
            super().shutdown()
        return native

    def _serve_standard(self, poll_interval):
        """Let the standard loop serve, unless its end was asked for already."""
        with self._lock:
            # `request_drain` takes no lock. It looks at these two in the opposite order.
            self._runs_standard_loop = True
            stop, self._stop_early = self._stop_early, False
            if stop:
                self._runs_standard_loop = False
                return
        try:
            super().serve_forever(poll_interval)
        finally:
            self._runs_standard_loop = False

    def _open(self, ignore_stop=False):
        """Return the native server. Make it if there is none."""
        with self._lock:
            if self._native is None:
                self._native = _Native(self)
            # A signal handler can ask for the end while the native server is made. Later, it asks
            # the native server itself.
            stop, self._stop_early = self._stop_early, False
            if stop and not ignore_stop:
                return None
            native = self._native
        native.server.set_program(self._app(), self.base_environ)
        return native

    @contextlib.contextmanager
    def _running(self, native):
        """Be there for signals while the native loop runs."""
        try:
            with native.wakes_on_signals():
                yield
        finally:
            if self._native is not native:  # server_close() came from the application
                native.close(wait=False)

    def _app(self):
        """Return what the native loop calls: the application, or a subclass's choice of one."""
        if not self._overrides("get_app"):
            return self.get_app()
        return lambda environ, start_response: self.get_app()(environ, start_response)

    def _overrides(self, name):
        """Return whether a subclass or the instance has a method of its own."""
        standard_ones = [getattr(cls, name, None) for cls in (WSGIServer, ThreadingMixIn)]
        return name in self.__dict__ or getattr(type(self), name, None) not in standard_ones

    def _falls_back(self):
        """Return whether the standard loop has to serve. Warn if so."""
        reason = self._why_standard()
        if reason is None:
            return False
        message = f"the standard loop serves, because {reason}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        return True

    def _why_standard(self):
        overridden = [name for name in _STANDARD_ONLY if self._overrides(name)]
        if overridden:
            return f"{type(self).__name__}.{overridden[0]} is overridden"
        if type(self.socket) is not socket.socket:
            return f"its socket is a {type(self.socket).__name__}"
        if self.socket.family not in (socket.AF_INET, socket.AF_INET6):
            return f"its address family is {self.socket.family!r}"
        handler = self.RequestHandlerClass
        if not (isinstance(handler, type) and issubclass(handler, standard.WSGIRequestHandler)):
            return f"{handler!r} is no WSGIRequestHandler"
        others = _overridden_by(handler) - _LOG_METHODS - _IRRELEVANT
        if others:
            return f"{handler.__name__}.{min(others)} is overridden"
        return None


class ThreadingWSGIServer(WSGIServer):
    """A `WSGIServer` that runs the application on 8 threads."""

    threads = MIXIN_THREADS


def make_server(host, port, app, server_class=WSGIServer, handler_class=WSGIRequestHandler):
    """Make a server for `app` that listens on `host` and `port`."""
    server = server_class((host, port), handler_class)
    server.set_app(app)
    return server


def _overridden_by(handler):
    """Return the names of the standard handler that a subclass has overridden."""
    base = standard.WSGIRequestHandler
    changed = set()
    for cls in handler.__mro__:
        if cls is base or cls is WSGIRequestHandler:
            break
        changed.update(name for name in vars(cls) if hasattr(base, name))
    return {name for name in changed if not name.startswith("__") or name == "__init__"}


class _Native:
    """A native server, with its threads and what wakes it on a signal."""

    def __init__(self, server):
        self.threads = []
        self.waits_at_exit = _THREADS_ABORT or not getattr(server, "daemon_threads", False)
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self.callbacks = _Callbacks(server, self._receiver)
        count = server.threads
        if not count and isinstance(server, ThreadingMixIn):
            count = MIXIN_THREADS
        self.server = _native.Server(
            server,
            count,
            server.socket.fileno(),
            self._receiver.fileno(),
            self.callbacks,
            _overrides_of(server),
            _gateway_of(server, count),
        )
        for number in range(1, count + 1):
            run = self.server.worker().run
            thread = threading.Thread(target=run, name=f"serve_forever-{number}", daemon=True)
            thread.start()
            self.threads.append(thread)
            if self.waits_at_exit:
                _awaited.add(thread)
        _natives.add(self)

    @contextlib.contextmanager
    def wakes_on_signals(self):
        """Let a signal end the wait of the native loop, so that Python can handle it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # A handler that has this descriptor already, such as asyncio, gets its bytes too.
        other = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self.callbacks.other = other
        try:
            yield
        finally:
            signal.set_wakeup_fd(other)

    def close(self, wait):
        """Close the connections. Wait for the threads, which end after their last request."""
        if not self.server.close():
            return  # it still runs, and closes when it returns
        _natives.discard(self)
        if self.threads:
            self.join(wait)
        self._receiver.close()
        self._sender.close()

    def join(self, wait):
        """Let the threads end, and wait for them. Ctrl-C ends the wait."""
        while not self.server.join(0.1 if wait else 0.0) and wait:
            self.server.close()  # at exit, the loop may run longer than `stop_at_exit` waits
        if wait:
            for thread in self.threads:
                thread.join()

    def stop_at_exit(self):
        """Stop everything before the interpreter ends."""
        self.server.shutdown(1.0)
        self.server.close()  # a response that waits for its client breaks off
        if self.threads:
            self.join(wait=self.waits_at_exit)


class _Callbacks:
    """Calls the methods of a server. It does not keep the server alive."""

    def __init__(self, server, receiver):
        self.server = weakref.ref(server)
        self._receiver = receiver
        self.other = -1

    def signalled(self):
        """Take the bytes that signals have written."""
        with contextlib.suppress(BlockingIOError):
            while data := self._receiver.recv(4096):
                if self.other != -1:
                    with contextlib.suppress(OSError):
                        os.write(self.other, data)

    def verify_request(self, descriptor, client_address):
        with socket.socket(fileno=descriptor) as request:
            return self.server().verify_request(request, client_address)

    def service_actions(self):
        self.server().service_actions()

    def handle_timeout(self):
        self.server().handle_timeout()

    def handle_error(self, error, client_address):
        """Report that a request has failed, as `socketserver.BaseServer.handle_error` does."""
        if sys.stderr is None:
            return  # `print` would take standard output
        rule = "-" * 40
        print(
            rule,
            f"Exception occurred during processing of request from {client_address}",
            "".join(traceback.format_exception(error)) + rule,
            sep="\n",
            file=sys.stderr,
        )

    def log(self, client_address, line, code, size, message):
        """Log a request, or an error page if there is a message, with the program's own methods."""
        server = self.server()
        if server is None:
            return
        cls = server.RequestHandlerClass
        handler = cls.__new__(cls)
        handler.server, handler.client_address = server, client_address or ("", 0)
        handler.requestline, handler.close_connection = line, True
        handler.command, _, rest = line.partition(" ")
        handler.path, _, handler.request_version = rest.partition(" ")
        if message is None:
            handler.log_request(code, size)
        else:
            handler.log_error("code %d, message %s", code, message)


def _overrides_of(server):
    """Say which methods the native loop has to call."""
    return {
        "verify_request": server._overrides("verify_request"),
        "service_actions": server._overrides("service_actions"),
        "log": bool(server.access_log),
        "log_methods": bool(_overridden_by(server.RequestHandlerClass) & _LOG_METHODS),
        "utc_offset": (time.localtime().tm_gmtoff or 0) // 60,
    }


def _gateway_of(server, threads):
    """Return the variables that every environ has besides those of the base environ."""
    return {
        "SERVER_SOFTWARE": server.RequestHandlerClass.server_version,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
        "wsgi.multiprocess": server.multiprocess,
        "wsgi.multithread": threads > 0,
        "wsgi.run_once": False,
        "wsgi.url_scheme": guess_scheme(server.base_environ),
        "wsgi.version": (1, 0),
    }


#: Before Python 3.14, a thread that takes the interpreter's lock at the end of the interpreter is ended
#: by `pthread_exit`. That cannot unwind through native frames, so the process would abort.
_THREADS_ABORT = sys.version_info < (3, 14)
#: The native servers of this process that are not closed.
_natives = weakref.WeakSet()
#: The threads that the end of the interpreter waits for, also if their server is closed.
_awaited = weakref.WeakSet()
#: Those of the parent process. They are never closed here: that would end them in the parent, too,
#: because the two processes share their polls.
_inherited = []


def _after_fork():
    for native in list(_natives):
        _inherited.append(native)
        server = native.callbacks.server()
        if server is not None and server._native is native:
            server._native, server._lock = None, threading.Lock()
    _natives.clear()
    _awaited.clear()


def _at_exit():
    for native in list(_natives):
        native.stop_at_exit()
    for thread in list(_awaited):
        thread.join()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
