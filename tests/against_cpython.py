#!/usr/bin/env python3
"""The same bytes to CPython's server and to ours, and what is different about the answers.

    python3 tests/against_cpython.py [--ours DIRECTORY] [--show] SUITE.py DIFFERENCES.jsonl [...]

A suite is a module with

    OURS         an example and its arguments; `{site}` in them is a directory made for the run
    THEIRS       a Python program, which finds that directory in sys.argv[1]
    PREPARE      a function that fills the directory, the same for both
    TRANSCRIPTS  pairs of a name and the bytes that are sent, each on a connection of its own

Both programs take a free port and print a line with `http://HOST:PORT/` in it. A transcript is sent
whole, then the sending half is closed, then everything is read that comes. Answers are compared by
status, and if that is the same, by reason, fields and body; of `Date` and `Server` only whether they
are there.

Every difference has to be in the list, one JSON object a line, and every line has to be of use:

    transcript, difference   patterns, in which `*` is anything
    clause, reason           why it is so
    "some": true             only some versions of CPython differ, so the line may be of no use

The lists are those of CPython 3.11 to 3.13, and with another nothing is compared.

With --show the differences are printed, and the answers behind those that nobody expected.
"""

import argparse
import fnmatch
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import tempfile

MEASURED = (3, 11), (3, 13)
PATIENCE = 20  # seconds, for anything one waits for
EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "target", "ci", "examples")


class Server:
    """A program that serves until the end of the block."""

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        line = self.process.stdout.readline().decode()
        address = re.search(r"http://([0-9.]+):([0-9]+)/", line)
        if not address:
            self.process.kill()
            sys.exit(f"{self.command[0]} prints no address: {line!r}")
        self.address = address[1], int(address[2])
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def converse(self, transcript):
        """What the server sends; None if it does not come to an end."""
        with socket.create_connection(self.address, PATIENCE) as connection:
            received = bytearray()
            try:
                connection.sendall(transcript)
                connection.shutdown(socket.SHUT_WR)
            except TimeoutError:
                return None
            except OSError:
                pass  # it refused to read on; what it had to say is here
            try:
                while block := connection.recv(1 << 16):
                    received += block
            except TimeoutError:
                return None
            except OSError:
                pass
            return bytes(received)


def answers(received, transcript):
    """The answers in a stream of bytes, each a dictionary."""
    if received is None:
        return [{"hangs": True}]
    methods = iter(re.findall(rb"^([A-Z]+) [^\r\n]* HTTP/1\.[01]\r$", transcript, re.M))
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        status = re.fullmatch(rb"HTTP/1\.[01] ([0-9]{3}) ?(.*)", lines[0])
        if not end or not status:
            found.append({"garbage": head + end + received})
            break
        fields = [line.partition(b":") for line in lines[1:]]
        fields = [(name.lower().decode(), value.strip().decode("latin-1")) for name, _, value in fields]
        code = int(status[1])
        interim = 100 <= code < 200
        method = b"" if interim else next(methods, b"")
        length = dict(fields).get("content-length")
        broken = False
        if interim or method == b"HEAD" or code in (204, 304):
            body = b""
        elif dict(fields).get("transfer-encoding") == "chunked":
            body, received, broken = unchunked(received)
        else:
            length = int(length) if length and length.isdecimal() else len(received)
            broken = len(received) < length
            body, received = received[:length], received[length:]
        if broken:
            found.append({"broken": True, "status": code, "fields": fields, "body": body})
            break
        found.append({"status": code, "reason": status[2].decode("latin-1"), "fields": fields, "body": body})
    return found


def unchunked(received):
    """The content of a chunked body, what follows it, and whether it breaks off before its end."""
    body = b""
    while chunk := re.match(rb"([0-9A-Fa-f]+)\r\n", received):
        length, start = int(chunk[1], 16), chunk.end()
        if length == 0:
            _, end, rest = received[start - 2 :].partition(b"\r\n\r\n")
            return body, rest, not end
        body += received[start : start + length]
        received = received[start + length + 2 :]
    return body, b"", True


def differences(ours, theirs):
    """What is different, as words."""
    if len(ours) != len(theirs):
        yield f"answers: {len(ours)}, theirs {len(theirs)}"
    for one, other in zip(ours, theirs):
        for key in ("hangs", "garbage", "broken", "status"):
            if one.get(key) != other.get(key):
                yield f"{key}: {one.get(key)}, theirs {other.get(key)}"
        if one.get("status") != other.get("status"):
            continue  # what else is different follows from that
        if one.get("reason") != other.get("reason"):
            yield f"reason: {one.get('reason')}, theirs {other.get('reason')}"
        yield from field_differences(one.get("fields", []), other.get("fields", []))
        if one.get("body") != other.get("body"):
            yield "body"


def field_differences(ours, theirs):
    for name in sorted({name for name, _ in ours + theirs}):
        values = [[value for key, value in fields if key == name] for fields in (ours, theirs)]
        if name in ("date", "server"):
            values = [len(value) for value in values]
        if values[0] != values[1]:
            said = [", ".join(value) if value else "none" for value in values]
            yield f"field {name}: {said[0]}, theirs {said[1]}"
    common = {name for name, _ in ours} & {name for name, _ in theirs}
    orders = [[name for name, _ in fields if name in common] for fields in (ours, theirs)]
    if sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]:
        yield "order of fields"


class Expected:
    """The list of differences that there shall be."""

    def __init__(self, path):
        self.path = path
        self.entries = []
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                entry = dict(json.loads(line), number=number, used=False)
                assert entry["clause"] and entry["reason"], f"{path}:{number}: no clause or reason"
                self.entries.append(entry)

    def covers(self, transcript, difference):
        matching = [
            entry
            for entry in self.entries
            if matches(transcript, entry["transcript"]) and matches(difference, entry["difference"])
        ]
        for entry in matching:
            entry["used"] = True
        return bool(matching)

    def unused(self):
        return [f"{self.path}:{entry['number']}" for entry in self.entries if not entry["used"] and not entry.get("some")]


def matches(text, pattern):
    # `*` alone has a meaning.
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


def compare(suite_path, expected_path, examples, show):
    """Runs a suite; the number of surprises."""
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("suite", suite_path)
    suite = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(suite)
    expected, surprises, different = Expected(expected_path), 0, 0
    names = [name for name, _ in suite.TRANSCRIPTS]
    assert len(names) == len(set(names)), "two transcripts of one name"
    with tempfile.TemporaryDirectory() as site:
        suite.PREPARE(site)
        program, *arguments = [word.replace("{site}", site) for word in suite.OURS]
        ours = Server([os.path.join(examples, program), *arguments])
        theirs = Server([sys.executable, "-u", "-c", suite.THEIRS, site])
        with ours, theirs:
            for name, transcript in suite.TRANSCRIPTS:
                received = [server.converse(transcript) for server in (ours, theirs)]
                parsed = [answers(stream, transcript) for stream in received]
                found = sorted(set(differences(*parsed)))
                different += bool(found)
                unexpected = [words for words in found if not expected.covers(name, words)]
                surprises += len(unexpected)
                for words in found if show else unexpected:
                    mark = "  NOT EXPECTED" if words in unexpected else ""
                    print(f"{name}: {words}{mark}")
                if show and unexpected:
                    print(f"    sent   {transcript!r}\n    ours   {received[0]!r}\n    theirs {received[1]!r}")
    for entry in expected.unused():
        print(f"{entry}: there is no such difference")
        surprises += 1
    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"{os.path.basename(suite_path)}: {len(names)} transcripts against CPython {version}, "
        f"{different} with differences that are listed, {surprises} surprises"
    )
    return surprises


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default=EXAMPLES, help="where our examples are, built")
    parser.add_argument("--show", action="store_true", help="print every difference")
    parser.add_argument("files", nargs="+", help="a suite and its differences, or several such pairs")
    arguments = parser.parse_args()
    if len(arguments.files) % 2:
        parser.error("a suite and its differences are two files")
    if not MEASURED[0] <= sys.version_info[:2] <= MEASURED[1]:
        print(f"skipped: this is CPython {sys.version.split()[0]}, the lists are those of 3.11 to 3.13")
        return
    pairs = zip(arguments.files[::2], arguments.files[1::2])
    sys.exit(any([compare(*pair, arguments.ours, arguments.show) for pair in pairs]))


if __name__ == "__main__":
    main()
