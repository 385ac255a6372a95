# SPDX-License-Identifier: Apache-2.0
"""Builds frames: Ethernet, VLAN tags, IPv4 and IPv6 with fragments, TCP, UDP, ICMP and others.

    Frame(ip_address("10.0.0.5"), ip_address("192.0.2.1"), TCP, src_port=40000, dst_port=443,
          tcp_flags=SYN).build()

Lengths and checksums come out right.
"""
from __future__ import annotations

from dataclasses import dataclass
from struct import pack, unpack

from .words import Address

ICMP, IGMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDPLITE = 1, 2, 6, 17, 33, 58, 132, 136
HOPOPTS, FRAGMENT = 0, 44
FIN, SYN, RST, PSH, ACK, URG = (1 << bit for bit in range(6))
WITH_PORTS = frozenset((TCP, UDP, UDPLITE, SCTP, DCCP))
CAPACITY = 4096  # octets of a frame
_MACS = bytes((2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1))


@dataclass
class Frame:
    """What to build; the defaults have a useful meaning."""

    src: Address
    dst: Address
    proto: int
    src_port: int = 0  # ICMP: identifier
    dst_port: int = 0  # ICMP: sequence number
    payload: bytes = b""
    link: bool = True  # False: without Ethernet header
    vlan: tuple[int, ...] = ()  # the last tag is 802.1Q, those before it 802.1ad
    hop_limit: int = 64
    extensions: bytes = b""  # whole IPv6 extension headers; the last names proto itself
    first_extension: int = 0
    frag_id: int = 0
    frag_offset: int = 0  # octets; above 0 the payload follows without an L4 header
    frag_more: bool = False
    tcp_seq: int = 0
    tcp_ack: int = 0
    tcp_flags: int = 0
    icmp_type: int = 0
    icmp_code: int = 0

    def build(self) -> bytes:
        """The octets."""
        l4 = self._l4() + self.payload if self.frag_offset == 0 else self.payload
        ip = self._ipv6(l4) if self.src.version == 6 else self._ipv4(l4)
        return self._link() + ip

    @property
    def is_fragment(self) -> bool:
        """Whether it is a part of a datagram."""
        return self.frag_more or self.frag_offset > 0

    def _link(self) -> bytes:
        if not self.link:
            return b""
        ether_type = 0x86DD if self.src.version == 6 else 0x0800
        return _MACS + tags(self.vlan) + pack(">H", ether_type)

    def _ipv4(self, l4: bytes) -> bytes:
        fragment = (0x2000 if self.frag_more else 0) | self.frag_offset // 8
        head = pack(">BBHHH", 0x45, 0, 20 + len(l4), self.frag_id & 0xFFFF, fragment)
        head += pack(">BBH", self.hop_limit or 64, self.proto, 0)
        head += self.src.packed + self.dst.packed
        return head[:10] + pack(">H", checksum(head)) + head[12:] + l4

    def _ipv6(self, l4: bytes) -> bytes:
        inner = self.first_extension if self.extensions else self.proto
        behind = self.extensions + l4
        if self.is_fragment:
            behind = self._fragment(inner) + behind
        first = FRAGMENT if self.is_fragment else inner
        head = pack(">IHBB", 0x60000000, len(behind), first, self.hop_limit or 64)
        return head + self.src.packed + self.dst.packed + behind

    def _fragment(self, inner: int) -> bytes:
        return pack(">BBHI", inner, 0, self.frag_offset | self.frag_more, self.frag_id)

    def _l4(self) -> bytes:
        """The header; its checksum covers the payload too."""
        head, at = self._l4_header()
        if not at or self.is_fragment:
            return head
        value = checksum(self._pseudo(len(head)) + head + self.payload)
        if self.proto == UDP and value == 0:
            value = 0xFFFF
        return head[:at] + pack(">H", value) + head[at + 2 :]

    def _l4_header(self) -> tuple[bytes, int]:
        """The header, and where its checksum is; 0 where there is none."""
        ports = pack(">HH", self.src_port, self.dst_port)
        if self.proto == TCP:
            seq, ack = self.tcp_seq & 0xFFFFFFFF, self.tcp_ack & 0xFFFFFFFF
            return ports + pack(">IIBBHI", seq, ack, 5 << 4, self.tcp_flags, 65535, 0), 16
        if self.proto in (UDP, UDPLITE):
            return ports + pack(">HH", 8 + len(self.payload) if self.proto == UDP else 0, 0), 6
        if self.proto in (ICMP, ICMPV6):
            return pack(">BBH", self.icmp_type, self.icmp_code, 0) + ports, 2
        if self.proto == SCTP:
            return ports + pack(">II", 1, 0), 0
        if self.proto == DCCP:
            return ports + pack(">BBHBBHI", 4, 0, 0, 1, 0, 0, 1), 0
        return b"", 0

    def _pseudo(self, header: int) -> bytes:
        """All but ICMPv4 cover a pseudo header too (RFC 9293 3.1, RFC 8200 8.1)."""
        if self.proto == ICMP:
            return b""
        length = header + len(self.payload)
        return self.src.packed + self.dst.packed + pack(">II", length, self.proto)


def tags(vlan: tuple[int, ...]) -> bytes:
    """VLAN tags, outermost first."""
    outer = b"".join(pack(">HH", 0x88A8, tag) for tag in vlan[:-1])
    return outer + (pack(">HH", 0x8100, vlan[-1]) if vlan else b"")


def checksum(octets: bytes) -> int:
    """RFC 1071."""
    even = octets + b"\0" if len(octets) % 2 else octets
    total: int = sum(unpack(f">{len(even) // 2}H", even))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
