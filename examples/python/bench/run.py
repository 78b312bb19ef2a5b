"""Measure the processor time that a request costs a server, beside other WSGI servers.

    python -m pip install -r bench/requirements.txt      # and `wrk`, a program of the system
    python bench/run.py [--rounds 5] [--seconds 1] [--only SCENARIO] [--one-processor] [SERVER ...]

It prints microseconds of processor time a request, user and system, of all processes of the server: the
median of the rounds. In a round, each server runs once in each scenario. So a change of the machine's
load meets all servers alike. Compare figures of one table only, and read their ratios.

With `--one-processor`, the servers and the client share one processor. Without it, a server also pays for
waking the client, which sleeps on another processor. A server that collects its answers before it writes
them wakes the client less often, but the first client waits longer.
"""

import argparse
import http.client
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
POST = ["-s", os.path.join(HERE, "post.lua")]
#: The name, the application, the path, how many connections, and arguments of wrk.
SCENARIOS = [
    ("keep-alive", "plain", "/", 64, []),
    ("POST 10 KiB", "plain", "/", 32, POST),
    ("1 MiB, 16 blocks", "plain", "/large", 8, []),
    ("1 MiB, 1 block", "plain", "/one", 8, []),
    ("Flask hello", "flask", "/", 64, []),
    ("Django hello", "django", "/", 64, []),
]
#: Servers as NAME/THREADS. 0: the application runs where the sockets are served.
SERVERS = [
    "serve_forever/0",
    "serve_forever/4",
    "bjoern/0",
    "bjoern_with_date/0",
    "granian/1",
    "granian/4",
    "gunicorn/0",
    "gunicorn/4",
    "waitress/1",
    "waitress/4",
    "wsgiref/0",
]
TICK = os.sysconf("SC_CLK_TCK")


class Server:
    """A server in processes of its own."""

    def __init__(self, server, application):
        name, threads = server.split("/")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        script = os.path.join(HERE, "serve.py")
        self.process = subprocess.Popen(
            [sys.executable, script, name, threads, application, str(self.port)],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def is_ready(self, path, method):
        """Wait until it answers as it should."""
        for _ in range(300):
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                client.request(method, path, b"x" * 10240 if method == "POST" else None)
                answer = client.getresponse()
                return answer.status == 200 and bool(answer.read())
            except OSError:
                if self.process.poll() is not None:
                    return False
                time.sleep(0.05)
            finally:
                client.close()
        return False

    def processor_time(self):
        """Return the seconds that the processes of the server have used."""
        ticks = 0
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{process}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:  # its session
                ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def measure(server, scenario, seconds):
    """Return the microseconds of a request. None: the server does not serve it."""
    _, application, path, connections, more = scenario
    with Server(server, application) as running:
        if not running.is_ready(path, "POST" if more is POST else "GET"):
            return None
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *more]
        before = running.processor_time()
        url = f"http://127.0.0.1:{running.port}{path}"
        output = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
        used = running.processor_time() - before
    served = int(re.search(r"(\d+) requests in", output)[1])
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    if not served or failed:
        return None
    return used / served * 1e6


def table(results, servers, scenarios):
    """Print the medians as a table of Markdown."""
    print("| server, threads |", " | ".join(scenario[0] for scenario in scenarios), "|")
    print("| --- |", " | ".join("---:" for _ in scenarios), "|")
    for server in servers:
        cells = []
        for scenario in scenarios:
            values = [it for it in results[server, scenario[0]] if it is not None]
            cells.append(f"{statistics.median(values):.1f}" if values else "\u2013")
        print(f"| {server.replace('/', ', ')} |", " | ".join(cells), "|")


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("servers", nargs="*", default=SERVERS, metavar="NAME/THREADS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--only", default="", help="scenarios whose names contain this")
    parser.add_argument("--one-processor", action="store_true", help="for the servers and the client")
    options = parser.parse_args()
    if options.one_processor:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    scenarios = [it for it in SCENARIOS if options.only in it[0]]
    results = {(server, it[0]): [] for server in options.servers for it in scenarios}
    for number in range(options.rounds):
        for scenario in scenarios:
            for server in options.servers:
                value = measure(server, scenario, options.seconds)
                results[server, scenario[0]].append(value)
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    table(results, options.servers, scenarios)


if __name__ == "__main__":
    main()
