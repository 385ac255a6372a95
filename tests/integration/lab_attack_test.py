#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hostile client, a hostile machine outside, and policyd between them. What arrives on the far side is the judge."""
import socket
import ssl
import struct
import threading
import time
import unittest

import frames
import lab

# An address of the client's network that its kernel does not have: what we send from it, we alone answer.
GHOST = "192.0.2.77"
PLAIN, DATA = 80, 7000
ALLOWED, DENIED = "files.example.com", "tiles.example.com" # of one length

POLICY = {
    "default_policy": "deny",
    "source_groups": [{
        "id": "clients", "mode": "enforce", "sources": {"ips": [lab.CLIENT, lab.CLIENT6, GHOST]}, "default_action": "deny",
        "rules": [
            {"id": "not-this", "action": "deny",
             "match": {"dst_ips": [lab.FILES], "proto": "tcp", "dst_ports": [DATA], "tls": {"sni": "^other$"}}},
            {"id": "plain", "action": "allow",
             "match": {"dst_ips": [lab.FILES], "proto": "tcp", "dst_ports": [PLAIN, DATA]}},
            {"id": "tls", "action": "allow",
             "match": {"dst_ips": [lab.FILES], "proto": "tcp", "dst_ports": [443],
                       "tls": {"sni": r"^files\.example\.com$"}}},
            {"id": "name", "action": "allow", "match": {"dns_hostname": r"^www\.example\.com$"}},
        ],
    }],
}

SOL_PACKET, PACKET_VNET_HDR = 263, 15
NEEDS_CSUM = 1


def to_server(packet, station=lab.SERVER_MAC):
    return frames.ethernet(station, lab.CLIENT_MAC, packet)


class GhostConnection:
    """A TCP connection made of single frames."""

    def __init__(self, test, port, sport):
        self.lab, self.port, self.sport = test.lab, port, sport
        self.sender, self.near = test.lab.sender(), test.lab.capture("client")
        self.sender.send(to_server(self.segment(frames.SYN, seq=999)))
        answer = self.near.expect(lambda frame: self.is_mine(frame) and frame.flags == frames.SYN | frames.ACK)[0]
        self.ack = int.from_bytes(answer.octets[38:42], "big") + 1
        self.sender.send(to_server(self.segment(frames.ACK)))

    def segment(self, flags, payload=b"", seq=1000):
        return frames.tcp(GHOST, lab.FILES, self.sport, self.port, flags, seq, getattr(self, "ack", 0), payload)

    def is_mine(self, frame):
        return not frame.outgoing and (frame.src, frame.sport, frame.dst, frame.dport) == (
            lab.FILES, self.port, GHOST, self.sport)

    def is_answer(self, frame):
        return self.is_mine(frame) and frame.payload


class Attacks(lab.LabTest):
    options = {"policy": POLICY}

    @classmethod
    def prepare(cls):
        cls.lab.ip("server", "neigh", "replace", GHOST, "lladdr", lab.CLIENT_MAC, "dev", "eth0")

    def serve_data(self):
        """What a client sends to the data port; the list grows."""
        listener, received = self.lab.socket("server"), []
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((lab.FILES, DATA))
        listener.listen()
        listener.settimeout(10)

        def read():
            try:
                taken, _ = listener.accept()
                with taken:
                    while octets := taken.recv(1 << 16):
                        received.append(len(octets))
            except OSError:
                pass # what has come until then is what counts

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread, received

    def test_an_icmp_error_goes_only_to_whom_it_is_about(self):
        quote = frames.udp(lab.RESOLVER, lab.CLIENT, 53, 40000, b"")
        error = struct.pack("!BBHI", 3, 3, 0, 0) + quote + b"secret"
        error = error[:2] + struct.pack("!H", frames.checksum(error)) + error[4:]
        with self.lab.capture() as far:
            self.lab.sender().send(*(to_server(frames.ip(lab.CLIENT, to, frames.ICMP, error))
                                     for to in (lab.PARTNER, lab.RESOLVER)))
            far.expect(lambda frame: frame.dst == lab.RESOLVER and frame.protocol == frames.ICMP)
            far.expect_none(lambda frame: frame.dst == lab.PARTNER, "an error to a stranger")

    def test_a_hello_whose_rest_was_placed_ahead_is_not_answered(self):
        talk = GhostConnection(self, 443, 41001)
        hello = frames.client_hello(DENIED)
        whole = talk.segment(frames.ACK | frames.PSH, hello)[20:]
        cut = 96 # before the name
        self.assertNotIn(DENIED.encode(), whole[:cut])

        def piece(octets, offset, more):
            return frames.ip(GHOST, lab.FILES, frames.TCP, octets, identification=7,
                             fragment=offset // 8 | (0x2000 if more else 0))

        # Of an allowed connection, and to a station that is not there: it only opens the way for the rest.
        decoy = frames.tcp(GHOST, lab.FILES, 41002, PLAIN, payload=bytes(cut - 20))[20:]
        # What policyd is to take for the rest comes too late for the server.
        late = hello.replace(DENIED.encode(), ALLOWED.encode())[cut - 20:]
        talk.sender.send(to_server(piece(decoy, 0, True), "00:00:5e:00:53:ee"),
                         to_server(piece(whole[cut:], cut, False)),
                         to_server(piece(whole[:cut], 0, True)),
                         to_server(talk.segment(frames.ACK | frames.PSH, late, 1000 + cut - 20)))
        talk.near.expect_none(talk.is_answer, "an answer to the denied name", 1)

    def test_a_hello_in_one_piece_is_answered_by_its_name(self):
        allowed, denied = GhostConnection(self, 443, 41004), GhostConnection(self, 443, 41005)
        for talk, name in ((allowed, ALLOWED), (denied, DENIED)):
            talk.sender.send(to_server(talk.segment(frames.ACK | frames.PSH, frames.client_hello(name))))
        allowed.near.expect(allowed.is_answer, "an answer")
        denied.near.expect_none(denied.is_answer, "an answer to the denied name", 0.5)

    def test_a_stranger_outside_does_not_end_a_connection(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = self.lab.connect(lab.FILES, 443, keep=True)
        sport = plain.getsockname()[1]
        with context.wrap_socket(plain, server_hostname=ALLOWED) as talk:
            outside = self.lab.sender("server")
            for flags, seq, ack in ((frames.SYN | frames.ACK, 1, 2), (frames.SYN, 3, 0), (frames.RST, 5, 0)):
                outside.send(frames.ethernet(lab.CLIENT_MAC, lab.SERVER_MAC, frames.tcp(
                    lab.FILES, lab.CLIENT, 443, sport, flags, seq, ack)))
            outside.send(frames.ethernet(lab.CLIENT_MAC, lab.SERVER_MAC, frames.tcp(
                lab.CLIENT, lab.FILES, sport, 443, frames.SYN, 7)))
            time.sleep(0.3)
            talk.settimeout(3)
            talk.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertIn(b"200", talk.recv(100))

    def test_a_checksum_to_be_written_elsewhere_is_no_way_to_another_port(self):
        # Without help of the hardware, the last interface on the way writes it.
        self.lab.run("ethtool", "-K", "wan0", "tx", "off", part="firewall")
        self.addCleanup(self.lab.run, "ethtool", "-K", "wan0", "tx", "on", part="firewall")
        sender = self.lab.sender()
        sender.socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        syn = to_server(frames.tcp(lab.CLIENT, lab.FILES, 41003, PLAIN))
        with self.lab.capture() as far:
            for offset in (2, 16): # the port; the checksum
                sender.send(struct.pack("=BBHHHH", NEEDS_CSUM, 0, 0, 0, 34, offset) + syn)
            far.expect(lambda frame: (frame.sport, frame.dport) == (41003, PLAIN), "the honest frame")
            far.expect_none(lambda frame: frame.sport == 41003 and frame.dport != PLAIN, "another port")

    def test_many_octets_at_once_that_are_no_hello_pass(self):
        route = self.lab.ip("client", "route", "show", "default").split()
        self.lab.ip("client", "route", "change", *route, "initcwnd", "40") # a super-frame of 58 KB to begin with
        self.addCleanup(self.lab.ip, "client", "route", "change", *route)
        thread, received = self.serve_data()
        with self.lab.connect(lab.FILES, DATA, keep=True) as talk:
            talk.sendall(b"A" * 300000)
        thread.join(10)
        self.assertEqual(sum(received), 300000)

    def test_a_client_that_never_stops_does_not_silence_refusals(self):
        ended = threading.Event()
        sender = self.lab.sender()
        denied = [to_server(frames.tcp(GHOST, lab.PARTNER, sport, 81)) for sport in range(1024, 2024)]

        def flood():
            while not ended.wait(0.0005):
                sender.send(*denied[:40])

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            time.sleep(1)
            outcomes = [self.lab.connect(lab.PARTNER, port, seconds=0.8) for port in range(9100, 9120)]
        finally:
            ended.set()
            thread.join()
        self.assertEqual(outcomes, ["refused"] * 20)


if __name__ == "__main__":
    lab.main()
