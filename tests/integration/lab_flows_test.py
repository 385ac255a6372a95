#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Very many flows, and very many that are none: a SYN flood. Those that were there before go on."""
import contextlib
import os
import random
import shutil
import socket
import struct
import tempfile
import threading
import time

import frames
import lab
import shapes

FLOWS, SYNS = 100000, 300000
ENOUGH = 4 # new connections during the flood; a SYN of theirs may be lost in it, and comes again after a second
ECHO_PORT, TCP_PORT = 9200, 9201

POLICY = {"default_policy": "deny", "source_groups": [{
    "id": "clients", "mode": "enforce", "default_action": "deny",
    "sources": {"cidrs": ["192.0.2.0/24", "2001:db8:0:1::/64"]},
    "rules": [{"id": "servers", "action": "allow", "match": {"dst_cidrs": ["198.51.100.0/24", "2001:db8:2::/64"]}}]}]}

# None of the server's own: nobody answers there.
SILENT = [f"198.51.100.{number}" for number in range(100, 200)]
SILENT6 = [f"2001:db8:2::{number:x}" for number in range(0x100, 0x164)]


class Template:
    """A frame of which only the source port changes, and with it the one's complement of a checksum."""

    def __init__(self, packet):
        self.frame = bytearray(frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, packet))
        self.four = packet[0] >> 4 == 4
        self.port_at = 14 + (20 if self.four else 40)
        self.sum_at = self.port_at + (16 if packet[9 if self.four else 6] == frames.TCP else 6)
        self.rest = (~int.from_bytes(self.frame[self.sum_at:self.sum_at + 2], "big") & 0xFFFF) - self.port

    @property
    def port(self):
        return int.from_bytes(self.frame[self.port_at:self.port_at + 2], "big")

    def with_port(self, port):
        value = self.rest + port
        struct.pack_into("!H", self.frame, self.port_at, port)
        struct.pack_into("!H", self.frame, self.sum_at, ~(value % 0xFFFF) & 0xFFFF)
        return self.frame


class Conversation:
    """A TCP connection and a UDP flow that go on, in both families; every word is answered."""

    def __init__(self, test_lab):
        self.sockets = []
        for address in (lab.FILES, lab.FILES6):
            self.sockets.append(test_lab.connect(address, TCP_PORT, keep=True))
            made = test_lab.socket("client", socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            made.connect((address, ECHO_PORT))
            self.sockets.append(made)
        self.words = 0
        self.say()

    def say(self):
        for made in self.sockets:
            word = b"word %d" % self.words
            self.words += 1
            for attempt in range(10): # a datagram may be lost where a ring runs over
                made.send(word)
                made.settimeout(1 if made.type == socket.SOCK_DGRAM else 10)
                try:
                    while made.recv(100) != word:
                        assert made.type == socket.SOCK_DGRAM
                    break
                except TimeoutError:
                    if made.type == socket.SOCK_STREAM or attempt == 9:
                        raise

    @contextlib.contextmanager
    def going_on(self):
        """Words are exchanged all the while."""
        ended, failures = threading.Event(), []

        def talk():
            try:
                while not ended.is_set():
                    self.say()
                    ended.wait(0.01)
            except (OSError, AssertionError) as error:
                failures.append(error)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        try:
            yield failures
        finally:
            ended.set()
            thread.join()


def echo_stream(connection):
    with connection, contextlib.suppress(OSError):
        while word := connection.recv(1000):
            connection.sendall(word)


def serve(listener):
    with contextlib.suppress(OSError): # closed
        while True:
            threading.Thread(target=echo_stream, args=(listener.accept()[0],), daemon=True).start()


class Crowd:
    @classmethod
    def prepare(cls):
        cls.lab.udp_echo(ECHO_PORT, lab.FILES, lab.FILES6)
        for address in (lab.FILES, lab.FILES6):
            listener = cls.lab.socket("server", socket.AF_INET6 if ":" in address else socket.AF_INET)
            listener.bind((address, TCP_PORT))
            listener.listen(100)
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
        cls.sender = cls.lab.sender()

    def open_flows(self):
        """100 000 datagrams, each the first of a flow, no faster than a busy machine takes them."""
        templates = [Template(frames.udp(lab.CLIENT6 if ":" in address else lab.CLIENT, address, 1, 4433, b"hello"))
                     for address in SILENT + SILENT6]
        for port in range(20000, 20000 + FLOWS // len(templates)):
            for template in templates:
                self.sender.send(template.with_port(port))
            time.sleep(0.002)

    def answers(self, port, pairs):
        """How many of the flows with this port pass an answer."""
        with self.lab.inside("client"):
            listener = shapes.Listener("eth0")
        with listener, contextlib.closing(self.lab.sender("server")) as far:
            for client, address in pairs:
                packet = frames.udp(address, client, 4433, port, b"answer")
                far.send(frames.ethernet(lab.CLIENT_MAC, lab.SERVER_MAC, packet))
            return len(listener.hear(lambda seen: seen.octets.endswith(b"answer"), len(pairs), seconds=2))

    def test_1_a_hundred_thousand_flows_at_once(self):
        talk = Conversation(self.lab)
        with talk.going_on() as failures:
            for _ in range(5): # what a full ring has lost comes again
                self.open_flows()
                end = time.monotonic() + 1
                while self.lab.counter("dp_active_flows") < FLOWS and time.monotonic() < end:
                    time.sleep(0.1)
                if self.lab.counter("dp_active_flows") >= FLOWS:
                    break
        self.assertGreaterEqual(self.lab.counter("dp_active_flows"), FLOWS)
        self.assertEqual(self.lab.counter("policyd_flow_evictions_total"), 0)
        self.assertEqual(failures, [])
        pairs = [(lab.CLIENT, address) for address in SILENT] + [(lab.CLIENT6, address) for address in SILENT6]
        self.assertEqual(self.answers(20000, pairs), len(pairs))
        self.assertEqual(self.answers(20499, pairs), len(pairs))
        self.assertEqual(self.answers(20500, pairs), 0)
        for address in (lab.FILES, lab.FILES6):
            self.assertEqual(self.lab.connect(address, 80), "open")

    def test_2_a_flood_of_syns(self):
        dice = random.Random(1)
        talk = Conversation(self.lab)
        templates = [Template(frames.tcp(source, address, 1, dice.randrange(1, 1000)))
                     for addresses, sources in ((SILENT, [f"192.0.2.{n}" for n in range(100, 120)]),
                                                (SILENT6, [f"2001:db8:0:1::{n:x}" for n in range(0x100, 0x114)]))
                     for address in addresses for source in sources]
        evictions = self.lab.counter("policyd_flow_evictions_total")
        opened, stop = [], threading.Event()

        def connect():
            while not stop.is_set():
                opened.append(self.lab.connect((lab.FILES, lab.FILES6)[len(opened) % 2], TCP_PORT, seconds=10))
                stop.wait(0.05)

        connecting = threading.Thread(target=connect, daemon=True)
        with talk.going_on() as failures:
            connecting.start()
            sent = 0
            while sent < SYNS or (len(opened) < ENOUGH and sent < 4 * SYNS):
                for template in templates:
                    self.sender.send(template.with_port(dice.randrange(1024, 65536)))
                sent += len(templates)
            stop.set()
            connecting.join(15)
        self.assertEqual(failures, [])
        self.assertEqual(set(opened), {"open"}, len(opened))
        self.assertGreaterEqual(len(opened), ENOUGH)
        self.assertGreater(self.lab.counter("policyd_flow_evictions_total"), evictions + SYNS / 20) # a busy machine loses frames
        talk.say()
        for address in (lab.FILES, lab.FILES6):
            self.assertEqual(self.lab.connect(address, 80), "open")
            self.assertEqual(self.lab.udp(address, ECHO_PORT), b"hello")


class OneWorker(Crowd, lab.LabTest):
    options = {"policy": POLICY}
    capacity = 110000

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="policyd-test-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, True)
        path = os.path.join(cls.directory, "policyd.yaml")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"dataplane:\n  flow_table_capacity: {cls.capacity}\n  midstream: deny\n")
        cls.options = {**cls.options, "flags": ("--config", path)}
        super().setUpClass()


class FourWorkers(OneWorker):
    options = {"policy": POLICY, "workers": 4}
    capacity = 50000 # of each; their shares are not quite equal


if __name__ == "__main__":
    lab.main()
