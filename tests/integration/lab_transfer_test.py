#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Long transfers through policyd arrive as they were sent, with super-frames and without, and packets of any length
find out how long they may be."""
import contextlib
import os
import re
import socket
import subprocess
import time

import lab
import shapes
import transfer

LONG = os.environ.get("LAB_TRANSFERS") == "long" # tests/run --long
GIB, MIB = 1 << 30, 1 << 20
BEYOND, BEYOND6 = "198.51.100.99", "2001:db8:2::99" # behind a router on the server's side

POLICY = {"default_policy": "deny", "source_groups": [{
    "id": "clients", "mode": "enforce", "default_action": "deny",
    "sources": {"cidrs": ["192.0.2.0/24", "2001:db8:0:1::/64"]},
    "rules": [{"id": "servers", "action": "allow", "match": {"dst_cidrs": ["198.51.100.0/24", "2001:db8:2::/64"]}}]}]}

DEVICES = (("client", "eth0"), ("firewall", "lan0"), ("firewall", "wan0"), ("server", "eth0"))


class Transfers:
    gibibytes = () # (address, upload) of those that are long in every run

    def check(self, address, size, upload, serve=None):
        done = transfer.transfer(self.lab, address, size, upload, serve=serve)
        self.assertEqual(done.octets, size)
        self.assertEqual(done.received, done.sent)
        return done

    def port(self, name):
        return self.lab.counter(f"policyd_port_{name}_total")

    def counters(self):
        """For whoever reads of a failure."""
        text = self.lab.get("/metrics").body.decode()
        return "\n".join([line for line in text.splitlines() if re.match(r"policyd_(port|control|malformed)", line)
                          and not line.endswith(" 0")] + [self.lab.policyd.log()])

    def setUp(self):
        self.dropped = self.port("tx_dropped")

    def assert_sent(self):
        """The kernel of a busy machine refuses a frame now and then; of what is wrong with frames, it refuses many."""
        self.assertLess(self.port("tx_dropped") - self.dropped, 16)

    def assert_nothing_lost(self):
        self.assert_sent()
        self.assertEqual({name: self.port(name) for name in ("oversized", "unreplied")}, {"oversized": 0, "unreplied": 0})

    def test_1_what_is_sent_arrives(self):
        forwarded = self.port("forwarded")
        for address in (lab.FILES, lab.FILES6):
            for upload in (False, True):
                with self.subTest(address=address, upload=upload):
                    self.check(address, GIB if LONG or (address, upload) in self.gibibytes else 64 * MIB, upload)
        self.assert_nothing_lost()
        # Super-frames came through as such.
        self.assertLess(self.port("forwarded") - forwarded, 3 * GIB / 1460 / 4)

    def test_2_without_offloads_too(self):
        for part, device in DEVICES:
            self.addCleanup(shapes.offloads, self.lab, part, device, True)
            shapes.offloads(self.lab, part, device, False)
        forwarded = self.port("forwarded")
        for address in (lab.FILES, lab.FILES6):
            for upload in (False, True):
                with self.subTest(address=address, upload=upload):
                    self.check(address, 256 * MIB if LONG else 32 * MIB, upload)
        self.assert_nothing_lost()
        self.assertGreater(self.port("forwarded") - forwarded, 4 * 32 * MIB / 1460)

    def test_2_what_a_port_merges_on_arrival_too(self):
        for part in ("client", "server"):
            self.addCleanup(shapes.offloads, self.lab, part, "eth0", True)
            shapes.offloads(self.lab, part, "eth0", False)
        for device in ("lan0", "wan0"):
            self.addCleanup(shapes.offloads, self.lab, "firewall", device, False, ["gro"])
            shapes.offloads(self.lab, "firewall", device, True, ["gro"])
        forwarded = self.port("forwarded")
        for address in (lab.FILES, lab.FILES6):
            for upload in (False, True):
                with self.subTest(address=address, upload=upload):
                    self.check(address, 32 * MIB, upload)
        self.assert_nothing_lost()
        self.assertLess(self.port("forwarded") - forwarded, 4 * 32 * MIB / 1460)

    # -- How long a packet may be

    def set_mtus(self, client=1500, inside=1500, outside=1500, server=1500):
        """Ready says when policyd knows."""
        for (part, device), mtu in zip(DEVICES, (client, inside, outside, server)):
            self.lab.ip(part, "link", "set", device, "mtu", str(mtu))
        for part in ("client", "server"):
            for family in ("-4", "-6"):
                self.lab.ip(part, family, "route", "flush", "cache")
        if inside == outside:
            self.lab.ready()

    def route_mtu(self, address):
        found = re.search(r"\bmtu (\d+)", self.lab.ip("client", "route", "get", address))
        return int(found.group(1)) if found else None

    def test_3_jumbo_frames_pass(self):
        self.addCleanup(self.set_mtus)
        self.set_mtus(9000, 9000, 9000, 9000)
        for address, most in ((lab.FILES, 8972), (lab.FILES6, 8952)):
            # Three, since a busy kernel leaves out an echo now and then, through a plain bridge too.
            text = self.lab.run("ping", "-n", "-c", "3", "-i", "0.2", "-M", "do", "-s", str(most), address).stdout
            self.assertIn(f"{most + 8} bytes from", text, self.counters())
            for upload in (False, True):
                self.check(address, 64 * MIB, upload)
        self.assert_nothing_lost()

    def mismatch(self):
        """The detail of dataplane_config once it speaks of MTUs."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            checks = {check["name"]: check for check in self.lab.get("/ready").json()["checks"]}
            if "MTU" in (checks["dataplane_config"].get("detail") or ""):
                self.assertFalse(checks["dataplane_config"]["ok"])
                return checks["dataplane_config"]["detail"]
            time.sleep(0.05)
        raise AssertionError(checks)

    def test_4_who_sends_more_than_the_other_side_takes_is_told(self):
        self.addCleanup(self.set_mtus)
        self.set_mtus(9000, 9000, 1500, 9000)
        self.assertIn("lan0 has MTU 9000, wan0 1500", self.mismatch())
        self.assertIn("ip link set wan0 mtu 9000", self.mismatch())
        oversized, unreplied = self.port("oversized"), self.port("unreplied")
        for address in (lab.FILES, lab.FILES6):
            text = self.lab.run("ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", "4000", address).stdout
            self.assertRegex(text, r"mtu ?= ?1500")
            self.assertEqual(self.route_mtu(address), 1500)
            self.lab.ip("client", "-6" if ":" in address else "-4", "route", "flush", "cache")
            self.check(address, 32 * MIB, upload=True)
            self.assertEqual(self.route_mtu(address), 1500)
        self.assertGreater(self.port("oversized"), oversized)
        self.assertEqual(self.port("unreplied"), unreplied)

    @contextlib.contextmanager
    def router(self, mtu):
        """Makes the server a router to one more network of its own; yields what makes a socket there."""
        server = self.lab.space("server")
        with subprocess.Popen(["ip", "netns", "exec", server, "unshare", "-n", "sleep", "300"]) as host:
            self.lab.note("host-beyond", host.pid)
            try:
                self.connect_beyond(server, str(host.pid), str(mtu))
                yield lambda family: self.socket_beyond(host.pid, family)
            finally:
                host.kill()

    def connect_beyond(self, server, host, mtu):
        """The host promises to take longer segments than its router lets through."""
        while os.stat(f"/proc/{host}/ns/net").st_ino in (os.stat("/proc/self/ns/net").st_ino,
                                                         os.stat(f"/run/netns/{server}").st_ino):
            time.sleep(0.01)
        self.lab.ip("server", "link", "add", "beyond", "mtu", mtu, "type", "veth", "peer", "name", "eth0",
                    "netns", host)
        script = f"""
            cd /proc/sys/net && echo 0 >ipv6/conf/default/accept_dad && ip link set lo up && ip link set eth0 up
            ip addr add {BEYOND}/32 dev lo && ip addr add {BEYOND6}/128 dev lo
            ip addr add 203.0.113.130/30 dev eth0 && ip addr add 2001:db8:3::2/64 dev eth0 nodad
            ip route add default via 203.0.113.129 mtu {mtu} advmss 1460
            ip route add ::/0 via 2001:db8:3::1 mtu {mtu} advmss 1440"""
        subprocess.run(["nsenter", "-t", host, "-n", "sh", "-ec", script], check=True, timeout=10)
        script = f"""
            cd /proc/sys/net && echo 1 >ipv4/ip_forward && echo 1 >ipv6/conf/all/forwarding
            ip link set beyond up
            ip addr add 203.0.113.129/30 dev beyond && ip addr add 2001:db8:3::1/64 dev beyond nodad
            ip route add {BEYOND} via 203.0.113.130 && ip route add {BEYOND6} via 2001:db8:3::2"""
        subprocess.run(["ip", "netns", "exec", server, "sh", "-ec", script], check=True, timeout=10)

    def socket_beyond(self, host, family):
        with open("/proc/thread-self/ns/net", "rb") as home, open(f"/proc/{host}/ns/net", "rb") as there:
            self.lab.enter(there)
            try:
                return socket.socket(family, socket.SOCK_STREAM)
            finally:
                self.lab.enter(home)

    def test_5_what_a_router_behind_us_says_is_heard(self):
        with self.router(1300) as serve:
            for address in (BEYOND, BEYOND6):
                for upload in (True, False):
                    self.check(address, 16 * MIB, upload, serve)
                self.assertEqual(self.route_mtu(address), 1300)
        self.assert_sent()


class OneWorker(Transfers, lab.LabTest):
    options = {"policy": POLICY}
    gibibytes = ((lab.FILES, False), (lab.FILES6, True))


class FourWorkers(Transfers, lab.LabTest):
    options = {"policy": POLICY, "workers": 4}
    gibibytes = ((lab.FILES, True), (lab.FILES6, False))


if __name__ == "__main__":
    lab.main("ethtool")
