# SPDX-License-Identifier: Apache-2.0
"""Captures taken apart and written anew, without the library that policyctl reads them with."""

import struct

INTERFACE, PACKET = 1, 6  # block types, pcapng (draft-ietf-opsawg-pcapng) 4.2 and 4.3
OPTION_RESOLUTION = 9


class Capture:
    """A little-endian pcapng file: `packets` of (nanoseconds, octets, length on the wire),
    and `offsets`, where the block of each begins."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.octets = file.read()
        self.packets, self.offsets, self.resolution = [], [], 1000
        at = 0
        while at < len(self.octets):
            kind, length = struct.unpack_from("<II", self.octets, at)
            if kind == INTERFACE:
                self._read_interface(at, length)
            elif kind == PACKET:
                self._read_packet(at)
            at += length

    def _read_interface(self, at, length):
        self.link = struct.unpack_from("<H", self.octets, at + 8)[0]
        option = at + 16
        while option + 4 <= at + length - 4:
            code, size = struct.unpack_from("<HH", self.octets, option)
            if code == OPTION_RESOLUTION:
                self.resolution = 10 ** (9 - self.octets[option + 4])
            option += 4 + (size + 3) // 4 * 4

    def _read_packet(self, at):
        high, low, captured, wire = struct.unpack_from("<IIII", self.octets, at + 12)
        self.offsets.append(at)
        self.packets.append(((high << 32 | low) * self.resolution,
                             self.octets[at + 28:at + 28 + captured], wire))


def pcap(packets, link):
    """The same packets as a pcap file with nanoseconds."""
    head = struct.pack("<IHHIIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, link)
    return head + b"".join(
        struct.pack("<IIII", time // 10**9, time % 10**9, len(octets), wire) + octets
        for time, octets, wire in packets)
