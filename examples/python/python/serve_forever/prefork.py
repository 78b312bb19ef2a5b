"""Processes that serve the same socket: a supervisor, and the workers that it makes.

The supervisor does not load the application. Each worker does, so a new worker has the newest code.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback

#: The status of a worker that cannot load the application.
CANNOT_LOAD = 3
#: How long the supervisor waits before it replaces a worker that has failed, in seconds. A worker that
#: has not failed, but ended soon, is replaced so long after its start.
PAUSE = 1.0
#: How long a worker may take to end after its requests have ended, in seconds.
GRACE = 2.0
#: How often a worker looks for its parent and at its files, in seconds.
INTERVAL = 0.5

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


def next_start(code, has_begun, started, now):
    """Return when a worker that has ended may be replaced; None if the supervisor has to end.

    The worker was started at the time `started`, and has ended `now` with the status `code`, or by the signal
    ``-code``. If it has ended by itself before it has begun to serve, another one would, too.
    """
    if code >= 0 and not has_begun:
        return None
    if code != 0:
        return now + PAUSE
    return max(now, started + PAUSE)


class Supervisor:
    """Keeps `count` workers running until a signal comes.

    `work` is called in each worker with a `Worker`, and returns the exit status. After SIGTERM, the
    requests of the workers have `patience` seconds to finish. `next_start` says when a worker is
    replaced.
    """

    def __init__(self, work, count, patience):
        self._work = work
        self._count = count
        self._patience = patience
        self._workers = {}  # a `Process` for each pid
        self._status = 0
        self._no_start_before = 0.0
        self._deadline = None  # set when everything is to end

    def run(self):
        """Supervise. Return the exit status. In a worker, it does not return."""
        self._catch_signals()
        while self._deadline is None or self._workers:
            self._fill()
            for number in self._wait():
                self._handle(number)
            self._reap()
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._tell(signal.SIGKILL)
        return self._status

    def _catch_signals(self):
        """Let the numbers of signals arrive on a socket."""
        self._receiver, self._sender = socket.socketpair()
        for end in (self._receiver, self._sender):
            end.setblocking(False)
        signal.set_wakeup_fd(self._sender.fileno())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)

    def _fill(self):
        """Start the workers that are missing."""
        while (
            self._deadline is None
            and len(self._workers) < self._count
            and time.monotonic() >= self._no_start_before
        ):
            self._start()

    def _start(self):
        parent = os.getpid()
        # A signal between the fork and the worker's own handlers would be taken for the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            self._workers[pid] = Process(reader, time.monotonic())
        else:
            signal.set_wakeup_fd(-1)
            self._receiver.close()
            self._sender.close()
            os.close(reader)
            for other in self._workers.values():
                other.close()
            worker = Worker(parent, self._patience, writer)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if not pid:
            sys.exit(self._run(worker))

    def _run(self, worker):
        try:
            return self._work(worker)
        except KeyboardInterrupt:
            if not worker.must_stop:  # the application has raised it: a fault like any other
                sys.excepthook(*sys.exc_info())
                return 1
            worker.report_begun()  # the end is no fault of the application
            return 0

    def _wait(self):
        """Wait for signals, or until there is something to do. Return the numbers of the signals."""
        until = self._deadline
        if until is None and len(self._workers) < self._count:
            until = self._no_start_before
        timeout = None if until is None else max(until - time.monotonic(), 0.0)
        select.select([self._receiver], [], [], timeout)
        with contextlib.suppress(BlockingIOError):
            return self._receiver.recv(4096)
        return b""

    def _handle(self, number):
        if number == signal.SIGCHLD:
            return
        if self._deadline is not None:
            self._tell(signal.SIGKILL)  # somebody has lost patience
        else:
            self._stop(number)

    def _stop(self, number):
        """Let all workers end."""
        self._deadline = time.monotonic() + self._patience + GRACE
        self._tell(number)

    def _tell(self, number):
        for pid in self._workers:
            os.kill(pid, number)

    def _reap(self):
        """Take note of the workers that have ended."""
        for pid in list(self._workers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            process = self._workers.pop(pid)
            has_begun = process.has_begun()
            process.close()
            if self._deadline is None:
                self._replace(pid, os.waitstatus_to_exitcode(status), has_begun, process.started)

    def _replace(self, pid, code, has_begun, started):
        """Decide what follows when a worker has ended by itself."""
        start = next_start(code, has_begun, started, time.monotonic())
        if code != 0 or start is None:
            early = "" if has_begun else " before it served"
            print(f"worker {pid} ended with status {code}{early}", file=sys.stderr, flush=True)
        if start is None:
            self._status = code or CANNOT_LOAD
            self._stop(signal.SIGTERM)
        else:
            self._no_start_before = max(self._no_start_before, start)


class Process:
    """A worker as its supervisor sees it."""

    def __init__(self, reader, started):
        self._reader = reader  # the other end belongs to `Worker.report_begun`
        self.started = started
        os.set_blocking(reader, False)

    def has_begun(self):
        """Return whether the worker, which has ended, had called `report_begun`."""
        try:
            return os.read(self._reader, 1) != b""
        except BlockingIOError:
            return False  # a process that the worker has made holds the other end

    def close(self):
        os.close(self._reader)


class Worker:
    """The process of a worker: when it has to end."""

    def __init__(self, parent, patience, writer):
        self._parent = parent
        self._patience = patience
        self._writer = writer  # None: `report_begun` was called
        self._server = None
        self.must_stop = False
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, self._on_interrupt)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def serves(self, server):
        """Begin to serve. Let `server` end when this worker has to end."""
        self.report_begun()
        self._server = server
        if self.must_stop:
            self.stop()

    def report_begun(self):
        """Tell the supervisor that this worker can be replaced when it ends."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):  # it is gone, as `_watch` will find out
                os.write(writer, b".")
            os.close(writer)

    def stop(self):
        """Let the requests that have begun finish, and then the loop end."""
        self.must_stop = True
        if self._server is not None:
            self._server.request_drain(self._patience)

    def watch(self, files=None):
        """Stop when the parent is gone, and when one of `files` has changed."""
        thread = threading.Thread(target=self._watch, args=[files], name="watch", daemon=True)
        thread.start()

    def wait_for_change(self, files):
        """Return when one of `files` has changed. Raise `SystemExit` if the parent is gone."""
        self.report_begun()
        while not files.changed():
            if self._is_orphan():
                sys.exit(1)
            time.sleep(INTERVAL)

    def _watch(self, files):
        while not (self._is_orphan() or (files is not None and files.changed())):
            time.sleep(INTERVAL)
        self.stop()

    def _is_orphan(self):
        return os.getppid() != self._parent

    def _on_term(self, *_):
        if self._server is None:  # it still loads the application
            self.must_stop = True
            self.report_begun()
            sys.exit(0)
        self.stop()

    def _on_interrupt(self, *_):
        # The terminal sends it to every process, and then the parent does.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.must_stop = True
        raise KeyboardInterrupt


class Files:
    """The files that the modules of this process come from."""

    def __init__(self, error=None):
        self._versions = {}
        self._others = set()
        while error is not None:
            self._others.update(it.filename for it in traceback.extract_tb(error.__traceback__))
            if isinstance(error, SyntaxError) and error.filename:
                self._others.add(error.filename)
            error = error.__cause__ or error.__context__
        self.changed()

    def changed(self):
        """Return whether a file has changed since it was first seen here."""
        changed = False
        for path in self._paths():
            version = _version(path)
            changed |= self._versions.setdefault(path, version) != version
        return changed

    def _paths(self):
        """Return the paths of the files. Other threads may import a module meanwhile."""
        paths = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        return {path for path in paths | self._others if isinstance(path, str)}


def _version(path):
    """Return what changes with a file. None: there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
