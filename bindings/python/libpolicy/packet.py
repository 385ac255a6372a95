# SPDX-License-Identifier: Apache-2.0
"""Frames taken apart, one by one and in batches."""
from __future__ import annotations

import ctypes
import itertools
import threading
from array import array
from typing import Any, Iterable, Protocol, Sequence, Union, overload, runtime_checkable

from . import _abi
from ._abi import Link, PacketKind, PacketMark, Side, TcpFlag
from ._batch import Batch
from ._handle import turn
from ._native import lib
from ._values import (PROTOCOLS, Address, Buffer, IPAddress, Octets, address, ip, known, listed,
                      member, memory_of, number, plain, protocol)
from .errors import Invalid, check

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
FLAG_LETTERS = {"F": TcpFlag.FIN, "S": TcpFlag.SYN, "R": TcpFlag.RST, "P": TcpFlag.PSH,
                "A": TcpFlag.ACK, "U": TcpFlag.URG}
L4_HEADER = {TCP: 20, UDP: 8, ICMP: 8, ICMPV6: 8, 132: 12, 136: 8, 33: 12}
UINT32_MAX = 0xFFFFFFFF

Flags = Union[str, int, TcpFlag]

# What scapy calls the first layer.
LAYERS = {"Ether": Link.ETHERNET, "Dot3": Link.ETHERNET, "IP": Link.RAW_IP, "IPv6": Link.RAW_IP,
          "CookedLinux": Link.LINUX_SLL, "CookedLinuxV2": Link.LINUX_SLL2}


@runtime_checkable
class Layered(Protocol):
    """A packet made of layers, as those of scapy, which is not needed for it."""

    def haslayer(self, cls: Any) -> Any: ...

    def __bytes__(self) -> bytes: ...


def layered_link(frame: object) -> Link | None:
    """What the first octet of a packet made of layers is; None for what has none."""
    if isinstance(frame, (bytes, bytearray, memoryview)) or not isinstance(frame, Layered):
        return None
    for kind in type(frame).__mro__:
        if kind.__name__ in LAYERS:
            return LAYERS[kind.__name__]
    raise Invalid(f"a packet that begins with {type(frame).__name__}; one that begins with "
                  f"{', '.join(LAYERS)} is needed")


def tcp_flags(value: Flags) -> int:
    """Flags from the letters FSRPAU, as tcpdump has them, or their number."""
    if isinstance(value, str):
        if set(value.upper()) - set(FLAG_LETTERS):
            raise Invalid(f"TCP flags {value!r} are not letters of {''.join(FLAG_LETTERS)}")
        return sum(FLAG_LETTERS[letter] for letter in set(value.upper()))
    return number(value, 255, "TCP flags")


class Tuple:
    """Addresses, protocol and ports: a value."""

    __slots__ = ("src", "dst", "proto", "sport", "dport")

    def __init__(self, c: _abi.pol_tuple) -> None:
        self.src, self.dst = ip(c.src), ip(c.dst)
        self.proto, self.sport, self.dport = c.proto, c.src_port, c.dst_port

    def _key(self) -> tuple[object, ...]:
        return (self.src, self.dst, self.proto, self.sport, self.dport)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tuple):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        names = {number: name for name, number in PROTOCOLS.items()}
        return f"{names.get(self.proto, self.proto)} {end(self.src, self.sport)} > " \
               f"{end(self.dst, self.dport)}"

    def __repr__(self) -> str:
        return f"<Tuple {self}>"


def end(host: IPAddress | None, port: int) -> str:
    if host is not None and host.version == 6:
        return f"[{host}]:{port}"
    return f"{host}:{port}"


class _Number:
    """A number of pol_packet, with its range."""

    def __init__(self, highest: int) -> None:
        self.highest = highest

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, packet: None, owner: type) -> _Number: ...

    @overload
    def __get__(self, packet: Packet, owner: type) -> int: ...

    def __get__(self, packet: Packet | None, owner: type) -> _Number | int:
        if packet is None:
            return self
        value: int = getattr(packet._c, self.name)
        return value

    def __set__(self, packet: Packet, value: int) -> None:
        setattr(packet._c, self.name, number(value, self.highest, self.name))


class Packet:
    """One packet, as decisions need it.

    From a frame with Packet.parse(), or from what is said of it:

        Packet(src="10.0.0.5", dst="192.0.2.10", proto="tcp", sport=40000, dport=443)

    which is a SYN, an echo request for ICMP, from inside, with a hop limit of 64. It keeps the
    frame or payload that it borrows alive. Thread class: one thread at a time.
    """

    __slots__ = ("_c", "_kept")

    tcp_seq, tcp_ack, frag_id = _Number(UINT32_MAX), _Number(UINT32_MAX), _Number(UINT32_MAX)
    hop_limit, icmp_type, icmp_code = _Number(255), _Number(255), _Number(255)
    frag_offset, frag_len, segment_len = _Number(65535), _Number(65535), _Number(65535)
    ether_type, l4_offset, frag_more = _Number(65535), _Number(65535), _Number(1)
    wire_len, ip_len = _Number(UINT32_MAX), _Number(UINT32_MAX)

    def __init__(self, *, src: Address, dst: Address, proto: int | str = "tcp", sport: int = 0,
                 dport: int = 0, flags: Flags | None = None, payload: Buffer = b"",
                 side: Side | str = Side.INSIDE, vlan: int | Sequence[int] = (),
                 hop_limit: int = 64, seq: int = 0, ack: int = 0, icmp_type: int | None = None,
                 icmp_code: int = 0, frag_id: int = 0, frag_offset: int = 0,
                 frag_more: bool = False, inner: Packet | None = None, ip_len: int | None = None,
                 segment_len: int = 0) -> None:
        """
        flags        letters or TcpFlag; a SYN unless given
        sport        of an echo or another ICMP query: its identifier
        icmp_type    unless given that of an echo request
        frag_offset  octets; a fragment's payload is what follows the IP header when it is a later
                     one, and what follows the L4 header when it is the first
        inner        the packet that an ICMP error quotes
        ip_len       octets of the datagram, if the payload does not say it
        """
        self._c = c = _abi.pol_packet()
        self._kept: object = None
        c.kind = PacketKind.IP
        c.tuple.src, c.tuple.dst = address(src), address(dst)
        if c.tuple.src.family != c.tuple.dst.family:
            raise Invalid("source and destination are of different families")
        c.tuple.proto = protocol(proto)
        c.ether_type = 0x0800 if c.tuple.src.family == 4 else 0x86DD
        c.hop_limit = number(hop_limit, 255, "hop_limit")
        c.segment_len = number(segment_len, 65535, "segment_len")
        self.side = member(Side, side, "side")
        self._set_l4(sport, dport, flags, seq, ack)
        self._set_icmp(icmp_type, icmp_code, inner)
        self._set_vlan(vlan)
        self.payload = payload
        self._set_lengths(ip_len)
        self._set_fragment(frag_id, frag_offset, frag_more)

    def _set_l4(self, sport: int, dport: int, flags: Flags | None, seq: int, ack: int) -> None:
        c = self._c
        c.tuple.src_port = number(sport, 65535, "sport")
        c.tuple.dst_port = number(dport, 65535, "dport")
        c.tcp_seq, c.tcp_ack = number(seq, UINT32_MAX, "seq"), number(ack, UINT32_MAX, "ack")
        if c.tuple.proto == TCP:
            c.tcp_flags = tcp_flags(TcpFlag.SYN if flags is None else flags)
        elif flags is not None:
            raise Invalid("only TCP has flags")
        if c.tuple.proto not in L4_HEADER:
            c.marks |= PacketMark.NO_L4

    def _set_icmp(self, kind: int | None, code: int, inner: Packet | None) -> None:
        c = self._c
        if c.tuple.proto not in (ICMP, ICMPV6):
            if kind is not None or inner is not None:
                raise Invalid("only ICMP has a type or quotes a packet")
            return
        if kind is None:
            kind = 8 if c.tuple.proto == ICMP else 128
        c.icmp_type, c.icmp_code = number(kind, 255, "icmp_type"), number(code, 255, "icmp_code")
        if inner is not None:
            if not isinstance(inner, Packet):
                raise TypeError(f"inner: expected a Packet, not {type(inner).__name__}")
            c.inner = inner._c.tuple
            c.marks |= PacketMark.ICMP_ERROR

    def _set_vlan(self, vlan: int | Sequence[int]) -> None:
        tags = [vlan] if isinstance(vlan, int) else list(vlan)
        if len(tags) > 2:
            raise Invalid("a packet keeps two VLAN tags")
        self._c.vlan_count = len(tags)
        for i, tag in enumerate(tags):
            self._c.vlan[i] = number(tag, 4095, "vlan")

    def _set_lengths(self, ip_len: int | None) -> None:
        c = self._c
        header = 20 if c.tuple.src.family == 4 else 40
        if ip_len is None:
            ip_len = header + L4_HEADER.get(c.tuple.proto, 0) + c.payload.len
        c.ip_len = number(ip_len, UINT32_MAX, "ip_len")
        # 14 of Ethernet; the largest number also where that would not fit any more.
        c.wire_len = min(c.ip_len + 14 + 4 * c.vlan_count, UINT32_MAX)
        c.l4_offset = 14 + 4 * c.vlan_count + header

    def _set_fragment(self, identification: int, offset: int, more: bool) -> None:
        c = self._c
        if not offset and not more:
            return
        header = 20 if c.tuple.src.family == 4 else 40
        c.marks |= PacketMark.FRAGMENT
        c.frag_id = number(identification, UINT32_MAX, "frag_id")
        c.frag_offset = number(offset, 65535, "frag_offset")
        c.frag_more = bool(more)
        if offset:
            c.marks |= PacketMark.NO_L4
            c.tuple.src_port = c.tuple.dst_port = c.tcp_flags = 0
            self._set_lengths(header + c.payload.len)
        c.frag_len = number(c.ip_len - header, 65535, "length of the fragment")

    @classmethod
    def parse(cls, frame: Buffer | Layered, link: Link | str | None = None, *,
              wire_len: int | None = None, side: Side | str = Side.UNKNOWN) -> Packet:
        """Takes a frame apart. A malformed one is a packet too, with a mark that makes every worker
        deny it. The frame is borrowed, not copied, except where it is read-only memory other than
        bytes. A packet of scapy is a frame too; unless `link` is given it follows from the first
        layer, and is Ethernet for octets."""
        found = layered_link(frame)
        if link is None:
            link = Link.ETHERNET if found is None else found
        octets = Octets(bytes(frame) if isinstance(frame, Layered) else frame)
        packet = cls.__new__(cls)
        packet._c, packet._kept = _abi.pol_packet(), octets.kept
        length = octets.len if wire_len is None else wire_len
        status = lib.pol_packet_parse(octets, member(Link, link, "link"),
                                      number(length, UINT32_MAX, "wire_len"), packet._c)
        if status == _abi.Status.E_INVALID:
            check(status)
        packet.side = member(Side, side, "side")
        return packet

    @classmethod
    def _view(cls, c: _abi.pol_packet, kept: object) -> Packet:
        packet = cls.__new__(cls)
        packet._c, packet._kept = c, kept
        return packet

    def copy(self) -> Packet:
        """A packet of its own, with a copy of the payload."""
        copied = self._view(_abi.pol_packet.from_buffer_copy(self._c), None)
        copied.payload = self.payload
        return copied

    __copy__ = copy

    def __deepcopy__(self, _memo: object) -> Packet:
        return self.copy()

    # -- what it says

    @property
    def src(self) -> IPAddress | None:
        return ip(self._c.tuple.src)

    @src.setter
    def src(self, value: Address) -> None:
        self._c.tuple.src = address(value)

    @property
    def dst(self) -> IPAddress | None:
        return ip(self._c.tuple.dst)

    @dst.setter
    def dst(self, value: Address) -> None:
        self._c.tuple.dst = address(value)

    @property
    def proto(self) -> int:
        return self._c.tuple.proto

    @proto.setter
    def proto(self, value: int | str) -> None:
        self._c.tuple.proto = protocol(value)

    @property
    def sport(self) -> int:
        return self._c.tuple.src_port

    @sport.setter
    def sport(self, value: int) -> None:
        self._c.tuple.src_port = number(value, 65535, "sport")

    @property
    def dport(self) -> int:
        return self._c.tuple.dst_port

    @dport.setter
    def dport(self, value: int) -> None:
        self._c.tuple.dst_port = number(value, 65535, "dport")

    @property
    def flags(self) -> TcpFlag:
        return TcpFlag(self._c.tcp_flags)

    @flags.setter
    def flags(self, value: Flags) -> None:
        self._c.tcp_flags = tcp_flags(value)

    @property
    def side(self) -> Side:
        return known(Side, self._c.side)

    @side.setter
    def side(self, value: Side | str) -> None:
        self._c.side = member(Side, value, "side")

    @property
    def payload(self) -> bytes:
        """A copy of the L4 payload."""
        borrowed = self._c.payload
        if not borrowed.len or borrowed.ptr is None:
            return b""
        return ctypes.string_at(borrowed.ptr, borrowed.len)

    @payload.setter
    def payload(self, value: Buffer) -> None:
        octets = Octets(value)
        if isinstance(self._kept, _Place):
            self._kept.batch._set_payload(self._kept.place, octets)
        else:
            self._kept = octets.kept
            self._c.payload = octets

    @property
    def inner(self) -> Tuple | None:
        """What an ICMP error quotes."""
        if not self._c.marks & PacketMark.ICMP_ERROR:
            return None
        return Tuple(self._c.inner)

    @property
    def tuple(self) -> Tuple:
        return Tuple(self._c.tuple)

    @property
    def kind(self) -> PacketKind:
        return known(PacketKind, self._c.kind)

    @property
    def marks(self) -> PacketMark:
        return PacketMark(self._c.marks)

    @marks.setter
    def marks(self, value: PacketMark) -> None:
        self._c.marks = number(value, UINT32_MAX, "marks")

    @property
    def malformed(self) -> bool:
        return bool(self._c.marks & PacketMark.MALFORMED)

    @property
    def vlan(self) -> list[int]:
        """VLAN identifiers, outermost first."""
        return list(self._c.vlan[:min(self._c.vlan_count, 2)])

    def __repr__(self) -> str:
        if self.kind is not PacketKind.IP:
            return f"<Packet {self.kind.name.lower()}, {self._c.wire_len} octets>"
        return f"<Packet {self.tuple}, {self._c.ip_len} octets>"


class _Place:
    """What a view of a packet in a batch keeps: the batch, which keeps what the packet borrows."""

    __slots__ = ("batch", "place")

    def __init__(self, batch: PacketBatch, place: int) -> None:
        self.batch = batch
        self.place = place


class PacketBatch(Batch[Packet]):
    """Packets side by side in memory, for Worker.decide_batch(): made once and used again.

    `memory` and `dtype()` give numpy the fields without a copy. An item of it is a view: what is set
    in it is set in the batch. Thread class: one thread at a time; a second one gets InUse.
    """

    __slots__ = ("_kept", "_busy")

    _kind = _abi.pol_packet
    _word = "packet"
    _hidden = ("payload", "reserved") # whoever could write the payload's address would

    def __init__(self, packets: int | Iterable[Packet] = 256) -> None:
        """Room for so many packets, all of them there and empty; or these packets."""
        given = [] if isinstance(packets, int) else list(packets)
        super().__init__(packets if isinstance(packets, int) else len(given))
        self._count = self.capacity
        self._busy = threading.Lock() # what packets borrow is not exchanged while they are judged
        # What the packets borrow: one buffer for all that were parsed together, or one for each.
        self._kept: dict[int, object] = {}
        for i, packet in enumerate(given):
            self[i] = packet

    def parse(self, frames: Iterable[Buffer], link: Link | str = Link.ETHERNET, *,
              side: Side | str = Side.UNKNOWN, wire_lens: Sequence[int] | None = None) -> int:
        """Takes frames apart, in one call, into the first packets of the batch, which then has as
        many. Returns how many of them are well-formed; malformed ones are packets too."""
        frames = listed(frames, "frames")
        if set(map(type, frames)) - {bytes}: # most often they are nothing else
            frames = [plain(frame) for frame in frames]
        count = len(frames)
        if count > self.capacity:
            raise Invalid(f"{count} frames do not fit a batch of {self.capacity}")
        octets = b"".join(frames)
        _kept, base, _length = memory_of(octets)
        lengths = list(map(len, frames))
        starts = itertools.accumulate(lengths, initial=base or 0)
        slices = array("Q", itertools.chain.from_iterable(zip(starts, lengths)))
        lens = _wire_lens(wire_lens, count)
        kind, sides = member(Link, link, "link"), member(Side, side, "side")
        with self._mine:
            well_formed = lib.pol_packet_parse_batch(
                (_abi.pol_bytes * count).from_buffer(slices) if count else None, lens, count, kind,
                sides, self._array)
            # Nothing stays that borrows from what was there before.
            self._clear(count, self.capacity)
            self._kept = {-1: octets}
            self._count = count
        return well_formed

    @property
    def _mine(self) -> threading.Lock:
        return turn(self._busy, self)

    def _set_payload(self, place: int, octets: Octets) -> None:
        with self._mine:
            self._kept[place] = octets.kept
            self._array[place].payload = octets

    def _clear(self, first: int, last: int) -> None:
        size = ctypes.sizeof(_abi.pol_packet)
        ctypes.memset(ctypes.addressof(self._array) + first * size, 0, (last - first) * size)

    def resize(self, count: int) -> None:
        """Says how many packets there are, up to the capacity; those that come to it are empty."""
        count = number(count, self.capacity, "number of packets")
        with self._mine:
            if count > self._count:
                self._clear(self._count, count)
            self._count = count

    def _at(self, place: int) -> Packet:
        return Packet._view(self._array[place], _Place(self, place))

    def __setitem__(self, which: int, packet: Packet) -> None:
        """Copies the packet and its payload."""
        if not isinstance(packet, Packet):
            raise TypeError(f"expected a Packet, not {type(packet).__name__}")
        place = self._place(which)
        copied = packet.copy()
        with self._mine:
            self._kept[place] = copied._kept
            self._array[place] = copied._c

    def copy(self) -> PacketBatch:
        """A batch of its own, with copies of the packets and their payloads."""
        made = PacketBatch(self.capacity)
        made._count = self._count
        for i, packet in enumerate(self):
            made[i] = packet
        return made

    @property
    def memory(self) -> memoryview:
        """The packets' octets, writable, without a copy: numpy.frombuffer(batch.memory, dtype()).
        Where the payload lies is part of them; only Packet.payload may change that."""
        return self._octets()


def _wire_lens(given: Sequence[int] | None, count: int) -> Any:
    if given is None:
        return None
    lens = [number(each, UINT32_MAX, "wire_len") for each in listed(given, "numbers")]
    if len(lens) != count:
        raise Invalid(f"{len(lens)} lengths for {count} frames")
    return (ctypes.c_uint32 * count)(*lens)
