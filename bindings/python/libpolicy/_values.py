# SPDX-License-Identifier: Apache-2.0
"""Between Python values and those of the C interface, with their ranges checked."""
from __future__ import annotations

import ctypes
import enum
import ipaddress
import operator
from typing import Any, Callable, Iterable, Sequence, Type, TypeVar, Union

from . import _abi
from ._native import lib
from .errors import Format, Invalid, NoSpace, check

NEVER = _abi.POL_NEVER
NONE = _abi.POL_NONE

IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Address = Union[str, bytes, IPAddress]
Prefix = Union[str, ipaddress.IPv4Network, ipaddress.IPv6Network, IPAddress]
Buffer = Union[bytes, bytearray, memoryview]

EnumT = TypeVar("EnumT", bound=enum.IntEnum)
FlagT = TypeVar("FlagT", bound=enum.IntFlag)

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58,
             "sctp": 132, "udplite": 136, "dccp": 33}


def seconds(value: float) -> int:
    """A duration or moment in the library's unit, nanoseconds."""
    if not 0 <= value < NEVER / _abi.POL_SECONDS:
        raise Invalid(f"{value} seconds are no duration")
    if isinstance(value, int):
        return value * _abi.POL_SECONDS
    return round(value * _abi.POL_SECONDS)


def number(value: int, highest: int, what: str) -> int:
    """An integer from 0 to `highest`: ctypes would cut off what does not fit."""
    value = operator.index(value)
    if not 0 <= value <= highest:
        raise Invalid(f"{what} {value} is not between 0 and {highest}")
    return value


def moment(value: int) -> int:
    return number(value, NEVER, "moment")


def index(value: int) -> int | None:
    """A group or rule number; None where the library says POL_NONE."""
    return None if value == NONE else value


def member(kind: Type[EnumT], value: int | str, what: str) -> EnumT:
    """A member of an enum, from itself, its number or its word."""
    try:
        if isinstance(value, str):
            return kind[value.upper().replace("-", "_")]
        return kind(operator.index(value))
    except (KeyError, ValueError):
        words = ", ".join(item.name.lower() for item in kind)
        raise Invalid(f"{what} {value!r} is none of {words}") from None


def known(kind: Type[EnumT], value: int) -> EnumT:
    """What the library said, as a member; a newer library may know more members than we do."""
    try:
        return kind(value)
    except ValueError:
        stranger = int.__new__(kind, value)
        stranger._name_ = f"UNKNOWN_{value}"
        stranger._value_ = value
        return stranger


def word(value: enum.IntEnum) -> str:
    """A member as it is written in JSON: "dns_expired"."""
    return value.name.lower()


# -- text and octets

def encoded(value: str | bytes) -> bytes:
    if isinstance(value, str):
        return str.encode(value, "utf-8")
    if isinstance(value, bytes):
        return plain(value)
    raise TypeError(f"expected text, not {type(value).__name__}")


def plain(value: Buffer) -> bytes:
    """Octets as bytes and nothing else: a class derived from it may be of another opinion about its
    length than its memory, and so may a buffer of larger items."""
    return value if type(value) is bytes else bytes(memoryview(value))


def address_of(value: bytes) -> int | None:
    return ctypes.cast(ctypes.c_char_p(value), ctypes.c_void_p).value


class Text(_abi.pol_str):
    """A pol_str that keeps its text alive."""

    def __init__(self, value: str | bytes) -> None:
        self.kept = encoded(value)
        super().__init__(address_of(self.kept), len(self.kept))


class Octets(_abi.pol_bytes):
    """A pol_bytes that keeps its memory alive, without a copy where Python lets us have the address:
    bytes, and writable buffers, which cannot be resized meanwhile."""

    def __init__(self, value: Buffer) -> None:
        self.kept, address, length = memory_of(value)
        super().__init__(address, length)


def memory_of(value: Buffer) -> tuple[object, int | None, int]:
    """What to keep, the address and the length of a buffer."""
    if type(value) is bytes:
        return value, address_of(value), len(value)
    view = memoryview(value)
    if not view.c_contiguous or view.readonly:
        return memory_of(bytes(view))
    if not view.nbytes:
        return None, None, 0
    array = (ctypes.c_char * view.nbytes).from_buffer(view.cast("B"))
    return array, ctypes.addressof(array), view.nbytes


def terminated(value: str | bytes) -> bytes:
    """Text for a C string, which a NUL would end early."""
    octets = encoded(value)
    if b"\0" in octets:
        raise Invalid(f"{value!r} holds a NUL")
    return octets


def texts(values: Iterable[str | bytes]) -> tuple[Any, int]:
    """An array of pol_str and its count; the array keeps the texts alive."""
    kept = [Text(value) for value in listed(values, "texts")]
    array = (_abi.pol_str * len(kept))(*kept)
    setattr(array, "kept", kept)
    return array, len(kept)


def listed(values: Iterable[Any], what: str) -> list[Any]:
    """A list; a string is one value, and iterating over it a mistake."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"expected a list of {what}, not one")
    return list(values)


def borrowed(value: _abi.pol_str) -> str:
    """A copy of text that the library lent us."""
    if not value.len or value.ptr is None:
        return ""
    return ctypes.string_at(value.ptr, value.len).decode("utf-8", "replace")


def static(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def written(function: Callable[..., int], *arguments: Any, capacity: int = 4096,
            what: str = "") -> bytes:
    """What a function writes into a caller's buffer, however long it is; `what` for messages."""
    needed = ctypes.c_size_t()
    while True:
        buffer = ctypes.create_string_buffer(capacity)
        try:
            check(function(*arguments, buffer, capacity, needed), what)
        except NoSpace:
            if needed.value <= capacity: # it would never end
                raise
            capacity = needed.value
        else:
            return buffer.raw[:needed.value]


# -- addresses

def address(value: Address) -> _abi.pol_addr:
    """An address from text, octets in network order or an object of ipaddress. IPv4-mapped IPv6
    addresses are the IPv4 addresses they mean, as everywhere in the library."""
    if isinstance(value, str):
        parsed = _abi.pol_addr()
        check(lib.pol_addr_parse(Text(value), parsed), f'address "{value}"')
        return parsed
    if isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        if getattr(value, "scope_id", None) is not None:
            raise Invalid(f'address "{value}" has a scope, which no policy knows')
        value = value.packed
    if not isinstance(value, bytes):
        raise TypeError(f"expected an address, not {type(value).__name__}")
    value = plain(value)
    if len(value) == 16 and value.startswith(b"\0" * 10 + b"\xff\xff"):
        value = value[12:]
    if len(value) not in (4, 16):
        raise Format(f"an address has 4 or 16 octets, not {len(value)}")
    packed = _abi.pol_addr(4 if len(value) == 4 else 6)
    ctypes.memmove(packed.bytes, value, len(value))
    return packed


def ip(value: _abi.pol_addr) -> IPAddress | None:
    """The address as an object of ipaddress; None for "no address"."""
    if value.family == 4:
        return ipaddress.IPv4Address(bytes(value.bytes)[:4])
    if value.family == 6:
        return ipaddress.IPv6Address(bytes(value.bytes))
    return None


def prefix(value: Prefix) -> _abi.pol_prefix:
    parsed = _abi.pol_prefix()
    text = str(value)
    if not isinstance(value, (str, ipaddress.IPv4Network, ipaddress.IPv6Network,
                              ipaddress.IPv4Address, ipaddress.IPv6Address)):
        raise TypeError(f"expected a prefix, not {type(value).__name__}")
    check(lib.pol_prefix_parse(Text(text), parsed), f'prefix "{text}"')
    return parsed


def addresses(values: Iterable[Address]) -> tuple[Any, int]:
    found = [address(value) for value in listed(values, "addresses")]
    return (_abi.pol_addr * len(found))(*found), len(found)


def prefixes(values: Iterable[Prefix]) -> tuple[Any, int]:
    found = [prefix(value) for value in listed(values, "prefixes")]
    return (_abi.pol_prefix * len(found))(*found), len(found)


def protocol(value: int | str) -> int:
    """An IANA protocol number, or one of the usual names."""
    if isinstance(value, str):
        if value.lower() not in PROTOCOLS:
            raise Invalid(f"protocol {value!r} is none of {', '.join(PROTOCOLS)}, nor a number")
        return PROTOCOLS[value.lower()]
    return number(value, 255, "protocol")


def protocols(values: Iterable[int | str]) -> bytes:
    return bytes(protocol(value) for value in listed(values, "protocols"))


def fill(target: ctypes.Structure, values: Sequence[tuple[str, int | None]]) -> None:
    """Sets the numbers that were given and leaves the library's defaults where they were not."""
    kinds = {field[0]: field[1] for field in target._fields_}
    for name, value in values:
        if value is not None:
            bits = ctypes.sizeof(kinds[name]) * 8
            setattr(target, name, number(value, (1 << bits) - 1, name))
