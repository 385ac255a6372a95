# SPDX-License-Identifier: Apache-2.0
"""What DNS answers have opened."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields
from typing import Iterator, List

from . import _abi
from ._abi import GrantKind, GrantState
from ._handle import Owned
from ._native import lib
from ._values import (NEVER, NONE, Address, IPAddress, address, encoded, fill, ip, known, member,
                      moment, number)
from .context import Context, context_of
from .errors import Invalid, check

BATCH = 256


@dataclass(frozen=True)
class Grant:
    """(group, address, name) with a lifetime. Moments are nanoseconds on the caller's clock."""

    group_key: int #: Group.key; 0 for names recorded without a group
    addr: IPAddress
    name: str
    kind: GrantKind
    expires: int #: when it stops being live, as things stood when it was read
    learned: int #: first answer
    answered: int #: newest answer
    used: int #: newest answer or packet
    ttl: int #: seconds, of the newest answer, before clamping
    two_way: bool = False #: has carried a flow with packets both ways
    state: GrantState = GrantState.LIVE
    flows: int = 0 #: open on it

    @classmethod
    def _of(cls, c: _abi.pol_grant) -> Grant:
        addr = ip(c.addr)
        assert addr is not None # a grant without one cannot be
        return cls(c.group_key, addr, c.name.decode("utf-8", "replace"), known(GrantKind, c.kind),
                   c.expires, c.learned, c.answered, c.used, c.ttl, bool(c.two_way),
                   known(GrantState, c.state), c.flows)

    def _to_c(self) -> _abi.pol_grant:
        c = _abi.pol_grant()
        name = encoded(self.name)
        if len(name) > _abi.POL_NAME_MAX:
            raise Invalid(f"a name has at most {_abi.POL_NAME_MAX} octets, not {len(name)}")
        if b"\0" in name: # the field would be cut off there
            raise Invalid(f"name {self.name!r} holds a NUL")
        c.addr, c.name, c.name_len = address(self.addr), name, len(name)
        c.kind = member(GrantKind, self.kind, "kind")
        c.two_way = bool(self.two_way)
        fill(c, [(field, getattr(self, field)) for field in
                 ("group_key", "expires", "learned", "answered", "used", "ttl")])
        return c


@dataclass(frozen=True)
class GrantsStats:
    """Numbers of a grant table; the counters only grow."""

    capacity: int
    live: int #: slots in use; held ones included
    learned: int
    refreshed: int
    expired: int
    evicted_name: int
    evicted_address: int
    evicted_total: int
    refused_full: int


class Grants(Owned):
    """The table of grants that workers share.

    Thread class: many learners, many readers. Any number of threads may use it.
    """

    __slots__ = ()

    def __init__(self, context: Context | None = None, *, capacity: int | None = None,
                 addresses_per_name: int | None = None, names_per_address: int | None = None,
                 ttl_min: int | None = None, ttl_max: int | None = None, idle: int | None = None,
                 idle_two_way: int | None = None) -> None:
        """Options as in pol_grants_options; durations are nanoseconds (seconds())."""
        options = _abi.pol_grants_options()
        lib.pol_grants_options_init(options, ctypes.sizeof(options))
        fill(options, [("capacity", capacity), ("addresses_per_name", addresses_per_name),
                       ("names_per_address", names_per_address), ("ttl_min", ttl_min),
                       ("ttl_max", ttl_max), ("idle", idle), ("idle_two_way", idle_two_way)])
        context = context_of(context)
        pointer = ctypes.POINTER(_abi.pol_grants)()
        with context._handle as ctx:
            check(lib.pol_grants_new(ctx, options, pointer), "grants")
        super().__init__(pointer, lib.pol_grants_free, context._held)

    def list(self, now: int) -> List[Grant]:
        """Grants that are live or held, in no particular order."""
        return [*self.iterate(now)]

    def iterate(self, now: int) -> Iterator[Grant]:
        """As list(), read a batch at a time. What is learned or evicted meanwhile may or may not
        appear; nothing appears twice."""
        now = moment(now)
        position = ctypes.c_uint32()
        batch = (_abi.pol_grant * BATCH)()
        while True:
            with self._handle as grants:
                count = lib.pol_grants_list(grants, position, now, batch, BATCH)
            for i in range(count):
                yield Grant._of(batch[i])
            if count < BATCH:
                return

    def names(self, addr: Address, now: int, group_key: int = 0) -> List[Grant]:
        """The names known for an address in a group, newest use first: its own and those recorded
        without a group."""
        wanted, now, key = address(addr), moment(now), number(group_key, NEVER, "group_key")
        capacity = 16
        with self._handle as grants:
            while True:
                found = (_abi.pol_grant * capacity)()
                count = lib.pol_grants_names(grants, key, wanted, now, found, capacity)
                if count <= capacity:
                    return [Grant._of(found[i]) for i in range(count)]
                capacity = count

    def restore(self, grant: Grant, now: int) -> None:
        """Puts back a grant that was listed in an earlier life of the process; its moments have been
        carried over to the present clock. Raises NotFound when it is gone at `now`, Full, Invalid."""
        if not isinstance(grant, Grant):
            raise TypeError(f"expected a Grant, not {type(grant).__name__}")
        c = grant._to_c()
        with self._handle as grants:
            check(lib.pol_grants_restore(grants, c, moment(now)), f"grant of {grant.name!r}")

    def expire(self, now: int, budget: int = NONE) -> int:
        """Frees what is gone, looking at no more than `budget` grants; returns how many. Only makes
        room: no verdict depends on it."""
        with self._handle as grants:
            return lib.pol_grants_expire(grants, moment(now), number(budget, NEVER, "budget"))

    @property
    def stats(self) -> GrantsStats:
        c = _abi.pol_grants_stats()
        with self._handle as grants:
            lib.pol_grants_stats_get(grants, c)
        return GrantsStats(*(getattr(c, field.name) for field in fields(GrantsStats)))

    @property
    def memory(self) -> int:
        """Octets of memory that the table holds."""
        with self._handle as grants:
            return lib.pol_grants_memory(grants)

    def __repr__(self) -> str:
        return "<Grants, closed>" if self.closed else f"<Grants, {self.stats.live} live>"
