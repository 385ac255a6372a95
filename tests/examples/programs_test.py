#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example programs that need no network, compiled as a vendor would and looked at while they run."""
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/support"))
import counted # pylint: disable=wrong-import-position
from vendor import Vendor # pylint: disable=wrong-import-position

EXAMPLES = os.path.join(TOP, "examples")
SITE = os.path.join(EXAMPLES, "site")
SMALL = ("verdict", "diagnostics", "dns_gate", "own_allocator", "pcap_replay", "epoll_embed")
LINES = 200 # an example is read in one go

POLICY = {"default_policy": "deny", "source_groups": [
    {"id": "office", "mode": "enforce", "sources": {"cidrs": ["10.0.0.0/24", "2001:db8:10::/64"]}, "rules": [
        {"id": "web", "action": "allow", "match": {"proto": "tcp", "dst_ports": [443]}}]}]}


def syn(port):
    """A SYN from 10.0.0.5 to 192.0.2.1."""
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes([10, 0, 0, 5]), bytes([192, 0, 2, 1])) + \
        struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 0x50, 2, 0, 0, 0)


class Program(unittest.TestCase):
    name = packages = None

    @classmethod
    def setUpClass(cls):
        cls.vendor = Vendor(os.environ["BUILD"], os.environ["CC"], os.environ["SANITIZE"])
        cls.addClassCleanup(cls.vendor.close)
        if cls.name:
            cls.program = cls.vendor.compile(os.path.join(EXAMPLES, cls.name + ".c"), *(cls.packages or ()),
                                             options=cls.vendor.leak_options())

    def says(self, *arguments, code=0):
        """What it prints, having ended with this code and, where that is success, said nothing else."""
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.said_beside = done.stderr
        return done.stdout

    def write(self, name, text):
        with open(self.vendor.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.vendor.path(name)


class Verdict(Program):
    name = "verdict"

    def test_what_a_rule_allows(self):
        self.assertEqual(self.says(), "allow: a rule matched (group office, rule web)\n")
        self.assertEqual(self.says("2001:db8:10::7", "2001:db8:20::1", "80"),
                         "allow: a rule matched (group office, rule web)\n")

    def test_what_a_rule_denies(self):
        self.assertEqual(self.says("10.0.0.5", "192.0.2.200", "443", code=1),
                         "deny: a rule matched (group office, rule no-lab)\n")

    def test_what_nobody_decides(self):
        self.assertEqual(self.says("10.9.0.5", "192.0.2.1", "443", code=1), "deny: no group decided (group default)\n")

    def test_what_is_no_packet(self):
        for wrong in (("10.0.0", "192.0.2.1", "443"), ("10.0.0.5", "2001:db8:20::1", "443"),
                      *(("10.0.0.5", "192.0.2.1", port) for port in ("65979", "-1", "0", "http", "443x", ""))):
            self.says(*wrong, code=2)
            self.assertIn("usage:", self.said_beside)


class Diagnostics(Program):
    name = "diagnostics"

    def test_all_faults_with_their_places(self):
        text = self.says(code=1)
        for line in ('broken.json:5:30: error: group office: invalid prefix length: 33\n'
                     '    at /source_groups/0/sources/cidrs/0\n', "broken.json:7:34: error:", "broken.json:8:22: error:",
                     "broken.json:10:38: error:", "4 errors\n"):
            self.assertIn(line, text)

    def test_a_good_policy(self):
        self.assertRegex(self.says(os.path.join(SITE, "policy.json")), r"^accepted: 2 groups, 19 rules, \d+ warnings\n$")

    def test_no_policy_at_all(self):
        self.says(self.vendor.path("missing.json"), code=2)
        self.assertIn("missing.json: No such file or directory", self.said_beside)


class DnsGate(Program):
    name = "dns_gate"

    def test_a_name_opens_and_time_closes(self):
        actions = [line[57:].split()[0] for line in self.says().splitlines() if " s  " in line]
        self.assertEqual(actions, ["deny", "answer", "allow", "allow", "deny", "allow", "deny", "allow", "allow"])
        self.assertIn("the name that would open this address has expired", self.says())


class OwnAllocator(Program):
    name = "own_allocator"

    def test_traffic_allocates_nothing(self):
        text = self.says()
        self.assertIn("traffic:  100000 packets, 66666 allowed, 0 calls of the allocator\n", text)
        self.assertIn("the end:  0 octets held", text)

    def test_every_budget_ends_in_a_status(self):
        for kib in (0, 1, 30, 100, 5000, 30000):
            text = self.says(str(kib), code=1)
            self.assertIn("out of memory\n", text)
            self.assertIn("the end:  0 octets held", text)


class PcapReplay(Program):
    name, packages = "pcap_replay", ("libpcap",)

    def test_the_site(self):
        findings = [json.loads(line) for line in
                    self.says(os.path.join(SITE, "site.pcapng"), os.path.join(SITE, "policy.json")).splitlines()]
        self.assertIn(("dns_deny", "office", "ads.example.com"),
                      {(f["finding_type"], f["source_group"], f["hostname"]) for f in findings})
        counts = dict(line.split()[:2] for line in self.said_beside.splitlines())
        self.assertGreater(int(counts["allow"]), 1000)
        self.assertGreater(int(counts["deny"]), 100)

    def test_a_capture_that_is_cut(self):
        with open(os.path.join(SITE, "site.pcapng"), "rb") as file:
            octets = file.read(50001)
        with open(self.vendor.path("cut.pcapng"), "wb") as file:
            file.write(octets)
        self.assertIn("finding_type", self.says(self.vendor.path("cut.pcapng"), os.path.join(SITE, "policy.json"), code=1))
        self.assertIn("truncated", self.said_beside)

    def test_a_policy_that_is_wrong(self):
        self.says(os.path.join(SITE, "site.pcapng"), self.write("wrong.json", '{"default_polcy": "deny"}'), code=1)
        self.assertIn('wrong.json:1: unknown key "default_polcy"; did you mean "default_policy"?', self.said_beside)


class EpollEmbed(Program):
    name = "epoll_embed"

    def setUp(self):
        self.policy = self.write("policy.json", json.dumps(POLICY))
        self.path = self.vendor.path("engine.sock")
        self.process = subprocess.Popen([self.program, self.path, self.policy], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        self.assertEqual(self.process.stdout.readline(), "generation 1: success\n")
        self.client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.client.close)
        self.client.bind(self.vendor.path("client.sock"))
        self.client.settimeout(20)

    def end(self):
        self.process.kill()
        self.process.communicate()
        for name in ("engine.sock", "client.sock"):
            os.unlink(self.vendor.path(name))

    def ask(self, port):
        self.client.sendto(syn(port), self.path)
        return self.client.recv(2000).decode()

    def reload(self, text):
        self.write("policy.json", text)
        self.process.send_signal(signal.SIGHUP)
        return self.process.stdout.readline()

    def test_verdicts_and_an_orderly_end(self):
        self.assertEqual(self.ask(443), "allow office web rule")
        self.assertEqual(self.ask(25), "deny default - policy_default")
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=20)
        self.assertEqual((self.process.returncode, out), (0, "flow 1 ended\n"))

    def test_a_reload(self):
        self.assertEqual(self.ask(25), "deny default - policy_default")
        self.assertEqual(self.reload(json.dumps(POLICY).replace("443", "25")), "generation 2: success\n")
        self.assertEqual(self.ask(25), "allow office web rule")

    def test_a_policy_that_is_not_there(self):
        os.unlink(self.policy)
        self.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.process.stdout.readline(), "generation 1: No such file or directory\n")
        self.assertEqual(self.ask(443), "allow office web rule")

    def test_a_bad_reload_changes_nothing(self):
        self.assertEqual(self.reload('{"x": 1}'), "generation 1: policy rejected; see the diagnostics\n")
        self.assertIn('unknown key "x"', self.process.stdout.readline())
        self.assertEqual(self.ask(443), "allow office web rule")


class Size(unittest.TestCase):
    def test_each_is_read_in_one_go(self):
        for name in SMALL:
            with open(os.path.join(EXAMPLES, name + ".c"), encoding="utf-8") as file:
                self.assertLess(len(file.readlines()), LINES, name)


if __name__ == "__main__":
    del Program
    counted.main()
