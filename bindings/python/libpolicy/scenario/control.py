# SPDX-License-Identifier: Apache-2.0
"""ether, group, dhcp and dhcp6: link control."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from struct import pack

from .frames import HOPOPTS, ICMPV6, IGMP, UDP, Frame, tags
from .packets import (
    TRAVEL,
    Ends,
    Travel,
    read_vlan,
    send_frame,
    send_octets,
    send_payload,
    take_ends,
    take_payload,
)
from .words import U8, U32, Address, Args, Endpoint, Readers, StepError, address, time, yes_no
from .world import World

# --- ether: frames without IP --------------------------------------------------------------------

_ETHER_TYPES = {"arp": 0x0806, "eapol": 0x888E, "lldp": 0x88CC, "stp": 0}
_ETHER_MACS = bytes((1, 0x80, 0xC2, 0, 0, 0, 2, 0, 0, 0, 0, 1))
_SPANNING_TREE = bytes((0x42, 0x42, 3)) + bytes(43)


def _ether_type(text: str) -> int:
    if text in _ETHER_TYPES:
        return _ETHER_TYPES[text]
    if not re.fullmatch("[0-9a-f]{4}", text):
        raise StepError(f'"{text}" is no kind of frame')
    return int(text, 16)


def _ether(ether_type: int, vlan: tuple[int, ...]) -> bytes:
    """A frame of its type and 46 octets; spanning tree has a length and LLC instead."""
    rest = bytes(46) if ether_type else _SPANNING_TREE
    return _ETHER_MACS + tags(vlan) + pack(">H", ether_type or len(rest)) + rest


def play_ether(world: World, args: Args) -> None:
    """ether KIND > | <  [key=value]..."""
    ether_type = _ether_type(args.bare("the kind of frame"))
    arrow = args.bare("> or <")
    if arrow not in ("<", ">"):
        raise StepError(f'"{arrow}" is not > or <')
    travel = Travel()
    octets = take_payload(world, args, travel)
    try:
        octets += _ether(ether_type, read_vlan(travel.vlan))
    except ValueError:
        raise StepError("vlan= is wrong") from None
    send_octets(world, octets, arrow == ">", travel)


# --- group: IGMP and MLD -------------------------------------------------------------------------

_ACTS = ("join", "leave", "query")
# By act: the type of each version, from version 1 on.
_IGMP = {"join": (0x12, 0x16, 0x22), "leave": (0x17, 0x17, 0x22), "query": (0x11, 0x11, 0x11)}
_MLD = {"join": (131, 143), "leave": (132, 143), "query": (130, 130)}
_ROUTER_ALERT = bytes((ICMPV6, 0, 5, 2, 0, 0, 1, 0))


@dataclass
class _Group:
    act: str
    version: int = 0
    alert: bool = True

    def record(self, group: Address) -> bytes:
        """RFC 3376 4.2.12: a filter that excludes nothing joins, one that includes nothing
        leaves."""
        return bytes((4 if self.act == "join" else 3, 0, 0, 0)) + group.packed


_GROUP: Readers = {"version": U8, "alert": yes_no}


def _igmp(words: _Group, src: Address, group: Address) -> Frame:
    """Where the protocol sends it: RFC 2236 9, RFC 3376 4.2.14."""
    kind = _IGMP[words.act][words.version - 1]
    head = bytes((kind, 0, 0, 0))
    if kind == 0x22:
        dst, body = ip_address("224.0.0.22"), pack(">HH", 0, 1) + words.record(group)
    else:
        dst = ip_address("224.0.0.2") if words.act == "leave" else group
        body = group.packed
    return Frame(src, dst, IGMP, payload=head + body)


def _mld(words: _Group, src: Address, group: Address) -> Frame:
    """RFC 2710 5, RFC 3810 5.2.14. The fields behind the checksum are the frame's "ports"."""
    frame = Frame(src, group, ICMPV6, payload=group.packed)
    frame.icmp_type = _MLD[words.act][words.version - 1]
    if words.alert:
        frame.extensions, frame.first_extension = _ROUTER_ALERT, HOPOPTS
    if frame.icmp_type == 143:
        frame.dst, frame.dst_port = ip_address("ff02::16"), 1
        frame.payload = words.record(group)
    elif words.act == "leave":
        frame.dst = ip_address("ff02::2")
    return frame


def play_group(world: World, args: Args) -> None:
    """group A > GROUP join | leave | query  [version=N] [alert=no] [key=value]..."""
    src, group, from_inside = take_ends(args)
    act = args.bare("join, leave or query")
    if act not in _ACTS:
        raise StepError(f'"{act}" is not join, leave or query')
    travel, words = Travel(ttl=1), _Group(act)
    args.take_rest((TRAVEL, travel), (_GROUP, words))
    newest = 3 if src.family == 4 else 2
    words.version = words.version or newest
    if words.version > newest:
        raise StepError("there is no such version")
    make = _igmp if src.family == 4 else _mld
    send_frame(world, make(words, src.addr, group.addr), from_inside, travel)


# --- dhcp ----------------------------------------------------------------------------------------

_DHCP_TYPES = "discover offer request decline ack nak release inform".split()
_DHCP6_TYPES = (
    "solicit advertise request confirm renew rebind reply release decline reconfigure "
    "information-request"
).split()


@dataclass
class _Dhcp:
    travel: Travel = field(default_factory=Travel)
    xid: int = 1
    client: int = 5
    server: str | None = None
    relay: str | None = None
    lease: int = 0


_DHCP: Readers = {"xid": U32, "client": U8, "server": str, "relay": str, "lease": time}


def _option(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


def _ipv4(text: str | None) -> bytes:
    """Its octets, or none where none was given."""
    if text is None:
        return b""
    try:
        addr = address(text)
    except ValueError:
        addr = None
    if addr is None or addr.version != 4:
        raise StepError("server= or relay= is no IPv4 address")
    return addr.packed


def _dhcp(words: _Dhcp, kind: int, reply: bool) -> bytes:
    """RFC 2131 2, with an Ethernet client."""
    server, relay = _ipv4(words.server), _ipv4(words.relay)
    hardware = bytes((2, 0, 0, 0, 0, words.client))
    head = pack(">BBBBI16s", 2 if reply else 1, 1, 6, 0, words.xid, b"")
    head += pack(">4s16s192sI", relay, hardware, b"", 0x63825363)
    options = _option(53, bytes([kind]))
    options += _option(54, server) if server else b""
    options += _option(51, pack(">I", words.lease // 10**9)) if words.lease else b""
    return head + options + b"\xff"


def _with_ports(ends: Ends, src: int, dst: int) -> Ends:
    """The ports of who speaks, unless the scenario says others."""
    first, second, from_inside = ends
    if first.port is None:
        first = Endpoint(first.addr, src)
    if second.port is None:
        second = Endpoint(second.addr, dst)
    return first, second, from_inside


def _take_kind(args: Args, types: list[str], family: int) -> tuple[Ends, str]:
    ends = take_ends(args)
    kind = args.bare("the kind of message")
    if kind not in types or ends[0].family != family:
        raise StepError(f'"{kind}" is no kind of message')
    return ends, kind


def play_dhcp(world: World, args: Args) -> None:
    """dhcp A > B KIND [xid=N] [client=N] [server=ADDR] [relay=ADDR] [lease=TIME] ..."""
    ends, kind = _take_kind(args, _DHCP_TYPES, 4)
    words = _Dhcp()
    args.take_rest((TRAVEL, words.travel), (_DHCP, words))
    reply = kind in ("offer", "ack", "nak")
    ends = _with_ports(ends, *((67, 68) if reply else (68, 67)))
    octets = _dhcp(words, _DHCP_TYPES.index(kind) + 1, reply)
    send_payload(world, ends, UDP, octets, words.travel)


def play_dhcp6(world: World, args: Args) -> None:
    """dhcp6 A > B KIND [key=value]..."""
    ends, kind = _take_kind(args, _DHCP6_TYPES, 6)
    reply = kind in ("advertise", "reply", "reconfigure")
    ends = _with_ports(ends, *((547, 546) if reply else (546, 547)))
    travel = Travel()
    octets = bytes((_DHCP6_TYPES.index(kind) + 1, 1, 2, 3)) + take_payload(world, args, travel)
    send_payload(world, ends, UDP, octets, travel)
