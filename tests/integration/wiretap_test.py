#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Live confirmation: the stream of flows as curl reads it, performance mode, and policyctl tap."""
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import support
from support import Policyd, TOKEN, ipv4

STREAM = "/api/v1/wiretap/stream"
MODE = "/api/v1/settings/performance-mode"
CONTRACT = ["flow_id", "src_ip", "dst_ip", "src_port", "dst_port", "proto", "packets_in", "packets_out", "last_seen",
            "hostname", "node_id"]
FILLER = b"\xff" * 6 + b"\x02\0\0\0\0\x01\x08\x06" + bytes(28)  # an ARP frame, which makes no event


def ip(src, dst, proto, payload, vlan=None):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, 0, ipv4(src), ipv4(dst))
    tag = struct.pack("!HH", 0x8100, vlan) if vlan else b""
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02" + tag + b"\x08\0" + header + payload


def udp(src, dst, sport, dport, vlan=None):
    return ip(src, dst, 17, struct.pack("!HHHH", sport, dport, 12, 0) + b"data", vlan)


def tcp(src, dst, sport, dport, flags, seq=1000, ack=0):
    return ip(src, dst, 6, struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 64240, 0, 0))


class Feed:
    """A capture that goes on for as long as the test likes. A worker hands events on after a burst of packets, so
    some that mean nothing follow those that do."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.now = 1000.0
        self.file = None

    def open(self):
        self.file = open(self.path, "wb", buffering=0)
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

    def send(self, *frames):
        octets = b""
        for frame in [*frames, *[FILLER] * 128]:
            head = struct.pack("<IIII", int(self.now), int(self.now % 1 * 1000000), len(frame), len(frame))
            octets += head + frame
        while octets:
            octets = octets[self.file.write(octets):]

    def close(self):
        if self.file:
            self.file.close()
            self.file = None


class Curl:
    """A reader of the stream. Events are (name, data), comments (":", text)."""

    def __init__(self, daemon, query="", *options):
        self.process = subprocess.Popen(
            ["curl", "-sSN", *options, "-H", "Authorization: Bearer " + TOKEN,
             f"http://127.0.0.1:{daemon.port}{STREAM}{query}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.events = queue.Queue()
        self.ids = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        name, data = "message", None
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                break  # curl was ended in the middle of it
            line = line.decode().rstrip("\n")
            field, _, value = line.partition(": ")
            if line == "" and data is not None:
                self.events.put((name, data))
                name, data = "message", None
            elif field == "" and value:
                self.events.put((":", value))
            elif field == "event":
                name = value
            elif field == "data":
                data = json.loads(value)
            elif field == "id":
                self.ids.append(int(value))
        self.events.put(None)

    def next(self, seconds=10):
        return self.events.get(timeout=seconds)

    def expect(self, name, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            event = self.next(end - time.monotonic())
            if event is None:
                break
            if event[0] == name:
                return event[1]
        raise AssertionError(f"no {name}")

    def rest(self, seconds=0.5):
        """What has come when nothing more does."""
        events = []
        while True:
            try:
                event = self.events.get(timeout=seconds)
            except queue.Empty:
                return events
            if event is None:
                return events
            events.append(event)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        self.process.stderr.close()


class Live(support.TemporaryDirectory):
    """Each test has a policyd that reads a capture which is being written."""
    config = ""

    def setUp(self):
        super().setUp()
        policy = support.policy({"id": "ntp", "action": "allow", "match": {"proto": "udp"}},
                                {"id": "web", "action": "allow", "match": {"proto": "tcp", "dst_ports": [443]}})
        self.feed = Feed(self.path("capture"))
        self.arguments = ["--policy", self.path("policy.json", policy), "--pcap", self.feed.path]
        if self.config:
            self.arguments += ["--config", self.path("config.yaml", self.config)]
        self.daemon = Policyd(*self.arguments, state=self.path("state"), wait=None)
        self.addCleanup(self.daemon.__exit__)
        self.addCleanup(self.feed.close)
        self.start()

    def start(self):
        opener = threading.Thread(target=self.feed.open)
        opener.start()
        self.daemon.start()
        opener.join()

    def stop(self):
        self.feed.close()
        return self.daemon.terminate()

    def listen(self, query="", *options):
        curl = Curl(self.daemon, query, *options)
        self.addCleanup(curl.close)
        curl.expect(":")
        self.settle()
        return curl

    def settle(self):
        """The worker has heard what is wanted now."""
        time.sleep(0.3)
        self.feed.send()

    def metric(self, name):
        for line in self.daemon.get("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
        raise AssertionError(name)


class Stream(Live):
    def test_a_flow_has_the_contracts_keys_and_says_what_decided(self):
        curl = self.listen()
        self.feed.send(udp("10.0.0.5", "203.0.113.9", 40000, 123, vlan=42))
        name, flow = curl.next()
        self.assertEqual(name, "flow")
        self.assertEqual(list(flow)[:len(CONTRACT)], CONTRACT)
        self.assertEqual([flow[key] for key in CONTRACT[:10]],
                         ["10.0.0.5:40000-203.0.113.9:123-17", "10.0.0.5", "203.0.113.9", 40000, 123, 17, 0, 1, 1000,
                          None])
        self.assertRegex(flow["node_id"], "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")
        self.assertEqual([flow[key] for key in ("kind", "verdict", "group", "rule", "reason", "vlan", "sni")],
                         ["flow_open", "allow", "web", "ntp", "rule", 42, None])
        self.assertEqual(curl.ids, [1])

    def test_the_head_is_that_of_a_stream(self):
        head = self.daemon.raw(f"HEAD {STREAM} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        lines = head.decode().lower().split("\r\n")
        self.assertEqual(lines[0], "http/1.1 200 ok")
        self.assertIn("content-type: text/event-stream", lines)
        self.assertIn("cache-control: no-cache", lines)
        self.assertNotIn("content-length", head.decode().lower())
        self.assertEqual(self.metric("policyd_wiretap_streams"), 0)
        self.assertEqual(self.daemon.ask("POST", STREAM).headers["allow"], "GET, HEAD")
        self.assertEqual(self.daemon.get(STREAM, token=None).status, 401)

    def test_a_busy_flow_is_reported_once_per_second_and_at_its_end(self):
        curl = self.listen()
        for _ in range(50):
            self.feed.send(udp("10.0.0.5", "203.0.113.9", 40000, 123))
            self.feed.now += 0.1
        self.feed.now += 400
        self.feed.send()
        events = curl.rest()
        self.assertEqual([name for name, _ in events], ["flow"] * 5 + ["flow_end"])
        self.assertEqual([flow["packets_out"] for _, flow in events], [1, 11, 21, 31, 41, 50])
        self.assertEqual(events[-1][1]["end"], "idle_timeout")
        self.assertEqual(curl.ids, sorted(set(curl.ids)))

    def test_every_end_is_told(self):
        curl = self.listen()
        self.feed.send(tcp("10.0.0.5", "203.0.113.9", 40000, 443, 2),
                       tcp("203.0.113.9", "10.0.0.5", 443, 40000, 0x14, 0, 1001),
                       tcp("10.0.0.6", "203.0.113.9", 40001, 443, 2))
        self.feed.now += 10
        self.feed.send(tcp("203.0.113.9", "10.0.0.6", 443, 40001, 0x12, 5000, 1001),
                       tcp("10.0.0.6", "203.0.113.9", 40001, 443, 0x11, 1001, 5001),
                       tcp("203.0.113.9", "10.0.0.6", 443, 40001, 0x11, 5001, 1002),
                       tcp("10.0.0.6", "203.0.113.9", 40001, 443, 0x10, 1002, 5002))
        self.feed.now += 200
        self.feed.send()
        ends = {flow["src_ip"]: flow["end"] for name, flow in curl.rest() if name == "flow_end"}
        self.assertEqual(ends, {"10.0.0.5": "tcp_rst", "10.0.0.6": "tcp_fin"})

    def test_denials_come_to_those_who_ask_for_them(self):
        plain, denied = self.listen(), self.listen("?kind=deny")
        self.feed.send(tcp("10.0.0.5", "203.0.113.9", 40000, 25, 2), udp("10.0.0.5", "203.0.113.9", 40000, 123))
        name, deny = denied.next()
        self.assertEqual((name, deny["dst_port"], deny["verdict"], deny["reason"]),
                         ("deny", 25, "deny", "policy_default"))
        self.assertEqual([name for name, _ in denied.rest()], [])
        self.assertEqual([name for name, _ in plain.rest()], ["flow"])

    def seen(self, query):
        curl = self.listen(query)
        self.feed.now += 1000  # those of the time before are over
        self.feed.send()
        curl.rest(0.3)
        self.feed.send(udp("10.0.0.5", "203.0.113.9", 40000, 123), udp("10.0.1.6", "203.0.113.10", 40001, 5000),
                       tcp("10.0.2.7", "198.51.100.1", 40002, 443, 2))
        events = curl.rest(0.4)
        curl.close()
        return sorted(flow["src_ip"][-1] for name, flow in events if name == "flow")

    def test_values_of_a_filter_are_alternatives_and_filters_add_up(self):
        for query, expected in (
                ("", "567"), ("?src_cidr=10.0.0.0/24", "5"), ("?src_cidr=10.0.0.5&src_cidr=10.0.1.0/24", "56"),
                ("?dst_cidr=203.0.113.0/24", "56"), ("?dst_cidr=203.0.113.0/24&proto=tcp", ""),
                ("?proto=tcp", "7"), ("?proto=6&proto=UDP", "567"), ("?proto=any&proto=tcp", "567"),
                ("?src_port=40001-40002", "67"), ("?dst_port=123&dst_port=443", "57"),
                ("?dst_port=123&src_cidr=10.0.1.0%2F24", ""), ("?hostname=example", ""), ("?nonsense=1", "567")):
            self.assertEqual("".join(self.seen(query)), expected, query)

    def test_a_bad_value_is_refused_by_name(self):
        for query, name in (("src_cidr=10.0.0.0/33", "src_cidr"), ("dst_cidr=host", "dst_cidr"), ("proto=tpc", "proto"),
                            ("proto=256", "proto"), ("src_port=70000", "src_port"), ("dst_port=9-8", "dst_port"),
                            ("dst_port=", "dst_port"), ("hostname=(", "hostname"), ("hostname=", "hostname"),
                            ("hostname=" + 2000 * "a", "hostname"), ("kind=all", "kind"),
                            ("&".join(["proto=1"] * 65), "proto")):
            reply = self.daemon.get(STREAM + "?" + query)
            self.assertEqual(reply.status, 400, query[:50])
            self.assertEqual(reply.headers["content-type"], "application/json")
            self.assertTrue(reply.json()["error"].startswith(name + ": "), reply.json())
        self.assertEqual(self.metric("policyd_wiretap_streams"), 0)

    def test_a_slow_reader_is_told_what_it_lost_and_holds_up_nobody(self):
        slow, quick = socket.socket(), self.listen()
        self.addCleanup(slow.close)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", self.daemon.port))
        slow.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        self.settle()
        for batch in range(30):
            self.feed.send(*[udp("10.0.0.5", f"203.0.113.{batch}", 10000 + i, 123) for i in range(100)])
            time.sleep(0.02)
        self.assertEqual(len([1 for name, _ in quick.rest() if name == "flow"]), 3000)
        dropped = self.metric("policyd_wiretap_dropped_total")
        self.assertGreater(dropped, 0)
        self.assertEqual(self.metric("policyd_wiretap_events_total"), 6000)

        octets = b""
        slow.settimeout(2)
        try:
            while piece := slow.recv(65536):
                octets += piece
        except TimeoutError:
            pass
        told = [json.loads(event.split("data: ")[1])["count"] for event in octets.decode().split("\n\n")
                if event.startswith("event: dropped")]
        self.assertEqual(sum(told), dropped)
        self.assertEqual(octets.count(b"\nevent: flow\n"), 3000 - dropped)

    def test_a_reader_that_hangs_up_frees_its_stream_at_once(self):
        self.listen().close()
        end = time.monotonic() + 3
        while self.metric("policyd_wiretap_streams") and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.metric("policyd_wiretap_streams"), 0)

    def test_one_stream_too_many_is_refused_and_the_api_goes_on(self):
        curls = [Curl(self.daemon) for _ in range(16)]
        for curl in curls:
            self.addCleanup(curl.close)
            curl.expect(":")
        reply = self.daemon.get(STREAM)
        self.assertEqual(reply.status, 503)
        self.assertIn("wiretap.max_streams", reply.json()["error"])
        self.assertRegex(reply.headers["retry-after"], r"^\d+$")
        self.assertEqual(self.metric("policyd_wiretap_refused_total"), 1)

        began = time.monotonic()
        idle = [socket.create_connection(("127.0.0.1", self.daemon.port)) for _ in range(20)]
        for _ in range(20):
            self.assertEqual(self.daemon.get("/health").status, 200)
        self.assertLess(time.monotonic() - began, 2)
        for connection in idle:
            connection.close()

    def test_open_streams_end_with_the_daemon(self):
        curls = [self.listen() for _ in range(3)]
        code, took = self.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 6)
        for curl in curls:
            self.assertEqual(curl.expect("end"), {"reason": "policyd is stopping"})
            self.assertEqual(curl.process.wait(5), 0)

    def test_a_reader_that_takes_nothing_does_not_hold_up_the_end(self):
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", self.daemon.port))
            slow.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            self.settle()
            self.feed.send(*[udp("10.0.0.5", "203.0.113.1", 10000 + i, 123) for i in range(2000)])
            time.sleep(0.5)
            code, took = self.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 6)

    def test_silence_is_filled_with_keepalives(self):
        curl = self.listen()
        self.assertEqual(curl.next(17), (":", "keepalive"))


class FewStreams(Live):
    config = "wiretap:\n  max_streams: 1\n"

    def test_the_number_of_streams_is_a_setting(self):
        self.listen()
        self.assertEqual(self.daemon.get(STREAM).status, 503)


class PerformanceMode(Live):
    def mode(self, enabled):
        reply = self.daemon.ask("PUT", MODE, {"enabled": enabled})
        self.assertEqual((reply.status, reply.json()), (200, {"enabled": enabled, "source": "local"}))

    def deny(self, port):
        self.feed.send(tcp("10.0.0.5", "203.0.113.9", 40000, port, 2))
        time.sleep(0.3)

    def ports(self):
        reply = self.daemon.get("/api/v1/audit/findings")
        self.assertEqual(reply.status, 200)
        return sorted(finding["dst_port"] for finding in reply.json()["items"])

    def test_it_is_on_until_somebody_sets_it(self):
        self.assertEqual(self.daemon.get(MODE).json(), {"enabled": True, "source": None})
        self.assertEqual(self.daemon.get(MODE, token=None).status, 401)
        self.mode(True)
        self.assertEqual(self.daemon.get(MODE).json(), {"enabled": True, "source": "local"})

    def test_off_cuts_streams_and_collects_nothing(self):
        curl = self.listen()
        self.deny(25)
        self.assertEqual(self.ports(), [25])
        self.mode(False)
        self.assertEqual(curl.expect("end"), {"reason": "performance mode is disabled; wiretap is unavailable"})
        self.assertEqual(curl.process.wait(5), 0)
        for path, words in (("/api/v1/audit/findings", "audit"), ("/api/v1/audit/findings/local", "audit"),
                            (STREAM, "wiretap")):
            reply = self.daemon.get(path)
            self.assertEqual((reply.status, reply.json()),
                             (503, {"error": f"performance mode is disabled; {words} is unavailable"}))

        before = self.daemon.get("/api/v1/stats").json()["dataplane"]
        self.settle()
        self.deny(26)
        self.assertNotEqual(self.daemon.get("/api/v1/stats").json()["dataplane"], before)
        self.assertEqual(self.daemon.get("/api/v1/dns-cache").status, 200)
        self.assertEqual(self.metric("policyd_events_dropped_total"), 0)

        self.mode(True)
        self.settle()
        self.deny(27)
        self.assertEqual(self.ports(), [25, 27])
        self.listen()

    def test_what_was_answered_survives_a_kill(self):
        self.deny(25)
        self.mode(False)
        self.daemon.kill()
        self.feed.close()
        self.start()
        self.assertEqual(self.daemon.get(MODE).json(), {"enabled": False, "source": "local"})
        self.assertEqual(self.daemon.get(STREAM).status, 503)
        self.deny(26)
        self.mode(True)
        self.assertEqual(self.ports(), [25])

    def test_only_the_right_body_of_an_administrator_is_taken(self):
        for body in ("", "{", "[]", "true", "{}", '{"enabled":1}', '{"enabled":"false"}', '{"enabled":null}',
                     '{"enabeld":false}', '{"enabled":false,"x":1}', '{"enabled":false,"enabled":true}',
                     '{"enabled":false} x', '{"Enabled":false}'):
            reply = self.daemon.ask("PUT", MODE, body)
            self.assertEqual(reply.status, 400, body)
            self.assertTrue(reply.json()["error"].startswith("invalid json: "), reply.json())
        self.assertEqual(self.daemon.ask("PUT", MODE, {"enabled": False}, token=None).status, 401)
        self.assertEqual(self.daemon.ask("DELETE", MODE).headers["allow"], "GET, HEAD, PUT")
        self.assertEqual(self.daemon.get(MODE).json(), {"enabled": True, "source": None})


class Tap(Live):
    """policyctl tap."""

    def tap(self, *arguments):
        process = subprocess.Popen([support.POLICYCTL, "tap", "--url", f"http://127.0.0.1:{self.daemon.port}",
                                    "--token-file", self.daemon.token_path, *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def connected(self, *arguments):
        process = self.tap(*arguments)
        end = time.monotonic() + 5
        while not self.metric("policyd_wiretap_streams") and time.monotonic() < end:
            time.sleep(0.05)
        self.settle()
        return process

    def test_each_event_is_a_line_until_there_are_enough(self):
        tap = self.connected("--count", "2")
        self.feed.send(udp("10.0.0.5", "203.0.113.9", 40000, 123), tcp("10.0.0.6", "203.0.113.9", 40001, 25, 2))
        output, errors = tap.communicate(timeout=10)
        self.assertEqual((tap.returncode, errors), (0, ""))
        lines = [line.split() for line in output.splitlines()]
        self.assertEqual(lines[0][:5], ["TIME", "EVENT", "PROTO", "SOURCE", "DESTINATION"])
        self.assertEqual(lines[1:], [
            ["00:16:40", "flow", "udp", "10.0.0.5:40000", "203.0.113.9:123", "allow", "-", "web/ntp", "1/0", "rule"],
            ["00:16:40", "deny", "tcp", "10.0.0.6:40001", "203.0.113.9:25", "deny", "-", "default", "1/0",
             "policy_default"]])

    def test_filters_are_handed_on(self):
        tap = self.connected("--json", "--src", "10.0.0.5", "--src", "10.0.0.7", "--dst-port", "100-200",
                             "--kind", "flow", "-n", "1")
        self.feed.send(udp("10.0.0.6", "203.0.113.9", 40000, 123), udp("10.0.0.7", "203.0.113.9", 40000, 99),
                       udp("10.0.0.7", "203.0.113.9", 40000, 123))
        output, _ = tap.communicate(timeout=10)
        flow = json.loads(output)
        self.assertEqual((flow["src_ip"], flow["dst_port"]), ("10.0.0.7", 123))

    def test_it_ends_after_a_time_and_when_interrupted(self):
        began = time.monotonic()
        tap = self.tap("--for", "1")
        tap.communicate(timeout=10)
        self.assertEqual(tap.returncode, 0)
        self.assertLess(abs(time.monotonic() - began - 1), 0.8)
        tap = self.connected()
        tap.send_signal(signal.SIGINT)
        _, errors = tap.communicate(timeout=2)
        self.assertEqual((tap.returncode, errors), (0, ""))

    def test_what_policyd_refuses_is_told(self):
        for arguments, code, words in ((["--proto", "tpc"], 2, 'proto: "tpc" is none of'),
                                       (["--hostname", "("], 2, "hostname: "),
                                       (["--token-file", self.path("wrong", "not-the-right-token")], 1, "answered 401"),
                                       (["--url", "http://127.0.0.1:1"], 3, "127.0.0.1:1")):
            tap = self.tap(*arguments)
            output, errors = tap.communicate(timeout=10)
            self.assertEqual((tap.returncode, output), (code, ""), errors)
            self.assertIn(words, errors)

    def test_a_lost_stream_is_opened_again(self):
        tap = self.connected("--json", "-n", "2")
        self.feed.send(udp("10.0.0.5", "203.0.113.9", 40000, 123))
        self.assertEqual(json.loads(tap.stdout.readline())["src_ip"], "10.0.0.5")
        self.daemon.ask("PUT", MODE, {"enabled": False})
        self.assertIn("the stream has ended: performance mode is disabled", tap.stderr.readline())
        self.assertIn("events are missing until it is back", tap.stderr.readline())
        self.assertIn("answered 503: performance mode is disabled", tap.stderr.readline())
        self.daemon.ask("PUT", MODE, {"enabled": True})
        end = time.monotonic() + 5
        while not self.metric("policyd_wiretap_streams") and time.monotonic() < end:
            time.sleep(0.05)
        self.settle()
        self.feed.send(udp("10.0.0.6", "203.0.113.9", 40000, 123))
        output, _ = tap.communicate(timeout=10)
        self.assertEqual((tap.returncode, json.loads(output)["src_ip"]), (0, "10.0.0.6"))


if __name__ == "__main__":
    support.main()
