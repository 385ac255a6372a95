# SPDX-License-Identifier: Apache-2.0
"""Writes DNS messages (RFC 1035 4.1).

    query = Message.query("www.example.com", TYPES["A"], 0x1234)
    answer = query.response()
    answer.record("www.example.com", TYPES["A"], ip_address("192.0.2.1").packed, ttl=60)
"""
from __future__ import annotations

import re
from struct import pack, pack_into, unpack_from

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "AAAA": 28, "DNAME": 39, "SVCB": 64, "HTTPS": 65}
_HEADER = 12
_IPV4_HINT, _IPV6_HINT = 4, 6  # RFC 9460 14.3.2


def encode_name(name: str) -> bytes:
    """Wire form of a name, uncompressed; "\\DDD" is one octet, "." the root."""
    labels = [_octets(label) for label in name.split(".")]
    wire = b"".join(bytes([len(label)]) + label for label in labels if label)
    return wire + b"\0"


def _octets(label: str) -> bytes:
    octets = label.encode("utf-8", "surrogateescape")
    return re.sub(rb"\\([0-9]{3})", lambda found: bytes([int(found[1]) & 0xFF]), octets)


class Message:
    """A message under construction."""

    def __init__(self, octets: bytes, question_end: int) -> None:
        self.octets = bytearray(octets)
        self.question_end = question_end
        self.section = 1  # records are counted here: 1 answer, 2 authority, 3 additional
        self.record_class = 1

    @classmethod
    def query(cls, name: str, qtype: int, ident: int) -> Message:
        """A query with RD set and without OPT."""
        octets = pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0)
        octets += encode_name(name) + pack(">HH", qtype, 1)
        return cls(octets, len(octets))

    def response(self, rcode: int = 0) -> Message:
        """A response to this query, without records."""
        answer = Message(self.octets[: self.question_end], self.question_end)
        answer.set_flags(0x8080 | rcode)
        answer.octets[6:12] = bytes(6)
        return answer

    def repeat_question(self) -> None:
        """Asks the same once more in the same message."""
        self.octets += self.octets[_HEADER : self.question_end]
        self._count(0)

    @property
    def ident(self) -> int:
        """The identifier."""
        return int(unpack_from(">H", self.octets)[0])

    @ident.setter
    def ident(self, ident: int) -> None:
        pack_into(">H", self.octets, 0, ident & 0xFFFF)

    def set_flags(self, flags: int) -> None:
        """Sets bits of the flag word, such as 0x0200 for TC."""
        pack_into(">H", self.octets, 2, unpack_from(">H", self.octets, 2)[0] | flags)

    def clear_response(self) -> None:
        """Clears QR: it is a query then."""
        self.octets[2] &= 0x7F

    def record(self, owner: str, rtype: int, data: bytes, ttl: int = 300) -> None:
        """Adds a record with this data."""
        self._begin(owner, rtype, ttl)
        self._end(data)

    def name_record(self, owner: str, rtype: int, target: str, ttl: int = 300) -> None:
        """Adds a record whose data is a name: CNAME, DNAME, NS."""
        at = self._begin(owner, rtype, ttl)
        self._name(target)
        pack_into(">H", self.octets, at, len(self.octets) - at - 2)

    def service(
        self,
        owner: str,
        rtype: int,
        target: str,
        ttl: int = 300,
        ipv4: bytes = b"",
        ipv6: bytes = b"",
    ) -> None:
        """Adds an HTTPS or SVCB record; without a hint it is an alias."""
        data = pack(">H", 1 if ipv4 or ipv6 else 0) + encode_name(target)
        for key, hint in ((_IPV4_HINT, ipv4), (_IPV6_HINT, ipv6)):
            data += pack(">HH", key, len(hint)) + hint if hint else b""
        self.record(owner, rtype, data, ttl)

    def _begin(self, owner: str, rtype: int, ttl: int) -> int:
        """Up to the length of the data, whose position is returned."""
        self._name(owner)
        self.octets += pack(">HHIH", rtype, self.record_class, ttl, 0)
        self._count(self.section)
        return len(self.octets) - 2

    def _end(self, data: bytes) -> None:
        self.octets[-2:] = pack(">H", len(data))
        self.octets += data

    def _count(self, section: int) -> None:
        at = 4 + 2 * section
        pack_into(">H", self.octets, at, unpack_from(">H", self.octets, at)[0] + 1)

    def _name(self, name: str) -> None:
        """A name, compressed against all that stands before it."""
        wire = encode_name(name)
        while len(wire) > 1:
            found = self.octets.find(wire, _HEADER, 0x4000 + len(wire)) if len(wire) > 2 else -1
            if found >= 0:
                self.octets += pack(">H", 0xC000 | found)
                return
            self.octets += wire[: 1 + wire[0]]
            wire = wire[1 + wire[0] :]
        self.octets += b"\0"
