#!/usr/bin/env python3
"""The codec beside servers that run: h11, Go's net/http, Node's http, and nginx as a proxy.

    python3 fuzz/differential/servers.py [--inputs N] [--seed N]

It starts what is installed, names what is not, and lets the program `differential` send the same bytes to
all of them. The program judges by the same table as for the parsers that are linked into it.
"""

import contextlib
import importlib.util
import os
import pathlib
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

FOLDER = pathlib.Path(__file__).resolve().parent
PEERS = FOLDER / 'peers'
PATIENCE = 60  # seconds, until a program listens; Go compiles first


class Backend(socketserver.StreamRequestHandler):
    """What stands behind nginx: it reads what nginx writes, and tells it."""

    def handle(self):
        method, target, _ = self.rfile.readline().split(b' ')
        fields = {}
        while line := self.rfile.readline().rstrip(b'\r\n'):
            name, _, value = line.partition(b':')
            fields[name.lower()] = value.strip()
        content = self.rfile.read(int(fields.get(b'content-length', b'0')))
        minor = fields.get(b'client-version', b'0')[-1:].decode()
        echo = ','.join([method.hex(), target.hex(), minor, content.hex()])
        self.wfile.write(f'HTTP/1.0 200 OK\r\nEcho: {echo}\r\nContent-Length: 0\r\n\r\n'.encode())


class Backends(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen([str(part) for part in command], **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def echo(command):
    """Runs a program that prints its port. Yields the port."""
    with running(command, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline())


@contextlib.contextmanager
def go():
    """`go run` would leave the program behind."""
    with tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch, 'echo')
        subprocess.run(['go', 'build', '-o', program, PEERS / 'echo.go'], check=True)
        with echo([program]) as port:
            yield port


@contextlib.contextmanager
def nginx():
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        backend = stack.enter_context(Backends(('127.0.0.1', 0), Backend))
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        stack.callback(backend.shutdown)
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        text = (PEERS / 'nginx.conf').read_text()
        text = text.replace(':8000', f':{backend.server_address[1]}').replace(':8080', f':{port}')
        if os.getuid() == 0:
            text = 'user root;\n' + text
        path = pathlib.Path(scratch, 'nginx.conf')
        path.write_text(text)
        stack.enter_context(running(['nginx', '-p', scratch, '-c', path, '-e', 'stderr']))
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(('127.0.0.1', port)).close()
                break
            if time.monotonic() > end:
                sys.exit('FAILED: nginx does not listen')
            time.sleep(0.02)
        yield port


def program(arguments):
    """The command of the program that sends and judges."""
    target = FOLDER / '../../target/differential'
    return ['cargo', 'run', '--quiet', '--locked', '--manifest-path', FOLDER / 'Cargo.toml',
            '--target-dir', target, '--', *arguments]


def main():
    peers = {
        'h11': (importlib.util.find_spec('h11'), lambda: echo([sys.executable, PEERS / 'echo_h11.py'])),
        'Go': (shutil.which('go'), go),
        'Node': (shutil.which('node'), lambda: echo(['node', PEERS / 'echo.js'])),
        'nginx': (shutil.which('nginx'), nginx),
    }
    with contextlib.ExitStack() as stack:
        addresses = []
        for name, (installed, start) in peers.items():
            if installed:
                addresses.append(f'{name}=127.0.0.1:{stack.enter_context(start())}')
            else:
                print(f'SKIPPED {name}: it is not installed')
        command = [str(part) for part in program(['servers', *addresses, *sys.argv[1:]])]
        sys.exit(subprocess.run(command).returncode)


if __name__ == '__main__':
    main()
