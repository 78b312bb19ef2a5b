#!/usr/bin/env python3
"""Measures the server in each loop: `bash examples/hosts/smoke.sh` builds the programs, then
`python3 examples/hosts/measure.py target/hosts/debug/poll …` prints a row for each. Linux only.
"""

import pathlib
import signal
import socket
import subprocess
import sys
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
IDLE = 4.5  # seconds
ROUNDS = 5


def connect(address):
    client = socket.create_connection(address, timeout=10)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def ask(client):
    client.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"You asked for /\n"):
        answer += client.recv(4096)


def fresh(address):
    with connect(address) as client:
        ask(client)


def milliseconds(count, step):
    """Returns the median and the 99th percentile of so many steps, in the quietest of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for _ in range(count):
            began = time.perf_counter()
            step()
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        rounds.append((times[count * 99 // 100], times[count // 2]))
    percentile, median = min(rounds)
    return f"{median:.2f} / {percentile:.2f}"


def waits(pid):
    """Returns how often the threads of a process have slept until now."""
    statuses = pathlib.Path(f"/proc/{pid}/task").glob("*/status")
    lines = "".join(status.read_text() for status in statuses).splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


def measure(program):
    command = [program, "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        host, port = server.stdout.readline().split("/")[2].split(":")
        address = (host, int(port))
        with connect(address) as client:
            ask(client)
            kept = milliseconds(300, lambda: ask(client))
            new = milliseconds(150, lambda: fresh(address))
            before = waits(server.pid)
            time.sleep(IDLE)
            idle = (waits(server.pid) - before) / IDLE
        server.send_signal(signal.SIGTERM)
        server.wait(10)
    return f"| `{pathlib.Path(program).name}` | {kept} | {new} | {idle:.1f} |"


print("| host | kept connection, ms | new connection, ms | idle waits a second |")
print("| --- | --- | --- | --- |")
for program in sys.argv[1:]:
    print(measure(program), flush=True)
