#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Frames of every shape through policyd: tags, super-frames, fragments, what is no IP, what is broken."""
import contextlib
import random
import socket
import struct
import time

import frames
import lab
import shapes
import transfer

UDP_SEGMENT = 103 # socket option
UNUSED, UNUSED6 = "198.51.100.77", "2001:db8:2::77" # allowed, and nobody answers there
QUEUE_PORT, ECHO_PORT = 9100, 9101

ONE_TAG = ((frames.VLAN, 0xA00A),) # priority 5, VLAN 10
TWO_TAGS = ((shapes.QINQ, 0x6005), (frames.VLAN, 0xE014)) # priorities 3 and 7, VLANs 5 and 20
PAIRS = ((lab.CLIENT, lab.FILES, UNUSED), (lab.CLIENT6, lab.FILES6, UNUSED6))

POLICY = {"default_policy": "deny", "source_groups": [{
    "id": "clients", "mode": "enforce", "default_action": "deny",
    "sources": {"cidrs": ["192.0.2.0/24", "2001:db8:0:1::/64"]},
    "rules": [{"id": "names", "action": "allow", "match": {"dns_hostname": "^www\\.example\\.com$"}},
              {"id": "servers", "action": "allow", "match": {"dst_cidrs": ["198.51.100.0/24", "2001:db8:2::/64"]}}]}]}


def outward(packet, tags=()):
    return frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, packet, tags)


def inward(packet, tags=()):
    return frames.ethernet(lab.CLIENT_MAC, lab.SERVER_MAC, packet, tags)


def filling(length, seed=1):
    return random.Random(seed).randbytes(length)


def question(name, padded=None):
    """A query, with an OPT record that promises so many octets of padding (RFC 6891, RFC 7830)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, padded is not None) + labels + struct.pack("!BHH", 0, 1, 1)
    return query if padded is None else query + struct.pack("!BHHIHHH", 0, 41, 1232, 0, 4 + padded, 12, padded)


def mutated(dice, frame):
    """The frame with something wrong in its headers, or cut short: at least a link header is left."""
    octets = bytearray(frame)
    for _ in range(dice.randint(0, 3)):
        at = dice.randrange(12, min(len(octets), 90))
        octets[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    if dice.random() < 0.5:
        del octets[dice.randint(14, len(octets)):]
    if dice.random() < 0.1:
        octets += bytes(dice.randint(1, 400))
    return bytes(octets)


class Shapes:
    workers = 1

    @classmethod
    def prepare(cls):
        cls.lab.udp_echo(ECHO_PORT, lab.FILES, lab.FILES6)
        cls.queues = {}
        for address in (lab.FILES, lab.FILES6):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            queue = cls.lab.socket("server", family, socket.SOCK_DGRAM)
            queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            queue.bind((address, QUEUE_PORT))
            cls.queues[address] = queue
        cls.sender = cls.lab.sender()
        cls.far_sender = cls.lab.sender("server")

    def arrivals(self, address, seconds=2, count=1):
        """The next datagrams at the server's port; fewer if they do not come in time."""
        queue, found = self.queues[address], []
        queue.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            while len(found) < count:
                found.append(queue.recv(65536))
        return found

    def listen(self, part="server"):
        with self.lab.inside(part):
            return shapes.Listener("eth0")

    def assert_answered(self, address):
        """A busy kernel leaves out an echo now and then, through a plain bridge too."""
        self.assertIn("answered", (self.lab.ping(address) for _ in range(3)))

    def wait_for(self, name, value, **labels):
        end = time.monotonic() + 5
        while self.lab.counter(name, **labels) < value and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(self.lab.counter(name, **labels), value, (name, labels))

    @contextlib.contextmanager
    def without_offloads(self, device="wan0"):
        """The kernel cuts and sums up what leaves the firewall, as the offload headers of policyd say."""
        shapes.offloads(self.lab, "firewall", device, False)
        try:
            yield
        finally:
            shapes.offloads(self.lab, "firewall", device, True)

    # -- Tags

    def check_tagged_transfers(self, tags):
        self.addCleanup(shapes.tagged, self.lab, ())
        try:
            shapes.tagged(self.lab, tags)
        except OSError as error:
            self.skipTest(f"the kernel's TCP cannot be tagged: {error}")
        with self.listen() as listener:
            for _, address, _ in PAIRS:
                for upload in (False, True):
                    done = transfer.transfer(self.lab, address, 16 << 20, upload)
                    self.assertEqual(done.received, done.sent, (address, upload))
            self.assertEqual({seen.tags for seen in listener.hear(lambda seen: True, 100)}, {tuple(tags)})

    def test_a_vlan_carries_tcp_and_keeps_its_priority(self):
        self.check_tagged_transfers(ONE_TAG)

    def test_a_vlan_in_a_vlan_does_too(self):
        """The ports have an MTU of 1500: the inner packets learn that 1492 octets are left."""
        self.check_tagged_transfers(TWO_TAGS)

    def test_the_same_ports_in_two_vlans_are_two_flows(self):
        for client, _, server in PAIRS:
            flows = self.lab.counter("dp_active_flows")
            with self.listen() as far, self.listen("client") as near:
                self.sender.send(outward(frames.tcp(client, server, 41000, 443), (10,)))
                self.assertTrue(far.hear(lambda seen: seen.tags == ((frames.VLAN, 10),)))
                answer = frames.tcp(server, client, 443, 41000, frames.SYN | frames.ACK, 5000, 1001)
                self.far_sender.send(inward(answer, (20,)), inward(answer), inward(answer, ((shapes.QINQ, 20), 10)),
                                     inward(answer, (10,)))
                answers = near.hear(lambda seen: seen.octets.endswith(answer), 2, seconds=0.5)
                self.assertEqual([seen.tags for seen in answers], [((frames.VLAN, 10),)])
                self.sender.send(outward(frames.tcp(client, server, 41000, 443), (20,)))
                self.assertTrue(far.hear(lambda seen: seen.tags == ((frames.VLAN, 20),)))
            self.wait_for("dp_active_flows", flows + 2)

    # -- Super-frames

    def check_super_frame(self, listener, sender, frame, size, payload):
        """It arrives cut as the header asks, each piece with its tags and a right checksum."""
        tags = frames.parse(frame).tags
        sender.send(shapes.super_frame(frame, size))
        count = -(-len(payload) // size) if size else 1
        pieces = listener.hear(lambda seen: frames.parse(seen.octets).sport == frames.parse(frame).sport, count)
        found = [frames.parse(piece.octets) for piece in pieces]
        lengths = [len(payload[at:at + size]) for at in range(0, len(payload), size)] if size else [len(payload)]
        self.assertEqual([len(piece.payload) for piece in found], lengths)
        self.assertEqual(b"".join(piece.payload for piece in found), payload)
        for piece in pieces:
            self.assertEqual(frames.parse(piece.octets).tags, tags)
            self.assertEqual(piece.octets[12:12 + 4 * len(tags)], frame[12:12 + 4 * len(tags)])
            self.assertFalse(piece.partial)
            self.assertTrue(shapes.checksum_is_right(piece.octets))

    def test_what_a_sender_leaves_to_its_hardware_is_done_right_behind_us(self):
        payload, port = filling(5300), 42000
        with self.lab.inside("client"):
            sender = shapes.SuperSender("eth0")
        with self.without_offloads(), contextlib.closing(sender), self.listen() as listener:
            for client, _, server in PAIRS:
                for tags in ((), ONE_TAG, TWO_TAGS):
                    port += 1
                    frame = outward(frames.tcp(client, server, port, 443), tags)
                    self.check_super_frame(listener, sender, frame, 0, b"")
                    for size in (0, 1000):
                        content = payload if size else payload[:777]
                        with self.subTest(server=server, tags=tags, size=size):
                            packet = frames.tcp(client, server, port, 443, frames.ACK, 1001, 5001, content)
                            self.check_super_frame(listener, sender, outward(packet, tags), size, content)
                            frame = outward(frames.udp(client, server, port + 1000, 4433, content), tags)
                            self.check_super_frame(listener, sender, frame, size, content)

    def test_datagrams_sent_at_once_stay_apart(self):
        for client, server, _ in PAIRS:
            family = socket.AF_INET6 if ":" in client else socket.AF_INET
            with self.lab.socket("client", family, socket.SOCK_DGRAM) as made:
                made.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
                made.connect((server, QUEUE_PORT))
                for number in range(20):
                    payload = filling(40 * 1200 + 700, number)
                    made.send(payload)
                    found = self.arrivals(server, count=41)
                    self.assertEqual([len(each) for each in found], 40 * [1200] + [700])
                    self.assertEqual(b"".join(found), payload)

    def test_no_query_travels_behind_another(self):
        allowed, denied = question("www.example.com"), question("ads.example.com")
        self.assertEqual(len(allowed), len(denied))
        for resolver in (lab.RESOLVER, lab.RESOLVER6):
            with self.lab.capture() as capture, self.lab.socket(
                    "client", socket.AF_INET6 if ":" in resolver else socket.AF_INET, socket.SOCK_DGRAM) as made:
                made.settimeout(2)
                made.connect((resolver, 53))
                made.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(allowed))
                for burst in ((allowed, denied), (denied, allowed), (allowed, allowed, denied)):
                    made.send(b"".join(burst))
                # All of it is one message, unless it is cut.
                hidden = question("ads.example.com", 0)
                made.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(hidden))
                made.send(question("www.example.com", len(hidden)) + hidden)
                made.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
                made.send(allowed)
                capture.expect(lambda frame: frame.dport == 53 and frame.payload.startswith(allowed),
                               "the allowed query")
                capture.expect_none(lambda frame: frame.dport == 53 and b"\x03ads\x07example" in frame.payload,
                                    "a query that is denied")

    # -- Fragments

    def fragments_of(self, client, server, port, length=3000, size=1000):
        payload = filling(length, port)
        return payload, shapes.fragments(frames.udp(client, server, port, QUEUE_PORT, payload), size, port)

    def test_fragmented_datagrams_pass_both_ways(self):
        for _, address, _ in PAIRS:
            for length in (1473, 9000, 60000):
                self.assertEqual(self.lab.udp(address, ECHO_PORT, filling(length)), filling(length), (address, length))

    def test_fragments_follow_their_first(self):
        for client, server, _ in PAIRS:
            payload, pieces = self.fragments_of(client, server, 43001)
            self.sender.send(*map(outward, pieces))
            self.assertEqual(self.arrivals(server), [payload])

    def test_fragments_pass_within_a_vlan(self):
        for client, _, server in PAIRS:
            _, pieces = self.fragments_of(client, server, 43002)
            with self.listen() as listener:
                self.sender.send(*(outward(piece, TWO_TAGS) for piece in pieces))
                found = listener.hear(lambda seen: seen.tags == TWO_TAGS, len(pieces))
                self.assertEqual([seen.octets for seen in found], [outward(piece, TWO_TAGS) for piece in pieces])

    def test_fragments_before_their_first_are_dropped(self):
        for client, server, _ in PAIRS:
            dropped = self.lab.counter("dp_ipv4_fragments_dropped_total")
            _, pieces = self.fragments_of(client, server, 43003)
            self.sender.send(*map(outward, reversed(pieces)))
            self.wait_for("dp_ipv4_fragments_dropped_total", dropped + len(pieces) - 1)
            self.assertEqual(self.arrivals(server, 0.2), [])

    def test_fragments_that_overlap_are_dropped(self):
        for client, server, _ in PAIRS:
            dropped = self.lab.counter("dp_ipv4_fragments_dropped_total")
            _, pieces = self.fragments_of(client, server, 43004)
            _, others = self.fragments_of(client, server, 43004, size=504)
            self.sender.send(*map(outward, [pieces[0], others[1], pieces[1], others[-1]]))
            self.wait_for("dp_ipv4_fragments_dropped_total", dropped + 1)
            self.assertEqual(self.arrivals(server, 0.2), [])

    def test_the_first_fragment_decides_for_all(self):
        for client, server in ((lab.CLIENT, lab.PARTNER), (lab.CLIENT6, lab.PARTNER6)):
            dropped = self.lab.counter("dp_ipv4_fragments_dropped_total")
            _, pieces = self.fragments_of(client, server, 43005)
            with self.lab.capture() as capture:
                self.sender.send(*map(outward, pieces))
                self.wait_for("dp_ipv4_fragments_dropped_total", dropped + len(pieces) - 1)
                capture.expect_none(lambda frame: frame.dst == server, "a fragment of a denied datagram")

    # -- No IP, or nothing at all

    def test_neighbours_find_each_other(self):
        self.lab.ip("client", "neigh", "flush", "dev", "eth0")
        def passed(kind):
            return self.lab.counter("policyd_control_frames_total", kind=kind, action="pass")
        before = {kind: passed(kind) for kind in ("arp", "ndp")}
        for address in (lab.FILES, lab.FILES6):
            self.assert_answered(address)
        for kind, count in before.items():
            self.assertGreaterEqual(passed(kind), count + 2)

    def test_other_protocols_are_dropped_and_counted(self):
        before = self.lab.counter("policyd_control_frames_total", kind="other", action="drop")
        strange = [(lab.SERVER_MAC, lab.CLIENT_MAC, b"\0" * 46, (), 0x88B5),
                   (lab.SERVER_MAC, lab.CLIENT_MAC, b"\0" * 46, ONE_TAG, 0x88B5),
                   (lab.SERVER_MAC, lab.CLIENT_MAC, b"\xaa\xaa\x03" + b"\0" * 43, (), 46), # LLC
                   (lab.SERVER_MAC, lab.CLIENT_MAC, b"\0" * 46, (), 0x8847)] # MPLS
        with self.listen() as far, self.listen("client") as near:
            for destination, source, payload, tags, kind in strange:
                self.sender.send(frames.ethernet(destination, source, payload, tags, kind))
                self.far_sender.send(frames.ethernet(source, destination, payload, tags, kind))
            self.wait_for("policyd_control_frames_total", before + 2 * len(strange), kind="other", action="drop")
            for listener in (far, near):
                self.assertEqual(listener.hear(lambda seen: seen.octets[-40:] == b"\0" * 40, seconds=0.2), [])

    def specimens(self, source, target):
        """One frame of each kind that something in policyd reads."""
        for (client, server, _), tags in ((pair, tags) for pair in PAIRS for tags in ((), ONE_TAG, TWO_TAGS)):
            hello = b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03" + filling(43)
            if source == lab.SERVER_MAC:
                client, server = server, client
            whole = frames.udp(client, server, 45000, 4433, filling(1200))
            for packet in (frames.tcp(client, server, 45000, 443), whole, *shapes.fragments(whole, 600),
                           frames.tcp(client, server, 45000, 443, frames.ACK, 1001, 1, hello),
                           frames.echo(client, server), frames.udp(client, server, 68, 67, filling(300)),
                           frames.udp(client, server, 45000, 53, question("www.example.com")),
                           frames.ip(client, server, 58 if ":" in client else 1, b"\3\4" + filling(6) + whole[:60]),
                           frames.ip(client, server, 0 if ":" in client else 2, b"\x3a\0\5\2\0\0\1\0" + filling(40))):
                yield frames.ethernet(target, source, packet, tags)

    def test_broken_frames_do_no_harm(self):
        dice = random.Random(self.workers)
        with self.lab.inside("client"), contextlib.closing(shapes.SuperSender("eth0")) as offloaded:
            for sender, source, target in ((self.sender, lab.CLIENT_MAC, lab.SERVER_MAC),
                                           (self.far_sender, lab.SERVER_MAC, lab.CLIENT_MAC)):
                specimens = list(self.specimens(source, target))
                for _ in range(6000):
                    with contextlib.suppress(OSError): # too long for the device
                        sender.send(mutated(dice, dice.choice(specimens)))
            for frame in self.specimens(lab.CLIENT_MAC, lab.SERVER_MAC):
                header = struct.pack("=BBHHHH", dice.choice((0, 1)), dice.choice((0, 1, 4, 5)), dice.randrange(200),
                                     dice.choice((1, 8, 600)), dice.randrange(100), dice.randrange(20))
                with contextlib.suppress(OSError): # the sender's kernel sees through some
                    offloaded.send(header + frame)
        for part in ("client", "server"):
            self.lab.ip(part, "neigh", "flush", "dev", "eth0")
        self.lab.ready()
        self.assertGreater(self.lab.counter("policyd_malformed_total"), 1000)
        self.assertIsNone(self.lab.policyd.process.poll())
        for address in (lab.FILES, lab.FILES6):
            self.assert_answered(address)


class OneWorker(Shapes, lab.LabTest):
    options = {"policy": POLICY}


class FourWorkers(Shapes, lab.LabTest):
    workers = 4
    options = {"policy": POLICY, "workers": 4}


if __name__ == "__main__":
    lab.main("ethtool")
