"""The command ``python -m serve_forever``: options, signals, worker processes, and reloading."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import unittest

from serve_forever import prefork

from program import APPLICATION, Program, begin
from support import PATIENCE, ask, connect, read_all


class Command(Program):
    """The command, on a free port."""

    def __init__(self, *options, application=APPLICATION, name="app"):
        arguments = ("serve_forever", name, "--bind", "127.0.0.1:0", *options)
        super().__init__(*arguments, application=application)
        self.first_line = self.process.stderr.readline()
        port = re.search(r":(\d+)/$", self.first_line.rstrip())
        self.server_address = ("127.0.0.1", int(port[1]) if port else 0)

    def ask_until(self, is_right):
        """Ask until the answer is right. A worker that is killed may break a request off."""
        for _ in range(PATIENCE * 100):
            with contextlib.suppress(OSError):
                if is_right(answer := self.get()):
                    return answer
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.01)
        raise AssertionError("the answer has not come")


#: An application that returns how many responses to /slow are not closed.
SLOW = """
count = 0

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return slow() if environ["PATH_INFO"] == "/slow" else [b"%d open" % count]

def slow():
    global count
    count += 1
    for _ in range(2000):
        yield b"x" * 10_000
    count -= 1
"""


class Options(unittest.TestCase):
    def test_threads(self):
        """With one thread, a response waits for one that has begun, unless threads are shared."""
        for options in ([], ["--share-threads"]):
            with self.subTest(options), Command("--threads", "1", *options, application=SLOW) as command:
                with ask(command, "/slow") as client:
                    client.recv(1)
                    other = ask(command, "/")
                    if options:  # the slow client has not read yet
                        self.assertTrue(read_all(other).endswith(b"1 open"))
                    read_all(client)
                    if not options:
                        self.assertTrue(read_all(other).endswith(b"0 open"))
                    other.close()

    def test_where_the_application_is(self):
        for name in ("app", "app:application", "app:Holder.app", "app:make()"):
            with self.subTest(name), Command(name=name) as command:
                self.assertEqual(command.get(), str(command.process.pid).encode())

    def test_the_access_log(self):
        with Command() as command:
            command.get("/path?query")
            command.process.terminate()
            status, stderr = command.ends()
        self.assertEqual(status, 0)
        line = r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4} [\d:]{8}\] "GET /path\?query HTTP/1\.1" 200 \d+\n'
        self.assertRegex(stderr, f"^{line}$")

    def test_no_access_log(self):
        with Command("--no-access-log") as command:
            command.get()
            command.process.terminate()
            self.assertEqual(command.ends(), (0, ""))

    def test_mistakes(self):
        wrong = [
            ["app", "--bind", "here"],
            ["app", "--bind", "127.0.0.1:65536"],
            ["app", "--threads", "-1"],
            ["app", "--workers", "many"],
            ["app", "--drain", "-1"],
            ["app", "--drain", "inf"],
            ["app", "--drain", "nan"],
            [],
        ]
        for options in wrong:
            command = [sys.executable, "-m", "serve_forever", *options]
            with self.subTest(options):
                ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(ended.returncode, 2)
                self.assertIn("usage: python -m serve_forever", ended.stderr)

    def test_an_application_that_cannot_be_loaded(self):
        cases = [("app", "1/0"), ("app:absent", ""), ("app:value", "value = 1"), ("absent", "")]
        for workers, expected in (("0", 1), ("2", 3)):
            for name, program in cases:
                with self.subTest(name, workers=workers):
                    with Command("--workers", workers, name=name, application=program) as command:
                        status, stderr = command.ends()
                    self.assertEqual(status, expected, stderr)
                    self.assertIn("Traceback", stderr)

    def test_an_application_that_ends_the_process_while_it_is_loaded(self):
        """With workers, others would end as well. So the command ends, and it has failed."""
        cases = [
            ("import sys; sys.exit()", 0, 3),
            ("import sys; sys.exit(5)", 5, 5),
            ("import os; os._exit(0)", 0, 3),
            ("raise BaseException", 1, 1),
        ]
        for program, status, with_workers in cases:
            for workers, expected in (("0", status), ("2", with_workers)):
                with self.subTest(program, workers=workers):
                    with Command("--workers", workers, application=program) as command:
                        ended, stderr = command.ends()
                    self.assertEqual(ended, expected, stderr)
                    if workers == "2":
                        self.assertRegex(stderr, f"worker \\d+ ended with status {status} before it served\n")

    def test_an_application_that_raises_keyboard_interrupt_while_it_is_loaded(self):
        """Nobody has pressed Ctrl-C, so the worker has failed, and others would as well."""
        for options in (["--workers", "2"], ["--reload"]):
            with self.subTest(options):
                with Command(*options, application="raise KeyboardInterrupt") as command:
                    status, stderr = command.ends()
                self.assertEqual(status, 1, stderr)
                self.assertIn("Traceback", stderr)
                self.assertRegex(stderr, "worker \\d+ ended with status 1 before it served\n")

    def test_an_address_in_use(self):
        with Command() as command:
            bind = "127.0.0.1:%d" % command.server_address[1]
            with Command("--bind", bind) as other:
                self.assertIn("cannot listen", other.first_line)
                self.assertEqual(other.ends()[0], 1)

    def test_workers_share_the_socket(self):
        with Command("--workers", "3", "--no-access-log") as command:
            found = set()
            command.ask_until(lambda answer: found.add(answer) or len(found) == 3)
            self.assertNotIn(str(command.process.pid).encode(), found)


#: Ways to serve, each with the numbers of workers and threads.
MODES = [
    options.split()
    for options in (
        "--workers 0 --threads 0",
        "--workers 0 --threads 2",
        "--workers 2 --threads 0",
        "--workers 2 --threads 2",
    )
]


class Signals(unittest.TestCase):
    def test_sigterm_lets_a_request_finish(self):
        for mode in MODES:
            with self.subTest(mode), Command(*mode) as command:
                with connect(command) as client:
                    begin(client)
                    command.process.terminate()
                    command.go_on()
                    self.assertEqual(read_all(client), b" and finished")
                status, stderr = command.ends()
                self.assertEqual(status, 0, stderr)

    def test_a_request_that_does_not_finish(self):
        """It is broken off after the time of the drain. The supervisor ends a worker that hangs."""
        with Command("--workers", "1", "--drain", "0.1") as command, connect(command) as client:
            begin(client)
            command.process.terminate()
            self.assertEqual(command.ends()[0], 0)
            read_all(client)

    def test_ctrl_c(self):
        for mode in MODES:
            with self.subTest(mode), Command(*mode) as command:
                command.get()
                command.process.send_signal(signal.SIGINT)
                status, stderr = command.ends()
                self.assertEqual(status, 0)
                self.assertNotIn("Traceback", stderr)


class Workers(unittest.TestCase):
    def test_a_worker_that_dies_is_replaced(self):
        with Command("--workers", "2", "--no-access-log") as command:
            found = set()
            command.ask_until(lambda answer: found.add(answer) or len(found) == 2)
            os.kill(int(min(found)), signal.SIGKILL)
            command.reads_until(f"worker {min(found).decode()} ended with status -9")
            command.ask_until(lambda answer: answer not in found)
            command.process.terminate()
            self.assertEqual(command.ends(), (0, ""))

    def test_a_worker_that_ends_by_itself_is_replaced(self):
        program = APPLICATION.replace("sys.exit()", "sys.exit(3)")
        with Command("--workers", "1", "--no-access-log", application=program) as command:
            first = command.get()
            with ask(command, "/exit") as client:
                read_all(client)
            command.reads_until(f"worker {first.decode()} ended with status 3\n")
            command.ask_until(lambda answer: answer != first)
            command.process.terminate()
            self.assertEqual(command.ends(), (0, ""))

    def test_when_a_worker_is_replaced(self):
        """At the time 100, a worker ends that was started at `started`."""
        cases = [
            # status, has begun to serve, started, the time at which another may begin; None: never
            (0, True, 10.0, 100.0),
            (0, True, 99.75, 100.75),
            (1, True, 10.0, 101.0),
            (-9, True, 99.75, 101.0),
            (-9, False, 99.75, 101.0),
            (0, False, 10.0, None),
            (3, False, 99.75, None),
        ]
        for code, has_begun, started, expected in cases:
            with self.subTest(code, has_begun=has_begun, started=started):
                self.assertEqual(prefork.next_start(code, has_begun, started, 100.0), expected)

    def test_workers_end_when_their_parent_is_gone(self):
        with Command("--workers", "2", "--no-access-log") as command:
            command.get()
            command.process.kill()
            # They have standard error in common. It ends when the last one has ended.
            self.assertEqual(command.ends(), (-signal.SIGKILL, ""))


class Reload(unittest.TestCase):
    def test_a_change(self):
        """Also one of the same length in the same second, and also one that has mistakes."""
        program = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"1"]
"""
        for workers in ("0", "2"):
            with self.subTest(workers=workers):
                options = ("--reload", "--workers", workers, "--no-access-log")
                with Command(*options, application=program) as command:
                    self.assertEqual(command.get(), b"1")
                    command.write(program.replace('b"1"', 'b"2"'))
                    command.ask_until(lambda answer: answer == b"2")
                    command.write(program.replace("def", "define"))
                    command.reads_until("SyntaxError")
                    command.write(program.replace('b"1"', 'b"3"'))
                    command.ask_until(lambda answer: answer == b"3")
                    command.write("import sys\nsys.exit()\n")
                    command.reads_until("SystemExit")
                    command.write(program.replace('b"1"', 'b"4"'))
                    command.ask_until(lambda answer: answer == b"4")
                    command.process.terminate()
                    self.assertEqual(command.ends()[0], 0)


if __name__ == "__main__":
    unittest.main()
