# SPDX-License-Identifier: Apache-2.0
"""Findings: denials, and what audit mode would have denied, merged by what they have in common."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields
from typing import Any, Callable, Iterable, List, Tuple

from . import _abi
from ._abi import FindingType, Reason
from ._handle import Exclusive, Owned
from ._native import lib
from ._values import (NEVER, IPAddress, Text, address, encoded, fill, ip, known, member, number,
                      texts, written)
from .context import Context, context_of
from .errors import Invalid, check
from .grants import Grants
from .policy import Policy
from .verdict import Event


@dataclass(frozen=True)
class Finding:
    """One finding, self-contained: a row that can be stored and restored. Times are milliseconds
    since 1970."""

    type: FindingType
    group: str #: id; "default" when no group matched
    count: int #: 0: it made room for another and is gone
    first_seen: int
    last_seen: int
    rule: str = "" #: id, of the newest event
    reason: Reason = Reason.RULE #: of the newest event
    audit: bool = False #: audit mode let it through every time
    generation: int = 0 #: of the newest event
    src: IPAddress | None = None #: first seen source
    dst: IPAddress | None = None
    dst_port: int = 0
    proto: int = 0
    icmp_type: int = 0
    icmp_code: int = 0
    query_type: int = 0 #: dns
    name: str = "" #: dns: queried name; tls: server name
    fqdn: str = "" #: newest name known for dst
    names: Tuple[str, ...] = () #: all names known for dst, newest first

    @classmethod
    def _of(cls, c: _abi.pol_finding) -> Finding:
        def text(value: bytes) -> str:
            return value.decode("utf-8", "replace")
        names = tuple(text(c.names[i].value) for i in range(min(c.name_count, len(c.names))))
        return cls(
            known(FindingType, c.type), text(c.group), c.count, c.first_seen, c.last_seen,
            text(c.rule), known(Reason, c.reason), bool(c.audit), c.generation, ip(c.src),
            ip(c.dst), c.dst_port, c.proto, c.icmp_type, c.icmp_code, c.query_type, text(c.name),
            text(c.fqdn), names)

    def _to_c(self) -> _abi.pol_finding:
        c = _abi.pol_finding()
        c.type = member(FindingType, self.type, "type")
        c.audit = bool(self.audit)
        if self.src is not None:
            c.src = address(self.src)
        if self.dst is not None:
            c.dst = address(self.dst)
        fill(c, [(field, getattr(self, field)) for field in
                 ("count", "first_seen", "last_seen", "reason", "generation", "dst_port", "proto",
                  "icmp_type", "icmp_code", "query_type")])
        for field, highest in (("group", 256), ("rule", 256), ("name", 255), ("fqdn", 255)):
            setattr(c, field, _text(getattr(self, field), highest, field))
        if len(self.names) > len(c.names):
            raise Invalid(f"a finding keeps {len(c.names)} names, not {len(self.names)}")
        c.name_count = len(self.names)
        for i, name in enumerate(self.names):
            c.names[i].value = _text(name, _abi.POL_NAME_MAX, "names")
        return c

    def json(self, node_id: str = "") -> str:
        """As the HTTP API shows it; `node_id` becomes the only entry of node_ids."""
        return written(lib.pol_json_finding, self._to_c(), Text(node_id)).decode()


def _text(value: str, highest: int, what: str) -> bytes:
    octets = encoded(value)
    if len(octets) > highest or b"\0" in octets:
        raise Invalid(f"{what} {value[:40]!r} is longer than {highest} octets or holds a NUL")
    return octets


@dataclass(frozen=True)
class AuditStats:
    findings: int
    capacity: int
    events: int #: merged
    evicted: int


class Audit(Exclusive):
    """A bounded table of findings; eviction respects recency and count.

    Thread class: one thread at a time.
    """

    __slots__ = ()

    def __init__(self, max_findings: int = 10000, context: Context | None = None) -> None:
        context = context_of(context)
        wanted = number(max_findings, 0xFFFFFFFF, "max_findings")
        pointer = ctypes.POINTER(_abi.pol_audit)()
        with context._handle as ctx:
            check(lib.pol_audit_new(ctx, wanted, pointer), f"max_findings {max_findings}")
        super().__init__(pointer, lib.pol_audit_free, context._held)

    def add(self, event: Event, wall: int, policy: Policy | None = None,
            grants: Grants | None = None) -> None:
        """Merges an event into its finding; what is no denial is ignored.

        wall    the event's time of day, milliseconds since 1970
        policy  that of the event's generation, for the ids (Worker.policy_of())
        grants  asked for all names known for the destination
        """
        if not isinstance(event, Event):
            raise TypeError(f"expected an Event, not {type(event).__name__}")
        wall = number(wall, NEVER, "wall")
        with self._mine, _Optional(policy, Policy) as rules, \
                _Optional(grants, Grants) as names:
            check(lib.pol_audit_add(self._pointer, rules, names, event._c, wall), "event")

    def restore(self, finding: Finding) -> None:
        """Adds a finding from a store or from another node: counts are summed, times widened."""
        if not isinstance(finding, Finding):
            raise TypeError(f"expected a Finding, not {type(finding).__name__}")
        c = finding._to_c()
        with self._mine:
            check(lib.pol_audit_restore(self._pointer, c), "finding")

    def merge(self, other: Audit) -> None:
        """Adds all findings of another."""
        if not isinstance(other, Audit):
            raise TypeError(f"expected an Audit, not {type(other).__name__}")
        with self._mine, other._mine:
            lib.pol_audit_merge(self._pointer, other._pointer)

    def find(self, *, types: Iterable[FindingType | str] = (), groups: Iterable[str] = (),
             since: int = 0, until: int = NEVER, limit: int = 500) -> List[Finding]:
        """The findings that fit, newest first, then highest count. Lists are or-ed inside and
        and-ed with each other; empty means any."""
        query = _abi.pol_audit_query()
        lib.pol_audit_query_init(query, ctypes.sizeof(query))
        query.groups, query.group_count = texts(groups)
        if isinstance(types, str):
            raise TypeError("expected a list of types, not one")
        for kind in types:
            query.types |= 1 << member(FindingType, kind, "type")
        fill(query, [("since", since), ("until", until), ("limit", limit)])
        found: List[Finding] = []

        def visit(finding: Finding) -> bool:
            found.append(finding)
            return True
        visitor = _Visitor(visit)
        with self._mine:
            check(lib.pol_audit_find(self._pointer, query, _abi.pol_audit_find_fn(visitor), None),
                  "find")
        visitor.finish()
        return found

    def changes(self, store: Callable[[Finding], object] | None = None) -> List[Finding]:
        """The findings that changed since the last call, which are then forgotten to have changed;
        evicted ones come first, with count 0. With `store` each is given to it: what it raises ends
        the call, and that finding stays changed, as do the following."""
        found: List[Finding] = []

        def visit(finding: Finding) -> bool:
            if store is not None:
                store(finding)
            found.append(finding)
            return True
        visitor = _Visitor(visit)
        with self._mine:
            lib.pol_audit_changes(self._pointer, _abi.pol_audit_changes_fn(visitor), None)
        visitor.finish()
        return found

    @property
    def stats(self) -> AuditStats:
        c = _abi.pol_audit_stats()
        with self._mine:
            lib.pol_audit_stats_get(self._pointer, c)
        return AuditStats(*(getattr(c, field.name) for field in fields(AuditStats)))

    @property
    def memory(self) -> int:
        """Octets of memory that the table holds."""
        with self._mine:
            return lib.pol_audit_memory(self._pointer)

    def __len__(self) -> int:
        return self.stats.findings

    def __bool__(self) -> bool:
        return True # an empty table is a table


class _Visitor:
    """A callback that carries an exception past C: ctypes would print it and go on."""

    def __init__(self, visit: Callable[[Finding], bool]) -> None:
        self.visit = visit
        self.error: BaseException | None = None

    def __call__(self, _user: Any, finding: Any) -> bool:
        if self.error is not None:
            return False
        try:
            return self.visit(Finding._of(finding.contents))
        except BaseException as error: # pylint: disable=broad-except
            self.error = error
            return False

    def finish(self) -> None:
        if self.error is not None:
            raise self.error


class _Optional:
    """The pointer of an object that may be None, for one call."""

    def __init__(self, owner: Owned | None, kind: type[Owned]) -> None:
        if owner is not None and not isinstance(owner, kind):
            raise TypeError(f"expected a {kind.__name__}, not {type(owner).__name__}")
        self.handle = None if owner is None else owner._handle

    def __enter__(self) -> Any:
        return None if self.handle is None else self.handle.hold()

    def __exit__(self, *_: object) -> None:
        if self.handle is not None:
            self.handle.release()
