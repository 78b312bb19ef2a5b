#!/usr/bin/env python3
"""The examples behind the real nginx and the real HAProxy, with the configurations in
examples/protocols/proxied: python3 tests/smoke_proxies.py

Clients have the address 127.0.0.9, so that they differ from the proxies. A proxy that is not installed is
skipped, and so is everything on a system where only one loopback address exists.
"""

import contextlib
import hashlib
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIGURATIONS = ROOT / 'examples/protocols/proxied'
EXAMPLES = ROOT / os.environ.get('CARGO_TARGET_DIR', 'target') / 'ci/examples'
CLIENT = '127.0.0.9'
PATIENCE = 10  # seconds, for anything that one waits for
# The ports in the configurations. Each run has its own.
PROGRAM, PROXY_PROTOCOL = 8000, 8002
NGINX, HAPROXY, VERSION_1, VERSION_2 = 8080, 8081, 8082, 8083
# The example that streams server-sent events on /events, without an end.
EVENTS = 'panel'


# The files with the output of the programs that run.
LOGS = []


def fail(message):
    """Ends with a message, and with what the programs have printed."""
    for log in LOGS:
        print(f'-- {log}', pathlib.Path(log).read_text(errors='replace'), sep='\n', file=sys.stderr)
    sys.exit(f'FAILED: {message}')


def free_ports(names):
    """A free port for each name, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(('127.0.0.1', 0))) for _ in names]
        return {name: each.getsockname()[1] for name, each in zip(names, sockets)}


PORTS = free_ports([PROGRAM, PROXY_PROTOCOL, NGINX, HAPROXY, VERSION_1, VERSION_2])


def until(condition, what):
    """Waits until the condition is true, and returns its value."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if value := condition():
                return value
        time.sleep(0.02)
    fail(what)


@contextlib.contextmanager
def running(command, port, log):
    """Runs a program that listens on a port, until the end of the block. Its output goes to a file."""
    with open(log, 'w') as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
    LOGS.append(log)
    try:
        until(lambda: socket.create_connection(('127.0.0.1', port)).close() or True,
              f'{command[0]} does not listen')
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            fail(f'{command[0]} does not end')
        LOGS.remove(log)


@contextlib.contextmanager
def example(name, *arguments, port=PROGRAM):
    """Runs an example. Yields the file that has its output."""
    print(f'-- {name}', *arguments)
    with tempfile.NamedTemporaryFile('r') as log:
        address = f'127.0.0.1:{PORTS[port]}'
        with running([EXAMPLES / name, address, *arguments], PORTS[port], log.name):
            yield log


def configured(name):
    """The text of a configuration, with the ports of this run."""
    text = (CONFIGURATIONS / name).read_text()
    for port, own in PORTS.items():
        text = text.replace(f'127.0.0.1:{port}', f'127.0.0.1:{own}')
    return text


def nginx(scratch):
    path = pathlib.Path(scratch, 'nginx.conf')
    path.write_text(configured('nginx.conf'))
    command = ['nginx', '-p', scratch, '-c', path, '-g', 'daemon off;']
    return running(command, PORTS[NGINX], f'{scratch}/nginx.log')


def haproxy(scratch, checks):
    """Some examples do not answer OPTIONS, so HAProxy would send them no clients."""
    text = configured('haproxy.cfg')
    if not checks:
        text = text.replace(' check\n', '\n')
    path = pathlib.Path(scratch, 'haproxy.cfg')
    path.write_text(f'global\n    stats socket {scratch}/control\n' + text)
    return running(['haproxy', '-db', '-f', path], PORTS[HAPROXY], f'{scratch}/haproxy.log')


def connect(port):
    return http.client.HTTPConnection('127.0.0.1', PORTS[port], timeout=PATIENCE, source_address=(CLIENT, 0))


def ask(connection, method='GET', path='/', body=None, headers={}):
    """The status and the body of a response."""
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read()


def expect(found, expected, what):
    if found != expected:
        fail(f'{what}: {found!r}, and not {expected!r}')
    print(f'   {what}')


# What a client sends who wants to be somebody else.
FORGED = {
    'X-Forwarded-For': '203.0.113.6',
    'X-Forwarded-Proto': 'https',
    'Forwarded': 'for=203.0.113.6;proto=https;x="',
}


def client_address(proxies, options, port):
    """The application and its log know the client, whatever it says about itself."""
    with example('proxied', *options, port=port) as log:
        for proxy, what in proxies:
            status, body = ask(connect(proxy), path='/log-' + str(proxy), headers=FORGED)
            line = body.decode().splitlines()[0]
            expect(line, f'You are {CLIENT}, by http.', f'REMOTE_ADDR through {what}')
            logged = until(lambda: [line for line in open(log.name) if f'/log-{proxy} ' in line],
                           'no line in the log')
            expect(logged[0].split()[0], CLIENT, f'the access log through {what}')
        if PROXY_PROTOCOL == port:
            direct(port)


def direct(port):
    """What else reaches a listener that expects the PROXY protocol."""
    if shutil.which('curl'):
        url = f'http://127.0.0.1:{PORTS[port]}/'
        command = ['curl', '--silent', '--noproxy', '*', '--max-time', str(PATIENCE), '--interface', CLIENT]
        run = subprocess.run(command + ['--haproxy-protocol', url], capture_output=True, text=True)
        expect(run.stdout.splitlines()[:1], [f'You are {CLIENT}, by http.'], 'curl --haproxy-protocol')
        run = subprocess.run(command + [url], capture_output=True, text=True)
        expect(run.stdout, '', 'no answer without the header')
    connection = socket.create_connection(('127.0.0.1', PORTS[port]), PATIENCE)
    connection.sendall(b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\nGET / HTTP/1.1\r\nHost: h\r\n\r\n')
    expect(connection.recv(100), b'', 'no answer to a wrong header')


def upstream_connections(proxies):
    """Connections to the program are kept, also for the next client."""
    with example('proxied'):
        for proxy, what in proxies:
            connection = connect(proxy)
            accepted = [int(ask(connection)[1].split()[-1]) for _ in range(20)]
            # The program counts at the end of its turn.
            expect(max(accepted) - min(accepted) < 3, True, f'20 requests on one connection to {what}')
            if proxy == NGINX:
                accepted = [int(ask(connect(proxy))[1].split()[-1]) for _ in range(20)]
                expect(max(accepted) - min(accepted) < 3, True, f'20 clients of {what}')


def checks(scratch):
    """HAProxy's own tests of a server."""
    def state(backend):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(PATIENCE)
            control.connect(f'{scratch}/control')
            control.sendall(b'show stat\n')
            lines = control.makefile().read().lstrip('# ').splitlines()
        names = lines[0].split(',')
        rows = [dict(zip(names, line.split(','))) for line in lines[1:]]
        row = next(row for row in rows if (row.get('pxname'), row.get('svname')) == (backend, 'program'))
        return row['status'], row['check_status'], row['check_code']

    def is_up(backend, code, what):
        expected = ('UP', 'L7OK', code)
        until(lambda: state(backend) == expected, f'HAProxy does not find it up: {backend}')
        print(f'   UP: {what}')

    with example('http_server', '--directory', CONFIGURATIONS):
        is_up('program', '204', "http_server, by HAProxy's default check, OPTIONS")
    with example('proxied', '--proxy-protocol', port=PROXY_PROTOCOL):
        is_up('version_1', '200', 'a listener with PROXY version 1')
        is_up('version_2', '200', 'a listener with PROXY version 2')


def large_bodies(proxies):
    with tempfile.TemporaryDirectory() as store, example('upload', store):
        content = os.urandom(1 << 20) * 64
        digest = hashlib.sha256(content).digest()
        for proxy, what in proxies:
            path = f'/file-{proxy}'
            expect(ask(connect(proxy), 'PUT', path, content)[0], 201, f'64 MiB up through {what}')
            status, body = ask(connect(proxy), 'GET', path)
            expect((status, hashlib.sha256(body).digest()), (200, digest), f'64 MiB down through {what}')


def events(proxies):
    """Events arrive while the response goes on."""
    with example(EVENTS):
        for proxy, what in proxies:
            connection = connect(proxy)
            connection.request('GET', '/events', headers={'Last-Event-ID': '0'})
            response = connection.getresponse()
            line = response.readline()
            expect((response.status, bool(line), response.isclosed()), (200, True, False),
                   f'an event through {what}')
            connection.close()


def websocket(proxies):
    handshake = (b'GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                 b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
    with example('websocket_echo'):
        for proxy, what in proxies:
            with socket.create_connection(('127.0.0.1', PORTS[proxy]), PATIENCE) as connection:
                connection.sendall(handshake)
                stream = connection.makefile('rb')
                head = list(iter(stream.readline, b'\r\n'))
                expect(head[0].split()[1], b'101', f'the handshake of a WebSocket through {what}')
                connection.sendall(b'\x81\x85\0\0\0\0hello')  # its mask is zero
                expect(stream.read(7), b'\x81\x05hello', f'its message, there and back, through {what}')


def main():
    if not sys.platform.startswith('linux'):
        sys.exit('SKIPPED: only Linux has a second loopback address')
    build = ['cargo', 'build', '--quiet', '--profile', 'ci', '--examples', '--all-features']
    subprocess.run(build, cwd=ROOT, check=True)
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        requests = []
        if shutil.which('nginx'):
            stack.enter_context(nginx(scratch))
            requests.append((NGINX, 'nginx'))
        else:
            print('SKIPPED: there is no nginx')
        if shutil.which('haproxy'):
            with haproxy(scratch, checks=True):
                checks(scratch)
            stack.enter_context(haproxy(scratch, checks=False))
            requests.append((HAPROXY, 'HAProxy'))
            versions = [(VERSION_1, 'PROXY version 1'), (VERSION_2, 'PROXY version 2')]
            client_address(versions, ['--proxy-protocol'], PROXY_PROTOCOL)
        else:
            print('SKIPPED: there is no haproxy')
        if requests:
            client_address(requests, [], PROGRAM)
            client_address(requests, ['--forwarded'], PROGRAM)
            upstream_connections(requests)
            large_bodies(requests)
            events(requests)
            websocket(requests)


if __name__ == '__main__':
    main()
