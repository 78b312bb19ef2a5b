#!/usr/bin/env python3
"""Lets every system call of a serving run fail once, and sees what the server does.

    apt-get install strace
    python3 tests/injection.py                     # everything, some minutes
    python3 tests/injection.py incoming sendto EINTR   # only what has all these words in its name

strace is attached to an example that serves. It lets the N-th call of a kind fail with an error that the
system can report there, for each N (of many, for some). Meanwhile clients come. Whatever fails,

- the server does not panic, and does not end, unless the poll or the listener itself is broken;
- at most the one conversation fails that the call belongs to, and it fails at once: a client that waits in
  vain is a lost wake-up;
- afterwards the server serves, holds no further descriptor, and does nothing while it is idle;
- it stops on SIGTERM, and a request that has begun gets its response in a drain.

Exits with 1 if something else happens. Skips, and says so, where strace cannot trace.
"""

import collections
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 5  # seconds, for anything one waits for
TICKS = os.sysconf('SC_CLK_TCK')

# EAGAIN is not among them where it would be a lie: the kernel promises an event after it.
FAULTS = {
    'accept4': ['EINTR', 'ECONNABORTED', 'EMFILE', 'ENOMEM', 'EPROTO', 'EBADF'],
    'recvfrom': ['EINTR', 'ECONNRESET', 'ENOMEM'],
    'sendto': ['EINTR', 'EPIPE', 'ECONNRESET', 'ENOBUFS'],
    'epoll_ctl': ['ENOMEM', 'ENOSPC'],
    'epoll_wait': ['EINTR', 'EBADF'],
    'epoll_pwait': ['EINTR', 'EBADF'],
    'read': ['EINTR', 'EIO'],
    'write': ['EINTR', 'EAGAIN'],
    'shutdown': ['ENOTCONN', 'ENOBUFS'],
    'close': ['EINTR', 'EIO'],
    'listen': ['EADDRINUSE', 'EINVAL'],
    'setsockopt': ['ENOMEM', 'EINVAL'],
    'openat': ['EINTR', 'EMFILE'],
    'openat2': ['EINTR', 'EAGAIN', 'ENOSYS', 'EMFILE'],
    'statx': ['ENOMEM', 'EIO'],
    'getdents64': ['EIO'],
    'clone3': ['EAGAIN'],
}

# How a client is told of a fault. A file that cannot be read is not there, as in Python.
TOLD = (404, 500, 503)

# After these the loop cannot go on, and `serve_forever` returns the error.
FINAL = {('accept4', 'EBADF'), ('epoll_wait', 'EBADF'), ('epoll_pwait', 'EBADF')}


class Wrong(Exception):
    """The server has done what it must not do."""


def connect(port):
    return socket.create_connection(('127.0.0.1', port), PATIENCE)


def response(stream):
    """Reads one response. Returns its status and its body."""
    head, separator, body = b'', b'\r\n\r\n', b''
    while separator not in head:
        some = stream.recv(1 << 16)
        if not some:
            raise ConnectionError('the end instead of a head')
        head += some
    head, _, body = head.partition(separator)
    length = re.search(rb'(?i)content-length: (\d+)', head)
    while length is None or len(body) < int(length[1]):
        some = stream.recv(1 << 16)
        if not some:
            if length is not None:
                raise ConnectionError('the end within a body')
            break
        body += some
    return int(head.split()[1]), body


def get(path, fields=''):
    return f'GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n'.encode()


def asked(stream, request, expected):
    stream.sendall(request)
    got = response(stream)
    if got[0] in TOLD:
        raise ConnectionError(f'status {got[0]}')
    if got != expected:
        raise Wrong(f'{request[:30]} got {got[0]} {got[1][:40]}')


class HttpServer:
    """Files, from the loop alone. SIGTERM drains."""

    name = 'http_server'
    kept_by_thread = 0

    def __init__(self, folder):
        self.small, self.large = b'small\n', bytes(range(256)) * (1 << 14)
        (folder / 'small.txt').write_bytes(self.small)
        (folder / 'large.bin').write_bytes(self.large)
        (folder / 'sub').mkdir()
        self.arguments = ['-d', str(folder)]

    def conversations(self):
        return [self.kept, self.whole, self.missing, self.listing, self.half]

    def kept(self, port):
        with connect(port) as stream:
            for _ in range(3):
                asked(stream, get('/small.txt'), (200, self.small))

    def whole(self, port):
        with connect(port) as stream:
            asked(stream, get('/large.bin', 'Connection: close\r\n'), (200, self.large))
            if stream.recv(1):
                raise Wrong('more than a response')

    def missing(self, port):
        with connect(port) as stream:
            stream.sendall(get('/none'))
            status, _ = response(stream)
            if status not in TOLD:
                raise Wrong(f'status {status} for no file')

    def listing(self, port):
        with connect(port) as stream:
            stream.sendall(b'GET /sub/ HTTP/1.0\r\n\r\n')
            status, _ = response(stream)
            if status not in (200, *TOLD):
                raise Wrong(f'status {status} for a listing')

    def half(self, port):
        with connect(port) as stream:
            stream.sendall(b'GET / HT')

    def control(self, port):
        self.kept(port)

    def begin(self, port):
        stream = connect(port)
        stream.sendall(b'GET /small.txt HT')
        return stream

    def finish(self, stream):
        with stream:
            asked(stream, b'TP/1.1\r\nHost: h\r\n\r\n', (200, self.small))


class Incoming:
    """Responses that other threads make. SIGTERM stops."""

    name = 'incoming'
    arguments = []
    kept_by_thread = 0

    def __init__(self, _folder):
        pass

    def conversations(self):
        return [self.shout, self.shout]

    def shout(self, port):
        with connect(port) as stream:
            for word in [b'one', b'two', b'three']:
                length = f'Content-Length: {len(word)}\r\n'.encode()
                request = b'POST /shout HTTP/1.1\r\nHost: h\r\n' + length + b'\r\n' + word
                asked(stream, request, (200, word.upper()))

    def control(self, port):
        self.shout(port)

    def begin(self, _port):
        return None

    def finish(self, _stream):
        pass


class ThreadedEcho:
    """Handlers that block, on the threads of a pool. SIGTERM stops."""

    name = 'threaded_echo'
    arguments = []
    kept_by_thread = 2  # a poll and its waker, where its handlers wait

    def __init__(self, _folder):
        pass

    def conversations(self):
        return [self.echo, self.echo, self.echo]

    def comes_back(self, stream, line):
        stream.sendall(line)
        got = b''
        while len(got) < len(line):
            some = stream.recv(100)
            if not some:
                raise ConnectionError('the end instead of an echo')
            got += some
        if got != line:
            raise Wrong(f'{line} came back as {got}')

    def echo(self, port):
        with connect(port) as stream:
            self.comes_back(stream, b'one\n')
            self.comes_back(stream, b'two\n')
            stream.shutdown(socket.SHUT_WR)
            if stream.recv(100):
                raise Wrong('more than an echo')

    def control(self, port):
        self.echo(port)

    def begin(self, port):
        """Silent clients, which stay. The end of the server ends the waits of all their handlers."""
        streams = [connect(port) for _ in range(3)]
        try:
            for stream in streams:
                self.comes_back(stream, b'one\n')
        except TimeoutError:
            # What if a thread cannot be started? Then a request waits for the others (THREAD-4).
            raise ConnectionError('it waits for a thread')
        return streams

    def finish(self, _streams):
        pass


class Traced:
    """An example that serves, and strace at it."""

    def __init__(self, example, binary, options, scratch):
        self.output = open(scratch / 'output', 'w+')
        command = [binary, '127.0.0.1:0', *example.arguments]
        self.server = subprocess.Popen(command, stdout=self.output, stderr=subprocess.STDOUT)
        self.strace = None
        try:
            self.port = int(self.wait_for(r':(\d+)', self.read))
            self.descriptors = self.count()
            log = scratch / 'strace'
            command = ['strace', '-f', '-o', str(log), '-p', str(self.server.pid), *options]
            self.strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            # Threads that there are already are named one by one, or counted.
            line = self.strace.stderr.readline()
            if 'attached' not in line:
                raise Wrong(f'strace says: {line.strip()}')
            self.log = log
        except BaseException:
            self.end()
            raise

    def read(self):
        self.output.seek(0)
        return self.output.read()

    def wait_for(self, pattern, look):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := re.search(pattern, look()):
                return found[1]
            time.sleep(0.01)
        raise Wrong('it never begins to serve')

    def count(self):
        return len(os.listdir(f'/proc/{self.server.pid}/fd'))

    def workers(self):
        return len(os.listdir(f'/proc/{self.server.pid}/task')) - 1

    def has_ended(self):
        return self.server.poll() is not None

    def processor_time(self):
        fields = pathlib.Path(f'/proc/{self.server.pid}/stat').read_text().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def end(self):
        self.server.kill()
        self.server.wait()
        if self.strace is not None:
            self.strace.wait()
            self.strace.stderr.close()
        self.output.close()


class Clients:
    """The clients of a run."""

    def __init__(self, example, port, call):
        self.example, self.port = example, port
        self.failed = []
        # What if the close of a socket was swallowed? Then its client cannot see the end.
        self.may_hang = call == 'close'

    def come(self, conversation, *arguments):
        """Returns whether the client got everything."""
        name = conversation.__name__
        try:
            conversation(*arguments)
            return True
        except TimeoutError:
            if not self.may_hang:
                raise Wrong(f'{name}: the client waits in vain')
            self.failed.append(name)
        except OSError as error:
            self.failed.append(f'{name}: {error}')
        return False

    def all(self):
        for conversation in self.example.conversations():
            self.come(conversation, self.port)
        if not self.come(self.example.control, self.port):
            self.come(self.example.control, self.port)


def rest(example, traced, call):
    """When the clients have gone, the server holds nothing and does nothing. Returns how many
    descriptors it holds all the same, because closing them has failed."""
    end = time.monotonic() + (0.5 if call == 'close' else PATIENCE)
    most = traced.descriptors + example.kept_by_thread * traced.workers()
    while (left := traced.count() - most) > 0 and time.monotonic() < end:
        time.sleep(0.01)
    if left > 0 and call != 'close':
        raise Wrong(f'{left} descriptors are left open')
    before = traced.processor_time()
    time.sleep(0.2)
    if traced.processor_time() - before > 0.1:
        raise Wrong('it spins while it is idle')
    return left


def stop(example, traced, clients, is_lossy):
    begun = []
    clients.come(lambda: begun.append(example.begin(traced.port)))
    traced.server.send_signal(signal.SIGTERM)
    for stream in begun:
        clients.come(example.finish, stream)
    try:
        traced.server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        # What if the fault was in the signal handler, which tells the loop by a `send`?
        if not is_lossy:
            raise Wrong('it does not stop')
        # strace counts the calls of each thread, so a further signal may meet the fault in another one.
        for _ in range(5):
            traced.server.send_signal(signal.SIGTERM)
            try:
                traced.server.wait(1)
                break
            except subprocess.TimeoutExpired:
                pass
    wait_for_end(traced, 0)


def wait_for_end(traced, expected):
    try:
        status = traced.server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        raise Wrong('it does not end')
    if status != expected:
        raise Wrong(f'it ends with status {status}')


def serve(example, traced, call):
    clients = Clients(example, traced.port, call)
    clients.all()
    left = rest(example, traced, call)
    stop(example, traced, clients, call == 'sendto')
    # `when` counts the calls of each thread, so there may have been several faults.
    traced.strace.wait()
    faults = traced.log.read_text().count('(INJECTED)')
    if len(clients.failed) > faults:
        raise Wrong(f'{faults} faults, and more clients failed: {clients.failed}')
    if left > faults:
        raise Wrong(f'{faults} faults, and {left} descriptors are left open')


def run(example, binary, scratch, call=None, error=None, when=None):
    """Serves once. `call`: this one fails with `error` at its `when`-th time. Returns the trace."""
    options = ['-e', 'trace=?' + ',?'.join(FAULTS)]
    if call is not None:
        options = ['-e', f'trace={call}', '-e', f'inject={call}:error={error}:when={when}']
    traced = Traced(example, binary, options, scratch)
    try:
        try:
            serve(example, traced, call)
        except (Wrong, OSError):
            if (call, error) not in FINAL:
                raise
            wait_for_end(traced, 1)
        output = traced.read()
        # The standard library panics if a directory cannot be closed. That costs one response.
        if 'panicked' in output and 'during closedir' not in output:
            raise Wrong('it panics')
    except Wrong:
        print(traced.read(), file=sys.stderr)
        raise
    finally:
        traced.end()
    return traced.log.read_text()


def counts(log):
    """How often each thread has made each call: the most of any thread."""
    seen = collections.Counter()
    for thread, call in re.findall(r'^(\d+) +(\w+)\(', log, re.M):
        seen[thread, call] += 1
    most = collections.Counter()
    for (_, call), count in seen.items():
        most[call] = max(most[call], count)
    return most


def times(most):
    """Which of the calls fail: all if they are few, otherwise the first and some of the others."""
    few, some = 16, 8
    step = max(1, (most - few) // some)
    return [*range(1, min(most, few) + 1), *range(few + step, most + 1, step)]


def can_trace():
    if shutil.which('strace') is None:
        return 'there is no strace (apt-get install strace)'
    tried = subprocess.run(['strace', '-f', '-o', '/dev/null', 'true'], capture_output=True, text=True)
    if tried.returncode != 0:
        return f'strace cannot trace here: {tried.stderr.strip()}'
    return None


def main():
    if reason := can_trace():
        print(f'SKIPPED: {reason}')
        return 0
    words = sys.argv[1:]
    subprocess.run(['cargo', 'build', '--quiet', '--examples'], cwd=ROOT, check=True)
    binaries = pathlib.Path(os.environ.get('CARGO_TARGET_DIR', ROOT / 'target')) / 'debug/examples'
    tried, wrong = 0, 0
    for kind in [HttpServer, Incoming, ThreadedEcho]:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
            example, scratch = kind(pathlib.Path(folder)), pathlib.Path(scratch)
            binary = binaries / example.name
            most = counts(run(example, binary, scratch))
            print(f'{example.name}: {dict(most)}', flush=True)
            cases = [
                (call, error, when)
                for call, errors in FAULTS.items()
                for error in errors
                for when in times(most[call])
            ]
            for call, error, when in cases:
                title = f'{example.name} {call} {error} {when}'
                if not all(word in title.split() for word in words):
                    continue
                tried += 1
                try:
                    run(example, binary, scratch, call, error, when)
                except Wrong as what:
                    wrong += 1
                    print(f'{title}: {what}', flush=True)
    print(f'{tried} faults, {wrong} with a wrong reaction')
    return int(wrong > 0)


if __name__ == '__main__':
    sys.exit(main())
