# SPDX-License-Identifier: Apache-2.0
"""The server name in the beginning of a TLS client's stream."""
from __future__ import annotations

import ctypes

from ._native import lib
from ._values import Buffer, Octets
from .errors import check


def server_name(stream: Buffer) -> str | None:
    """The name that a ClientHello asks for; None when it names no server. Raises Truncated when more
    of the stream is needed, Format when it is malformed, NotFound when it is not TLS."""
    name, length = ctypes.create_string_buffer(256), ctypes.c_size_t()
    check(lib.pol_tls_server_name(Octets(stream), name, length), "ClientHello")
    return name.raw[:length.value].decode("utf-8", "replace") or None
