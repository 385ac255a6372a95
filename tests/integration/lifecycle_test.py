#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, reloading, and what happens with captures that are not whole."""
import os
import re
import signal
import struct
import subprocess
import tempfile
import time
import unittest
import unittest.mock

import support
from support import Policyd, TemporaryDirectory, policy, tcp_syn


def running(daemon):
    return daemon.get("/ready").json()["checks"][0]


class Arguments(TemporaryDirectory):
    def test_help_and_version_end_well(self):
        code, out, _ = support.run("--help")
        self.assertEqual(code, 0)
        self.assertIn("--trust-resolver ADDR", out)
        code, out, _ = support.run("--version")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^policyd \d+\.\d+\.\d+\n$")

    def test_what_comes_later_is_refused_with_2(self):
        for flags in (["--dns", "127.0.0.1:53"], ["--polcy", "x"], ["stray"]):
            code, _, errors = support.run("--pcap", self.capture(), *flags)
            self.assertEqual((code, errors.count("see policyd --help")), (2, 1), flags)

    def test_contradictions_are_refused_with_4(self):
        for flags in (["--inline", "a,b"], ["--monitor", "eth0"], ["--workers", "4"]):
            code, _, errors = support.run("--pcap", self.capture(), *flags)
            self.assertEqual((code, errors.count("\n")), (4, 1), flags)

    def test_a_public_address_is_refused_with_4_and_the_reason(self):
        for address in ("0.0.0.0:8080", "192.0.2.1:80", "[::]:80", "[2001:db8::1]:80"):
            code, _, errors = support.run("--pcap", self.capture(), "--http", address)
            self.assertEqual(code, 4)
            self.assertIn("is not a loopback address: the API has no TLS yet", errors)

    def test_a_configuration_is_checked_and_printed(self):
        config = self.path("config.yaml", f"dataplane:\n  capture: {self.capture()}\ndns:\n  trusted: [192.0.2.1]\n")
        code, _, errors = support.run("--config", config, "--check")
        self.assertEqual(code, 4)
        self.assertEqual(errors, f'{config}:4:3: unknown key "dns.trusted"\n')
        config = self.path("config.yaml", f"dataplane:\n  capture: {self.capture()}\n")
        self.assertEqual(support.run("--config", config, "--check"), (0, "", ""))
        code, first, _ = support.run("--config", config, "--print-config", "--trust-resolver", "192.0.2.9")
        self.assertEqual(code, 0)
        self.assertIn('  trusted_resolvers: ["192.0.2.9"]\n', first)
        again = self.path("again.yaml", first)
        self.assertEqual(support.run("--config", again, "--print-config")[1], first)

    def test_every_key_is_documented(self):
        _, printed, _ = support.run("--print-config", "--pcap", "x")
        with open(os.path.join(support.TOP, "docs/operations.md"), encoding="utf-8") as file:
            text = file.read()
        path = []
        for line in printed.splitlines():
            indent, name = re.match(r"( *)(?:# )?(\w+):", line).groups()
            path = path[:len(indent) // 2] + [name]
            if not line.endswith(":"):
                self.assertIn(f"| `{'.'.join(path)}` |", text)


class Tokens(TemporaryDirectory):
    def start(self, *arguments):
        process = subprocess.Popen([support.POLICYD, "--pcap", self.capture(), "--http", "127.0.0.1:0", *arguments],
                                   stderr=subprocess.PIPE, text=True)
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "capture finished" in line:
                break
        process.send_signal(signal.SIGTERM)
        lines.append(process.stderr.read())
        process.stderr.close()
        self.assertEqual(process.wait(10), 0, lines)
        return "".join(lines)

    def test_a_token_is_made_once_and_shown_once(self):
        state = self.path("state")
        first = self.start("--state", state)
        token = re.search(r"admin token \(shown once\): (pol_[\w-]{43})\n", first).group(1)
        self.assertNotIn("pol_", self.start("--state", state))
        for name in os.listdir(state):
            with open(os.path.join(state, name), "rb") as file:
                self.assertNotIn(token.encode(), file.read(), name)

    def test_with_flags_alone_nothing_is_left_behind(self):
        with tempfile.TemporaryDirectory() as place, unittest.mock.patch.dict(os.environ, TMPDIR=place):
            self.start()
            self.assertEqual(os.listdir(place), [])

    def test_a_weak_token_file_is_refused(self):
        for content in ("", "short\n", "two words that are long enough\n"):
            token = self.path("token", content)
            os.chmod(token, 0o644)
            code, _, errors = support.run("--pcap", self.capture(), "--http", "127.0.0.1:0", "--admin-token-file", token)
            self.assertEqual(code, 4)
            self.assertIn("a token is one word of at least 16 characters", errors)
        self.assertNotIn("short", errors)
        self.assertIn("can be read by others", errors)

    def test_what_is_kept_is_private(self):
        with Policyd("--pcap", self.capture()) as daemon:
            for name in (".", "state.db", "observed.db", "lock"):
                self.assertEqual(os.stat(os.path.join(daemon.state, name)).st_mode & 0o077, 0, name)


class Stopping(TemporaryDirectory):
    def test_sigterm_drains_and_stops_within_seconds(self):
        with Policyd("--pcap", self.capture()) as daemon:
            daemon.process.send_signal(signal.SIGTERM)
            draining = None
            for _ in range(100):
                try:
                    reply = daemon.get("/ready")
                except OSError:
                    break
                draining = next(check for check in reply.json()["checks"] if check["name"] == "draining")
                if not draining["ok"]:
                    self.assertEqual(reply.status, 503)
                    break
                time.sleep(0.01)
            self.assertFalse(draining["ok"])
            began = time.monotonic()
            self.assertEqual(daemon.process.wait(10), 0)
            self.assertLess(time.monotonic() - began, 5)

    def test_sigterm_in_the_middle_of_a_capture(self):
        frames = [(100 + number / 1000, tcp_syn("10.0.0.1", "203.0.113.1", 1024 + number % 60000, 443))
                  for number in range(300000)]
        with Policyd("--pcap", self.capture(frames=frames), wait=None) as daemon:
            code, took = daemon.terminate()
            self.assertEqual(code, 0)
            self.assertLess(took, 6)

    def stop_while_opening(self, capture, **options):
        temporary = self.path("tmp")
        os.makedirs(temporary, exist_ok=True)
        process = subprocess.Popen([support.POLICYD, "--pcap", capture, "--http", "127.0.0.1:0"], stderr=subprocess.PIPE,
                                   text=True, env={**os.environ, "TMPDIR": temporary}, **options)
        self.addCleanup(process.kill)
        self.assertIn("waiting for the capture to begin", process.stderr.readline())
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 0, errors)
        self.assertLess(time.monotonic() - began, 3)
        self.assertEqual(os.listdir(temporary), [])

    def test_sigterm_while_a_named_pipe_has_no_writer(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        self.stop_while_opening(fifo)

    def test_sigterm_while_standard_input_is_silent(self):
        silent, writer = os.pipe()
        self.addCleanup(os.close, writer)
        self.addCleanup(os.close, silent)
        self.stop_while_opening("-", stdin=silent)

    def test_a_capture_that_stands_still_leaves_no_state_behind(self):
        temporary = self.path("tmp")
        os.makedirs(temporary)
        with open(self.capture(), "rb") as file:
            octets = file.read()
        with subprocess.Popen([support.POLICYD, "--pcap", "-", "--http", "127.0.0.1:0"], stdin=subprocess.PIPE,
                              stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": temporary}) as process:
            self.addCleanup(process.kill)
            process.stdin.write(octets)
            process.stdin.flush()
            for line in process.stderr:
                if b"listening on" in line:
                    break
            self.assertEqual(len(os.listdir(temporary)), 1)
            process.send_signal(signal.SIGTERM)
            errors = process.stderr.read()
            self.assertEqual(process.wait(15), 0, errors)
            self.assertIn(b"a thread did not end in time", errors)
            self.assertEqual(os.listdir(temporary), [])

    def test_a_named_pipe_is_no_policy(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        for flags in (["--policy", fifo], ["--admin-token-file", fifo], ["--config", fifo]):
            code, _, errors = support.run("--pcap", self.capture(), "--http", "127.0.0.1:0", *flags)
            self.assertIn(code, (1, 4), flags)
            self.assertIn(fifo, errors)

    def test_a_client_that_says_nothing_does_not_hold_up_the_end(self):
        import socket
        with Policyd("--pcap", self.capture()) as daemon:
            idle = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(4)]
            self.assertEqual(daemon.get("/health").status, 200)
            code, took = daemon.terminate(15)
            self.assertEqual(code, 0)
            self.assertLess(took, 10)
            for connection in idle:
                connection.close()

    def test_a_state_directory_has_one_owner(self):
        with Policyd("--pcap", self.capture()) as daemon:
            code, _, errors = support.run("--pcap", self.capture(), "--state", daemon.state, "--http", "127.0.0.1:0")
            self.assertEqual(code, 1)
            self.assertIn("in use by another policyd", errors)

    def test_a_taken_port_is_told(self):
        with Policyd("--pcap", self.capture()) as daemon:
            code, _, errors = support.run("--pcap", self.capture(), "--http", f"127.0.0.1:{daemon.port}")
            self.assertEqual(code, 1)
            self.assertIn(f"cannot listen on 127.0.0.1 port {daemon.port}", errors)


class Reloading(TemporaryDirectory):
    def test_sighup_names_what_needs_a_restart_and_keeps_on_after_a_mistake(self):
        config = self.path("config.yaml", "log: {level: info}\n")
        with Policyd("--config", config, "--pcap", self.capture()) as daemon:
            self.path("config.yaml", "dataplane: {sni_check: enforce}\nreadiness: {advisory: [cluster]}\n")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.expect_log("configuration was read again")
            self.assertEqual(re.findall(r"([\w.]+) has changed; restart", daemon.log()), ["dataplane.sni_check"])
            advisory = [check["name"] for check in daemon.get("/ready").json()["checks"] if check.get("advisory")]
            self.assertEqual(advisory, ["cluster"])
            self.path("config.yaml", "dataplain: {}\n")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.expect_log('the configuration before stays in force: .*unknown key "dataplain"')
            self.assertEqual(daemon.get("/health").status, 200)


class Captures(TemporaryDirectory):
    def test_a_cut_off_capture_names_the_packet_and_what_was_judged_stands(self):
        frames = [(100 + number, tcp_syn("10.0.0.1", "203.0.113.1", 1024 + number, 443)) for number in range(5)]
        path = self.capture(frames=frames)
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) - 10)
        with Policyd("--pcap", path, wait="packet 5") as daemon:
            check = running(daemon)
            self.assertFalse(check["ok"])
            self.assertIn("packet 5 is cut off", check["detail"])
            self.assertEqual(daemon.get("/ready").status, 503)
            self.assertEqual(daemon.get("/api/v1/stats").json()["dataplane"]["packets"]["deny"], 4)
            self.assertEqual(daemon.put_policy(policy()).status, 200)

    def test_a_damaged_length_is_an_error_too(self):
        path = self.capture()
        with open(path, "ab") as file:
            file.write(struct.pack("<IIII", 101, 0, 0xFFFFFFFF, 0xFFFFFFFF))
        with Policyd("--pcap", path, wait="packet 2") as daemon:
            self.assertFalse(running(daemon)["ok"])

    def test_what_is_no_capture_ends_the_start_with_1(self):
        for path in (self.path("empty", ""), self.path("text", "not a capture at all, only text\n"), self.path("none"),
                     self.directory):
            code, _, errors = support.run("--pcap", path, "--http", "127.0.0.1:0")
            self.assertEqual((code, errors.count("\n")), (1, 1), errors)
            self.assertIn(path, errors)

    def test_packets_recorded_with_a_snap_length_are_told(self):
        path = self.capture()
        octets = tcp_syn("10.0.0.1", "203.0.113.1", 40001, 443)
        with open(path, "ab") as file:
            file.write(struct.pack("<IIII", 101, 0, len(octets), len(octets) + 500) + octets)
        with Policyd("--pcap", path) as daemon:
            check = running(daemon)
            self.assertTrue(check["ok"])
            self.assertIn("capture finished; 1 of 2 packets were recorded incompletely", check["detail"])
            self.assertEqual(daemon.log().count("1 of 2 packets were recorded incompletely"), 1)

    def test_raw_ip_and_cooked_captures_are_judged_alike(self):
        frame = tcp_syn("10.0.0.1", "203.0.113.1", 40000, 443)
        ip = frame[14:]
        sll = struct.pack("!HHHQH", 0, 1, 6, 0, 0x0800) + ip
        sll2 = struct.pack("!HHIHBBQ", 0x0800, 0, 1, 1, 0, 6, 0) + ip
        for link, octets in ((1, frame), (101, ip), (228, ip), (113, sll), (276, sll2)):
            path = self.path(f"link-{link}.pcap")
            support.write_pcap(path, [(100, octets)], link)
            with Policyd("--pcap", path) as daemon:
                items = daemon.get("/api/v1/audit/findings").json()["items"]
                self.assertEqual([(item["dst_ip"], item["dst_port"], item["count"]) for item in items],
                                 [("203.0.113.1", 443, 1)], link)
                self.assertEqual(items[0]["last_seen"], 100)


if __name__ == "__main__":
    support.main()
