"""Prints what h11 takes for the cases of the program `h1`: `python3 h11_times.py path/to/h1`."""

import statistics
import subprocess
import sys
import time

import h11

ROUNDS = 101


def read(case, data):
    """Reads all of `data` with a new connection, and returns the number of heads and bytes of content."""
    role = h11.CLIENT if case == "response head" else h11.SERVER
    connection = h11.Connection(role)
    if role is h11.CLIENT:
        connection.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
        connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    heads = content = 0
    while True:
        event = connection.next_event()
        if isinstance(event, (h11.Request, h11.Response)):
            heads += 1
            if role is h11.CLIENT:
                break
        elif isinstance(event, h11.Data):
            content += len(event.data)
        elif isinstance(event, h11.EndOfMessage):
            if not connection.trailing_data[0]:
                break
            # The next request is read only after a response.
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()
    return heads, content


def main(program):
    def output(*arguments):
        return subprocess.run([program, *arguments], capture_output=True, check=True).stdout

    lines = output("names").decode().splitlines()
    cases = [line[1:] for line in lines if line.startswith("\t")]
    print(f"\nNanoseconds of h11 {h11.__version__} in Python {sys.version.split()[0]}, "
          f"the median of {ROUNDS} rounds:\n")
    print("| | h11 |\n| --- | --- |")
    for case in cases:
        data = output("print", case)
        heads, content = read(case, data)
        assert heads == (16 if case == "16 pipelined" else 1)
        assert content == (4096 if case == "128 small chunks" else 0)
        times = []
        for _ in range(ROUNDS):
            begin = time.perf_counter_ns()
            read(case, data)
            times.append(time.perf_counter_ns() - begin)
        print(f"| {case} | {statistics.median(times):.0f} |")


main(sys.argv[1])
