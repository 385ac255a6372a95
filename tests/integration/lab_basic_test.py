#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""policyd inline between real programs: what is allowed passes, what is denied does not, by address, port and name, for
IPv4 and IPv6, with one and with four workers. The same questions to a plain bridge show that the servers do answer."""
import os
import signal
import subprocess
import sys
import threading
import unittest

import frames
import lab

UDP_PORT, CLOSED_TO_ALL = 9000, 9001

POLICY = {
    "default_policy": "deny",
    "source_groups": [{
        "id": "clients", "mode": "enforce", "sources": {"ips": [lab.CLIENT, lab.CLIENT6]}, "default_action": "deny",
        "rules": [
            {"id": "no-ads", "action": "deny", "match": {"dns_hostname": r"^ads\.example\.com$"}},
            {"id": "web", "action": "allow",
             "match": {"dns_hostname": r"^(www|shop)\.example\.com$", "proto": "tcp", "dst_ports": [80, 443]}},
            {"id": "files", "action": "allow",
             "match": {"dst_ips": [lab.FILES, lab.FILES6], "proto": "tcp", "dst_ports": [80]}},
            {"id": "echo", "action": "allow",
             "match": {"dst_ips": [lab.FILES, lab.FILES6], "proto": "udp", "dst_ports": [UDP_PORT]}},
            {"id": "ping", "action": "allow",
             "match": {"dst_ips": [lab.FILES], "proto": "icmp", "icmp_types": [8]}},
            {"id": "ping6", "action": "allow",
             "match": {"dst_ips": [lab.FILES6], "proto": "icmpv6", "icmp_types": [128]}},
        ],
    }],
}

# Seconds. A client that is not told repeats its SYN after one; dig is made to wait for four.
REFUSED_WITHIN, ANSWERED_WITHIN = 1.0, 3.0


class Questions:
    """What a client can try, and the answers with and without the policy."""

    denied = "refused"

    @classmethod
    def prepare(cls):
        cls.lab.udp_echo(UDP_PORT, lab.FILES, lab.FILES6)
        cls.lab.udp_echo(CLOSED_TO_ALL, lab.FILES, lab.FILES6)

    def test_an_address_opens_only_its_port(self):
        for address in (lab.FILES, lab.FILES6):
            self.assertEqual(self.lab.connect(address, 80), "open", address)
            self.assertEqual(self.lab.connect(address, 8080), self.denied, address)

    def test_another_address_is_closed(self):
        for address in (lab.PARTNER, lab.PARTNER6):
            self.assertEqual(self.lab.connect(address, 80), self.denied, address)

    def test_udp_passes_by_port(self):
        for address in (lab.FILES, lab.FILES6):
            self.assertEqual(self.lab.udp(address, UDP_PORT, b"question"), b"question", address)
            self.assertEqual(self.lab.udp(address, CLOSED_TO_ALL, b"question"), self.denied_answer, address)

    def test_ping_passes_by_address(self):
        for open_address, other in ((lab.FILES, lab.PARTNER), (lab.FILES6, lab.PARTNER6)):
            self.assertEqual(self.lab.ping(open_address), "answered")
            self.assertEqual(self.lab.ping(other), self.denied_ping, other)

    def test_another_source_is_closed(self):
        for source, address in ((lab.WATCHED, lab.FILES), (lab.WATCHED6, lab.FILES6)):
            self.assertEqual(self.lab.connect(address, 80, source=source), self.denied, source)

    def test_another_resolver_is_an_ordinary_server(self):
        for resolver in (lab.OTHER_RESOLVER, lab.OTHER_RESOLVER6):
            self.assertEqual(self.lab.dig("www.example.com", "A", "@" + resolver).status, self.denied_status, resolver)


class WithPolicy(Questions):
    denied_answer = denied_ping = "refused"
    denied_status = None

    def test_a_name_opens_its_addresses_on_its_ports(self):
        for family, kind, pool in (("-4", "A", lab.POOL), ("-6", "AAAA", lab.POOL6)):
            self.assertIn(pool, self.lab.dig("shop.example.com", kind).addresses)
            self.assertEqual(self.lab.curl("https://shop.example.com/", family).outcome, "200")
            self.assertEqual(self.lab.curl("http://shop.example.com:8080/", family).outcome, "refused")

    def test_a_denied_name_is_answered_at_once(self):
        for resolver in (lab.RESOLVER, lab.RESOLVER6):
            for name in ("ads.example.com", "tenant.example.net"):
                answer = self.lab.dig(name, "AAAA", "@" + resolver)
                self.assertEqual((answer.status, answer.addresses), ("NXDOMAIN", []), name)
                self.assertIsNotNone(answer.extended, name)
                self.assertLess(answer.seconds, ANSWERED_WITHIN)

    def test_a_denied_query_over_tcp_gets_no_address(self):
        self.assertEqual(self.lab.dig("www.example.com", "A", "+tcp").addresses, [lab.WEB])
        self.assertEqual(self.lab.dig("blog.example.com", "A", "+tcp").addresses, [])

    def test_a_denied_connection_is_refused_at_once(self):
        for address in (lab.PARTNER, f"[{lab.PARTNER6}]"):
            fetch = self.lab.curl(f"http://{address}/")
            self.assertEqual(fetch.outcome, "refused", address)
            self.assertLess(fetch.seconds, REFUSED_WITHIN)

    def test_nothing_denied_reaches_the_far_side(self):
        with self.lab.capture() as far:
            for address in (lab.FILES, lab.FILES6):
                self.lab.connect(address, 80)
                self.lab.connect(address, 8080)
                self.lab.udp(address, CLOSED_TO_ALL)
            for resolver in (lab.RESOLVER, lab.RESOLVER6):
                self.lab.dig("ads.example.com", "A", "@" + resolver)
            for address in (lab.FILES, lab.FILES6):
                far.expect(lambda frame, to=address: (frame.dst, frame.dport) == (to, 80), "an allowed packet")
            far.expect_none(lambda frame: not frame.outgoing and frame.dport in (8080, CLOSED_TO_ALL, 53), "a denied packet")

    def test_connections_at_the_same_time(self):
        outcomes = []

        def ask(number):
            address = (lab.FILES, lab.FILES6)[number % 2]
            outcomes.append((self.lab.connect(address, 80), self.lab.connect(address, 8080)))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(outcomes, [("open", "refused")] * 32)

    def test_what_was_denied_is_counted_and_found(self):
        self.lab.connect(lab.PARTNER, 22)
        self.assertGreater(self.lab.counter("dp_packets_total", decision="deny", proto="tcp"), 0)
        items = self.lab.get("/api/v1/audit/findings").json()["items"]
        self.assertIn((lab.PARTNER, 22), [(item["dst_ip"], item["dst_port"]) for item in items])

    def test_frames_of_our_own_pass_as_others_do(self):
        allowed = frames.tcp(lab.CLIENT, lab.FILES, 40000, 80)
        denied = frames.tcp(lab.CLIENT, lab.FILES, 40001, 8080)
        with self.lab.capture() as far:
            self.lab.sender().send(*(frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, packet) for packet in (denied, allowed)))
            found = far.expect(lambda frame: frame.sport == 40000 and not frame.outgoing)
            self.assertEqual(found[0].octets[14:], allowed)
            far.expect_none(lambda frame: frame.sport == 40001)


class OneWorker(WithPolicy, lab.LabTest):
    options = {"policy": POLICY, "workers": 1}


class FourWorkers(WithPolicy, lab.LabTest):
    options = {"policy": POLICY, "workers": 4}


class PlainBridge(Questions, lab.LabTest):
    options = {"wire": "bridge"}
    denied = "open"
    denied_answer, denied_ping, denied_status = b"question", "answered", "NOERROR"

    def test_frames_of_our_own_are_right(self):
        # A kernel answers only what has right lengths and checksums.
        with self.lab.capture("client") as near:
            for client, server in ((lab.CLIENT, lab.FILES), (lab.CLIENT6, lab.FILES6)):
                self.lab.sender().send(*(frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, packet) for packet in (
                    frames.tcp(client, server, 40002, 80),
                    frames.udp(client, server, 40003, UDP_PORT, b"odd"),
                    frames.echo(client, server, identifier=40004, payload=b"odd"))))
                near.expect(lambda frame, src=server: frame.src == src and frame.dport == 40002 and
                            frame.flags == frames.SYN | frames.ACK, "an answer to the SYN")
                near.expect(lambda frame, src=server: frame.src == src and (frame.dport, frame.payload) == (40003, b"odd"),
                            "the datagram back")
                near.expect(lambda frame, src=server: frame.src == src and frame.payload[:1] in (b"\0", b"\x81") and
                            frame.payload[4:6] == (40004).to_bytes(2, "big"), "an echo reply")

    def test_tags_are_seen_on_the_far_side(self):
        packet = frames.udp(lab.CLIENT, lab.FILES, 40005, 1)
        with self.lab.capture() as far:
            sender = self.lab.sender()
            for tags in ((5,), ((0x88A8, 200), 40)):
                sender.send(frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, packet, tags))
                far.expect(lambda frame, numbers=[tag if isinstance(tag, int) else tag[1] for tag in tags]:
                           frame.sport == 40005 and list(frame.tags) == numbers, f"tags {tags}")


class Cleanup(unittest.TestCase):
    """What remains of a lab whose test does not come to its end."""

    PROGRAM = "import lab, signal, time; signal.signal(signal.SIGTERM, signal.default_int_handler); " \
              "each = lab.Lab(wire='bridge'); each.up(); print(each.name, flush=True); time.sleep(60)"

    def end_with(self, number):
        with subprocess.Popen([sys.executable, "-c", self.PROGRAM], cwd=os.path.dirname(os.path.abspath(__file__)),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            name = child.stdout.readline().strip()
            self.assertTrue(os.path.exists(f"/run/netns/{name}-server"), name)
            with open(os.path.join(lab.directory_of(name), "processes"), encoding="ascii") as file:
                processes = [line.split()[1:] for line in file]
            child.send_signal(number)
            child.wait(20)
        return name, processes

    def assert_nothing_left(self, name, processes):
        for part in ("client", "firewall", "server"):
            self.assertFalse(os.path.exists(f"/run/netns/{name}-{part}"), part)
        self.assertFalse(os.path.exists(lab.directory_of(name)))
        self.assertEqual(len(processes), 2)
        for pid, start in processes:
            self.assertFalse(lab.runs(int(pid), start), pid)

    def test_a_terminated_test_leaves_nothing(self):
        self.assert_nothing_left(*self.end_with(signal.SIGTERM))

    def test_what_a_killed_test_left_is_removed_by_the_next(self):
        name, processes = self.end_with(signal.SIGKILL)
        self.assertTrue(os.path.exists(f"/run/netns/{name}-server"))
        lab.remove_abandoned()
        self.assert_nothing_left(name, processes)


if __name__ == "__main__":
    lab.main()
