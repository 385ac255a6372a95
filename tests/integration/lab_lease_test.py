#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client behind policyd gets its addresses as if there were none: DHCP, renewed by unicast, and SLAAC. What only
servers and routers say does not come from inside."""
import os
import re
import shutil
import struct
import subprocess
import time

import frames
import lab

SERVER_PORT, CLIENT_PORT = 67, 68
RENEW_SECONDS = 3
EVERYBODY = ("33:33:00:00:00:01", "fe80::bad", "ff02::1")

# No rule speaks of DHCP.
POLICY = {"default_policy": "deny", "source_groups": [{
    "id": "clients", "mode": "enforce", "default_action": "deny",
    "sources": {"cidrs": ["192.0.2.0/24", "2001:db8:0:1::/64"]},
    "rules": [{"id": "servers", "action": "allow", "match": {"dst_cidrs": ["198.51.100.0/24", "2001:db8:2::/64"]}}]}]}

# What dhclient tells in its environment; it changes nothing but the device.
SCRIPT = """#!/bin/sh
echo "$reason" >>"{log}"
case $reason in
    BOUND | RENEW | REBIND | REBOOT)
        ip addr replace "$new_ip_address/24" dev "$interface"
        ip route replace default via "$new_routers"
        ;;
esac
"""


def unconfined(*command):
    """Debian's profile lets dhclient run its own script only."""
    if shutil.which("aa-exec") and shutil.which("aa-enabled") and \
            subprocess.run(["aa-enabled", "--quiet"], check=False, timeout=10).returncode == 0:
        return ("aa-exec", "-p", "unconfined", "--", *command)
    return command


def router_advertisement(source, prefix):
    option = struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, 3600, 3600, 0, frames.packed(prefix))
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + option
    message = frames.with_checksum(source, EVERYBODY[2], frames.ICMPV6, message, 2)
    return frames.ip(source, EVERYBODY[2], frames.ICMPV6, message, ttl=255)


def offer(client_mac):
    message = struct.pack("!BBBBIHH4s4s4s4s16s64s128sI", 2, 1, 6, 0, 7, 0, 0, bytes(4), frames.packed("192.0.2.66"),
                          frames.packed("192.0.2.10"), bytes(4), bytes.fromhex(client_mac.replace(":", "")), b"", b"",
                          0x63825363)
    options = b"\x35\x01\x02" + b"\x33\x04\0\0\x0e\x10" + b"\x36\x04" + frames.packed("192.0.2.10") + b"\xff"
    return frames.udp("192.0.2.10", "255.255.255.255", SERVER_PORT, CLIENT_PORT, message + options)


class Leases:
    @classmethod
    def prepare(cls):
        cls.log = open(os.path.join(cls.lab.directory, "dnsmasq.log"), "ab")
        cls.addClassCleanup(cls.log.close)
        cls.lab.launch("server", *unconfined(
            "dnsmasq", "--conf-file=/dev/null", "--keep-in-foreground", "--port=0", "--user=root", "--pid-file=",
            "--interface=eth0", "--bind-interfaces", "--dhcp-authoritative", "--no-ping", "--enable-ra",
            f"--dhcp-leasefile={cls.lab.directory}/dnsmasq.leases",
            "--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,2m", f"--dhcp-option=option:T1,{RENEW_SECONDS}s",
            # Of four workers, these addresses and the broadcast address have three different ones.
            "--dhcp-host=id:to-one,192.0.2.105", "--dhcp-host=id:to-all,192.0.2.106,set:to-all",
            "--dhcp-broadcast=tag:to-all",
            "--dhcp-range=2001:db8:0:1::,ra-only,64", "--ra-param=eth0,4,600",
            "--log-dhcp", "--log-facility=-"), stdout=cls.log, stderr=cls.log)
        cls.lab.ip("client", "-4", "addr", "flush", "dev", "eth0")

    def until(self, what, condition, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        with open(self.log.name, encoding="utf-8", errors="replace") as log:
            raise AssertionError(f"not within {seconds} s: {what}\n{log.read()}")

    def assert_answered(self, address):
        """A busy kernel leaves out an echo now and then, through a plain bridge too."""
        self.assertIn("answered", (self.lab.ping(address) for _ in range(3)))

    def dropped(self, kind):
        return self.lab.counter("policyd_control_frames_total", kind=kind, action="drop")

    def dhclient(self, broadcast):
        """Starts it; returns the path of the reasons its script was called for."""
        name = os.path.join(self.lab.directory, f"dhclient-{broadcast}")
        with open(name + ".sh", "w", encoding="ascii") as script:
            script.write(SCRIPT.format(log=name + ".log"))
        os.chmod(name + ".sh", 0o755)
        with open(name + ".conf", "w", encoding="ascii") as config:
            config.write("timeout 20;\nretry 5;\ninitial-interval 1;\nbackoff-cutoff 2;\n" +
                         f"send dhcp-client-identifier \"{'to-all' if broadcast else 'to-one'}\";\n")
        open(name + ".log", "w", encoding="ascii").close()
        with open(name + ".out", "wb") as out:
            self.client = self.lab.launch("client", *unconfined(
                "dhclient", "-4", "-d", "-cf", name + ".conf", "-sf", name + ".sh", "-lf", name + ".leases", "-pf",
                name + ".pid", "eth0"), stdout=out, stderr=out)
        self.addCleanup(self.release)
        return name + ".log"

    def release(self):
        self.client.terminate()
        self.client.wait(10)
        self.lab.ip("client", "-4", "addr", "flush", "dev", "eth0")

    def check_lease(self, broadcast):
        with self.lab.capture() as server:
            log = self.dhclient(broadcast)
            address = self.until("a lease", lambda: re.search(
                r"inet (192\.0\.2\.1\d\d)/24", self.lab.ip("client", "-4", "addr", "show", "dev", "eth0"))).group(1)
            self.assert_answered(lab.FILES)
            server.expect(lambda frame: frame.dport == SERVER_PORT and (frame.src, frame.dst) == (address, lab.GATEWAY),
                          "a renewal by unicast", seconds=15)
            server.expect(lambda frame: frame.outgoing and frame.sport == SERVER_PORT and frame.dst == address and
                          frame.payload[240:243] == b"\x35\x01\x05", "its acknowledgement")

        def renewed():
            with open(log, encoding="ascii") as file:
                return "RENEW" in file.read()
        self.until("the renewal at the client", renewed)

    def test_a_client_gets_a_lease_and_renews_it(self):
        self.check_lease(broadcast=False)

    def test_a_server_may_answer_by_broadcast(self):
        self.check_lease(broadcast=True)

    def test_a_client_gets_an_address_by_slaac(self):
        self.lab.run("sh", "-ec", """cd /proc/sys/net/ipv6/conf/eth0
            echo 1 >accept_ra && echo 1 >autoconf && echo 3 >router_solicitations && echo 0 >router_solicitation_delay
            ip link set eth0 down && ip link set eth0 up""")
        self.until("an address", lambda: re.search(
            r"inet6 2001:db8:0:1:200:5eff:fe00:5310/64 scope global .*dynamic",
            self.lab.ip("client", "-6", "addr", "show", "dev", "eth0")))
        self.until("a route", lambda: "default via fe80::" in self.lab.ip("client", "-6", "route"))
        self.assert_answered(lab.FILES6)

    def test_nobody_inside_is_a_router(self):
        dropped = self.dropped("ndp")
        sender = self.lab.sender()
        with self.lab.capture() as capture:
            message = router_advertisement(EVERYBODY[1], "2001:db8:bad::")
            sender.send(frames.ethernet(EVERYBODY[0], lab.CLIENT_MAC, message))
            self.until("the drop", lambda: self.dropped("ndp") == dropped + 1)
            capture.expect_none(lambda frame: frame.src == EVERYBODY[1], "a router advertisement from inside")

    def test_nobody_inside_is_a_dhcp_server(self):
        dropped = self.dropped("dhcp")
        sender = self.lab.sender()
        with self.lab.capture() as capture:
            sender.send(frames.ethernet("ff:ff:ff:ff:ff:ff", lab.CLIENT_MAC, offer(lab.SERVER_MAC)))
            self.until("the drop", lambda: self.dropped("dhcp") == dropped + 1)
            capture.expect_none(lambda frame: frame.sport == SERVER_PORT and not frame.outgoing, "an offer from inside")


class OneWorker(Leases, lab.LabTest):
    options = {"policy": POLICY}


class FourWorkers(Leases, lab.LabTest):
    options = {"policy": POLICY, "workers": 4}


if __name__ == "__main__":
    lab.main("dnsmasq", "dhclient")
