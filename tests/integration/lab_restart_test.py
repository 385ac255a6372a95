#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""policyd ends and comes back, and its policy changes, while real connections are open through it."""
import http.client
import time
import unittest

import frames
import lab


def rule(name, address, port=80):
    return {"id": name, "action": "allow", "match": {"dst_ips": [address], "proto": "tcp", "dst_ports": [port]}}


def policy(*rules):
    return {"default_policy": "deny",
            "source_groups": [{"id": "clients", "mode": "enforce", "sources": {"ips": [lab.CLIENT, lab.CLIENT6]},
                               "default_action": "deny", "rules": list(rules)}]}


BY_NAME = {"id": "web", "action": "allow", "match": {"dns_hostname": r"^www\.example\.com$", "proto": "tcp",
                                                     "dst_ports": [80]}}
IN_FORCE_WITHIN = 1.0 # seconds after a start
SAVED_AFTER = 1.5      # seconds after a grant was learned


class Connection:
    """An HTTP connection of the client that stays open between questions."""

    def __init__(self, test, address):
        self.http = http.client.HTTPConnection(address, 80)
        self.http.sock = test.lab.connect(address, 80, keep=True)
        test.assertNotIsInstance(self.http.sock, str, address)

    def answers(self, seconds=3):
        try:
            self.http.sock.settimeout(seconds)
            self.http.request("GET", "/")
            reply = self.http.getresponse()
            reply.read()
            return reply.status == 200
        except OSError:
            return False


class Questions:
    def setUp(self):
        self.lab = lab.Lab(policy=policy(rule("files", lab.FILES), rule("files6", lab.FILES6), BY_NAME),
                           workers=self.workers)
        self.addCleanup(self.lab.down)
        self.lab.up()

    def seconds_to_come_back(self):
        self.lab.policyd.kill()
        began = time.monotonic()
        self.lab.policyd.start()
        while self.lab.connect(lab.FILES, 80, seconds=0.1) != "open":
            self.assertLess(time.monotonic() - began, 10)
        return time.monotonic() - began

    def test_a_killed_policyd_leaves_the_wire_closed(self):
        self.assertEqual(self.lab.connect(lab.FILES, 80), "open")
        self.lab.policyd.kill()
        # The host could route, and has addresses that somebody may ask.
        self.lab.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward", part="firewall")
        self.lab.ip("firewall", "addr", "add", "192.0.2.99/24", "dev", "lan0")
        self.lab.ip("firewall", "addr", "add", "192.0.2.98/24", "dev", "wan0")
        host = self.lab.ip("firewall", "-o", "link", "show", "lan0").split("link/ether ")[1].split()[0]
        question = frames.ethernet("ff:ff:ff:ff:ff:ff", lab.CLIENT_MAC,
                                   frames.arp_request(lab.CLIENT_MAC, lab.CLIENT, "192.0.2.99"), ethertype=frames.ARP)
        with self.lab.capture() as far, self.lab.capture("client") as near:
            sender = self.lab.sender()
            sender.send(question)
            for mac in (lab.SERVER_MAC, host):
                for address in (lab.FILES, "192.0.2.99", "192.0.2.98"):
                    sender.send(*(frames.ethernet(mac, lab.CLIENT_MAC, packet) for packet in (
                        frames.tcp(lab.CLIENT, address, 41000, 80), frames.udp(lab.CLIENT, address, 41000, 80, b"x"),
                        frames.echo(lab.CLIENT, address))))
                sender.send(frames.ethernet(mac, lab.CLIENT_MAC, frames.tcp(lab.CLIENT6, lab.FILES6, 41000, 80)))
            near.expect(lambda frame: frame.outgoing and frame.sport == 41000, count=14)
            far.expect_none(lambda frame: not frame.outgoing, "a frame through the closed wire", seconds=0.5)
            near.expect_none(lambda frame: not frame.outgoing, "an answer of the host", seconds=0)

    def test_after_a_kill_the_policy_is_soon_in_force_and_connections_go_on(self):
        self.assertEqual(self.lab.dig("www.example.com").addresses, [lab.WEB])
        self.assertIn(lab.WEB6, self.lab.dig("www.example.com", "AAAA").addresses)
        connections = [Connection(self, address) for address in (lab.FILES, lab.FILES6, lab.WEB, lab.WEB6)]
        self.assertTrue(all(connection.answers() for connection in connections))
        time.sleep(SAVED_AFTER)
        with self.lab.capture() as far:
            # The quickest of three: the machine may have other work.
            self.assertLess(min(self.seconds_to_come_back() for _ in range(3)), IN_FORCE_WITHIN)
            self.assertEqual(self.lab.connect(lab.FILES, 8080), "refused")
            # What was learned before is still known, to open connections and to new ones.
            self.assertEqual([connection.answers() for connection in connections], [True] * 4)
            self.assertEqual(self.lab.connect(lab.WEB, 80), "open")
            far.expect_none(lambda frame: not frame.outgoing and frame.dport == 8080, "a denied packet")

    def test_a_new_policy_cuts_exactly_what_it_denies(self):
        kept, cut = Connection(self, lab.FILES6), Connection(self, lab.FILES)
        self.assertTrue(kept.answers() and cut.answers())
        self.lab.put_policy(policy(rule("files6", lab.FILES6)))
        self.assertFalse(cut.answers(seconds=1))
        self.assertTrue(kept.answers())
        self.assertEqual(self.lab.connect(lab.FILES, 80), "refused")
        self.assertEqual(self.lab.connect(lab.FILES6, 80), "open")

    def test_it_ends_when_told_and_comes_back(self):
        code, seconds = self.lab.policyd.terminate()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 5)
        self.assertEqual(self.lab.connect(lab.FILES, 80, seconds=1), "no answer")
        self.lab.policyd.start()
        self.lab.ready()
        self.assertEqual(self.lab.connect(lab.FILES, 80), "open")


class OneWorker(Questions, unittest.TestCase):
    workers = 1


class FourWorkers(Questions, unittest.TestCase):
    workers = 4


if __name__ == "__main__":
    lab.main()
