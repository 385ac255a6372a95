#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The lab itself: its servers answer what a policy will deny, and nothing is left of it."""
import os
import signal
import subprocess
import sys
import unittest

import lab

UDP_PORT, CLOSED_TO_ALL = 9000, 9001


class Questions:
    """What a client can try."""

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


class PlainBridge(Questions, lab.LabTest):
    options = {"wire": "bridge"}
    denied = "open"
    denied_answer, denied_ping, denied_status = b"question", "answered", "NOERROR"


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
