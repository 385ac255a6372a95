#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Interfaces as ports: what a guarded one says to the wire (nothing), and what guarding refuses.

Three network namespaces of its own: a client, the host with the port lan0 and a way on, and a server.

    client c0 ---- lan0 host up0 ---- s0 server

The client and the server have no addresses: the test sends and sees frames itself, tc and ip cross-check.
"""
import ctypes
import errno
import json
import os
import platform
import re
import selectors
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

TOOL = os.environ["LINK_TOOL"]
POLICYCTL = os.environ["POLICYCTL"]
HOST, CLIENT, SERVER = (f"pol-link-{os.getpid()}-{side}" for side in "hcs")
PACKET_OUTGOING = 4
CLONE_NEWNET = 0x40000000
HANDLE = "0x706f6c64"

LAN_MAC, CLIENT_MAC = "02:00:00:00:00:01", "02:00:00:00:00:09"
UP_MAC, SERVER_MAC = "02:00:00:00:01:01", "02:00:00:00:01:09"
LAN_LOCAL = "fe80::ff:fe00:1"  # of LAN_MAC, EUI-64
libc = ctypes.CDLL(None, use_errno=True)


def run(*arguments, check=True, netns=HOST):
    result = subprocess.run(["ip", "netns", "exec", netns, *arguments], capture_output=True, text=True, timeout=60)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: {result.returncode}: {result.stderr}")
    return result


def ip(words, netns=HOST):
    return run("ip", *words.split(), netns=netns)


def sysctl(**values):
    for key, value in values.items():
        run("sysctl", "-qw", f"{key.replace('__', '/')}={value}")


def open_in(netns, make):
    """make() in another network namespace; what it opens stays there."""
    with open("/proc/self/ns/net") as here, open(f"/run/netns/{netns}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return make()
        finally:
            libc.setns(here.fileno(), CLONE_NEWNET)


def packet_socket(netns, name):
    def make():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sock.bind((name, 3))
        return sock
    return open_in(netns, make)


def frames_of(sock, seconds, enough=lambda frames: False):
    """What arrives within a time; what the kernel there sends itself is left out."""
    frames, end = [], time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not enough(frames):
        sock.settimeout(left)
        try:
            frame, address = sock.recvfrom(65536)
        except TimeoutError:
            break
        if address[2] != PACKET_OUTGOING:
            frames.append(frame)
    return frames


# --- frames -----------------------------------------------------------------------------------------------------------

def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ethernet(kind, payload, to=LAN_MAC):
    return mac(to) + mac(CLIENT_MAC) + struct.pack("!H", kind) + payload


def ipv4(proto, payload, target, source="192.0.2.9"):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    return ethernet(0x0800, head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload)


def ipv6(proto, payload, target, source, place):
    """`place` is where the checksum stands in the payload."""
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    total = checksum(ends + struct.pack("!II", len(payload), proto) + payload)
    payload = payload[:place] + struct.pack("!H", total) + payload[place + 2:]
    return ethernet(0x86dd, struct.pack("!IHBB", 0x60000000, len(payload), proto, 255) + ends + payload)


def arp_request(target):
    return ethernet(0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac(CLIENT_MAC),
                                        socket.inet_aton("192.0.2.9"), bytes(6), socket.inet_aton(target)),
                    to="ff:ff:ff:ff:ff:ff")


def echo(target, source="192.0.2.9"):
    return ipv4(1, struct.pack("!BBHHH", 8, 0, checksum(struct.pack("!BBHHH", 8, 0, 0, 1, 1)), 1, 1), target, source)


def syn(target, port):
    segment = struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 0x50, 2, 1024, 0, 0)
    ends = socket.inet_aton("192.0.2.9") + socket.inet_aton(target)
    total = checksum(ends + struct.pack("!BBH", 0, 6, len(segment)) + segment)
    return ipv4(6, segment[:16] + struct.pack("!H", total) + segment[18:], target)


def neighbour_solicitation():
    return ipv6(58, struct.pack("!BBHI", 135, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, LAN_LOCAL) +
                struct.pack("!BB", 1, 1) + mac(CLIENT_MAC), LAN_LOCAL, "fe80::9", 2)


def echo6(target, source):
    return ipv6(58, struct.pack("!BBHHH", 128, 0, 0, 1, 1), target, source, 2)


def udp(target):
    return ipv4(17, struct.pack("!HHHH", 4000, 4000, 8, 0), target)


def kind_of(frame):
    kind, rest = struct.unpack("!H", frame[12:14])[0], frame[14:]
    if kind == 0x0806:
        return "arp reply" if rest[7] == 2 else "arp"
    if kind == 0x0800 and rest[9] == 1:
        return "echo reply" if rest[20] == 0 else "icmp"
    if kind == 0x0800 and rest[9] == 6:
        return "rst" if rest[33] & 4 else "syn-ack"
    if kind == 0x86dd and rest[6] == 58:
        return {129: "echo6 reply", 136: "neighbour advertisement"}.get(rest[40], "icmpv6")
    return "udp" if kind == 0x0800 and rest[9] == 17 else "other"


QUESTIONS = {
    "arp reply": arp_request("192.0.2.1"),
    "echo reply": echo("192.0.2.1"),
    "rst": syn("192.0.2.1", 81),
    "syn-ack": syn("198.51.100.1", 8080),  # an address of another interface
    "neighbour advertisement": neighbour_solicitation(),
    "echo6 reply": echo6(LAN_LOCAL, "fe80::9"),
}
TRANSIT = {"udp": udp("198.51.100.9"), "icmpv6": echo6("2001:db8:2::9", "2001:db8:1::9")}


class Link(unittest.TestCase):
    def setUp(self):
        self.addCleanup(self.tear_down)
        for netns in (HOST, CLIENT, SERVER):
            subprocess.run(["ip", "netns", "add", netns], check=True)
        for netns in (CLIENT, SERVER):
            run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1",
                netns=netns)
        self.make_lan0()

    def tear_down(self):
        for netns in (HOST, CLIENT, SERVER):
            subprocess.run(["ip", "netns", "del", netns], capture_output=True)

    def make_lan0(self):
        ip(f"link add lan0 address {LAN_MAC} type veth peer name c0 address {CLIENT_MAC} netns {CLIENT}")
        ip("link set c0 up", netns=CLIENT)

    def guard(self, name="lan0", code=0):
        result = run(TOOL, "guard", name, check=False)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr

    def release(self, name="lan0", code=0):
        result = run(POLICYCTL, "port", "release", name, check=False)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr

    def facts(self, name="lan0"):
        return json.loads(run(POLICYCTL, "port", "show", "--json", name).stdout)["ports"][0]

    def filters(self, direction="ingress"):
        return run("tc", "filter", "show", "dev", "lan0", direction).stdout

    def qdiscs(self):
        return re.findall(r"qdisc (clsact|ingress)", run("tc", "qdisc", "show", "dev", "lan0").stdout)

    def flags(self):
        return json.loads(ip("-j link show lan0").stdout)[0]["flags"]

    def ipv6_off(self, name="lan0"):
        return run("sysctl", "-n", f"net/ipv6/conf/{name}/disable_ipv6").stdout.strip() == "1"

    def assert_open(self):
        """As if it had never been guarded."""
        self.assertEqual((self.filters(), self.qdiscs(), self.ipv6_off()), ("", [], False))
        self.assertNotIn("NOARP", self.flags())
        self.assertFalse(self.facts()["guarded"])


class Wire(Link):
    """What the other end of the wire and the one behind the host see."""

    def setUp(self):
        super().setUp()
        ip(f"link add up0 address {UP_MAC} type veth peer name s0 address {SERVER_MAC} netns {SERVER}")
        ip("link set s0 up", netns=SERVER)
        sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1, net__ipv4__conf__all__rp_filter=0,
               net__ipv4__conf__lan0__rp_filter=0, net__ipv6__conf__lan0__accept_dad=0,
               net__ipv6__conf__up0__accept_dad=0)
        ip("link set up0 up")
        ip("link set lo up")
        ip("addr add 198.51.100.1/24 dev up0")
        ip("addr add 2001:db8:2::1/64 dev up0 nodad")
        ip(f"neigh add 198.51.100.9 lladdr {SERVER_MAC} dev up0")
        ip(f"neigh add 2001:db8:2::9 lladdr {SERVER_MAC} dev up0")
        self.client = packet_socket(CLIENT, "c0")
        self.server = packet_socket(SERVER, "s0")
        self.listener = open_in(HOST, lambda: socket.create_server(("0.0.0.0", 8080)))
        for sock in (self.client, self.server, self.listener):
            self.addCleanup(sock.close)

    def address(self):
        """As an administrator may do at any time, also after the guard."""
        ip("addr add 192.0.2.1/24 dev lan0")
        ip(f"neigh replace 192.0.2.9 lladdr {CLIENT_MAC} dev lan0")

    def answers(self, wanted):
        for frame in QUESTIONS.values():
            self.client.send(frame)
        frames = frames_of(self.client, 3 if wanted else 1.5,
                           lambda frames: wanted and wanted <= {kind_of(frame) for frame in frames})
        return [kind_of(frame) for frame in frames]

    def arrivals(self, wanted):
        for frame in TRANSIT.values():
            self.client.send(frame)
        frames = frames_of(self.server, 3 if wanted else 1.5,
                           lambda frames: wanted and wanted <= {kind_of(frame) for frame in frames})
        return [kind_of(frame) for frame in frames if kind_of(frame) in TRANSIT]

    def drain(self):
        frames_of(self.client, 0.3)
        frames_of(self.server, 0.3)

    def assert_talks(self):
        self.drain()
        self.assertLessEqual(set(QUESTIONS), set(self.answers(set(QUESTIONS))))
        self.assertLessEqual(set(TRANSIT), set(self.arrivals(set(TRANSIT))))

    def assert_silent(self):
        self.drain()
        self.assertEqual(self.answers(set()), [])
        self.assertEqual(self.arrivals(set()), [])

    def test_a_guarded_port_answers_and_forwards_nothing_until_released(self):
        ip("link set lan0 up")
        self.address()
        self.assert_talks()
        ip("addr del 192.0.2.1/24 dev lan0")
        self.guard()
        self.assert_silent()
        self.address()
        self.assert_silent()
        self.release()
        self.address_again()
        self.assert_talks()

    def address_again(self):
        ip(f"neigh replace 192.0.2.9 lladdr {CLIENT_MAC} dev lan0")
        self.assertEqual(self.filters(), "")

    def test_a_packet_socket_sees_what_the_host_does_not(self):
        self.guard()
        tap = packet_socket(HOST, "lan0")
        self.addCleanup(tap.close)
        for frame in QUESTIONS.values():
            self.client.send(frame)
        seen = frames_of(tap, 3, lambda frames: len(frames) >= len(QUESTIONS))
        self.assertEqual(seen, list(QUESTIONS.values()))

    def flood(self, seconds, meanwhile):
        """Pings up0 through lan0 in the name of the server, which sees the answers; returns how many."""
        frame, stop = echo("198.51.100.1", "198.51.100.9"), threading.Event()

        def send():
            while not stop.is_set():
                try:
                    self.client.send(frame)
                except OSError:  # the other end is down
                    time.sleep(0.0001)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                meanwhile()
        finally:
            stop.set()
            sender.join()
        return [kind_of(frame) for frame in frames_of(self.server, 0.5)].count("echo reply")

    def test_no_frame_gets_in_while_it_comes_up(self):
        ip("link set lan0 up")
        self.assertGreater(self.flood(0.2, lambda: time.sleep(0.05)), 0, "an open one answers")
        ip("link set lan0 down")
        self.drain()

        def guard_and_undo():
            self.guard()
            ip("link set lan0 down")
            self.release()

        self.assertEqual(self.flood(3, guard_and_undo), 0)

    def test_coming_up_says_nothing(self):
        ip("link set lan0 up")
        self.assertNotEqual(frames_of(self.client, 5, len), [], "an open one speaks at once")
        ip("link set lan0 down")
        self.drain()
        self.guard()
        self.assertEqual([kind_of(frame) for frame in frames_of(self.client, 3)], [])


class Guard(Link):
    def test_it_is_what_tc_and_ip_see(self):
        self.guard()
        self.assertRegex(self.filters(), r"filter protocol all pref 1 bpf chain 0 handle " + HANDLE +
                         r" direct-action skip_hw not_in_hw bytecode '1,6 0 0 2'")
        self.assertEqual(self.qdiscs(), ["clsact"])
        self.assertLessEqual({"UP", "NOARP"}, set(self.flags()))
        self.assertTrue(self.ipv6_off())
        self.assertTrue(self.facts()["guarded"])
        self.assertRegex(run(POLICYCTL, "port", "show", "lan0").stdout, r"^lan0 +up +carrier +mtu 1500 +guarded\n$")

    def test_twice_is_once_and_release_leaves_no_trace(self):
        self.assert_open()
        self.guard()
        before = self.filters()
        self.guard()
        self.assertEqual(self.filters(), before)
        self.release()
        self.assert_open()
        self.assertIn("UP", self.flags())
        self.release()
        self.assert_open()

    def test_each_part_that_was_undone_is_seen_and_done_again(self):
        self.guard()
        place = ["dev", "lan0", "ingress", "protocol", "all", "pref", "1", "handle", HANDLE, "bpf"]
        for undo in (["tc", "qdisc", "del", "dev", "lan0", "clsact"],
                     ["ip", "link", "set", "lan0", "arp", "on"],
                     ["sysctl", "-qw", "net.ipv6.conf.lan0.disable_ipv6=0"],
                     ["tc", "filter", "replace", *place, "da", "skip_hw", "bytecode", "1,6 0 0 0"],
                     ["tc", "filter", "replace", *place, "skip_hw", "bytecode", "1,6 0 0 2"]):
            with self.subTest(undo):
                run(*undo)
                self.assertFalse(self.facts()["guarded"])
                self.guard()
                self.assertTrue(self.facts()["guarded"])
                self.assertEqual(self.filters().count("handle"), 1)

    def test_a_filter_of_ours_that_hardware_might_run_is_made_anew(self):
        run("tc", "qdisc", "add", "dev", "lan0", "clsact")
        run("tc", "filter", "add", "dev", "lan0", "ingress", "protocol", "all", "pref", "1", "handle", HANDLE, "bpf",
            "da", "bytecode", "1,6 0 0 2")
        self.guard()
        self.assertTrue(self.facts()["guarded"])
        self.assertEqual(self.filters().count("skip_hw"), 1)

    def test_another_filter_stays_through_guard_and_release(self):
        run("tc", "qdisc", "add", "dev", "lan0", "clsact")
        for direction in ("ingress", "egress"):
            run("tc", "filter", "add", "dev", "lan0", direction, "pref", "10", "bpf", "da", "bytecode", "1,6 0 0 0")
        before = self.filters(), self.filters("egress")
        self.guard()
        self.assertTrue(self.facts()["guarded"])
        self.assertIn(before[0], self.filters())
        self.release()
        self.assertEqual((self.filters(), self.filters("egress")), before)
        self.assertEqual(self.qdiscs(), ["clsact"])

    def test_a_filter_on_the_way_out_alone_keeps_the_qdisc(self):
        run("tc", "qdisc", "add", "dev", "lan0", "clsact")
        run("tc", "filter", "add", "dev", "lan0", "egress", "pref", "1", "bpf", "da", "bytecode", "1,6 0 0 0")
        before = self.filters("egress")
        self.guard()
        self.release()
        self.assertEqual((self.filters("egress"), self.filters(), self.qdiscs()), (before, "", ["clsact"]))

    def test_an_ingress_qdisc_of_somebody_else_serves_and_stays(self):
        run("tc", "qdisc", "add", "dev", "lan0", "ingress")
        self.guard()
        self.assertTrue(self.facts()["guarded"])
        self.release()
        self.assertEqual((self.filters(), self.qdiscs()), ("", ["ingress"]))

    def test_another_name_of_it_guards_the_same_interface(self):
        ip("link property add dev lan0 altname to-the-wire")
        self.guard("to-the-wire")
        self.assertTrue(self.ipv6_off())
        self.assertTrue(self.facts()["guarded"])
        self.release("to-the-wire")
        self.assert_open()

    def test_a_name_with_a_dot(self):
        ip("link set lan0 name lan.7")
        self.guard("lan.7")
        self.assertTrue(self.ipv6_off("lan.7"))
        self.release("lan.7")
        self.assertFalse(self.ipv6_off("lan.7"))

    def test_small_mtu_has_no_ipv6(self):
        ip("link set lan0 mtu 1000")
        self.guard()
        self.assertTrue(self.facts()["guarded"])
        ip("link set lan0 mtu 1500")
        self.assertFalse(self.facts()["guarded"], "IPv6 came with the larger MTU")
        self.guard()
        self.assertTrue(self.ipv6_off())

    def test_release_leaves_alone_what_was_not_guarded(self):
        sysctl(net__ipv6__conf__lan0__disable_ipv6=1)
        self.release()
        self.assertTrue(self.ipv6_off())
        sysctl(net__ipv6__conf__lan0__disable_ipv6=0)
        ip("link set lan0 arp off")
        self.release()
        self.assertIn("NOARP", self.flags())

    def test_release_gives_ipv6_as_this_host_has_it(self):
        sysctl(net__ipv6__conf__default__disable_ipv6=1)
        self.guard()
        self.release()
        self.assertTrue(self.ipv6_off())

    def test_release_finishes_what_somebody_began(self):
        self.guard()
        run("tc", "qdisc", "del", "dev", "lan0", "clsact")
        self.release()
        self.assert_open()

    def test_missing_interface_and_missing_permission_are_named(self):
        self.assertIn('port "nix": there is no such interface', self.guard("nix", errno.ENODEV))
        self.assertIn("there is no such interface", self.release("nix", 4))
        self.guard("x" * 200, errno.ENODEV)
        result = run("setpriv", "--bounding-set=-net_admin", TOOL, "guard", "lan0", check=False)
        self.assertEqual(result.returncode, errno.EPERM)
        self.assertIn("CAP_NET_ADMIN", result.stderr)
        self.guard()
        result = run("setpriv", "--bounding-set=-net_admin", POLICYCTL, "port", "release", "lan0", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("CAP_NET_ADMIN", result.stderr)
        self.assertTrue(self.facts()["guarded"])


class Taken(Link):
    """Each refusal changes nothing and names the command that frees the port; the command does."""

    def taken(self, reason, name="lan0"):
        before = ip("-j addr show").stdout, run("tc", "filter", "show", "dev", name, "ingress").stdout
        error = self.guard(name, errno.EBUSY)
        self.assertIn(reason, error)
        after = ip("-j addr show").stdout, run("tc", "filter", "show", "dev", name, "ingress").stdout
        self.assertEqual(after, before)
        self.assertIn(self.facts(name)["taken"], error)
        self.assertIn(reason, run(POLICYCTL, "port", "show", name).stdout)
        return re.findall(r'"((?:ip|tc|sysctl) [^"]+)"', error)

    def freed_by_its_command(self, reason, command, name="lan0"):
        commands = self.taken(reason)
        self.assertEqual(commands, [command])
        run(*shlex.split(command))
        self.guard(name)
        self.assertTrue(self.facts(name)["guarded"])

    def test_ipv4_address(self):
        ip("addr add 192.0.2.1/24 dev lan0")
        self.freed_by_its_command("has the address 192.0.2.1/24", "ip addr del 192.0.2.1/24 dev lan0")

    def test_global_ipv6_address(self):
        ip("link set lan0 up")
        ip("addr add 2001:db8::1/64 dev lan0")
        self.freed_by_its_command("has the address 2001:db8::1/64", "ip addr del 2001:db8::1/64 dev lan0")

    def test_ipv6_address_that_comes_back_by_itself(self):
        ip("link set lan0 up")
        ip("addr add 2001:db8::1/64 dev lan0 valid_lft 600 preferred_lft 600")
        self.freed_by_its_command("has the address 2001:db8::1/64", "sysctl -w net/ipv6/conf/lan0/disable_ipv6=1")

    def test_link_local_addresses_are_no_reason(self):
        ip("link set lan0 up")
        self.assertIn("fe80::", ip("addr show lan0").stdout)
        self.guard()
        self.assertNotIn("fe80::", ip("addr show lan0").stdout)

    def test_default_routes(self):
        ip("link set lan0 up")
        ip("route add default dev lan0")
        self.freed_by_its_command("has the route default", "ip route del default dev lan0")

    def test_default_ipv6_route(self):
        ip("link set lan0 up")
        ip("-6 route add default dev lan0")
        self.freed_by_its_command("has the route default", "ip -6 route del default dev lan0")

    def test_route_in_another_table(self):
        ip("link set lan0 up")
        ip("route add 203.0.113.0/24 dev lan0 table 1000")
        self.freed_by_its_command("has the route 203.0.113.0/24", "ip route del 203.0.113.0/24 dev lan0 table 1000")

    def test_route_over_several_interfaces(self):
        ip("link add other type veth peer name peer")
        for name in ("lan0", "other"):
            ip(f"link set {name} up")
        ip("route add default nexthop dev other nexthop dev lan0")
        self.assertIn("ip route del default dev lan0", self.taken("has the route default"))

    def test_addresses_and_routes_elsewhere_are_no_reason(self):
        ip("link add other type veth peer name peer")
        ip("link set other up")
        ip("addr add 192.0.2.1/24 dev other")
        ip("addr add 2001:db8::1/64 dev other")
        ip("route add default dev other")
        ip("-6 route add default dev other")
        self.guard()

    def test_member_of_a_bridge_and_the_bridge(self):
        ip("link add br0 type bridge")
        ip("link set lan0 master br0")
        self.assertEqual(self.taken("is a bridge", "br0"), ["ip link del br0"])
        self.freed_by_its_command('belongs to "br0"', "ip link set lan0 nomaster")

    def test_carrier_of_a_macvlan(self):
        ip("link add mv0 link lan0 type macvlan")
        self.freed_by_its_command('carries the macvlan "mv0"', "ip link del mv0")

    def test_filter_that_would_come_first(self):
        run("tc", "qdisc", "add", "dev", "lan0", "clsact")
        run("tc", "filter", "add", "dev", "lan0", "ingress", "pref", "1", "handle", "0x7", "protocol", "all",
            "bpf", "da", "bytecode", "1,6 0 0 0")
        self.freed_by_its_command("another filter of preference 1",
                                  "tc filter del dev lan0 ingress protocol all pref 1 handle 0x7 bpf")

    def test_filter_put_before_ours_later_is_seen(self):
        self.guard()
        run("tc", "filter", "add", "dev", "lan0", "ingress", "pref", "1", "handle", "0x7", "protocol", "all",
            "bpf", "da", "bytecode", "1,6 0 0 0")
        self.assertFalse(self.facts()["guarded"])
        self.freed_by_its_command("another filter of preference 1",
                                  "tc filter del dev lan0 ingress protocol all pref 1 handle 0x7 bpf")

    def test_filter_of_another_protocol_in_our_place(self):
        run("tc", "qdisc", "add", "dev", "lan0", "clsact")
        run("tc", "filter", "add", "dev", "lan0", "ingress", "pref", "1", "protocol", "ip",
            "bpf", "da", "bytecode", "1,6 0 0 0")
        self.freed_by_its_command("another filter of preference 1", "tc filter del dev lan0 ingress pref 1")

    def test_no_ethernet(self):
        self.taken("is the loopback interface", "lo")
        ip("tuntap add tun0 mode tun")
        self.taken("is no Ethernet interface", "tun0")


class Facts(Link):
    def test_they_follow_the_interface(self):
        self.assertEqual({key: self.facts()[key] for key in ("up", "carrier", "mtu", "mac", "lro", "receive_max")},
                         {"up": False, "carrier": False, "mtu": 1500, "mac": LAN_MAC, "lro": False,
                          "receive_max": 65536})
        run(TOOL, "up", "lan0")
        ip("link set lan0 mtu 9000 gro_max_size 131072")
        self.assertEqual({key: self.facts()[key] for key in ("up", "carrier", "mtu", "receive_max")},
                         {"up": True, "carrier": True, "mtu": 9000, "receive_max": 131072})
        ip("link set c0 down", netns=CLIENT)
        self.assertEqual((self.facts()["up"], self.facts()["carrier"]), (True, False))
        run(TOOL, "down", "lan0")
        self.assertFalse(self.facts()["up"])
        self.assertEqual(run(TOOL, "up", "nix", check=False).returncode, errno.ENODEV)

    def test_udp_frames_are_lost_by_old_kernels_only(self):
        version = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
        self.assertEqual(self.facts()["udp_segments_lost"], version < (6, 2))

    def test_show_lists_all_and_names_the_missing(self):
        names = [port["name"] for port in json.loads(run(POLICYCTL, "port", "show", "-o", "json").stdout)["ports"]]
        self.assertIn("lo", names)
        self.assertIn("lan0", names)
        result = run(POLICYCTL, "port", "show", "--json", "nix", "lan0", check=False)
        self.assertEqual(result.returncode, 4)
        self.assertIn('port "nix": there is no such interface', result.stderr)
        self.assertEqual([port["name"] for port in json.loads(result.stdout)["ports"]], ["lan0"])

    def test_looking_bears_changes_going_on(self):
        """So many interfaces that the kernel lists them in pieces and says when one changed in between."""
        ip("link add other type veth peer name peer")
        for i in range(40):
            ip(f"link add x{i} type veth peer name y{i}")
        changes = subprocess.Popen(["ip", "-n", HOST, "-batch", "-"], stdin=subprocess.PIPE, text=True)
        try:
            changes.stdin.write("link add mv0 link other type macvlan\nlink del mv0\n" * 200)
            changes.stdin.flush()
            self.assertEqual(run(TOOL, "look", "lan0", "1000", check=False).returncode, 0)
            self.assertIsNone(changes.poll())
        finally:
            changes.kill()
            changes.wait()
            changes.stdin.close()


class Watch(Link):
    def setUp(self):
        super().setUp()
        self.process = subprocess.Popen(["ip", "netns", "exec", HOST, TOOL, "watch", "lan0"],
                                        stdout=subprocess.PIPE, bufsize=0)
        self.addCleanup(self.end)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def expect(self, pattern):
        """The next line that matches, within ten seconds."""
        end = time.monotonic() + 10
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while selector.select(max(0, end - time.monotonic())):
                line = self.process.stdout.readline().decode()
                if not line:
                    raise AssertionError("the tool has ended")
                if re.match(pattern, line.rstrip("\n")):
                    return line
        raise AssertionError("nothing like " + pattern)

    def test_all_that_concerns_a_port_is_news(self):
        first = self.expect(r"[1-9]\d* 0 $").split()[0]
        self.guard()
        self.expect(first + " 1 $")
        ip("addr add 192.0.2.1/24 dev lan0")
        self.expect(first + " 1 has the address")
        ip("addr del 192.0.2.1/24 dev lan0")
        self.expect(first + " 1 $")
        ip("route add default dev lan0")
        self.expect(first + " 1 has the route default")
        ip("route del default dev lan0")
        self.expect(first + " 1 $")
        run("tc", "filter", "del", "dev", "lan0", "ingress", "pref", "1")
        self.expect(first + " 0 $")
        ip("link del lan0")
        self.expect("0 0 $")
        self.make_lan0()
        again = self.expect(r"[1-9]\d* 0 $").split()[0]
        self.assertNotEqual(again, first)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIP link: needs root")
        sys.exit(77)
    if not shutil.which("ip") or not shutil.which("tc"):
        print("SKIP link: needs iproute2")
        sys.exit(77)
    if subprocess.run(["ip", "netns", "add", HOST], capture_output=True).returncode != 0:
        print("SKIP link: no network namespaces here")
        sys.exit(77)
    tried = run("true", check=False) # needs a root of its own mount: not in every chroot
    subprocess.run(["ip", "netns", "del", HOST], check=True)
    if tried.returncode != 0:
        print("SKIP link: no way into a network namespace:", tried.stderr.strip())
        sys.exit(77)
    unittest.main(verbosity=2)
