# SPDX-License-Identifier: Apache-2.0
"""A filter over events, for live confirmation."""
from __future__ import annotations

import ctypes
from typing import Any, Iterable, List, Tuple, Union

from . import _abi
from ._handle import Exclusive
from ._native import lib
from ._values import Prefix, listed, number, prefixes, protocols, texts
from .context import Context, context_of
from .errors import Format, Invalid, check
from .verdict import Event

Ports = Union[int, Tuple[int, int]]


class Tap(Exclusive):
    """Says of events whether somebody wants to see them. Lists are or-ed inside and and-ed with each
    other; an empty list lets everything pass.

    Thread class: one thread at a time.
    """

    __slots__ = ()

    def __init__(self, context: Context | None = None, *, src: Iterable[Prefix] = (),
                 dst: Iterable[Prefix] = (), hostnames: Iterable[str] = (),
                 protos: Iterable[int | str] = (), src_ports: Iterable[Ports] = (),
                 dst_ports: Iterable[Ports] = ()) -> None:
        """
        src, dst   opener and responder
        hostnames  regular expressions, searched caseless in the event's names
        protos     numbers or names
        ports      numbers or (first, last)
        """
        hostnames = listed(hostnames, "hostnames")
        options = _abi.pol_tap_filter()
        lib.pol_tap_filter_init(options, ctypes.sizeof(options))
        options.src, options.src_count = prefixes(src)
        options.dst, options.dst_count = prefixes(dst)
        options.src_ports, options.src_port_count = port_ranges(src_ports)
        options.dst_ports, options.dst_port_count = port_ranges(dst_ports)
        names, options.hostname_count = texts(hostnames)
        options.hostnames = names
        numbers = protocols(protos)
        kept = (ctypes.c_uint8 * len(numbers))(*numbers)
        options.protos, options.proto_count = ctypes.addressof(kept), len(numbers)

        context = context_of(context)
        pointer, wrong = ctypes.POINTER(_abi.pol_tap)(), ctypes.c_size_t()
        with context._handle as ctx:
            status = lib.pol_tap_new(ctx, options, pointer, wrong)
        if status == _abi.Status.E_FORMAT:
            raise Format(f"hostname {hostnames[wrong.value]!r} is no regular expression that can be "
                         "used")
        check(status, "tap")
        super().__init__(pointer, lib.pol_tap_free, context._held)

    def match(self, event: Event) -> bool:
        if not isinstance(event, Event):
            raise TypeError(f"expected an Event, not {type(event).__name__}")
        with self._mine:
            return lib.pol_tap_match(self._pointer, event._c)

    def filter(self, events: Iterable[Event]) -> List[Event]:
        """Those that match."""
        return [event for event in events if self.match(event)]


def port_ranges(values: Iterable[Ports]) -> tuple[Any, int]:
    found = []
    for value in listed(values, "ports"):
        if isinstance(value, tuple) and len(value) != 2:
            raise Invalid(f"port range {value} is not (first, last)")
        first, last = value if isinstance(value, tuple) else (value, value)
        if first > last:
            raise Invalid(f"port range {first} to {last} is empty")
        found.append(_abi.pol_port_range(number(first, 65535, "port"), number(last, 65535, "port")))
    return (_abi.pol_port_range * len(found))(*found), len(found)
