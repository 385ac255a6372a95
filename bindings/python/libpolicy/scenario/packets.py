# SPDX-License-Identifier: Apache-2.0
"""tcp, udp, icmp, proto and frame: packets, and what they carry."""
from __future__ import annotations

import re
from dataclasses import dataclass

from . import frames
from .frames import CAPACITY, ICMP, ICMPV6, TCP, UDP, WITH_PORTS, Frame
from .hello import hello
from .script import Word
from .settings import read_data
from .words import (
    U8,
    U16,
    U32,
    Args,
    Endpoint,
    Readers,
    StepError,
    choice,
    endpoint,
    try_take,
    yes_no,
)
from .world import SIDES, World

PAYLOAD_BYTES = 131072
MAX_HELLO = 60000
Ends = tuple[Endpoint, Endpoint, bool]  # who sends, to whom, and whether it comes from inside
_FLAGS = {flag: getattr(frames, flag) for flag in ("SYN", "ACK", "FIN", "RST", "PSH", "URG")}


# --- words ---------------------------------------------------------------------------------------


@dataclass
class Travel:
    """How a packet travels, beside its tuple."""

    from_: str | None = None
    vlan: str = ""
    part: str | None = None
    ttl: int = 64
    frag: int = 0
    off: int = 0
    more: bool = False
    id: int = 1
    isn: int | None = None
    at: int | None = None
    flags: int = 0


TRAVEL: Readers = {
    "from": str, "vlan": str, "part": str, "ttl": U8, "frag": U32, "off": U16, "more": yes_no,
    "id": U32, "isn": U32, "at": U32,
}  # fmt: skip


@dataclass
class Carried:
    """What a packet carries, as words."""

    hello: str | None = None
    hex: str = ""
    zeros: int = 0
    pad: int = 0
    records: int = 0
    ech: bool = False
    tls: int = 0
    flight: str | None = None


_CARRIED: Readers = {
    "hello": str, "hex": str, "zeros": U32, "pad": U32, "records": U32, "ech": yes_no,
    "tls": choice("1.3", "1.2"), "flight": str,
}  # fmt: skip


def unhex(text: str) -> bytes:
    """Octets of lower-case hex digits."""
    if not re.fullmatch("([0-9a-f]{2})*", text):
        raise ValueError(text)
    return bytes.fromhex(text)


def take_ends(args: Args) -> Ends:
    """Takes "A > B" or "A < B": who sends, to whom, and whether it comes from inside."""
    left, arrow = args.bare("an address"), args.bare("> or <")
    right = args.bare("the other address")
    try:
        near, far = endpoint(left), endpoint(right)
        if near.family != far.family or arrow not in ("<", ">"):
            raise ValueError(arrow)
    except ValueError:
        raise StepError(f'"{left} {arrow} {right}" are no two ends') from None
    return (near, far, True) if arrow == ">" else (far, near, False)


def check_ports(proto: int, *ends: Endpoint) -> None:
    """A protocol with ports needs them, another has none."""
    wanted = proto in WITH_PORTS
    if all((end.port is not None) == wanted for end in ends):
        return
    missing = "the protocol has ports, and a port is missing"
    raise StepError(missing if wanted else "the protocol has no ports")


def take_payload(world: World, args: Args, travel: Travel) -> bytes:
    """Takes the rest of the words: what the packet carries, and how it travels."""
    carried = Carried()
    octets = b""
    while (word := args.next()) is not None:
        if try_take(word, (TRAVEL, travel), (_CARRIED, carried)):
            continue
        if word.key or not word.quoted:
            raise args.unknown(word)
        octets += word.octets
    try:
        return _fill(world, octets, carried)
    except ValueError:
        raise StepError("the payload makes no sense") from None


def _fill(world: World, octets: bytes, carried: Carried) -> bytes:
    octets += unhex(carried.hex)
    if len(octets) + carried.zeros > PAYLOAD_BYTES or carried.pad > MAX_HELLO:
        raise ValueError("too long")
    octets += bytes(carried.zeros)
    if carried.hello is not None:
        octets += hello(
            None if carried.hello == "-" else carried.hello,
            tls13=carried.tls == 0,
            ech=carried.ech,
            message_len=carried.pad,
            records=carried.records,
        )
    if carried.flight is not None:
        octets += read_data(world.settings.data / f"{carried.flight}.flight")
    return octets


def cut(octets: bytes, part: str) -> bytes:
    """The octets "FROM..TO", or from FROM on."""
    found = re.fullmatch(r"([0-9]+)\.\.([0-9]*)", part)
    begin = int(found[1]) if found else 0
    end = int(found[2]) if found and found[2] else len(octets)
    if not found or not begin <= end <= len(octets):
        raise StepError(f'"{part}" is no part of the {len(octets)} octets')
    return octets[begin:end]


# --- sending -------------------------------------------------------------------------------------


def read_vlan(text: str) -> tuple[int, ...]:
    """"N,N", outermost first; what is behind the fourth is left out."""
    vlan = tuple(U16(number) for number in text.split(",")[:4] if text)
    if any(tag > 4095 for tag in vlan):
        raise ValueError(text)
    return vlan


def _side(world: World, from_: str | None, from_inside: bool) -> int:
    if from_ is not None:
        return SIDES.index(from_)
    if world.settings.ports == 0:
        return SIDES.index("inside" if from_inside else "outside")
    return SIDES.index("unknown")


def send_frame(world: World, frame: Frame, from_inside: bool, travel: Travel) -> None:
    """Sends the frame, and keeps what came of it."""
    try:
        side = _side(world, travel.from_, from_inside)
        frame.vlan = read_vlan(travel.vlan)
    except ValueError:
        side = -1
    if side < 0 or travel.off % 8 or len(frame.payload) + 128 > CAPACITY:
        raise StepError("from, vlan, off or length is wrong")
    frame.hop_limit = travel.ttl
    frame.frag_id, frame.frag_offset, frame.frag_more = travel.frag, travel.off, travel.more
    if frame.proto == TCP:
        world.senders.number(frame, travel.flags, travel.isn, travel.at)
    world.judge(frame.build(), side)


def send_payload(
    world: World,
    ends: Ends,
    proto: int,
    octets: bytes,
    travel: Travel,
) -> None:
    """The same between two ends, and only the part that was asked for."""
    src, dst, from_inside = ends
    if travel.part is not None:
        octets = cut(octets, travel.part)
    frame = Frame(src.addr, dst.addr, proto, src.port or 0, dst.port or 0, octets)
    send_frame(world, frame, from_inside, travel)


def send_octets(world: World, octets: bytes, from_inside: bool, travel: Travel) -> None:
    """Sends a whole Ethernet frame."""
    try:
        side = _side(world, travel.from_, from_inside)
    except ValueError:
        raise StepError("from= is wrong") from None
    world.judge(octets, side)


# --- verbs ---------------------------------------------------------------------------------------


def _read_flags(text: str) -> int:
    flags = 0
    for name in text.removesuffix("+").split("+"):
        if name not in _FLAGS:
            raise StepError(f'"{text}" are no flags')
        flags |= _FLAGS[name]
    return flags


def _play_ported(world: World, args: Args, proto: int) -> None:
    travel = Travel()
    ends = take_ends(args)
    check_ports(proto, *ends[:2])
    if proto == TCP:
        travel.flags = _read_flags(args.bare("TCP flags"))
    octets = take_payload(world, args, travel)
    send_payload(world, ends, proto, octets, travel)


def play_tcp(world: World, args: Args) -> None:
    """tcp A:PORT > B:PORT FLAGS [payload] [key=value]..."""
    _play_ported(world, args, TCP)


def play_udp(world: World, args: Args) -> None:
    """udp A:PORT > B:PORT [payload] [key=value]..."""
    _play_ported(world, args, UDP)


def play_proto(world: World, args: Args) -> None:
    """proto NUMBER A[:PORT] > B[:PORT] [payload] [key=value]..."""
    text = args.bare("a protocol number")
    try:
        proto = U8(text)
    except ValueError:
        proto = TCP
    if proto in (TCP, ICMP, ICMPV6):
        raise StepError(f'"{text}" is no other protocol')
    _play_ported(world, args, proto)


def play_frame(world: World, args: Args) -> None:
    """frame HEX... [key=value]..."""
    travel = Travel()
    octets = b""
    while (word := args.next()) is not None:
        if word.key:
            args.take(word, (TRAVEL, travel))
        else:
            octets += _frame_octets(args, word)
    send_octets(world, octets, True, travel)


def _frame_octets(args: Args, word: Word) -> bytes:
    try:
        return unhex(word.text)
    except ValueError:
        raise args.unknown(word) from None


# --- icmp ----------------------------------------------------------------------------------------

# By name: type and code in ICMP and in ICMPv6.
_KINDS = {
    "echo-request": ((8, 0), (128, 0)),
    "echo-reply": ((0, 0), (129, 0)),
    "net-unreachable": ((3, 0), (1, 0)),
    "port-unreachable": ((3, 3), (1, 4)),
    "too-big": ((3, 4), (2, 0)),
    "time-exceeded": ((11, 0), (3, 0)),
    "redirect": ((5, 1), (137, 0)),
}


def icmp_of(family: int) -> int:
    """The protocol number of ICMP in this family."""
    return ICMPV6 if family == 6 else ICMP


def _read_kind(text: str, family: int) -> tuple[int, int]:
    if text in _KINDS:
        return _KINDS[text][family == 6]
    kind, _, code = text.partition("/")
    try:
        return U8(kind), U8(code)
    except ValueError:
        raise StepError(f'"{text}" is no kind of ICMP') from None


def _read_protocol(text: str, family: int) -> int:
    known = {"tcp": TCP, "udp": UDP, "icmp": icmp_of(family)}
    try:
        return known[text] if text in known else U8(text)
    except ValueError:
        raise StepError(f'"{text}" is no protocol') from None


def _take_about(args: Args, family: int, ident: int) -> bytes:
    """The IP header and 8 octets of what an error complains about (RFC 792)."""
    proto = _read_protocol(args.bare("the protocol of the inner packet"), family)
    src, dst, _ = take_ends(args)
    check_ports(proto, src, dst)
    inner = Frame(src.addr, dst.addr, proto, src.port or 0, dst.port or 0, link=False)
    if proto == icmp_of(family):
        inner.icmp_type = 128 if family == 6 else 8
        inner.src_port = ident
    if src.family != family:
        raise StepError("the inner packet is of another family")
    return inner.build()[: 48 if family == 6 else 28]


def _peek_id(args: Args) -> int:
    """id=, which the inner packet needs before the words are taken in order."""
    found = [word.text for word in args.rest if word.key == "id"]
    return U16(found[-1]) if found and found[-1].isdecimal() else 1


def play_icmp(world: World, args: Args) -> None:
    """icmp A > B KIND [about PROTOCOL A:PORT > B:PORT] [key=value]..."""
    src, dst, from_inside = take_ends(args)
    kind = _read_kind(args.bare("the kind of ICMP packet"), src.family)
    travel = Travel()
    about = b""
    word = args.peek()
    is_error = word is not None and word.is_bare("about")
    if is_error:
        args.next()
        about = _take_about(args, src.family, _peek_id(args))
    octets = about + take_payload(world, args, travel)
    frame = Frame(src.addr, dst.addr, icmp_of(src.family), payload=octets)
    frame.icmp_type, frame.icmp_code = kind
    if not is_error:
        frame.src_port, frame.dst_port = travel.id & 0xFFFF, 1
    send_frame(world, frame, from_inside, travel)
