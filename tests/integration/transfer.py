# SPDX-License-Identifier: Apache-2.0
"""A TCP connection through the lab that carries many octets in one direction, and what both ends make of them."""
import collections
import hashlib
import os
import socket
import threading
import time

BLOCK = 1 << 20

Done = collections.namedtuple("Done", "sent received octets seconds")
Done.__doc__ = """The SHA-256 of what was sent and of what arrived, how many octets did, and how long it took."""


def send(connection, size, result):
    """No two blocks are the same, so that none can be lost, doubled or exchanged unseen."""
    digest, block = hashlib.sha256(), bytearray(os.urandom(min(size, BLOCK)))
    for number in range(0, size, len(block)):
        block[:8] = number.to_bytes(8, "big")
        digest.update(block)
        connection.sendall(block)
    connection.shutdown(socket.SHUT_WR)
    result["sent"] = digest.hexdigest()


def receive(connection, result):
    digest, buffer, octets = hashlib.sha256(), memoryview(bytearray(BLOCK)), 0
    while True:
        count = connection.recv_into(buffer)
        if not count:
            break
        digest.update(buffer[:count])
        octets += count
    result["received"], result["octets"] = digest.hexdigest(), octets


def transfer(lab, address, size, upload, seconds=60, serve=None):
    """From the client to this address of the server (`upload`) or back; `size` a multiple of a MiB, or below it.
    `serve` makes the listening socket, if it is to be elsewhere."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = serve(family) if serve else lab.socket("server", family)
    result, began = {}, time.monotonic()
    with listener, lab.socket("client", family) as client:
        listener.settimeout(seconds)
        client.settimeout(seconds)
        listener.bind((address, 0))
        listener.listen(1)
        client.connect(listener.getsockname()[:2])
        server, _ = listener.accept()
        with server:
            server.settimeout(seconds)
            source, sink = (client, server) if upload else (server, client)
            thread = threading.Thread(target=send, args=(source, size, result), daemon=True)
            thread.start()
            receive(sink, result)
            thread.join(seconds)
    return Done(result.get("sent"), result["received"], result["octets"], time.monotonic() - began)
