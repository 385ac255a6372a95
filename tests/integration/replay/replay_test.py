#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""policyctl replay over the sample site.

    replay_test.py POLICYCTL SOURCE_DIR            compares with site.expected.jsonl
    replay_test.py POLICYCTL SOURCE_DIR --write    writes it anew; review every line of the difference
"""

import collections
import difflib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from capture import Capture, pcap

POLICYCTL, SOURCE = sys.argv[1:3]
SITE = os.path.join(SOURCE, "examples/site/site.pcapng")
POLICY = os.path.join(SOURCE, "examples/site/policy.json")
EXPECTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site.expected.jsonl")
RESOLVERS = ("--trust-resolver", "192.0.2.53", "--trust-resolver", "2001:db8:53::53")

FLOW_KEYS = ("kind src sport dst dport proto side sni names packets bytes verdict raw_verdict group "
             "rule reason first last").split()
DNS_KEYS = ("kind client resolver name qtype rcode answers learned verdict group rule "
            "reason").split()


def run(*arguments, octets=None):
    return subprocess.run([POLICYCTL, "replay", *arguments], input=octets, capture_output=True,
                          timeout=120)


def replay(path, *arguments, octets=None):
    """The lines of a replay that must succeed."""
    result = run("-r", path, "--policy", POLICY, "-o", "jsonl", *(arguments or RESOLVERS),
                 octets=octets)
    if result.returncode != 0:
        raise AssertionError(result.stderr.decode())
    return result.stdout.decode().splitlines()


def records(*arguments):
    return [json.loads(line) for line in replay(SITE, *arguments)]


def tshark(*fields, show):
    command = ["tshark", "-n", "-r", SITE, "-Y", show, "-T", "fields", "-E", "separator=|",
               "-E", "occurrence=a", "-E", "aggregator=,"]
    for field in fields:
        command += ["-e", field]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split("|") for line in output.splitlines()]


class Site(unittest.TestCase):
    def test_records_are_those_expected(self):
        with open(EXPECTED) as file:
            expected = file.read().splitlines()
        difference = list(difflib.unified_diff(expected, replay(SITE), "expected", "replayed",
                                               lineterm="", n=0))
        self.assertEqual(difference, [], "\n" + "\n".join(difference))

    def test_keys_come_in_the_documented_order(self):
        for record in records():
            keys = FLOW_KEYS if record["kind"] == "flow" else DNS_KEYS
            self.assertEqual(list(record)[:len(keys)], keys)

    def test_records_are_in_order_of_time(self):
        times = [record.get("first") or record["time"] for record in records()]
        self.assertEqual(times, sorted(times))

    def test_every_packet_is_in_one_record_or_counted_as_none(self):
        for arguments in (RESOLVERS, ("--sni-check", "enforce"), ("--inside", "10.0.0.0/8")):
            result = run("-r", SITE, "--policy", POLICY, "--json", *arguments)
            answer = json.loads(result.stdout)
            summary = answer["summary"]
            flows = [record for record in answer["records"] if record["kind"] == "flow"]
            self.assertEqual(sum(flow["packets"] for flow in flows), summary["packets_in_flows"])
            for flow in flows:
                self.assertEqual(flow["packets_out"] + flow["packets_in"], flow["packets"])
            total = len(Capture(SITE).packets)
            self.assertEqual(summary["packets"], total)
            for parts in ("in_flows arp link_control not_ip broken",
                          "forwarded dropped intercepted"):
                self.assertEqual(sum(summary["packets_" + part] for part in parts.split()), total)
            self.assertEqual(summary["events_lost"], 0)

    def test_json_has_the_records_of_jsonl(self):
        result = run("-r", SITE, "--policy", POLICY, "-o", "json", *RESOLVERS)
        self.assertEqual(json.loads(result.stdout)["records"], records())

    def test_table_has_a_line_per_record_and_no_colours_in_a_file(self):
        result = run("-r", SITE, "--policy", POLICY, *RESOLVERS)
        self.assertEqual(len(result.stdout.splitlines()), len(records()) + 1)
        self.assertNotIn(b"\033", result.stdout + result.stderr)
        self.assertIn(b"1831 packets in ", result.stderr)

    def test_sni_check_enforce_denies_what_log_only_reports(self):
        for log, enforce in zip(records(), records(*RESOLVERS, "--sni-check", "enforce")):
            if "sni_mismatch" in log:
                self.assertEqual((log["verdict"], log["reason"]), ("allow", "rule"))
                self.assertEqual((enforce["verdict"], enforce["reason"]), ("deny", "sni_mismatch"))
            else:
                self.assertEqual(log, enforce)

    def test_packets_recorded_with_a_snap_length_are_counted_and_told(self):
        site = Capture(SITE)
        cut = [(time, octets[:96], wire) for time, octets, wire in site.packets]
        count = sum(len(octets) < wire for _, octets, wire in cut)
        result = run("-r", "-", "--policy", POLICY, "--json", *RESOLVERS, octets=pcap(cut, site.link))
        self.assertEqual(result.returncode, 0)
        self.assertGreater(count, 0)
        self.assertEqual(json.loads(result.stdout)["summary"]["packets_incomplete"], count)
        self.assertIn(f"{count} of {len(cut)} packets were recorded incompletely", result.stderr.decode())
        whole = run("-r", SITE, "--policy", POLICY, "--json", *RESOLVERS)
        self.assertEqual(json.loads(whole.stdout)["summary"]["packets_incomplete"], 0)
        self.assertNotIn(b"incompletely", whole.stderr)

    def test_quiet_is_quiet(self):
        result = run("-r", SITE, "--policy", POLICY, "--quiet")
        self.assertEqual(result.stderr, b"")

    def test_pipe_and_pcap_give_the_same_records(self):
        with open(SITE, "rb") as file:
            self.assertEqual(replay("-", *RESOLVERS, octets=file.read()), replay(SITE))
        site = Capture(SITE)
        self.assertEqual(replay("-", *RESOLVERS, octets=pcap(site.packets, site.link)),
                         replay(SITE))


@unittest.skipUnless(shutil.which("tshark"), "tshark is not installed")
class Names(unittest.TestCase):
    def test_queries_are_those_tshark_sees(self):
        seen = collections.Counter(
            (source4 or source6, name.lower())
            for source4, source6, names in tshark(
                "ip.src", "ipv6.src", "dns.qry.name",
                show="dns.flags.response == 0 && (udp.dstport == 53 || tcp.dstport == 53) && !icmp "
                     "&& !icmpv6 && (ip.dst == 192.0.2.53 || ipv6.dst == 2001:db8:53::53)")
            for name in names.split(","))
        ours = collections.Counter((record["client"], record["name"])
                                   for record in records() if record["kind"] == "dns")
        self.assertEqual(ours, seen)

    def test_every_name_of_a_flow_was_answered_with_its_address(self):
        known = collections.defaultdict(set)
        for name, *addresses in tshark("dns.qry.name", "dns.a", "dns.aaaa",
                                       "dns.svcb.svcparam.ipv4hint.ip",
                                       "dns.svcb.svcparam.ipv6hint.ip",
                                       show="dns.flags.response == 1 && !icmp && !icmpv6"):
            for address in ",".join(addresses).split(","):
                known[address].add(name.lower())
        for record in records():
            if record["kind"] == "flow":
                self.assertLessEqual(set(record["names"]), known[record["dst"]], record)

    def test_server_names_are_those_tshark_sees(self):
        seen = {(source4 or source6, int(port)): name
                for source4, source6, port, name in tshark(
                    "ip.src", "ipv6.src", "tcp.srcport", "tls.handshake.extensions_server_name",
                    show="tls.handshake.extensions_server_name")}
        # A connection denied at its SYN has no ClientHello to a firewall.
        for record in records():
            if record["kind"] == "flow" and record["packets_dropped"] == record["packets"]:
                seen.pop((record["src"], record["sport"]), None)
        ours = {(record["src"], record["sport"]): record["sni"]
                for record in records() if record.get("sni")}
        self.assertEqual(ours, seen)


class Damage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Capture(SITE)

    def failing(self, octets, message):
        with tempfile.NamedTemporaryFile(suffix=".pcapng") as file:
            file.write(octets)
            file.flush()
            result = run("-r", file.name, "--policy", POLICY, "-o", "jsonl", *RESOLVERS)
            self.assertEqual(result.returncode, 4)
            self.assertIn(os.path.basename(file.name) + ": " + message, result.stderr.decode())
            return result.stdout.decode().splitlines()

    def before(self, number):
        """The records of the packets before one."""
        octets = pcap(self.site.packets[:number - 1], self.site.link)
        return replay("-", *RESOLVERS, octets=octets)

    def test_cut_off_capture_keeps_what_precedes_the_cut(self):
        octets = self.site.octets[:self.site.offsets[999] + 40]
        self.assertEqual(self.failing(octets, "packet 1000 is cut off"), self.before(1000))

    def test_damaged_block_keeps_what_precedes_it(self):
        octets = bytearray(self.site.octets)
        struct.pack_into("<I", octets, self.site.offsets[499] + 4, 0x7ffffff0)
        self.assertEqual(self.failing(octets, "packet 500 cannot be read: the file is damaged"),
                         self.before(500))

    def test_cut_within_the_first_block_is_no_capture(self):
        self.assertEqual(self.failing(self.site.octets[:20], "not a readable pcap"), [])

    def test_text_is_no_capture(self):
        self.assertEqual(self.failing(b"# a text file, certainly\n" * 10, "not a readable pcap"), [])

    def test_missing_capture(self):
        result = run("-r", "/nonexistent.pcap", "--policy", POLICY)
        self.assertEqual((result.returncode, result.stdout), (4, b""))
        self.assertIn(b"/nonexistent.pcap: No such file or directory", result.stderr)

    def test_bad_policy_shows_every_error_and_replays_nothing(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"default_policy": "denny", "source_groups": [], "extra": 1}')
            file.flush()
            result = run("-r", SITE, "--policy", file.name)
        self.assertEqual((result.returncode, result.stdout), (4, b""))
        self.assertIn(b".json:1:20: error: ", result.stderr)
        self.assertIn(b".json:1:50: error: ", result.stderr)


def write_expected():
    with open(EXPECTED, "w") as file:
        file.write("\n".join(replay(SITE)) + "\n")


if __name__ == "__main__":
    if sys.argv[3:] == ["--write"]:
        write_expected()
    else:
        unittest.main(argv=sys.argv[:1])
