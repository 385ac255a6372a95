# SPDX-License-Identifier: Apache-2.0
"""Frames that frames.py cannot make or see: super-frames whose cutting and checksums are left to the hardware
(PACKET_VNET_HDR), tags with their priority bits, fragments; and VLANs under a real TCP where the kernel has no VLAN
devices, by an eBPF program that pushes and pops tags."""
import collections
import contextlib
import ctypes
import os
import platform
import select
import socket
import struct
import subprocess
import time

import frames

QINQ = 0x88A8
PACKET_VNET_HDR = 15
NEEDS_CHECKSUM = 1 # of virtio_net_hdr
TCP4, TCP6, UDP_SEGMENTS = 1, 4, 5
CHECKSUM_NOT_READY, TAG_VALID, TPID_VALID = 1 << 3, 1 << 4, 1 << 6
MORE_FRAGMENTS = 0x2000


# -- Making

def fragments(packet, size, identification=0x1234):
    """The packet in fragments whose payload has `size` octets, a multiple of 8."""
    if packet[0] >> 4 == 4:
        src, dst, body = (socket.inet_ntop(socket.AF_INET, packet[at:at + 4]) for at in (12, 16)), None, packet[20:]
        src, dst = src
        return [frames.ip(src, dst, packet[9], body[at:at + size], identification=identification,
                          fragment=at // 8 | (MORE_FRAGMENTS if at + size < len(body) else 0))
                for at in range(0, len(body), size)]
    src, dst = (socket.inet_ntop(socket.AF_INET6, packet[at:at + 16]) for at in (8, 24))
    body = packet[40:]
    return [frames.ip(src, dst, 44, struct.pack("!BBHI", packet[6], 0, at | (at + size < len(body)), identification) +
                      body[at:at + size])
            for at in range(0, len(body), size)]


def network_offset(frame):
    at = 12
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return at + 2


def super_frame(frame, size):
    """What a sender hands to its hardware: the offload header that asks to cut the payload of a TCP or UDP frame into
    pieces of `size` octets (0: only the checksum is left to do), then the frame with the sum over its pseudo header."""
    at = network_offset(frame)
    four = frame[at] >> 4 == 4
    start, protocol = at + (20 if four else 40), frame[at + 9 if four else at + 6]
    addresses = frame[at + 12:at + 20] if four else frame[at + 8:at + 40]
    segment_length = len(frame) - start
    pseudo = addresses + struct.pack("!IHBB", segment_length, 0, 0, protocol)
    field = 16 if protocol == frames.TCP else 6
    header_length = start + ((frame[start + 12] >> 4) * 4 if protocol == frames.TCP else 8)
    kind = 0
    if size:
        kind = UDP_SEGMENTS if protocol == frames.UDP else TCP4 if four else TCP6
    partial = ~frames.checksum(pseudo) & 0xFFFF
    frame = frame[:start + field] + struct.pack("!H", partial) + frame[start + field + 2:]
    return struct.pack("=BBHHHH", NEEDS_CHECKSUM, kind, header_length if size else 0, size, start, field) + frame


class SuperSender(frames.Sender):
    """Sends what super_frame() makes."""

    def __init__(self, device):
        super().__init__(device)
        self.socket.setsockopt(frames.SOL_PACKET, PACKET_VNET_HDR, 1)


# -- Seeing

Seen = collections.namedtuple("Seen", "octets tags partial segment")
Seen.__doc__ = """A frame with its tags where they were on the wire; the tags as (TPID, TCI), priority included; whether
its checksum is left to the hardware; and the size it is to be cut into, 0 for an ordinary frame."""


class Listener:
    """Hears what arrives at a device. The socket has to be made in the namespace of the device."""

    def __init__(self, device):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(frames.SOL_PACKET, frames.PACKET_AUXDATA, 1)
        self.socket.setsockopt(frames.SOL_PACKET, PACKET_VNET_HDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20) # SO_RCVBUFFORCE
        self.socket.bind((device, 3))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def receive(self, seconds):
        """The next frame, or None after so many seconds."""
        if not select.select([self.socket], [], [], max(seconds, 0))[0]:
            return None
        octets, auxiliary, _, origin = self.socket.recvmsg(1 << 17, 256)
        if origin[2] == frames.PACKET_OUTGOING:
            return self.receive(seconds)
        _, kind, _, size, _, _ = struct.unpack("=BBHHHH", octets[:10])
        octets, partial = octets[10:], False
        for level, what, data in auxiliary:
            if (level, what) == (frames.SOL_PACKET, frames.PACKET_AUXDATA):
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
                partial = bool(status & CHECKSUM_NOT_READY)
                if status & TAG_VALID:
                    tpid = tpid if status & TPID_VALID else frames.VLAN
                    octets = octets[:12] + struct.pack("!HH", tpid, tci) + octets[12:]
        end = network_offset(octets) - 2
        tags = tuple(struct.unpack("!HH", octets[at:at + 4]) for at in range(12, end, 4))
        return Seen(octets, tags, partial, size if kind else 0)

    def hear(self, condition, count=1, seconds=5):
        """The first `count` frames that fulfil the condition; fewer when they do not come in time."""
        end, found = time.monotonic() + seconds, []
        while len(found) < count:
            seen = self.receive(end - time.monotonic())
            if seen is None:
                break
            if condition(seen):
                found.append(seen)
        return found


def checksum_is_right(frame):
    """Of the TCP or UDP segment in a whole IP datagram."""
    at = network_offset(frame)
    four = frame[at] >> 4 == 4
    end = at + (0 if four else 40) + int.from_bytes(frame[at + 2:at + 4] if four else frame[at + 4:at + 6], "big")
    protocol = frame[at + 9 if four else at + 6]
    addresses = frame[at + 12:at + 20] if four else frame[at + 8:at + 40]
    segment = frame[at + (20 if four else 40):end]
    return frames.checksum(addresses + struct.pack("!IHBB", len(segment), 0, 0, protocol) + segment) == 0


# -- VLANs under the kernel's own TCP

BPF = {"x86_64": 321, "aarch64": 280}.get(platform.machine()) # the system call
PROG_LOAD, SCHED_CLS = 5, 3
VLAN_PUSH, VLAN_POP = 18, 19
NEWTFILTER, REQUEST_ACK_CREATE = 44, 0x1 | 0x4 | 0x400
CLSACT, INGRESS, EGRESS = 0xFFFF0000, 0xFFF2, 0xFFF3


def instruction(code, destination=0, source=0, immediate=0):
    return struct.pack("<BBhi", code, destination | source << 4, 0, immediate)


def keep_context():
    return instruction(0xBF, 6, 1)


def call(function, *arguments):
    """The program's context and the arguments in registers 1 to 5."""
    given = b"".join(instruction(0xB7, 2 + number, 0, value) for number, value in enumerate(arguments))
    return instruction(0xBF, 1, 6) + given + instruction(0x85, immediate=function)


def program_pushing(tags):
    """The innermost tag is pushed first."""
    pushes = b"".join(call(VLAN_PUSH, socket.htons(tpid), tci) for tpid, tci in reversed(tags))
    return keep_context() + pushes + instruction(0xB7) + instruction(0x95)


def program_popping(count):
    return keep_context() + call(VLAN_POP) * count + instruction(0xB7) + instruction(0x95)


def load(program):
    libc = ctypes.CDLL(None, use_errno=True)
    code, licence = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack("<IIQQ", SCHED_CLS, len(program) // 8, ctypes.addressof(code), ctypes.addressof(licence))
    attributes = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    descriptor = libc.syscall(BPF, PROG_LOAD, attributes, len(attributes)) if BPF else -1
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "no eBPF program can be loaded here")
    return descriptor


def attribute(kind, content):
    return struct.pack("=HH", 4 + len(content), kind) + content.ljust((len(content) + 3) & ~3, b"\0")


def attach(device, hook, program):
    """tc filter add dev DEVICE ingress|egress bpf da, by descriptor; in the namespace of the calling thread."""
    descriptor = load(program)
    options = attribute(6, struct.pack("=I", descriptor)) + attribute(7, b"tags\0") + attribute(8, struct.pack("=I", 1))
    message = struct.pack("=BxxxiIII", 0, socket.if_nametoindex(device), 0, CLSACT | hook, 1 << 16 | socket.htons(3))
    message += attribute(1, b"bpf\0") + attribute(2, options)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.send(struct.pack("=IHHII", 16 + len(message), NEWTFILTER, REQUEST_ACK_CREATE, 1, 0) + message)
        error = struct.unpack("=i", netlink.recv(4096)[16:20])[0]
    os.close(descriptor)
    if error:
        raise OSError(-error, f"tc filter of {device}")


def tagged(lab, tags):
    """From now on everything the client and the server send carries the tags, a list of (TPID, TCI), the outermost
    first; what arrives loses as many. Without tags all is as before."""
    for part in ("client", "server"):
        with contextlib.suppress(subprocess.CalledProcessError), lab.inside(part):
            subprocess.run(["tc", "qdisc", "del", "dev", "eth0", "clsact"], check=True, capture_output=True, timeout=10)
        if tags:
            with lab.inside(part):
                subprocess.run(["tc", "qdisc", "add", "dev", "eth0", "clsact"], check=True, timeout=10)
                attach("eth0", EGRESS, program_pushing(tags))
                attach("eth0", INGRESS, program_popping(len(tags)))


# -- Devices

def offloads(lab, part, device, wanted, names=("tx", "tso", "gso")):
    """Whether a veth takes super-frames and open checksums, as it does when it is made; without, the kernel cuts and
    sums up before it. What arrives is not merged ("gro") when it is made."""
    words = [word for name in names for word in (name, "on" if wanted else "off")]
    subprocess.run(["ip", "netns", "exec", lab.space(part), "ethtool", "-K", device, *words], check=True, timeout=10,
                   capture_output=True)
