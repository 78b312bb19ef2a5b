"""A server does not grow: each kind of request leaves nothing behind. `soak.py` does it for long."""

import contextlib
import gc
import os
import socket
import sys
import threading
import unittest

from soak import PROGRAM, REQUESTS
from support import PATIENCE, connect, read_all, reset_when_closed, serving, stderr_of_server

#: How often each request is sent before and after the first look.
BEFORE, AFTER = 20, 100


def application():
    """Return the application of the soak."""
    names = {}
    exec(PROGRAM.partition("server = ")[0], names)
    return names["app"]


def send(server, data, leaves):
    """Send a request, and read the answer, or its first byte and break the connection off."""
    with connect(server) as client, contextlib.suppress(OSError):
        client.sendall(data)
        if leaves:
            client.recv(1)
            reset_when_closed(client)
        else:
            client.shutdown(socket.SHUT_WR)
            read_all(client)


def held(server, clients):
    """Return how many blocks of memory and descriptors this process holds when nothing happens.

    `clients` is how many clients the server has had. One can be served before the server has counted it.
    """
    for _ in range(PATIENCE * 100):
        stats = server._native.server.stats()
        if (stats["accepted"], stats["open"]) == (clients, 0):
            break
        threading.Event().wait(0.01)
    else:
        raise AssertionError(f"{stats} after {clients} clients")
    gc.collect()
    return sys.getallocatedblocks(), len(os.listdir("/proc/self/fd"))


@unittest.skipUnless(os.path.isdir("/proc/self/fd"), "it reads /proc")
class Growth(unittest.TestCase):
    def test_each_kind_of_request(self):
        for threads in (0, 4):
            for data in REQUESTS:
                for leaves in (False, True):
                    if leaves and data.endswith(b"unfinished"):
                        continue  # there is no answer that it could wait for
                    with self.subTest(data[:40], threads=threads, leaves=leaves):
                        self.look(data, threads, leaves)

    def look(self, data, threads, leaves):
        with stderr_of_server(), serving(application(), threads=threads) as server:
            for _ in range(BEFORE):
                send(server, data, leaves)
            blocks, descriptors = held(server, BEFORE)
            for _ in range(AFTER):
                send(server, data, leaves)
            more_blocks, more_descriptors = held(server, BEFORE + AFTER)
        # One object that is left behind by each request would be AFTER blocks.
        self.assertLess(more_blocks - blocks, AFTER)
        self.assertLessEqual(more_descriptors, descriptors)


if __name__ == "__main__":
    unittest.main()
