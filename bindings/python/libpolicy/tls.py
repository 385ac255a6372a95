# SPDX-License-Identifier: Apache-2.0
"""The server name in the beginning of a TLS client's stream, and the certificate in a server's."""
from __future__ import annotations

import ctypes
import dataclasses

from . import _abi
from ._native import lib
from ._values import Buffer, Octets
from .errors import check


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What a policy can ask of a server's certificate. Names are lower case."""

    subject: str  # "C=US,O=Example,CN=db.example.com"; empty if it could be taken for another
    sans: tuple[str, ...]  # of type dNSName
    cns: tuple[str, ...]
    sha256: bytes
    not_before: int # milliseconds since 1970
    not_after: int
    version: int  # of TLS, such as 0x0303


def server_name(stream: Buffer) -> str | None:
    """The name that a ClientHello asks for; None when it names no server. Raises Truncated when more
    of the stream is needed, Format when it is malformed, NotFound when it is not TLS."""
    name, length = ctypes.create_string_buffer(256), ctypes.c_size_t()
    check(lib.pol_tls_server_name(Octets(stream), name, length), "ClientHello")
    return name.raw[:length.value].decode("utf-8", "replace") or None


def certificate(stream: Buffer) -> Certificate:
    """The server's own certificate, from the beginning of its stream; nothing is verified. Raises
    Truncated when more of the stream is needed, Format when it is malformed, NotFound when no
    certificate will come: TLS 1.3, a resumed session, an alert, not TLS."""
    found = _abi.pol_certificate()
    check(lib.pol_tls_certificate(Octets(stream), found), "Certificate")
    names_at = getattr(_abi.pol_certificate, "names").offset  # as bytes it ends at a NUL
    text = ctypes.string_at(ctypes.addressof(found) + names_at, found.names_len)
    names = [name.decode("utf-8", "replace") for name in text.split(b"\0")[:-1]]
    return Certificate(
        found.subject.decode("utf-8", "replace"), tuple(names[:found.san_count]),
        tuple(names[found.san_count:]), bytes(found.sha256), found.not_before, found.not_after,
        found.version)
