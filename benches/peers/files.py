#!/usr/bin/env python3
"""Measures what the files of `http_server` cost, beside nginx. Linux only; it needs nginx and strace.

    apt-get install nginx-light strace
    python3 benches/peers/files.py          # a minute, after the build
    python3 benches/peers/files.py 9        # so many rounds

It prints the processor time of each server for a response, and the system calls of ours. In each round
another server begins. Servers are kept on one processor, and the client on another. nginx has one worker and
no log, and reads as much at once as ours. Ours has its access log, as by default.
"""

import collections
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWN, SENDFILE, NO_SENDFILE = 'http_server', 'nginx, sendfile', 'nginx, no sendfile'
PATIENCE = 5  # seconds

# KiB of each. There is also `huge.bin`, of 1 GiB.
FILES = {'small.bin': 10, 'index.html': 10, 'other.bin': 1, 'middle.bin': 100, 'large.bin': 1024}

# Name, path, connections, responses of each connection in a round.
WORK = [
    ('10 KiB, 32 connections', '/small.bin', 32, 200),
    ('index page of 10 KiB, 32 connections', '/', 32, 200),
    ('100 KiB, 16 connections', '/middle.bin', 16, 100),
    ('1 MiB, 1 connection', '/large.bin', 1, 40),
    ('1 MiB, 8 connections', '/large.bin', 8, 10),
    ('1 GiB, 1 connection', '/huge.bin', 1, 1),
]

NGINX = """worker_processes 1; daemon off; master_process off; pid {0}/{1}.pid; error_log {0}/{1}.err;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile {2}; output_buffers 2 128k; keepalive_requests 1000000000;
    client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;
    uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
    server {{ listen 127.0.0.1:{1}; root {3}; }}
}}
"""


def request(path, fields=''):
    return f'GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n'.encode()


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def start(command, port):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(('127.0.0.1', port)).close()
            return process
        except ConnectionRefusedError:
            time.sleep(0.01)
    process.kill()
    sys.exit(f'{command} does not listen')


def start_own(binary, www, prefix=(), options=()):
    port = free_port()
    return port, start([*prefix, binary, str(port), '-d', www, *options], port)


def start_nginx(scratch, www, sendfile, prefix):
    port = free_port()
    configuration = f'{scratch}/{port}.conf'
    pathlib.Path(configuration).write_text(NGINX.format(scratch, port, sendfile, www))
    return port, start([*prefix, 'nginx', '-e', f'{scratch}/{port}.err', '-c', configuration], port)


def processor_time(process):
    """The microseconds that all threads of a process have run. Its threads stay."""
    threads = pathlib.Path(f'/proc/{process.pid}/task').glob('*/schedstat')
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1000


class Client:
    """One connection, which counts bytes."""

    room = bytearray(1 << 20)

    def __init__(self, port):
        self.stream = socket.create_connection(('127.0.0.1', port), PATIENCE)
        self.left = None

    def receive(self):
        """Receives a response to its end."""
        while self.left is None or self.left > 0:
            count = self.stream.recv_into(self.room)
            if count == 0:
                sys.exit('the server has closed')
            if self.left is None:
                head, separator, _ = bytes(self.room[:min(count, 4096)]).partition(b'\r\n\r\n')
                length = re.search(rb'(?i)content-length: (\d+)', head)
                if not head.startswith(b'HTTP/1.1 200') or not separator or length is None:
                    sys.exit(f'not a response with a length: {head}')
                self.left = len(head + separator) + int(length[1])
            self.left -= count
        self.left = None


def measure(server, path, connections, count):
    """The microseconds of processor time for a response."""
    port, process = server
    clients = [Client(port) for _ in range(connections)]
    for client in clients:  # what follows has no connection to accept, and its file is open
        if count > 1:
            client.stream.sendall(request(path))
            client.receive()
    before = processor_time(process)
    for _ in range(count):
        for client in clients:
            client.stream.sendall(request(path))
        for client in clients:
            client.receive()
    used = processor_time(process) - before
    for client in clients:
        client.stream.close()
    return used / (count * connections)


def show_times(binary, www, scratch, rounds):
    allowed = sorted(os.sched_getaffinity(0))
    prefix = ['taskset', '-c', str(allowed[0])]
    os.sched_setaffinity(0, {allowed[-1]})
    servers = {
        OWN: start_own(binary, www, prefix),
        NO_SENDFILE: start_nginx(scratch, www, 'off', prefix),
        SENDFILE: start_nginx(scratch, www, 'on', prefix),
    }
    try:
        print(f'Processor time for a response, in µs; the median of {rounds} rounds:\n')
        print(f'| | {" | ".join(servers)} | ours beside nginx without sendfile |')
        print('| --- |' + ' ---: |' * (len(servers) + 1))
        for name, *work in WORK:
            times = collections.defaultdict(list)
            for number in range(rounds):
                order = collections.deque(servers)
                order.rotate(-number)
                for which in order:
                    times[which].append(measure(servers[which], *work))
            cells = [f'{statistics.median(times[which]):,.1f}' for which in servers]
            ratios = [ours / other for ours, other in zip(times[OWN], times[NO_SENDFILE])]
            print(f'| {name} | {" | ".join(cells)} | {statistics.median(ratios):.2f} |', flush=True)
    finally:
        for _, process in servers.values():
            process.terminate()
            process.wait()
        os.sched_setaffinity(0, allowed)


def calls(binary, www, path, fields, options):
    """The system calls of the loop for the first and the second response, without those between threads."""
    port, process = start_own(binary, www, options=options)
    with tempfile.NamedTemporaryFile('r') as log:
        # What the first request on a connection and in the server costs does not count.
        client = Client(port)
        client.stream.sendall(request('/other.bin'))
        client.receive()
        time.sleep(0.1)
        command = ['strace', '-o', log.name, '-p', str(process.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            strace.stderr.readline()  # it is attached
            for _ in range(2):
                client.stream.sendall(request(path, fields))
                client.receive()
                time.sleep(0.1)  # what follows a response: the wait, and a close
            process.terminate()
            process.wait()
        names = re.findall(r'^(\w+)\(', log.read(), re.M)
    # From one read of a request to the next.
    begins = [place for place, name in enumerate(names) if name == 'recvfrom']
    for begin, end in zip(begins, begins[1:]):
        seen = names[begin:end]
        if 'epoll_wait' in seen:
            seen = seen[:seen.index('epoll_wait') + 1]
        yield collections.Counter(name for name in seen if name != 'futex')


def show_calls(binary, www):
    print('\nSystem calls of the loop for a response, without `futex`:\n')
    print('| | request | calls |\n| --- | --- | --- |')
    compressed = 'Accept-Encoding: gzip\r\n'
    for name, path, fields, options in [
        ('10 KiB', '/small.bin', '', []),
        ('index page', '/', '', []),
        ('compressed, beside the file', '/text.txt', compressed, ['--precompressed']),
    ]:
        for which, counts in zip(['first', 'second'], calls(binary, www, path, fields, options)):
            each = [f'{count} {call}' if count > 1 else call for call, count in counts.items()]
            print(f'| {name} | {which} | {sum(counts.values())}: {", ".join(each)} |', flush=True)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for command in ['nginx', 'strace', 'taskset']:
        if shutil.which(command) is None:
            print(f'SKIPPED: there is no {command}')
            return
    build = ['cargo', 'build', '--quiet', '--release', '--example', 'http_server']
    subprocess.run(build, cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get('CARGO_TARGET_DIR', ROOT / 'target'))
    binary = str(target / 'release/examples/http_server')
    memory = '/dev/shm' if os.path.isdir('/dev/shm') else None
    with tempfile.TemporaryDirectory(dir=memory) as www, tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(www)
        for name, kib in FILES.items():
            (folder / name).write_bytes(os.urandom(kib * 1024))
        (folder / 'text.txt').write_text('x' * 10240)
        (folder / 'text.txt.gz').write_bytes(os.urandom(1024))
        with open(folder / 'huge.bin', 'wb') as huge:
            block = os.urandom(1 << 20)
            for _ in range(1024):
                huge.write(block)
        show_calls(binary, www)
        print()
        show_times(binary, www, scratch, rounds)


if __name__ == '__main__':
    main()
