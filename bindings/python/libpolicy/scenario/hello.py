# SPDX-License-Identifier: Apache-2.0
"""Writes TLS ClientHellos (RFC 8446 4.1.2)."""
from __future__ import annotations

from struct import pack

_VERSIONS = bytes((0, 43, 0, 5, 4, 3, 4, 3, 3))  # 1.3 and 1.2
_ECH = bytes((0xFE, 0x0D, 0, 3, 0, 1, 2))
_PADDING = 21  # RFC 7685
_SUITES = bytes((0, 4, 0x13, 0x01, 0xC0, 0x2F))
_NO_COMPRESSION = bytes((1, 0))


def hello(
    sni: str | bytes | None,
    *,
    tls13: bool = True,
    ech: bool = False,
    message_len: int = 0,
    records: int = 1,
) -> bytes:
    """A ClientHello in its records.

    :param sni: the server name; None for a hello without one
    :param message_len: the handshake message is padded to this length; 0 for no padding
    :param records: over how many records of about equal length it is spread
    """
    name = sni.encode("utf-8", "surrogateescape") if isinstance(sni, str) else sni
    extensions = b"" if name is None else _server_name(name)
    extensions += _VERSIONS if tls13 else b""
    extensions += _ECH if ech else b""
    head = pack(">H32sB", 0x0303, b"", 0) + _SUITES + _NO_COMPRESSION
    if message_len:
        extensions += _padding(message_len - 4 - len(head) - 2 - len(extensions))
    body = head + pack(">H", len(extensions)) + extensions
    return wrap(b"\1" + len(body).to_bytes(3, "big") + body, records)


def _server_name(name: bytes) -> bytes:
    return pack(">HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name


def _padding(room: int) -> bytes:
    if room < 4:
        raise ValueError("the ClientHello is longer than it is to be")
    return pack(">HH", _PADDING, room - 4) + bytes(room - 4)


def wrap(message: bytes, records: int = 1) -> bytes:
    """Cuts handshake octets into records."""
    out = b""
    for left in range(max(records, 1), 0, -1):
        part, message = message[: len(message) // left], message[len(message) // left :]
        out += pack(">BHH", 22, 0x0301, len(part)) + part
    return out
