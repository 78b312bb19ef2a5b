"""The worker class for gunicorn."""

import importlib.util
import re
import signal
import unittest
from unittest import mock

from program import Program, begin
from support import connect, read_all


class Gunicorn(Program):
    """Gunicorn with our worker class, on free ports."""

    def __init__(self, *options, sockets=1):
        binds = ["--bind=127.0.0.1:0"] * sockets
        worker = ["-k", "serve_forever.gunicorn_worker.Worker"]
        super().__init__("gunicorn", *worker, *binds, *options, "app:application")
        line = self.reads_until("Listening at")
        found = re.findall(r"http://127\.0\.0\.1:(\d+)", line)
        self.addresses = [("127.0.0.1", int(port)) for port in found]
        self.server_address = self.addresses[0]


@unittest.skipIf(importlib.util.find_spec("gunicorn") is None, "gunicorn is not installed")
class WorkerClass(unittest.TestCase):
    def test_workers(self):
        with Gunicorn("--workers=2") as server:
            answers = {server.get() for _ in range(5)}
            self.assertNotIn(str(server.process.pid).encode(), answers)
            server.process.terminate()
            status, stderr = server.ends()
        self.assertEqual(status, 0, stderr)
        self.assertNotIn("Traceback", stderr)

    def test_threads(self):
        for options, name in (([], b"MainThread"), (["--threads=4"], b"serve_forever-")):
            with self.subTest(options), Gunicorn(*options) as server:
                self.assertIn(name, server.get("/thread"))

    def test_several_sockets(self):
        with Gunicorn(sockets=2) as server:
            self.assertEqual(len(server.addresses), 2)
            for server.server_address in server.addresses:
                self.assertTrue(server.get().isdigit())

    def test_the_end_of_one_socket_is_the_end_of_the_worker(self):
        for number in (0, 1):
            with self.subTest(number), Gunicorn(sockets=2) as server:
                server.reads_until("Booting worker")
                server.server_address = server.addresses[number]
                with connect(server) as client:
                    client.sendall(b"GET /exit HTTP/1.0\r\n\r\n")
                    read_all(client)
                server.reads_until("Booting worker")
                self.assertTrue(server.get().isdigit())

    def test_sigterm_lets_a_request_finish(self):
        with Gunicorn() as server, connect(server) as client:
            begin(client)
            server.process.terminate()
            server.go_on()
            self.assertEqual(read_all(client), b" and finished")
            self.assertEqual(server.ends()[0], 0)

    def test_ctrl_c(self):
        with Gunicorn("--threads=2") as server:
            server.get()
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.ends()[0], 0)

    def test_the_access_log(self):
        with Gunicorn("--access-logfile=log") as server:
            server.get("/path")
            server.process.terminate()
            server.ends()
            log = (server.folder / "log").read_text()
        self.assertRegex(log, r'^127\.0\.0\.1 - - \[.+\] "GET /path HTTP/1\.1" 200 \d+\n$')

    def test_max_requests(self):
        with Gunicorn("--max-requests=3") as server:
            first = [server.get() for _ in range(3)]
            self.assertEqual(len(set(first)), 1)
            server.reads_until("Autorestarting worker")
            server.reads_until("Booting worker")
            self.assertNotEqual(server.get(), first[0])

    def test_max_requests_can_be_stepped_over(self):
        """Two threads may count before one of them looks. The worker is then told once to end."""
        from serve_forever.gunicorn_worker import Worker

        worker = Worker.__new__(Worker)
        worker.nr, worker.max_requests, worker.alive = 3, 3, True
        worker.wsgi, worker.log, worker.cfg = mock.Mock(), mock.Mock(), mock.Mock()
        worker._servers = [mock.Mock()]
        for _ in range(3):
            worker._counted({}, None)
        self.assertEqual(worker.wsgi.call_count, 3)
        self.assertEqual(worker.log.info.call_count, 1)
        self.assertEqual(worker._servers[0].request_drain.call_count, 1)

    def test_what_it_cannot_serve(self):
        with Gunicorn("--bind=unix:socket") as server:
            server.reads_until("it serves TCP only")
            self.assertEqual(server.ends()[0], 3)


if __name__ == "__main__":
    unittest.main()
