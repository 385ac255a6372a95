#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A VLAN device in user space, for kernels that have none.

Opens a TAP device and a raw packet socket on a parent interface. A frame that the host sends
into the TAP leaves the parent with the given tags; a frame that arrives at the parent with
exactly these tags enters the TAP without them. Ordinary programs then talk over the TAP as
they would over a kernel VLAN device. One --tag is 802.1Q, two are QinQ, outermost first.

The kernel takes the outermost tag out of a received frame and reports it beside the data
(PACKET_AUXDATA), so the stack of tags is put together from both places.
"""

import argparse
import fcntl
import select
import signal
import socket
import struct
import sys

ETH_P_ALL = 0x0003
TAG_TYPES = (0x8100, 0x88A8)

SOL_PACKET = 263
PACKET_AUXDATA = 8
AUXDATA = struct.Struct("=IIIHHHH")  # status, len, snaplen, mac, net, vlan_tci, vlan_tpid
TP_STATUS_VLAN_VALID = 0x10
TP_STATUS_VLAN_TPID_VALID = 0x40

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000


def parse_tag(text):
    """Reads TPID:VID, the type in hexadecimal and the VLAN number in decimal."""
    try:
        tpid, vid = text.split(":")
        tag = (int(tpid, 16), int(vid, 10))
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is not TPID:VID, as in 8100:30')
    if tag[0] not in TAG_TYPES:
        raise argparse.ArgumentTypeError(f'"{text}": the type is 8100 or 88a8')
    if not 1 <= tag[1] <= 4094:
        raise argparse.ArgumentTypeError(f'"{text}": the VLAN number is 1 to 4094')
    return tag


def open_tap(name):
    tap = open("/dev/net/tun", "r+b", buffering=0)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def open_parent(name):
    parent = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    parent.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    parent.bind((name, ETH_P_ALL))
    return parent


def stripped_tag(ancillary):
    """Returns the tag that the kernel took out of the frame, as a list of none or one."""
    for level, kind, data in ancillary:
        if level != SOL_PACKET or kind != PACKET_AUXDATA or len(data) < AUXDATA.size:
            continue
        status, _, _, _, _, tci, tpid = AUXDATA.unpack_from(data)
        if status & TP_STATUS_VLAN_VALID:
            if not status & TP_STATUS_VLAN_TPID_VALID:
                tpid = 0x8100
            return [(tpid, tci & 0x0FFF)]
    return []


def receive(parent):
    """Returns (tags, frame without tags), or None for a frame that this host sent."""
    frame, ancillary, _, address = parent.recvmsg(65536, 256)
    if address[2] == socket.PACKET_OUTGOING or len(frame) < 14:
        return None

    tags = stripped_tag(ancillary)
    end = 12
    while len(frame) >= end + 6:
        tpid, tci = struct.unpack_from("!HH", frame, end)
        if tpid not in TAG_TYPES:
            break
        tags.append((tpid, tci & 0x0FFF))
        end += 4
    return tags, frame[:12] + frame[end:]


def relay(tap, parent, tags):
    header = b"".join(struct.pack("!HH", tpid, vid) for tpid, vid in tags)

    while True:
        ready, _, _ = select.select([tap, parent], [], [])
        if tap in ready:
            frame = tap.read(65536)
            try:
                parent.send(frame[:12] + header + frame[12:])
            except OSError as error:
                print(f"frame of {len(frame)} octets not sent: {error}", file=sys.stderr)
        if parent in ready:
            received = receive(parent)
            if received is not None and received[0] == tags:
                try:
                    tap.write(received[1])
                except OSError as error:
                    print(f"frame not delivered: {error}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(
        description="A VLAN device in user space: a TAP whose frames travel tagged over a parent interface.")
    parser.add_argument("--parent", required=True, metavar="IF", help="interface that carries the tagged frames")
    parser.add_argument("--device", required=True, metavar="NAME", help="name of the TAP device to make")
    parser.add_argument("--tag", required=True, action="append", type=parse_tag, metavar="TPID:VID",
                        help="tag to add and to expect; repeat for QinQ, outermost first")
    arguments = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    relay(open_tap(arguments.device), open_parent(arguments.parent), arguments.tag)


if __name__ == "__main__":
    main()
