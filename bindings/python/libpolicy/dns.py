# SPDX-License-Identifier: Apache-2.0
"""Whole DNS messages: what a proxy judges, learns from and refuses. A worker that sees the packets
does all of this itself."""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from . import _abi
from ._abi import DnsRefusal, GrantKind
from ._native import lib
from ._values import Buffer, IPAddress, Octets, ip, known, member, written
from .verdict import Verdict


class DnsQuery:
    """A query that was judged, and who gets the grants of its answer. A value."""

    __slots__ = ("_c",)

    def __init__(self, c: _abi.pol_dns_query) -> None:
        if not isinstance(c, _abi.pol_dns_query): # the library would take None for no address
            raise TypeError(f"expected a pol_dns_query, not {type(c).__name__}")
        self._c = c

    @property
    def client(self) -> IPAddress | None:
        return ip(self._c.client)

    @property
    def id(self) -> int:
        return self._c.id

    @property
    def qtype(self) -> int:
        return self._c.qtype

    @property
    def qclass(self) -> int:
        return self._c.qclass

    @property
    def name(self) -> str:
        return self._c.name.decode("utf-8", "replace")

    @property
    def kind(self) -> GrantKind:
        """What its answers are good for."""
        return known(GrantKind, self._c.kind)

    @property
    def grantees(self) -> list[int]:
        """Group keys, in group order."""
        return list(self._c.grantees[:self._c.grantee_count])

    def __repr__(self) -> str:
        return f"<DnsQuery {self.name} type {self.qtype} from {self.client}>"


class DnsDecision(NamedTuple):
    """ALLOW: forward the query and keep it; ANSWER: dns.refuse() it; DENY: it cannot be refused."""

    verdict: Verdict
    query: DnsQuery


@dataclass(frozen=True)
class DnsLearned:
    """What an answer has taught."""

    addresses: int #: reached from the question
    added: int #: new grants, over all groups
    refreshed: int #: grants that were there
    rcode: int


def refuse(query: Buffer, refusal: DnsRefusal | str = DnsRefusal.NXDOMAIN) -> bytes:
    """The answer to a query that is not forwarded. Raises Format for what cannot be answered."""
    return written(lib.pol_dns_refuse, Octets(query), member(DnsRefusal, refusal, "refusal"),
                   what="query")
