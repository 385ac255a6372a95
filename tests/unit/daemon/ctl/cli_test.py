#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""policyctl from the outside: usage errors, check, and ready and stats against a small server.

    cli_test.py POLICYCTL SOURCE_DIR
"""

import http.server
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

POLICYCTL, SOURCE = sys.argv[1:3]
POLICY = os.path.join(SOURCE, "examples/site/policy.json")
PAGE = os.path.join(SOURCE, "daemon/ctl/policyctl.1")
COMPLETION = os.path.join(SOURCE, "daemon/ctl/policyctl.bash")
VERBS = ("replay", "check", "ready", "stats", "tap", "port")


def run(*arguments, stdin="", **environment):
    return subprocess.run([POLICYCTL, *arguments], input=stdin, capture_output=True, text=True,
                          env={**os.environ, **environment}, timeout=60)


class Usage(unittest.TestCase):
    def wrong(self, text, *arguments):
        result = run(*arguments)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn(text, result.stderr)

    def test_wrong_command_lines_name_what_is_wrong(self):
        self.wrong("a verb is missing")
        self.wrong('unknown verb "repaly"; did you mean "replay"?', "repaly")
        self.wrong('unknown option "--polcy"; did you mean "--policy"?', "replay", "--polcy", "x")
        self.wrong("Say -r CAPTURE", "replay", "--policy", POLICY)
        self.wrong("Say --policy FILE", "replay", "-r", "x")
        self.wrong("cannot both be read", "replay", "-r", "-", "-p", "-")
        self.wrong('"10.0.0.0/33" is not ADDRESS', "replay", "--inside", "10.0.0.0/33")
        self.wrong('"dns" is not an IP address', "replay", "--trust-resolver", "dns")
        self.wrong("is not one of off, log, enforce", "replay", "--sni-check", "on")
        self.wrong("is not one of table, json", "check", "-o", "jsonl", POLICY)
        self.wrong("one FILE at a time", "check", POLICY, "other")
        self.wrong('unexpected argument "now"', "ready", "now")
        self.wrong("the statistics need a token", "stats")
        self.wrong("say what to do: show or release", "port")
        self.wrong('"relase" is not one of show, release; did you mean "release"?', "port", "relase", "lan0")
        self.wrong("release needs the name of an interface", "port", "release")
        self.wrong("release prints nothing", "port", "release", "--json", "lan0")
        self.wrong("the stream needs a token", "tap")
        self.wrong('"0" is no number from 1', "tap", "--count", "0")
        self.wrong('"2s" is no number from 1', "tap", "--for", "2s")
        self.wrong('unknown option "--scr"; did you mean "--src"?', "tap", "--scr", "10.0.0.0/8")

    def test_help_and_version_go_to_stdout(self):
        self.assertRegex(run("--version").stdout, r"^policyctl \d+\.\d+\.\d+, libpolicy \d")
        for verb in VERBS:
            self.assertIn(verb, run("--help").stdout)
            self.assertIn("Usage: policyctl " + verb, run(verb, "--help").stdout)

    def test_every_option_is_in_the_man_page_and_the_completion(self):
        with open(PAGE) as file:
            page = file.read().replace("\\-", "-")
        with open(COMPLETION) as file:
            completion = file.read()
        for verb in VERBS:
            self.assertIn("policyctl " + verb, page)
            for option in re.findall(r"--[a-z-]+", run(verb, "--help").stdout.split("Options:")[1]):
                self.assertIn(option, completion)
                if option != "--help":
                    self.assertIn(option, page)


def datagram(src, dst, sport, dport, flags, seq, ack, payload=b""):
    """IPv4 and TCP, without the checksums, which nobody verifies."""
    tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 65535, 0, 0) + payload
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0,
                       socket.inet_aton(src), socket.inet_aton(dst)) + tcp


class Certificates(unittest.TestCase):
    """A capture of a real server's first messages, under a rule that asks for its certificate."""

    RULES = [{"id": "db", "action": "allow", "match": {"proto": "tcp", "tls": {
        "server_san": ["db.example.com"]}}}]

    def capture(self, seconds):
        data = os.path.join(SOURCE, "tests/data/tls/direct.flight")
        with open(os.path.join(SOURCE, "tests/fuzz/corpus/hello/tls12"), "rb") as file:
            hello = file.read()
        with open(data, "rb") as file:
            flight = file.read()
        there, back = ("10.0.0.5", "192.0.2.9", 40000, 443), ("192.0.2.9", "10.0.0.5", 443, 40000)
        packets = [datagram(*there, 2, 100, 0), datagram(*back, 18, 500, 101),
                   datagram(*there, 24, 101, 501, hello),
                   datagram(*back, 24, 501, 101 + len(hello), flight),
                   datagram(*there, 16, 101 + len(hello), 501 + len(flight))]
        path = os.path.join(self.directory.name, "capture.pcap")
        with open(path, "wb") as file:
            file.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
            for i, packet in enumerate(packets):
                file.write(struct.pack("=IIII", seconds, i, len(packet), len(packet)) + packet)
        return path

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.policy = os.path.join(self.directory.name, "policy.json")
        with open(self.policy, "w") as file:
            json.dump({"source_groups": [{"id": "office", "mode": "enforce", "sources": {
                "cidrs": ["10.0.0.0/8"]}, "rules": self.RULES}]}, file)

    def replay(self, anchors, seconds=1780272000):
        return run("replay", "--quiet", "-o", "jsonl", "-p", self.policy, "-r", self.capture(seconds),
                   "--trust-anchors", anchors)

    def test_the_anchors_given_and_the_capture_s_time_decide(self):
        ours = os.path.join(SOURCE, "tests/data/tls/ca.pem")
        for anchors, seconds, verdict, reason in (
                (ours, 1780272000, "allow", "rule"),
                (ours, 2500000000, "deny", "certificate_untrusted"),
                (ours.replace("ca.pem", "rogue.pem"), 1780272000, "deny", "certificate_untrusted")):
            flow = json.loads(self.replay(anchors, seconds).stdout.splitlines()[0])
            self.assertEqual((flow["verdict"], flow["reason"]), (verdict, reason))

    def test_anchors_that_cannot_be_read_are_named(self):
        result = self.replay("/nonexistent/anchors.pem")
        self.assertEqual((result.returncode, result.stdout), (4, ""))
        self.assertIn("--trust-anchors: /nonexistent/anchors.pem: No such file", result.stderr)


class Check(unittest.TestCase):
    def test_valid_policy_says_what_it_holds(self):
        result = run("check", POLICY)
        self.assertEqual(result.returncode, 0)
        self.assertIn("2 groups with 19 rules", result.stdout)
        answer = json.loads(run("check", "--json", POLICY).stdout)
        self.assertTrue(answer["valid"])
        self.assertEqual(sum(group["rules"] for group in answer["policy"]["groups"]), 19)

    def test_every_error_has_its_place(self):
        text = '{"default_policy": "denny",\n "source_groups": [],\n "extra": 1}\n'
        result = run("check", "-", stdin=text)
        self.assertEqual(result.returncode, 4)
        self.assertIn("<stdin>:1:20: error: ", result.stdout)
        self.assertIn("<stdin>:3:2: error: ", result.stdout)
        self.assertIn('     3 |  "extra": 1}\n       |  ^\n', result.stdout)
        self.assertIn("<stdin>: 2 errors\n", result.stdout)
        answer = json.loads(run("check", "--json", "-", stdin=text).stdout)
        self.assertEqual((answer["valid"], answer["policy"]), (False, None))
        self.assertEqual(len(answer["diagnostics"]), 2)

    def test_unreadable_file_is_invalid(self):
        result = run("check", "/nonexistent")
        self.assertEqual(result.returncode, 4)
        self.assertIn("No such file", result.stderr)


class Node(http.server.BaseHTTPRequestHandler):
    answers = {}
    tokens = []

    def do_GET(self):
        self.tokens.append(self.headers.get("Authorization"))
        status, body = self.answers.get(self.path, (404, "not found"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


READY = {"ready": True, "checks": [{"name": "dataplane_running", "ok": True,
                                    "detail": "capture finished"}]}
NOT_READY = {"ready": False, "checks": [{"name": "dns_allowlist", "ok": False,
                                         "detail": "no trusted resolver\x1b[2J"}]}
STATS = {"dataplane": {"packets": {"allow": 1831}}, "dns": {"queries_deny": 2}}


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Node)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.url = "http://127.0.0.1:%d/" % cls.server.server_port

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def ask(self, verb, *arguments, **environment):
        return run(verb, "--url", self.url, *arguments, **environment)

    def token(self, text):
        file = tempfile.NamedTemporaryFile("w")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        return file.name

    def test_ready_node(self):
        Node.answers = {"/ready": (200, json.dumps(READY))}
        result = self.ask("ready", http_proxy="http://127.0.0.1:1")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"^ready .*\n  ok    dataplane_running +capture finished\n$")
        self.assertEqual(json.loads(self.ask("ready", "--json").stdout), READY)

    def test_node_that_is_not_ready_shows_why(self):
        Node.answers = {"/ready": (503, json.dumps(NOT_READY))}
        result = self.ask("ready")
        self.assertEqual(result.returncode, 1)
        self.assertIn("NOT READY", result.stdout)
        self.assertIn("no trusted resolver?[2J", result.stdout)

    def test_something_else_that_answers_is_no_policyd(self):
        for answer in ((404, "not found"), (200, "<html>"), (200, "[]"), (200, "")):
            Node.answers = {"/ready": answer}
            self.assertEqual(self.ask("ready").returncode, 3)

    def test_nobody_answers(self):
        with socket.socket() as taken:  # bound, never listening: nobody else can answer there
            taken.bind(("127.0.0.1", 0))
            result = run("ready", "--url", "http://127.0.0.1:%d" % taken.getsockname()[1])
        self.assertEqual(result.returncode, 3)
        self.assertIn("is policyd running there?", result.stderr)

    def test_stats_sends_the_token_of_a_file(self):
        Node.answers = {"/api/v1/stats": (200, json.dumps(STATS))}
        result = self.ask("stats", "--token-file", self.token("pol_secret\n"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(Node.tokens[-1], "Bearer pol_secret")
        self.assertRegex(result.stdout, r"dataplane\n  packets.allow +1831\ndns\n  queries_deny +2\n")
        result = self.ask("stats", "--json", POLICYCTL_TOKEN_FILE=self.token("pol_other"))
        self.assertEqual(Node.tokens[-1], "Bearer pol_other")
        self.assertEqual(json.loads(result.stdout), STATS)

    def test_refused_and_unusable_tokens(self):
        Node.answers = {"/api/v1/stats": (401, '{"error":"unauthorized"}')}
        result = self.ask("stats", "--token-file", self.token("pol_wrong"))
        self.assertEqual(result.returncode, 1)
        self.assertNotIn("pol_wrong", result.stderr)
        self.assertEqual(self.ask("stats", "--token-file", self.token("a\nX-Y: b")).returncode, 2)
        self.assertEqual(self.ask("stats", "--token-file", "/nonexistent").returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
