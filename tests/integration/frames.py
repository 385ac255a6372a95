# SPDX-License-Identifier: Apache-2.0
"""Ethernet frames for tests: built, taken apart, sent and captured with AF_PACKET. Only the standard library is used.

Addresses are text, ports and tags numbers, payloads octets. What is built has right checksums and lengths.
"""
import collections
import contextlib
import ipaddress
import socket
import ssl
import struct
import threading
import time

IPV4, ARP, VLAN, IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

SOL_PACKET, PACKET_AUXDATA = 263, 8
PACKET_OUTGOING = 4
TP_STATUS_VLAN_VALID = 1 << 4


# -- Building

def packed(address):
    return ipaddress.ip_address(address).packed


def mac(address):
    return bytes.fromhex(address.replace(":", ""))


def checksum(octets):
    """RFC 1071."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def with_checksum(src, dst, protocol, segment, at):
    """The segment with the checksum over its pseudo header put in at octet `at`; for UDP 0 is sent as all ones."""
    pseudo = packed(src) + packed(dst) + struct.pack("!IHBB", len(segment), 0, 0, protocol)
    value = checksum(pseudo + segment[:at] + b"\0\0" + segment[at + 2:])
    return segment[:at] + struct.pack("!H", value or 0xFFFF) + segment[at + 2:]


def tcp(src, dst, sport, dport, flags=SYN, seq=1000, ack=0, payload=b"", window=64240):
    segment = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, window, 0, 0) + payload
    return ip(src, dst, TCP, with_checksum(src, dst, TCP, segment, 16))


def udp(src, dst, sport, dport, payload=b""):
    segment = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    return ip(src, dst, UDP, with_checksum(src, dst, UDP, segment, 6))


def echo(src, dst, identifier=1, sequence=1, payload=b"", reply=False):
    """An ICMP or ICMPv6 echo request or reply, as the addresses say."""
    if ":" in src:
        segment = struct.pack("!BBHHH", 129 if reply else 128, 0, 0, identifier, sequence) + payload
        return ip(src, dst, ICMPV6, with_checksum(src, dst, ICMPV6, segment, 2))
    segment = struct.pack("!BBHHH", 0 if reply else 8, 0, 0, identifier, sequence) + payload
    return ip(src, dst, ICMP, segment[:2] + struct.pack("!H", checksum(segment)) + segment[4:])


def ip(src, dst, protocol, payload, ttl=64, identification=0, fragment=0x4000):
    """An IPv4 or IPv6 packet. `fragment` is IPv4's word of flags and offset."""
    if ":" in src:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl) + packed(src) + packed(dst) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identification, fragment, ttl, protocol, 0,
                         packed(src), packed(dst))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def arp_request(source_mac, source, target):
    """RFC 826: who has the IPv4 address?"""
    return struct.pack("!HHBBH6s4s6s4s", 1, IPV4, 6, 4, 1, mac(source_mac), packed(source), bytes(6), packed(target))


def ethernet(destination, source, packet, tags=(), ethertype=None):
    """A frame. Each tag is a VLAN number or (TPID, VLAN number), the outermost first."""
    if ethertype is None:
        ethertype = IPV6 if packet[0] >> 4 == 6 else IPV4
    head = mac(destination) + mac(source)
    for tag in tags:
        tpid, number = tag if isinstance(tag, tuple) else (VLAN, tag)
        head += struct.pack("!HH", tpid, number)
    return head + struct.pack("!H", ethertype) + packet


# -- Taking apart

Frame = collections.namedtuple("Frame", "seconds outgoing octets tags ethertype src dst protocol sport dport flags payload")
Frame.__doc__ = """What was captured: when (monotonic), whether the host sent it, its octets without the tags, and its
fields, None where the frame has none. `flags` are TCP's; `payload` is what follows TCP's or UDP's header, or IP's."""


def parse(octets, tags=(), outgoing=False, seconds=0.0):
    ethertype, at, tags = int.from_bytes(octets[12:14], "big"), 14, list(tags)
    while ethertype in (VLAN, 0x88A8) and len(octets) >= at + 4:
        tags.append(int.from_bytes(octets[at:at + 2], "big") & 0xFFF)
        ethertype, at = int.from_bytes(octets[at + 2:at + 4], "big"), at + 4
    packet = octets[at:]
    src = dst = protocol = sport = dport = flags = payload = None
    if ethertype == IPV4 and len(packet) >= 20:
        protocol, src, dst = packet[9], packet[12:16], packet[16:20]
        fragment = int.from_bytes(packet[6:8], "big")
        payload = packet[(packet[0] & 15) * 4:int.from_bytes(packet[2:4], "big") or None]
        first = not fragment & 0x1FFF
    elif ethertype == IPV6 and len(packet) >= 40:
        protocol, src, dst, payload, first = packet[6], packet[8:24], packet[24:40], packet[40:], True
        if protocol == 44 and len(payload) >= 8:
            protocol, first = payload[0], not int.from_bytes(payload[2:4], "big") & 0xFFF8
            payload = payload[8:]
    if src is not None:
        src, dst = str(ipaddress.ip_address(src)), str(ipaddress.ip_address(dst))
        if first and protocol in (TCP, UDP) and len(payload) >= (20 if protocol == TCP else 8):
            sport, dport = struct.unpack("!HH", payload[:4])
            if protocol == TCP:
                flags = payload[13]
            payload = payload[(payload[12] >> 4) * 4 if protocol == TCP else 8:]
    return Frame(seconds, outgoing, octets, tuple(tags), ethertype, src, dst, protocol, sport, dport, flags, payload)


# -- On the wire

class Sender:
    """Sends frames from a device. The socket has to be made in the namespace of the device: see Lab.sender()."""

    def __init__(self, device):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((device, 0))

    def send(self, *frames):
        for frame in frames:
            self.socket.send(frame)

    def close(self):
        self.socket.close()


class Capture:
    """Keeps what crosses a device, at most `limit` frames, or of it what fulfils the condition `keep`: see Lab.capture().
    `seen` counts all frames. Use it in a with statement."""

    def __init__(self, device, limit=100000, keep=None):
        # Everything, and nothing is lost between the making of the socket and its binding: it is bound at once to no
        # protocol, and gets its protocol together with the device.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self.socket.bind((device, 3))
        self.socket.settimeout(0.1)
        self.frames = []
        self.limit, self.keep = limit, keep
        self.seen = 0
        self.overrun = False
        self.changed = threading.Condition()
        self.ended = False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while not self.ended:
            try:
                octets, auxiliary, _, origin = self.socket.recvmsg(1 << 17, 256)
            except TimeoutError:
                continue
            except OSError:
                return # the device is gone
            tags = []
            for level, kind, data in auxiliary:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tag, _ = struct.unpack("=IIIHHHH", data[:20])
                    tags = [tag & 0xFFF] if status & TP_STATUS_VLAN_VALID else []
            frame = parse(octets, tags, origin[2] == PACKET_OUTGOING, time.monotonic())
            self.seen += 1
            if self.keep and not self.keep(frame):
                continue
            with self.changed:
                if len(self.frames) < self.limit:
                    self.frames.append(frame)
                else:
                    self.overrun = True
                self.changed.notify_all()

    def close(self):
        self.ended = True
        self.thread.join()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def matching(self, condition):
        with self.changed:
            return [frame for frame in self.frames if condition(frame)]

    def expect(self, condition, what="such a frame", count=1, seconds=5):
        """Waits until `count` frames fulfil the condition; returns them."""
        end = time.monotonic() + seconds
        while True:
            with self.changed:
                found = [frame for frame in self.frames if condition(frame)]
                if len(found) >= count:
                    return found
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(found)} of {count}: {what}, within {seconds} s; seen:\n{self.summary()}")
                self.changed.wait(left)

    def expect_none(self, condition, what="such a frame", seconds=0.2):
        """Nothing captured so far, or within the next `seconds`, fulfils the condition."""
        time.sleep(seconds)
        found = self.matching(condition)
        if found or self.overrun:
            raise AssertionError(f"{what} was there: {found[:3]}" if found else "more frames than the capture keeps")

    def summary(self, newest=20):
        return "\n".join(f"  {frame.src} > {frame.dst} protocol {frame.protocol} {frame.sport} > {frame.dport} "
                         f"flags {frame.flags}, {len(frame.octets)} octets" for frame in self.frames[-newest:])


def client_hello(name):
    """A real one, which asks for this server name."""
    outgoing, context = ssl.MemoryBIO(), ssl.create_default_context()
    context.set_ecdh_curve("prime256v1") # without the keys of X25519MLKEM768, which fit into no packet
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()
