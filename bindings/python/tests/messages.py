# SPDX-License-Identifier: Apache-2.0
"""Octets for the tests: IP datagrams and DNS messages, written out by hand."""
import ipaddress
import struct


def datagram(src, dst, proto, rest, *, ident=0, fragment=0):
    """An IPv4 or IPv6 datagram; raw IP is a frame too (POL_LINK_RAW_IP)."""
    source, destination = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(rest), proto, 64) + source.packed + \
            destination.packed + rest
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(rest), ident, fragment, 64, proto, 0) + \
        source.packed + destination.packed + rest


def tcp(sport, dport, flags=2, seq=0, ack=0, payload=b""):
    return struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 65535, 0, 0) + payload


def udp(sport, dport, payload=b""):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def icmp(kind, code, identifier=0, rest=b""):
    return struct.pack("!BBHHH", kind, code, 0, identifier, 0) + rest


def ethernet(payload, *tags):
    kind = 0x86DD if payload[0] >> 4 == 6 else 0x0800
    return bytes(range(2, 14)) + b"".join(struct.pack("!HH", 0x8100, tag) for tag in tags) + \
        struct.pack("!H", kind) + payload


def question(name, qtype=1):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0" + struct.pack("!HH", qtype, 1)


def query(name, ident=7):
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + question(name)


def answer(name, addr, ttl=30, ident=7):
    return struct.pack("!HHHHHH", ident, 0x8180, 1, 1, 0, 0) + question(name) + \
        struct.pack("!HHHIH", 0xC00C, 1, 1, ttl, 4) + ipaddress.ip_address(addr).packed
