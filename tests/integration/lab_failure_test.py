#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What fails, what stays closed meanwhile, what /ready says of it, and how it works again.

A port goes away, goes down, loses its carrier or its guard, somebody takes it, a worker stands still, policyd is killed
on a host that would gladly forward.
"""
import contextlib
import copy
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import frames
import freeze
import lab
import support

with open(lab.POLICY, encoding="utf-8") as sample:
    SAMPLE = json.load(sample)

HOST, HOST6 = "192.0.2.99", "2001:db8:0:1::99"
CHECKS = ["dataplane_running", "dataplane_config", "policy_ready", "dns_allowlist", "service_plane", "draining",
          "cluster", "policy_replication"]
SLOW = float(os.environ.get("LAB_SLOWNESS", "1")) # of a policyd with sanitizers
FAR_AWAY = 1.5 # "within a second", and what a busy machine adds
BACK = 10 # rings are opened again; on a busy machine, every socket waits for the kernel several times

CLIENT_CABLE = f"""
link add eth0 address {lab.CLIENT_MAC} netns %(client)s type veth peer name lan0 netns %(firewall)s
"""
CLIENT_ADDRESSES = f"""
link set eth0 up
addr add {lab.CLIENT}/24 dev eth0
addr add {lab.WATCHED}/24 dev eth0
addr add {lab.CLIENT6}/64 dev eth0 nodad
addr add {lab.WATCHED6}/64 dev eth0 nodad preferred_lft 0
route add default via {lab.GATEWAY}
route add ::/0 via {lab.GATEWAY6}
"""


class Truth(lab.LabTest):
    """What /ready says, for the tests below."""

    def check(self, name):
        reply = self.lab.get("/ready")
        document = reply.json()
        self.assertEqual([check["name"] for check in document["checks"]], CHECKS)
        self.assertEqual(reply.status, 200 if all(check["ok"] for check in document["checks"]) else 503)
        return next(check for check in document["checks"] if check["name"] == name)

    def expect(self, name, ok, detail=None, seconds=FAR_AWAY):
        """Waits until a check says so; returns how long that took."""
        began = time.monotonic()
        while True:
            check = self.check(name)
            if check["ok"] == ok and (detail is None or re.search(detail, check["detail"] or "")):
                return time.monotonic() - began
            if time.monotonic() - began > seconds:
                self.fail(f"{name} is {check}, not {ok} with {detail!r}, after {seconds} s\n{self.lab.policyd.log()}")
            time.sleep(0.01)

    def all_but(self, *failing):
        """Every other check is ok."""
        checks = self.lab.get("/ready").json()["checks"]
        self.assertEqual([check["name"] for check in checks if not check["ok"]], list(failing), checks)

    def firewall(self, *arguments):
        return self.lab.ip("firewall", *arguments)

    def expect_flow(self, seconds=3):
        """Both families pass, asked again since a cable that was replaced loses what is sent at first."""
        for address in (lab.FILES, lab.FILES6):
            end = time.monotonic() + seconds
            while self.lab.connect(address, 80, seconds=0.3) != "open":
                self.assertLess(time.monotonic(), end, f"{address} does not answer\n{self.lab.policyd.log()}")

    def is_guarded(self, device):
        done = subprocess.run(["tc", "-n", self.lab.space("firewall"), "filter", "show", "dev", device, "ingress"],
                              capture_output=True, text=True, timeout=10, check=True)
        return "bytecode" in done.stdout and "NOARP" in self.firewall("link", "show", device)

    def replug(self):
        """The client's cable is replaced: both of its ends are new interfaces."""
        names = {part: self.lab.space(part) for part in ("client", "firewall")}
        subprocess.run(["ip", "-batch", "-"], input=CLIENT_CABLE % names, text=True, check=True, timeout=10)
        subprocess.run(["ip", "-n", names["client"], "-batch", "-"], input=CLIENT_ADDRESSES, text=True, check=True,
                       timeout=10)


class Ports(Truth):
    """Interfaces that go away, change, and come back."""

    options = {"workers": 4}

    def tearDown(self):
        self.lab.ready()

    def test_a_deleted_port_shows_and_comes_back_guarded(self):
        for _ in range(2):
            self.firewall("link", "del", "lan0")
            self.expect("dataplane_running", False, r"^lan0 \(inside\): there is no such interface; create it or correct "
                                                    r"dataplane\.inline$")
            self.all_but("dataplane_running", "dataplane_config", "dns_allowlist")
            self.replug()
            with self.lab.capture("server") as capture:
                made, began = self.lab.sender("client"), time.monotonic()
                while not capture.matching(lambda frame: frame.dst == lab.FILES):
                    self.assertLess(time.monotonic() - began, BACK, self.lab.policyd.log())
                    made.send(frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, frames.echo(lab.CLIENT, lab.FILES)))
                    time.sleep(0.005)
            self.assertTrue(self.is_guarded("lan0"))
            self.expect("dataplane_running", True, seconds=BACK)
            self.lab.ready()
            self.expect_flow()

    def test_nobody_is_told_of_a_smaller_mtu_while_a_port_is_missing(self):
        self.assertEqual(self.lab.ping(lab.FILES), "answered")
        self.firewall("link", "set", "wan0", "down")
        self.firewall("link", "set", "wan0", "name", "gone0")
        self.expect("dataplane_running", False, r"^wan0 \(outside\): there is no such interface")
        with self.lab.capture("client") as capture:
            self.lab.run("ping", "-n", "-c", "1", "-W", "1", "-M", "do", lab.FILES)
            capture.expect_none(lambda frame: not frame.outgoing and frame.protocol == frames.ICMP, "an ICMP error")
        self.firewall("link", "set", "gone0", "name", "wan0")
        self.expect("dataplane_running", True)
        self.expect_flow()

    def test_an_interface_of_another_name_is_no_port(self):
        """It is not watched any more: whoever has renamed it may open it."""
        self.firewall("link", "set", "lan0", "down")
        self.firewall("link", "set", "lan0", "name", "gone0")
        self.firewall("link", "set", "gone0", "up")
        self.expect("dataplane_running", False, r"^lan0 \(inside\): there is no such interface")
        with self.lab.capture("server") as capture:
            for _ in range(20):
                self.lab.sender("client").send(frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC,
                                                               frames.echo(lab.CLIENT, lab.FILES)))
            capture.expect_none(lambda frame: not frame.outgoing and frame.src == lab.CLIENT, "a frame of the client")
        self.firewall("link", "set", "gone0", "down")
        self.firewall("link", "set", "gone0", "name", "lan0")
        self.expect("dataplane_running", True, seconds=BACK)
        self.expect_flow()

    def test_a_port_that_is_down_shows_with_the_command_that_helps(self):
        for device, side in (("lan0", "inside"), ("wan0", "outside")):
            self.firewall("link", "set", device, "down")
            self.expect("dataplane_running", False, rf"^{device} \({side}\) is down; ip link set {device} up$")
            self.firewall("link", "set", device, "up")
            self.expect("dataplane_running", True)
            # The IPv6 side of the test's own client is told by the kernel only.
            self.expect_flow()

    def test_a_cable_that_is_out_shows(self):
        for part, device, side in (("client", "lan0", "inside"), ("server", "wan0", "outside")):
            self.lab.ip(part, "link", "set", "eth0", "down")
            self.expect("dataplane_config", False,
                        rf"^{device} \({side}\) has no carrier; see to the cable or the other end$")
            self.all_but("dataplane_config")
            self.restore(part)
            self.expect("dataplane_config", True)
        self.expect_flow()

    def restore(self, part):
        """Setting an interface down has removed its IPv6 addresses and its routes."""
        self.lab.ip(part, "link", "set", "eth0", "up")
        if part == "client":
            lines = "".join(line.replace(" add ", " replace ") + "\n" for line in CLIENT_ADDRESSES.split("\n") if line)
        else:
            lines = "".join(f"addr replace {address}/64 dev eth0 nodad\n" for address in (lab.GATEWAY6, lab.RESOLVER6))
        subprocess.run(["ip", "-n", self.lab.space(part), "-batch", "-"], input=lines, text=True, check=True, timeout=10)

    def test_different_mtus_show(self):
        self.firewall("link", "set", "lan0", "mtu", "9000")
        self.expect("dataplane_config", False, r"^lan0 has MTU 9000, wan0 1500; .*; ip link set wan0 mtu 9000$")
        self.all_but("dataplane_config")
        self.firewall("link", "set", "lan0", "mtu", "1500")
        self.expect("dataplane_config", True)

    def test_an_address_or_a_route_shows_with_the_command_that_frees_the_port(self):
        self.firewall("addr", "add", HOST + "/32", "dev", "lan0")
        self.expect("dataplane_config", False, r'^lan0 \(inside\) has the address 192\.0\.2\.99/32; '
                                               r'"ip addr del 192\.0\.2\.99/32 dev lan0" frees it$')
        self.expect_flow()
        self.firewall("addr", "del", HOST + "/32", "dev", "lan0")
        self.expect("dataplane_config", True)
        self.firewall("route", "add", "default", "dev", "wan0")
        self.expect("dataplane_config", False, r'^wan0 \(outside\) has the route default; '
                                               r'"ip route del default dev wan0" frees it$')
        self.firewall("route", "del", "default", "dev", "wan0")
        self.expect("dataplane_config", True)

    def test_what_is_undone_by_hand_is_put_back(self):
        space = self.lab.space("firewall")
        for undo in (["tc", "-n", space, "qdisc", "del", "dev", "lan0", "clsact"],
                     ["ip", "-n", space, "link", "set", "lan0", "arp", "on"],
                     ["ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv6.conf.lan0.disable_ipv6=0"]):
            begin = len(self.lab.policyd.log())
            subprocess.run(undo, check=True, timeout=10)
            self.lab.policyd.expect_log("lan0 was open to the host's kernel; it is guarded again", begin, FAR_AWAY)
            self.assertTrue(self.is_guarded("lan0"))
            self.expect("dataplane_config", True)


class Standstill(Truth):
    """A worker that stands still."""

    options = {"workers": 4}

    def test_a_frozen_worker_shows_within_a_second_and_is_forgiven(self):
        for number in (0, 3):
            with freeze.frozen(self.lab.policyd.process.pid, f"worker-{number}"):
                took = self.expect("dataplane_running", False, rf"^worker-{number} has been stuck for \d+ ms$")
                self.all_but("dataplane_running", "dns_allowlist")
                self.assertIn("the dataplane is not running", self.check("dns_allowlist")["detail"])
            self.assertGreater(took, 0.5)
            self.expect("dataplane_running", True)

    def test_interfaces_that_nobody_looks_at_are_not_called_right(self):
        with freeze.frozen(self.lab.policyd.process.pid, "ports"):
            self.expect("dataplane_config", False, "^the interfaces have not been looked at for", seconds=3)
            self.all_but("dataplane_config")
        self.expect("dataplane_config", True)

    def test_a_policy_that_a_worker_cannot_take_is_given_up(self):
        before = self.lab.get("/api/v1/policy").body
        other = copy.deepcopy(SAMPLE)
        other["source_groups"][0]["rules"] = []
        replies = []
        with freeze.frozen(self.lab.policyd.process.pid, "worker-1"):
            asker = threading.Thread(target=lambda: replies.append(self.lab.policyd.put_policy(other)))
            asker.start()
            self.expect("policy_ready", False, r"^generation (\d+) is published, worker-1 still decides by (\d+)")
            asker.join(10)
            reply = replies[0]
            self.assertEqual(reply.status, 503)
            self.assertRegex(reply.json()["error"], "in force")
        self.expect("policy_ready", True)
        self.assertEqual(self.lab.get("/api/v1/policy").body, before)
        self.expect_flow()
        self.lab.ready()


class Policies(Truth):
    """Checks that depend on what is in force."""

    def tearDown(self):
        self.lab.put_policy(SAMPLE)
        self.lab.ready()

    def test_an_intercept_rule_needs_what_is_not_there(self):
        document = copy.deepcopy(SAMPLE)
        document["source_groups"][0]["rules"].insert(0, {
            "id": "look-inside", "action": "allow",
            "match": {"dst_ips": [lab.WEB], "proto": "tcp", "dst_ports": [443],
                      "tls": {"mode": "intercept", "http": {"request": {"methods": ["GET"]}}}}})
        self.lab.put_policy(document)
        self.expect("service_plane", False, "a rule in force intercepts TLS, and nothing here does")
        self.all_but("service_plane")


class WithoutResolver(Truth):
    options = {"start": False}

    @classmethod
    def prepare(cls):
        arguments = cls.lab.policyd.arguments
        while "--trust-resolver" in arguments:
            at = arguments.index("--trust-resolver")
            del arguments[at:at + 2]
        cls.lab.policyd.start()

    def test_hostnames_need_a_resolver(self):
        self.expect("policy_ready", True)
        self.expect("dns_allowlist", False, r"^rules have hostnames, but no resolver is trusted, .*"
                                            r"set dns\.trusted_resolvers \(--trust-resolver ADDR\)$")
        self.all_but("dns_allowlist")
        document = copy.deepcopy(SAMPLE)
        for group in document["source_groups"]:
            group["rules"] = [rule for rule in group["rules"] if "dns_hostname" not in rule["match"]]
        self.lab.put_policy(document)
        self.expect("dns_allowlist", True)
        self.lab.ready()


class AtTheStart(unittest.TestCase):
    """What policyd does with interfaces it cannot have, and how it ends."""

    def setUp(self):
        self.lab = lab.Lab(start=False)
        self.addCleanup(self.lab.down)
        self.lab.up()

    def start(self, **changes):
        """policyd's exit code and what it said, with other arguments."""
        arguments = [changes.get(argument, argument) for argument in self.lab.policyd.arguments]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=20, check=False)
        return done.returncode, done.stderr

    def test_a_taken_interface_is_refused_with_the_command_that_frees_it(self):
        for command, words in ((["addr", "add", HOST + "/24", "dev", "wan0"],
                                f'has the address {HOST}/24; "ip addr del {HOST}/24 dev wan0" frees it'),
                               (["-6", "route", "add", "default", "dev", "wan0"],
                                'has the route default; "ip -6 route del default dev wan0" frees it')):
            self.lab.ip("firewall", *command)
            code, said = self.start()
            self.assertEqual((code, said.splitlines()[-1]), (1, f'port "wan0" {words}'))
            self.assertNotIn("NOARP", self.lab.ip("firewall", "link", "show", "lan0"))
            fix = re.search('"ip (.*)"', said).group(1)
            self.lab.ip("firewall", *fix.split())
        self.lab.policyd.start()
        self.lab.ready()

    def test_a_missing_capability_is_named_once_for_each_port(self):
        arguments = self.lab.policyd.arguments
        for capability, words in (("net_admin", "this needs CAP_NET_ADMIN"), ("net_raw", "CAP_NET_RAW")):
            done = subprocess.run([*arguments[:4], "setpriv", "--bounding-set", "-" + capability, *arguments[4:]],
                                  capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual((done.returncode, done.stderr.count(words)), (1, 2), done.stderr)

    def test_what_is_no_port_is_refused(self):
        for pair in ("lo,wan0", "lan0,lan0"):
            code, said = self.start(**{"lan0,wan0": pair})
            self.assertNotEqual(code, 0)
            self.assertIn("loopback interface; name another one" if "lo," in pair else
                          "two different interfaces", said)
            self.assertEqual(said.count("\n"), 1, said)

    def test_a_missing_interface_is_named_and_waited_for(self):
        self.lab.policyd.arguments[self.lab.policyd.arguments.index("lan0,wan0")] = "lan0,wna0"
        self.lab.policyd.start()
        words = 'wna0 (outside): there is no such interface; there is "wan0"; create it or correct dataplane.inline'
        self.assertIn(words + "; waiting for it", self.lab.policyd.log())
        reply = self.lab.get("/ready")
        self.assertEqual(reply.status, 503)
        self.assertEqual(reply.json()["checks"][0], {"name": "dataplane_running", "ok": False, "detail": words})
        self.lab.ip("firewall", "link", "set", "wan0", "down")
        self.lab.ip("firewall", "link", "set", "wan0", "name", "wna0")
        self.lab.ready(2)
        self.assertEqual(self.lab.connect(lab.FILES, 80), "open")

    def test_the_end_is_announced_before_the_listener_closes(self):
        self.lab.policyd.start()
        self.lab.ready()
        self.lab.policyd.process.send_signal(signal.SIGTERM)
        announced = []
        with contextlib.suppress(ConnectionError):
            while True:
                reply = self.lab.get("/ready")
                announced.append((reply.status, reply.json()["checks"][5]))
        self.assertEqual(announced[-1], (503, {"name": "draining", "ok": False, "detail": "the daemon is stopping"}))
        self.assertEqual(self.lab.policyd.process.wait(10), 0)


class Killed(unittest.TestCase):
    """policyd is killed on a host that has addresses and routes, and forwards."""

    def setUp(self):
        self.lab = lab.Lab(start=False)
        self.addCleanup(self.lab.down)
        self.lab.up()

    def make_a_router(self):
        """Of the firewall's host. Addresses and routes on the ports themselves come after policyd is gone: with them it
        would refuse to start."""
        space = self.lab.space("firewall")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            subprocess.run(["ip", "netns", "exec", space, "sysctl", "-qw", key + "=1"], check=True, timeout=10)
        for address in (HOST, lab.FILES, HOST6, lab.FILES6):
            self.lab.ip("firewall", "addr", "add", address, "dev", "lo")

    def take_the_ports(self, verb="add"):
        self.lab.ip("firewall", "addr", verb, "192.0.2.98/24", "dev", "lan0")
        self.lab.ip("firewall", "addr", verb, "203.0.113.98/24", "dev", "wan0")
        for command in (["-4", "route", verb, "203.0.113.40/32", "dev", "wan0"],
                        ["-4", "route", verb, "192.0.2.10/32", "dev", "lan0"]):
            self.lab.ip("firewall", *command)

    def mac(self, device):
        return re.search(r"link/ether (\S+)", self.lab.ip("firewall", "link", "show", device)).group(1)

    @staticmethod
    def who_has(source, source_mac, host):
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes.fromhex(source_mac.replace(":", "")) + \
            frames.packed(source) + bytes(6) + frames.packed(host)
        return frames.ethernet("ff:ff:ff:ff:ff:ff", source_mac, arp, ethertype=frames.ARP)

    def questions(self, device, source, source_mac, elsewhere):
        """What makes a host answer or forward: to its hardware address and to all."""
        mac = self.mac(device)
        src, src6 = source
        for host in (HOST, lab.FILES, "192.0.2.98"):
            yield self.who_has(src, source_mac, host)
        for host in (HOST, lab.FILES, "192.0.2.98", elsewhere[0]):
            yield frames.ethernet(mac, source_mac, frames.tcp(src, host, 40000, 22))
            yield frames.ethernet(mac, source_mac, frames.tcp(src, host, 40000, 80, frames.ACK, 5, 7))
            yield frames.ethernet(mac, source_mac, frames.udp(src, host, 40000, 9, b"closed"))
            yield frames.ethernet(mac, source_mac, frames.echo(src, host))
        for host in (HOST6, lab.FILES6, elsewhere[1]):
            body = struct.pack("!BBHI", 135, 0, 0, 0) + frames.packed(host) + b"\1\1" + \
                bytes.fromhex(source_mac.replace(":", ""))
            body = frames.with_checksum(src6, host, frames.ICMPV6, body, 2)
            yield frames.ethernet(mac, source_mac, frames.ip(src6, host, frames.ICMPV6, body, ttl=255))
            yield frames.ethernet(mac, source_mac, frames.tcp(src6, host, 40000, 22))
            yield frames.ethernet(mac, source_mac, frames.udp(src6, host, 40000, 9, b"closed"))
            yield frames.ethernet(mac, source_mac, frames.echo(src6, host))

    def ask_the_host(self):
        """Sends from both ends; returns what either end received."""
        with self.lab.capture("client") as inside, self.lab.capture("server") as outside, \
                self.lab.capture("firewall", "lan0") as lan, self.lab.capture("firewall", "wan0") as wan:
            from_client = list(self.questions("lan0", (lab.CLIENT, lab.CLIENT6), lab.CLIENT_MAC,
                                              (lab.PARTNER, lab.PARTNER6)))
            from_server = list(self.questions("wan0", (lab.GATEWAY, lab.GATEWAY6), lab.SERVER_MAC,
                                              (lab.CLIENT, lab.CLIENT6)))
            self.lab.sender("client").send(*from_client)
            self.lab.sender("server").send(*from_server)
            # They have arrived: what is not answered was heard.
            lan.expect(lambda frame: not frame.outgoing, "what the client sent", len(from_client))
            wan.expect(lambda frame: not frame.outgoing, "what the server sent", len(from_server))
            time.sleep(0.3)
            return [frame for capture in (inside, outside) for frame in capture.matching(lambda each: not each.outgoing)]

    def test_nothing_crosses_and_the_host_says_nothing(self):
        self.make_a_router()
        self.lab.policyd.start()
        self.lab.ready()
        self.assertEqual(self.lab.connect(lab.FILES, 80), "open")
        self.lab.policyd.kill()
        self.assertEqual(self.ask_the_host(), [])
        self.take_the_ports()
        self.assertEqual(self.ask_the_host(), [])
        # The same questions, with nothing in their way, are answered: this test can fail.
        with self.lab.inside("firewall"):
            for device in ("lan0", "wan0"):
                self.assertEqual(support.run("port", "release", device, program=support.POLICYCTL)[0], 0)
        answers = self.ask_the_host()
        self.assertTrue(any(frame.ethertype == frames.ARP for frame in answers))
        self.assertTrue(any(frame.protocol == frames.TCP and frame.flags & frames.RST for frame in answers))
        self.assertTrue(any(frame.protocol == frames.ICMP for frame in answers))

    def test_it_works_again_within_a_second_of_the_start(self):
        self.make_a_router()
        for workers in ("1", "4"):
            arguments = self.lab.policyd.arguments
            arguments[arguments.index("--workers") + 1] = workers
            self.lab.policyd.start()
            self.lab.ready()
            self.assertEqual(self.lab.dig("www.example.com").status, "NOERROR")
            self.assertEqual(self.lab.connect(lab.WEB, 443), "open")
            time.sleep(1.2) # the store may be a second behind
            self.lab.policyd.kill()
            packet, ready = self.restart()
            print(f"{workers} workers: first packet after {packet:.3f} s, ready after {ready:.3f} s", flush=True)
            self.assertLess(packet, 1 * SLOW)
            self.assertLess(ready, 1 * SLOW)
            # What the resolver said before is still known.
            self.assertEqual(self.lab.connect(lab.WEB, 443), "open")
            self.lab.policyd.kill()

    def restart(self):
        """How long after exec the first packet crosses, and /ready says 200."""
        ended, sender = threading.Event(), self.lab.sender("client")
        question = frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, frames.echo(lab.CLIENT, lab.FILES, 0x7331))
        who_has = self.who_has(lab.CLIENT, lab.CLIENT_MAC, HOST)

        def knock():
            while not ended.wait(0.002):
                sender.send(question, who_has)

        with self.lab.capture("server") as capture, self.lab.capture("client") as client:
            knocker = threading.Thread(target=knock)
            knocker.start()
            began = time.monotonic()
            try:
                self.lab.policyd.start()
                self.lab.ready()
                ready = time.monotonic() - began
                first = capture.expect(lambda frame: frame.dst == lab.FILES and not frame.outgoing)[0].seconds - began
            finally:
                ended.set()
                knocker.join()
            # There is no moment at which the host is heard.
            client.expect_none(lambda frame: frame.ethertype == frames.ARP and not frame.outgoing, "an answer of the host")
        return first, ready


class LinkLoss(Truth):
    """dataplane.link_loss: signal."""

    options = {"start": False}

    @classmethod
    def prepare(cls):
        config = os.path.join(cls.lab.policyd.directory, "config.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("dataplane:\n  link_loss: signal\n")
        cls.lab.policyd.arguments += ["--config", config]
        cls.lab.policyd.start()
        cls.lab.ready()

    def has_carrier(self, part):
        return "LOWER_UP" in self.lab.ip(part, "link", "show", "eth0")

    def expect_carrier(self, part, there):
        end = time.monotonic() + FAR_AWAY
        while self.has_carrier(part) != there:
            self.assertLess(time.monotonic(), end, f"{part}: {there}\n{self.lab.policyd.log()}")
            time.sleep(0.01)

    def test_the_peer_of_the_other_side_sees_it_and_it_ends(self):
        for lost, other in (("client", "server"), ("server", "client")):
            self.lab.ip(lost, "link", "set", "eth0", "down")
            self.expect_carrier(other, False)
            self.lab.ip(lost, "link", "set", "eth0", "up")
            self.expect_carrier(other, True)
            self.lab.ready(2)

    def test_both_flap_and_nobody_is_stuck(self):
        for turn in range(20):
            self.lab.ip("client" if turn % 3 else "server", "link", "set", "eth0", "up" if turn % 2 else "down")
            self.lab.ip("server" if turn % 5 else "client", "link", "set", "eth0", "down" if turn % 4 else "up")
        for part in ("client", "server"):
            self.lab.ip(part, "link", "set", "eth0", "up")
        self.lab.ready(3)
        self.assertTrue(self.has_carrier("client") and self.has_carrier("server"))

    def test_killed_while_a_side_is_down_and_started_again(self):
        self.lab.ip("client", "link", "set", "eth0", "down")
        self.expect_carrier("server", False)
        self.lab.policyd.kill()
        self.lab.policyd.start()
        self.expect_carrier("server", False)
        self.lab.ip("client", "link", "set", "eth0", "up")
        self.expect_carrier("server", True)
        self.lab.ready(2)
        self.lab.ip("client", "link", "set", "eth0", "down")
        self.expect_carrier("server", False)
        self.lab.policyd.kill()
        self.lab.ip("client", "link", "set", "eth0", "up")
        self.lab.policyd.start()
        self.expect_carrier("server", True)
        self.lab.ready(2)


if __name__ == "__main__":
    lab.main()
