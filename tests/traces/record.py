"""Records in which order CPython's socketserver calls its hooks.

    python3 tests/traces/record.py [FILE]      # by default cpython.jsonl, beside this file

Each line is one scenario: its name, and the hooks that ran. Nothing is patched but the hooks that
a subclass may override, and for one scenario the selector, so what is recorded is the real loop.
Needs Python 3.11; the file was written by 3.13.0.
"""

import contextlib
import json
import pathlib
import socket
import socketserver
import sys

# Longer than any scenario: no iteration is an idle one.
POLL_INTERVAL = 60


class Failure(Exception):
    pass


class Handler(socketserver.BaseRequestHandler):
    def setup(self):
        self.server.step("setup")

    def handle(self):
        self.server.step("handle")

    def finish(self):
        self.server.step("finish")


class Server(socketserver.TCPServer):
    """Notes each hook, and then does what the scenario wants of it."""

    def __init__(self, acts=None, iterations=1):
        self.acts = acts or {}
        self.iterations = iterations
        self.trace = []
        super().__init__(("127.0.0.1", 0), Handler)

    def step(self, name):
        self.trace.append(name)
        act = self.acts.get(name)
        if isinstance(act, BaseException):
            raise act
        if act == "request_shutdown":
            self.request_shutdown()

    def request_shutdown(self):
        """What shutdown() does before it waits."""
        self._BaseServer__shutdown_request = True

    def service_actions(self):
        self.step("service_actions")
        if self.trace.count("service_actions") == self.iterations:
            self.request_shutdown()

    def verify_request(self, request, client_address):
        self.step("verify_request")
        return self.acts.get("verify_request") != "refuse"

    def handle_error(self, request, client_address):
        self.step("handle_error")

    def handle_timeout(self):
        self.step("handle_timeout")

    def get_request(self):
        self.step("get_request")
        return super().get_request()

    def process_request(self, request, client_address):
        self.step("process_request")
        super().process_request(request, client_address)

    def finish_request(self, request, client_address):
        self.step("finish_request")
        super().finish_request(request, client_address)

    def shutdown_request(self, request):
        self.step("shutdown_request")
        super().shutdown_request(request)

    def close_request(self, request):
        self.step("close_request")
        super().close_request(request)


class ShutdownDuringTheWait(socketserver._ServerSelector):
    """Waits until the listener is ready; by then somebody has asked for a shutdown."""

    def select(self, timeout=None):
        ready = super().select(timeout)
        server = next(iter(self.get_map().values())).fileobj
        server.request_shutdown()
        return ready


def record(run, *, clients=1, acts=None, iterations=1, before=None):
    """Runs a server for clients that are queued already; answers the trace."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(acts, iterations))
        for _ in range(clients):
            client = stack.enter_context(socket.create_connection(server.server_address))
            client.sendall(b"hello\n")
        if before:
            before(server)
        with contextlib.suppress(Failure, SystemExit):
            run(server)
        return server.trace


def serve_forever(server):
    server.serve_forever(POLL_INTERVAL)


def serve_forever_interrupted(server):
    plain = socketserver._ServerSelector
    socketserver._ServerSelector = ShutdownDuringTheWait
    try:
        serve_forever(server)
    finally:
        socketserver._ServerSelector = plain


def handle_request(server):
    server.timeout = 0.01
    server.handle_request()


def scenarios():
    fail, leave = Failure("scripted"), SystemExit()
    lost = ConnectionAbortedError()

    yield "success", record(serve_forever)
    yield "refusal", record(serve_forever, acts={"verify_request": "refuse"})
    for step in ("setup", "handle", "finish"):
        yield f"failure in {step}", record(serve_forever, acts={step: fail})
        yield f"exit in {step}", record(serve_forever, acts={step: leave})
    yield "failure in handle and finish", record(
        serve_forever, acts={"handle": fail, "finish": fail}
    )
    yield "failure in verify_request", record(serve_forever, acts={"verify_request": fail})
    yield "exit in verify_request", record(serve_forever, acts={"verify_request": leave})
    yield "failure in handle_error", record(
        serve_forever, acts={"handle": fail, "handle_error": fail}
    )
    yield "failure in service_actions", record(serve_forever, acts={"service_actions": fail})
    yield "accept failure", record(serve_forever, acts={"get_request": lost})

    yield "handle_request, served", record(handle_request)
    yield "handle_request, accept failure", record(handle_request, acts={"get_request": lost})
    yield "handle_request, refusal", record(handle_request, acts={"verify_request": "refuse"})
    yield "handle_request, failure in handle", record(handle_request, acts={"handle": fail})
    yield "handle_request, timeout", record(handle_request, clients=0)

    yield "shutdown before the start", record(serve_forever, before=Server.request_shutdown)
    yield "shutdown from a handler", record(
        serve_forever, clients=2, acts={"handle": "request_shutdown"}, iterations=9
    )
    yield "shutdown during the wait", record(serve_forever_interrupted)
    yield "three queued connections", record(serve_forever, clients=3, iterations=3)


def main():
    here = pathlib.Path(__file__).parent
    file = sys.argv[1] if len(sys.argv) > 1 else here / "cpython.jsonl"
    lines = [json.dumps({"name": name, "hooks": hooks}) + "\n" for name, hooks in scenarios()]
    with open(file, "w", encoding="ascii", newline="\n") as output:
        output.writelines(lines)


main()
