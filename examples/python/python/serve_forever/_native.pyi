"""The native part of `serve_forever`. Use `serve_forever.simple_server`, which is what the tests and the
documentation describe; this module may change."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, final

class _Settings(Protocol):
    """What a server is asked for when it is made. Times are in seconds, sizes in bytes."""

    share_threads: bool
    max_body_memory: int
    max_body: int
    keep_alive_timeout: float
    response_timeout: float
    base_environ: dict[str, Any]

    def get_app(self) -> Any: ...

@final
class Server:
    def __new__(
        cls,
        server: _Settings,
        threads: int,
        fd: int,
        signals: int,
        callbacks: Any,
        overrides: Mapping[str, Any],
        gateway: dict[str, Any],
    ) -> Server: ...
    def serve_forever(self, poll_interval: float | None) -> None: ...
    def handle_request(self, timeout: float | None) -> None: ...
    def set_program(self, application: Any, base_environ: dict[str, Any]) -> None: ...
    def worker(self) -> Worker: ...
    def shutdown(self, timeout: float | None) -> bool: ...
    def request_shutdown(self) -> None: ...
    def request_drain(self, patience: float) -> None: ...
    def drain(self, patience: float) -> tuple[int, int]: ...
    def close(self) -> bool: ...
    def join(self, patience: float | None) -> bool: ...
    def stats(self) -> dict[str, int]: ...

@final
class Worker:
    """A thread of the server, before it runs."""

    def run(self) -> None: ...

@final
class Input:
    """`wsgi.input` of a body that is empty, or in a file."""

    def read(self, size: int | None = None, /) -> bytes: ...
    def readline(self, size: int | None = None, /) -> bytes: ...
    def readlines(self, hint: int | None = None, /) -> list[bytes]: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def __next__(self) -> bytes: ...

@final
class Write:
    """What `start_response` returns. `start_response` is a method of it."""

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: tuple[Any, BaseException, Any] | None = None,
        /,
    ) -> Write: ...
    def __call__(self, data: bytes, /) -> None: ...
