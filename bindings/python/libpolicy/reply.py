# SPDX-License-Identifier: Apache-2.0
"""Frames of our own: what a bump in the wire sends when it does not forward.

Each takes the packet, the frame it was parsed from and the frame's link type, and returns a frame
with the addresses, link layer and VLAN tags that answer it. Where there is nobody to answer, or
nobody to answer as, they raise Invalid.
"""
from __future__ import annotations

from typing import Any, Callable

from . import _abi
from ._abi import Link
from ._native import lib
from ._values import Buffer, Octets, member, number, written
from .packet import Packet


def reject(packet: Packet, frame: Buffer, link: Link | str = Link.ETHERNET) -> bytes:
    """The refusal of a packet to its sender: a TCP RST, ICMP 3/13 or ICMPv6 1/1."""
    return _reply(lib.pol_reply_reject, packet, frame, link)


def reset(packet: Packet, frame: Buffer, link: Link | str = Link.ETHERNET) -> bytes:
    """A RST in the direction in which a denied TCP segment was going."""
    return _reply(lib.pol_reply_reset, packet, frame, link)


def too_big(packet: Packet, frame: Buffer, mtu: int, link: Link | str = Link.ETHERNET) -> bytes:
    """"Packet too big", to the sender."""
    return _reply(lib.pol_reply_too_big, packet, frame, link, number(mtu, 0xFFFFFFFF, "mtu"))


def dns(packet: Packet, frame: Buffer, message: Buffer, link: Link | str = Link.ETHERNET) -> bytes:
    """The frame that carries a DNS message as the answer to the query in this one."""
    return _reply(lib.pol_reply_dns, packet, frame, link, Octets(message))


def _reply(function: Callable[..., int], packet: Packet, frame: Buffer, link: Link | str,
           *more: Any) -> bytes:
    if not isinstance(packet, Packet):
        raise TypeError(f"expected a Packet, not {type(packet).__name__}")
    return written(function, packet._c, Octets(frame), member(Link, link, "link"), *more,
                   capacity=_abi.POL_REPLY_MAX, what="no answer to this packet in this frame")
