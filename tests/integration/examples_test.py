#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example integrations, compiled as a vendor would from an installed library, between the lab's client and servers.

The environment names BUILD (what to install), CC, and SANITIZE, with what the library was built (may be empty).
"""
import hashlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import frames
import lab
import support
from vendor import Vendor

BUILD, CC, SANITIZE = os.environ["BUILD"], os.environ["CC"], os.environ["SANITIZE"]
EXAMPLES = os.path.join(support.TOP, "examples")
BULK = 100 << 20
UDP_SEGMENT = 103


vendor = None


def setUpModule(): # pylint: disable=invalid-name
    global vendor # pylint: disable=global-statement
    vendor = Vendor(BUILD, CC, SANITIZE)
    unittest.addModuleCleanup(vendor.close)


# -- The two programs in the lab's firewall

class Bridge:
    """afpacket_bridge, with the host shut out as its first comment says."""

    source, packages = os.path.join(EXAMPLES, "afpacket_bridge.c"), ()
    arguments = (lab.POLICY, "lan0", "wan0", lab.RESOLVER, lab.RESOLVER6)
    ready = "are joined"

    @staticmethod
    def missing():
        return None

    @classmethod
    def prepare(cls):
        for device in ("lan0", "wan0"):
            for command in (f"tc qdisc add dev {device} clsact",
                            f"tc filter add dev {device} ingress pref 1 bpf da bytecode '1,6 0 0 2'",
                            f"sysctl -w net.ipv6.conf.{device}.disable_ipv6=1",
                            f"ip link set dev {device} arp off up"):
                done = cls.lab.run(*shlex.split(command), part="firewall")
                if done.returncode:
                    raise AssertionError(f"{command}: {done.stderr}")


class Gateway:
    """nfqueue_gateway. The firewall routes and answers for the addresses of the other side, so that client and server
    need not know."""

    source, packages = os.path.join(EXAMPLES, "nfqueue_gateway.c"), ("libnetfilter_queue", "libmnl")
    arguments = ("--inside", "lan0", lab.POLICY, "7", lab.RESOLVER, lab.RESOLVER6)
    ready = "judging queue"

    QUEUE = "iptables -A FORWARD -j NFQUEUE --queue-num 7 && ip6tables -A FORWARD -j NFQUEUE --queue-num 7"
    ROUTER = f"""
        set -eu
        for device in lan0 wan0; do
            echo 0 >/proc/sys/net/ipv4/neigh/$device/proxy_delay
            echo 0 >/proc/sys/net/ipv6/neigh/$device/proxy_delay
            echo 1 >/proc/sys/net/ipv4/conf/$device/proxy_arp
            echo 1 >/proc/sys/net/ipv6/conf/$device/proxy_ndp
        done
        ip addr add 192.0.2.2/32 dev lan0
        ip addr add 2001:db8:0:1::2/128 dev lan0 nodad
        for host in {lab.CLIENT} {lab.WATCHED}; do ip route add $host dev lan0; done
        for host in {lab.CLIENT6} {lab.WATCHED6}; do
            ip route add $host dev lan0
            ip neigh add proxy $host dev wan0
        done
        ip route add 192.0.2.0/24 dev wan0
        ip route add default via {lab.GATEWAY} dev wan0
        ip route add 2001:db8:0:1::/64 dev wan0
        ip route add ::/0 via {lab.GATEWAY6} dev wan0
        for host in {lab.GATEWAY6} {lab.RESOLVER6}; do ip neigh add proxy $host dev lan0; done
        echo 1 >/proc/sys/net/ipv4/ip_forward
        echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    """

    @classmethod
    def missing(cls):
        """Why it cannot be compiled here, or None."""
        done = subprocess.run(["pkg-config", "--exists", "--print-errors", *cls.packages], capture_output=True, text=True,
                              check=False)
        return done.stderr.strip() or None

    @classmethod
    def prepare(cls):
        done = cls.lab.run("sh", "-c", cls.QUEUE, part="firewall")
        if done.returncode:
            cls.unable = "no NFQUEUE rules here: " + done.stderr.strip()
            return
        done = cls.lab.run("sh", "-c", cls.ROUTER, part="firewall")
        if done.returncode:
            raise AssertionError(done.stderr)


class Example(lab.LabTest):
    """Starts the program anew for every test; that it ends with success and says nothing more is part of each."""

    options = {"wire": "none"}
    compiled_with = ()
    unable = None # why it cannot run here
    process = None

    def setUp(self):
        reason = self.missing() or self.unable
        if reason:
            self.skipTest(reason)
        self.directory = tempfile.mkdtemp(prefix="examples-test-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.start()
        self.addCleanup(self.process.kill)

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def start(self):
        program = vendor.compile(self.source, *self.packages, options=self.compiled_with)
        with open(self.path("out"), "wb") as out, open(self.path("errors"), "wb") as errors:
            self.process = self.lab.launch("firewall", program, *self.arguments, stdout=out, stderr=errors)
        end = time.monotonic() + 10
        while self.ready not in self.read("errors"):
            self.assertLess(time.monotonic(), end, self.read("errors"))
            self.assertIsNone(self.process.poll(), self.read("errors"))
            time.sleep(0.02)

    def stop(self):
        """Ctrl-C. Returns the denials and the counters that it printed."""
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(10), 0, self.read("errors"))
        self.assertEqual(len(self.read("errors").splitlines()), 1, self.read("errors"))
        *denials, counters = [json.loads(line) for line in self.read("out").splitlines()]
        return denials, counters

    def ask_names(self):
        for kind, addresses in (("A", [lab.WEB]), ("AAAA", [lab.WEB6])):
            for resolver in (lab.RESOLVER, lab.RESOLVER6):
                self.assertEqual(self.lab.dig("www.example.com", kind, "@" + resolver).addresses, addresses, resolver)
                refused = self.lab.dig("ads.example.com", kind, "@" + resolver)
                self.assertEqual((refused.status, refused.extended), ("NXDOMAIN", 15), resolver)


class Questions(Example):
    """What both programs are asked."""

    def test_a_learned_name_opens_its_address(self):
        for address, kind in ((lab.WEB, "A"), (lab.WEB6, "AAAA")):
            self.assertEqual(self.lab.connect(address, 443), "refused", address)
            self.assertEqual(self.lab.dig("www.example.com", kind).addresses, [address])
            self.assertEqual(self.lab.connect(address, 443), "open", address)
        for family in ("-4", "-6"):
            self.assertEqual(self.lab.curl("https://www.example.com/", family).outcome, "200", family)
            self.assertEqual(self.lab.curl("http://shop.example.com/", family).outcome, "200", family)
        self.stop()

    def test_a_denied_name_does_not_exist(self):
        self.ask_names()
        self.assertEqual(self.lab.curl("http://ads.example.com/").outcome, "no such name")
        denials, _ = self.stop()
        self.assertEqual({(denial["kind"], denial["rule"]) for denial in denials}, {("dns", "no-ads")}, denials)

    def test_a_denied_address_is_refused_at_once(self):
        for host in (lab.PARTNER, f"[{lab.PARTNER6}]"):
            fetch = self.lab.curl(f"http://{host}/")
            self.assertEqual(fetch.outcome, "refused", host)
            self.assertLess(fetch.seconds, 1, host)
        for address in (lab.PARTNER, lab.PARTNER6):
            self.assertEqual(self.lab.ping(address), "refused", address)
        denials, counters = self.stop()
        self.assertEqual({denial["dst_ip"] for denial in denials}, {lab.PARTNER, lab.PARTNER6}, denials)
        self.assertEqual({denial["reason"] for denial in denials}, {"group_default"}, denials)
        self.assertEqual((counters["dropped"], counters["refusals"]), (4, 4), counters)

    def test_another_server_name_is_cut_off(self):
        for address in (lab.PARTNER, f"[{lab.PARTNER6}]"):
            for name, outcome in (("partner.example.net", "200"), ("tenant.example.net", "reset")):
                fetch = self.lab.curl(f"https://{name}/", "--resolve", f"{name}:443:{address}")
                self.assertEqual(fetch.outcome, outcome, (name, address))
                self.assertLess(fetch.seconds, 3, (name, address))
        denials, _ = self.stop()
        # The last packets of the test before, to others, may come when nobody knows their flows any more.
        cut = [denial for denial in denials if denial["dst_ip"] in (lab.PARTNER, lab.PARTNER6)]
        self.assertEqual([denial["sni"] for denial in cut], ["tenant.example.net"] * 2, denials)

    def test_both_ends_of_a_cut_flow_hear_of_it(self):
        with self.lab.capture() as seen:
            self.lab.curl("https://tenant.example.net/", "--resolve", f"tenant.example.net:443:{lab.PARTNER}")
            seen.expect(lambda frame: frame.dst == lab.PARTNER and frame.flags and frame.flags & frames.RST, "a RST")
        self.stop()

    def test_bulk_arrives_whole(self):
        octets = os.urandom(1 << 20) * (BULK >> 20)
        with open(os.path.join(self.lab.directory, "web/files/bulk"), "wb") as file:
            file.write(octets)
        for host in (lab.FILES, f"[{lab.FILES6}]"):
            fetched = self.path("fetched")
            outcome = self.lab.curl(f"http://{host}/files/bulk", "-o", fetched, seconds=60)
            self.assertEqual(outcome.outcome, "200", host)
            with open(fetched, "rb") as file:
                self.assertEqual(hashlib.sha256(file.read()).digest(), hashlib.sha256(octets).digest(), host)
        _, counters = self.stop()
        # Most of it came in super-frames.
        self.assertLess(counters["forwarded"], 2 * BULK // 1500 // 2, counters)

    def test_no_query_hides_in_a_super_frame(self):
        """As a whole it is one message with a long OPT record; cut up, the record is a query of its own."""
        hidden = query("ads")
        visible = query("www", additional=1) + b"\0\0\x29\4\xd0\0\0\0\0\0" + bytes([len(hidden)])
        with self.lab.capture() as seen:
            for resolver in (lab.RESOLVER, lab.RESOLVER6):
                asking = self.lab.socket("client", socket.AF_INET6 if ":" in resolver else socket.AF_INET, socket.SOCK_DGRAM)
                asking.connect((resolver, 53))
                asking.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(visible))
                asking.send(visible + hidden)
                asking.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
                asking.send(query("www")) # this one arrives, so what came before it would have
                seen.expect(lambda frame, to=resolver: frame.dst == to and b"\3www" in (frame.payload or b""), "a query")
            self.assertEqual(seen.matching(lambda frame: b"\3ads" in frame.octets), [])
        self.stop()

    def test_nothing_passes_without_it(self):
        self.assertEqual(self.lab.connect(lab.FILES, 80), "open")
        self.assertEqual(self.lab.connect(lab.FILES6, 80), "open")
        self.stop()
        for address in (lab.FILES, lab.FILES6):
            self.assertEqual(self.lab.connect(address, 80, seconds=2), "no answer", address)


def query(label, additional=0):
    """A query for the address of LABEL.example.com."""
    return b"\x12\x34\1\0\0\1\0\0\0\0\0" + bytes([additional, len(label)]) + label.encode() + \
        b"\7example\3com\0\0\1\0\1"


class BridgeQuestions(Bridge, Questions):
    def test_a_vlan_tag_stays(self):
        packet = frames.tcp(lab.CLIENT, lab.FILES, 40000, 80)
        wrong = frames.tcp(lab.CLIENT, lab.FILES, 40000, 81)
        with self.lab.capture() as seen:
            for tags in ((7,), ((0x88A8, 9), 7)):
                self.lab.sender().send(frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, wrong, tags),
                                       frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, packet, tags))
            seen.expect(lambda frame: frame.dport == 80 and frame.tags == (7,), "tag 7")
            seen.expect(lambda frame: frame.dport == 80 and frame.tags == (9, 7), "tags 9 and 7")
            self.assertEqual(seen.matching(lambda frame: frame.dport == 81), [])
        self.stop()


class GatewayQuestions(Gateway, Questions):
    pass


class NoLeak(Example):
    def setUp(self):
        self.compiled_with = vendor.leak_options()
        if not self.compiled_with:
            self.skipTest("LeakSanitizer finds nothing on this machine")
        super().setUp()

    def test_nothing_leaks(self):
        self.ask_names()
        self.assertEqual(self.lab.curl("https://www.example.com/").outcome, "200")
        self.assertEqual(self.lab.connect(lab.PARTNER, 80), "refused")
        fetch = self.lab.curl("https://tenant.example.net/", "--resolve", f"tenant.example.net:443:{lab.PARTNER}")
        self.assertEqual(fetch.outcome, "reset")
        self.stop()


class BridgeNoLeak(Bridge, NoLeak):
    pass


class GatewayNoLeak(Gateway, NoLeak):
    pass


# -- What is wrong is said

class Errors(support.TemporaryDirectory):
    wrong = ()

    def setUp(self):
        super().setUp()
        reason = self.missing()
        if reason:
            self.skipTest(reason)

    def ask(self, *arguments):
        program = vendor.compile(self.source, *self.packages, options=vendor.leak_options())
        return support.run(*arguments, program=program)

    def test_help_and_usage(self):
        code, out, errors = self.ask("--help")
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("POLICY.json", out)
        code, out, errors = self.ask()
        self.assertEqual((code, out), (2, ""))
        self.assertIn("Usage:", errors)

    def test_the_place_of_an_error_in_the_policy_is_shown(self):
        path = self.path("policy.json", '{\n  "default_policy": "perhaps",\n  "source_groups": 1\n}\n')
        code, _, errors = self.ask(*self.arguments_with(path))
        self.assertEqual(code, 1, errors)
        self.assertRegex(errors, r"policy\.json:2:\d+: error: .*perhaps")
        self.assertRegex(errors, r"policy\.json:3:\d+: error: .*source_groups")

    def test_what_cannot_be_used_is_named(self):
        for arguments, status, words in self.wrong:
            code, _, errors = self.ask(*arguments)
            self.assertEqual(code, status, errors)
            self.assertIn(words, errors)


class BridgeErrors(Bridge, Errors):
    wrong = (
        (("/nowhere", "lo", "lo"), 1, "/nowhere: No such file"),
        ((os.devnull, "lo", "lo"), 1, "is empty"),
        ((lab.POLICY, "nodevice", "lo"), 1, "nodevice: No such device"),
        ((lab.POLICY, "lo", "lo", "resolver"), 2, 'resolver "resolver"'))

    @staticmethod
    def arguments_with(policy):
        return policy, "lo", "lo"


class GatewayErrors(Gateway, Errors):
    wrong = (
        (("--inside", "lo", "/nowhere", "7"), 1, "/nowhere: No such file"),
        (("--inside", "nodevice", lab.POLICY, "7"), 2, '"nodevice": No such device'),
        (("--inside", "lo", lab.POLICY, "seven"), 2, 'queue "seven"'),
        (("--inside", "lo", lab.POLICY, "65536"), 2, 'queue "65536"'),
        (("--inside", "lo", lab.POLICY, "7", "resolver"), 2, 'resolver "resolver"'))

    @staticmethod
    def arguments_with(policy):
        return "--inside", "lo", policy, "7"


del Example, Questions, NoLeak, Errors # unittest would run them by themselves


if __name__ == "__main__":
    lab.main()
