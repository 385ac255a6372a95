# SPDX-License-Identifier: Apache-2.0
"""What a kernel and dig make of the frames we write.

    reply_test.py BUMP

Two network namespaces, each with a TAP device that BUMP joins. Both namespaces have no name: they end with this
program. 198.51.100.1 and 2001:db8:1::1 are inside, .2 and ::2 outside.
"""
import ctypes
import errno
import fcntl
import functools
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import unittest

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 0x0002, 0x1000
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2
SERVER = {socket.AF_INET: "198.51.100.2", socket.AF_INET6: "2001:db8:1::2"}
AT_ONCE = 0.5  # seconds; a SYN is sent again after one
LIBC = ctypes.CDLL(None, use_errno=True)
BUMP = None


class Namespace:
    """A network namespace of our own with one TAP device; inside `with`, this thread is in it."""

    def __init__(self, host):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if LIBC.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        self.own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.tap = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TAP | IFF_NO_PI))
        for command in ("link set lo up", "link set wire up", f"addr add 198.51.100.{host}/24 dev wire",
                        f"-6 addr add 2001:db8:1::{host}/64 dev wire nodad"):
            subprocess.run(["ip", *command.split()], check=True)
        self.__exit__()

    def __enter__(self):
        self.enter(self.own)

    def __exit__(self, *_):
        self.enter(self.home)

    @staticmethod
    def enter(descriptor):
        if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def each_family(test):
    @functools.wraps(test)
    def run(self):
        for family in SERVER:
            with self.subTest(family=family.name):
                test(self, family)
    return run


class Reply(unittest.TestCase):
    inside = outside = None

    @classmethod
    def setUpClass(cls):
        taps = cls.inside.tap, cls.outside.tap
        cls.bump = subprocess.Popen([BUMP, *map(str, taps)], stdin=subprocess.PIPE, pass_fds=taps)

    @classmethod
    def tearDownClass(cls):
        cls.bump.stdin.close()
        if cls.bump.wait(timeout=10) != 0:
            raise AssertionError("reply_bump failed")

    def client(self, family, kind):
        with self.inside:
            made = socket.socket(family, kind)
        self.addCleanup(made.close)
        made.settimeout(5)
        return made

    def connection(self, family, port):
        """Both ends of one, through the wire."""
        with self.outside:
            listener = socket.create_server((SERVER[family], port), family=family)
        with listener:
            client = self.client(family, socket.SOCK_STREAM)
            client.connect((SERVER[family], port))
            server, _ = listener.accept()
        self.addCleanup(server.close)
        server.settimeout(5)
        return client, server

    @each_family
    def test_wire_carries_what_is_allowed(self, family):
        client, server = self.connection(family, 80)
        client.sendall(b"over there")
        self.assertEqual(server.recv(100), b"over there")

    @each_family
    def test_refused_connection_fails_at_once(self, family):
        client = self.client(family, socket.SOCK_STREAM)
        began = time.monotonic()
        self.assertEqual(client.connect_ex((SERVER[family], 81)), errno.ECONNREFUSED)
        self.assertLess(time.monotonic() - began, AT_ONCE)

    @each_family
    def test_denied_connection_is_reset_at_both_ends(self, family):
        client, server = self.connection(family, 82)
        began = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\n")
        self.assertRaises(ConnectionResetError, client.recv, 100)
        self.assertRaises(ConnectionResetError, server.recv, 100)
        self.assertLess(time.monotonic() - began, AT_ONCE)

    @each_family
    def test_refused_datagram_is_an_error_of_the_socket(self, family):
        expected = {socket.AF_INET: errno.EHOSTUNREACH, socket.AF_INET6: errno.EACCES}
        client = self.client(family, socket.SOCK_DGRAM)
        client.connect((SERVER[family], 81))
        client.send(bytes(1000))
        with self.assertRaises(OSError) as caught:
            client.recv(100)
        self.assertEqual(caught.exception.errno, expected[family])

    @each_family
    def test_dig_takes_our_answer(self, family):
        with self.inside:
            asked = subprocess.run(["dig", "+tries=1", "+time=2", f"@{SERVER[family]}", "secret.example"],
                                   capture_output=True, text=True, timeout=30)
        self.assertEqual(asked.returncode, 0, asked.stdout)
        self.assertIn("status: NXDOMAIN", asked.stdout)
        self.assertRegex(asked.stdout, r"EDE: 15 \(Blocked\)")
        self.assertNotIn(";; Warning", asked.stdout)
        self.assertIn(f"SERVER: {SERVER[family]}#53", asked.stdout)

    def forget_path_mtu(self):
        with self.inside:
            for family in "-4", "-6":
                subprocess.run(["ip", family, "route", "flush", "cache"], check=True)

    def path_mtu(self, family):
        with self.inside:
            shown = subprocess.run(["ip", "route", "get", SERVER[family]], capture_output=True, text=True, check=True)
        found = re.search(r" mtu (\d+)", shown.stdout)
        return int(found.group(1)) if found else None

    @each_family
    def test_too_big_lowers_the_path_mtu(self, family):
        options = {socket.AF_INET: (socket.IPPROTO_IP, IP_MTU_DISCOVER),
                   socket.AF_INET6: (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)}
        client = self.client(family, socket.SOCK_DGRAM)
        client.setsockopt(*options[family], PMTUDISC_DO)
        client.connect((SERVER[family], 9))
        self.forget_path_mtu()
        self.assertIsNone(self.path_mtu(family))
        client.send(bytes(1400))
        until = time.monotonic() + 5
        while self.path_mtu(family) is None and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual(self.path_mtu(family), 1300)
        with self.assertRaises(OSError) as caught:
            client.send(bytes(1400))
        self.assertEqual(caught.exception.errno, errno.EMSGSIZE)

    @each_family
    def test_large_segments_shrink_to_what_fits(self, family):
        self.forget_path_mtu()
        client, server = self.connection(family, 80)
        client.sendall(bytes(100000))
        left = 100000
        while left > 0:
            got = server.recv(65536)
            self.assertTrue(got)
            left -= len(got)
        self.assertEqual(self.path_mtu(family), 1300)


def missing():
    """Makes the namespaces, or says why this cannot run here."""
    for program in ("ip", "dig"):
        if not shutil.which(program):
            return f"no {program}"
    if os.geteuid() != 0:
        return "not root"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    try:
        Reply.inside, Reply.outside = Namespace(1), Namespace(2)
    except PermissionError as error:
        return f"no namespaces: {error}"
    return None


def main():
    global BUMP
    BUMP = sys.argv[1]
    reason = missing()
    if reason:
        print(f"SKIP integration/reply: {reason}")
        sys.exit(77)
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2).result
    bad = len(result.failures) + len(result.errors)
    print(f"{max(result.testsRun - bad, 0)} passed, {bad} failed")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
