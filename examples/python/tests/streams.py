"""What the applications of Flask and of Django stream alike."""

import threading

#: Set when `endless_blocks` is closed.
closed = threading.Event()


def endless_blocks():
    """Yield blocks until the response is closed."""
    try:
        while True:
            yield b"x" * 10_000
    finally:
        closed.set()
