# SPDX-License-Identifier: Apache-2.0
"""One exception for each status code of the library, and two for misuse that only Python knows."""
from __future__ import annotations

from ._abi import Status
from ._native import lib


class PolError(Exception):
    """What the library refused, and why. `status` is its enum pol_status."""

    status: Status = Status.OK


class NoMemory(PolError, MemoryError):
    """POL_E_NOMEM: out of memory."""

    status = Status.E_NOMEM


class Invalid(PolError, ValueError):
    """POL_E_INVALID: an argument outside its documented range."""

    status = Status.E_INVALID


class AbiMismatch(PolError):
    """POL_E_ABI: an options struct has a size that the library cannot accept."""

    status = Status.E_ABI


class PolicyRejected(PolError, ValueError):
    """POL_E_POLICY: a policy document was rejected; `diagnostics` says where and why."""

    status = Status.E_POLICY


class Format(PolError, ValueError):
    """POL_E_FORMAT: octets or text that are not well-formed."""

    status = Status.E_FORMAT


class Truncated(PolError, ValueError):
    """POL_E_TRUNCATED: more octets are needed."""

    status = Status.E_TRUNCATED


class NoSpace(PolError):
    """POL_E_NOSPACE: a buffer is too small."""

    status = Status.E_NOSPACE


class Full(PolError):
    """POL_E_FULL: a fixed capacity is reached."""

    status = Status.E_FULL


class Limit(PolError):
    """POL_E_LIMIT: a configured limit was exceeded."""

    status = Status.E_LIMIT


class NotFound(PolError, LookupError):
    """POL_E_NOTFOUND: there is no such entry."""

    status = Status.E_NOTFOUND


class Closed(ValueError):
    """The object was closed before."""


class InUse(RuntimeError):
    """The object belongs to one thread at a time and is in use at this moment."""


BY_STATUS: dict[int, type[PolError]] = {
    kind.status: kind for kind in (NoMemory, Invalid, AbiMismatch, PolicyRejected, Format,
                                   Truncated, NoSpace, Full, Limit, NotFound)}


def check(status: int, what: str = "") -> None:
    """Raises the exception of a negative status."""
    if status >= 0:
        return
    text = (lib.pol_status_text(status) or b"").decode()
    raise BY_STATUS.get(status, PolError)(f"{what}: {text}" if what else text)
