#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The first connection after a DNS answer never loses its SYN.

Each round asks a real resolver for a name nobody has asked for, and connects at once to the address of the answer, which
no other name has: only the grant of this answer opens it. The answer and the SYN may pass through different workers. The
kernel counts the SYNs that were sent twice.
"""
import ipaddress
import os
import socket
import struct
import threading
import time
import unittest

import lab

ROUNDS = 5000 # of each family
PORT = 7000
RESOLVER = "192.0.2.54"
NETWORK, NETWORK6 = ipaddress.ip_network("198.18.0.0/15"), ipaddress.ip_network("2001:db8:18::/64")
A, AAAA = 1, 28
TOTAL_RETRANSMISSIONS = 100 # offset of tcpi_total_retrans in struct tcp_info

POLICY = {"default_policy": "deny", "source_groups": [{
    "id": "clients", "mode": "enforce", "sources": {"cidrs": ["192.0.2.0/24", "2001:db8::/32"]}, "default_action": "deny",
    "rules": [{"id": "by-name", "action": "allow",
               "match": {"dns_hostname": r"(^|\.)first\.example$", "proto": "tcp", "dst_ports": [PORT]}}]}]}


def address_of(number, kind):
    return (NETWORK if kind == A else NETWORK6)[number + 1]


def question(number, kind):
    labels = b"".join(bytes([len(label)]) + label for label in (b"n%d" % number, b"first", b"example"))
    return struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


class Machinery:
    """A resolver, servers, and the rounds."""

    options = {}

    @classmethod
    def prepare(cls):
        cls.start_resolver()
        for family, route in (("-4", NETWORK), ("-6", NETWORK6)):
            cls.lab.ip("server", family, "route", "add", "local", str(route), "dev", "lo")
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            listener = cls.lab.socket("server", family)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, PORT))
            listener.listen(1024)
            listener.settimeout(0.2)
            threading.Thread(target=accept, args=(listener,), daemon=True).start()

    @classmethod
    def start_resolver(cls):
        """unbound, with a record for every round."""
        cls.lab.ip("server", "addr", "add", RESOLVER + "/24", "dev", "eth0")
        path = os.path.join(cls.lab.directory, "first.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""server:
    interface: {RESOLVER}
    access-control: 0.0.0.0/0 allow
    username: ""
    chroot: ""
    directory: "{cls.lab.directory}"
    pidfile: ""
    use-syslog: no
    local-zone: "first.example." static
remote-control:
    control-enable: no
server:
""")
            for number in range(ROUNDS):
                for kind, word in ((A, "A"), (AAAA, "AAAA")):
                    file.write(f'    local-data: "n{number}.first.example. 300 {word} {address_of(number, kind)}"\n')
        with open(os.path.join(cls.lab.directory, "first.log"), "wb") as log:
            cls.lab.launch("server", "unbound", "-d", "-c", path, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while "NOERROR" not in cls.lab.run("dig", "+tries=1", "+timeout=1", "@" + RESOLVER, "n0.first.example",
                                           part="server").stdout:
            assert time.monotonic() < end, "unbound does not answer"

    def ask(self, asking, number, kind):
        asking.send(question(number, kind))
        answer = asking.recv(4096)
        packed = address_of(number, kind).packed
        self.assertTrue(answer.endswith(packed), answer)
        return packed

    def one(self, asking, number, kind):
        """How often the SYN was sent again, and how long the connection took."""
        packed = self.ask(asking, number, kind)
        made = socket.socket(socket.AF_INET if kind == A else socket.AF_INET6)
        with made:
            made.settimeout(5)
            began = time.monotonic()
            made.connect((str(ipaddress.ip_address(packed)), PORT))
            took = time.monotonic() - began
            again = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[TOTAL_RETRANSMISSIONS:]
            # Thousands of ended connections would otherwise wait in the client.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return struct.unpack("I", again)[0], took

    def rounds(self, kind, count=ROUNDS, only_asked=0):
        """The first `only_asked` names are not connected to."""
        asking = self.lab.socket("client", kind=socket.SOCK_DGRAM)
        asking.connect((RESOLVER, 53))
        asking.settimeout(5)
        times, lost = [], []
        with self.lab.inside("client"):
            for number in range(count):
                if number < only_asked:
                    self.ask(asking, number, kind)
                    continue
                again, took = self.one(asking, number, kind)
                times.append(took)
                if again:
                    lost.append((number, took))
        times.sort()
        print(f"{len(times)} rounds, {self.options['workers']} workers: median {times[len(times) // 2] * 1e6:.0f} us, "
              f"slowest {times[-1] * 1e3:.1f} ms", flush=True)
        self.assertEqual(lost, [])


class Rounds(Machinery):
    """The same for every number of workers."""

    def test_no_syn_is_lost_ipv4(self):
        self.rounds(A)

    def test_no_syn_is_lost_ipv6(self):
        self.rounds(AAAA)

    def test_without_an_answer_there_is_no_connection(self):
        """That is, the rounds show the grants."""
        for kind in (A, AAAA):
            self.assertEqual(self.lab.connect(str(address_of(ROUNDS, kind)), PORT), "refused")


def accept(listener):
    while True:
        try:
            listener.accept()[0].close()
        except TimeoutError:
            continue
        except OSError:
            return # closed


class OneWorker(Rounds, lab.LabTest):
    options = {"policy": POLICY, "workers": 1, "flags": ["--trust-resolver", RESOLVER]}


class FourWorkers(Rounds, lab.LabTest):
    options = {"policy": POLICY, "workers": 4, "flags": ["--trust-resolver", RESOLVER]}


class SmallTable(Machinery, lab.LabTest):
    """More names than grants: the oldest make room, and /ready says so."""

    options = {"policy": POLICY, "workers": 4, "flags": ["--trust-resolver", RESOLVER], "start": False}
    capacity = 1024

    @classmethod
    def prepare(cls):
        config = os.path.join(cls.lab.policyd.directory, "config.yaml")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"dataplane:\n  dns_allowlist_capacity: {cls.capacity}\n")
        cls.lab.policyd.arguments += ["--config", config]
        cls.lab.policyd.start()
        cls.lab.ready()
        super().prepare()

    def test_a_full_table_shows_and_still_no_syn_is_lost(self):
        self.rounds(A, self.capacity + 500, only_asked=self.capacity)
        reply = self.lab.get("/ready")
        check = next(check for check in reply.json()["checks"] if check["name"] == "dns_allowlist")
        self.assertEqual((reply.status, check["ok"], check["detail"]), (
            503, False, f"all {self.capacity} grants are in use; raise dataplane.dns_allowlist_capacity"))


if __name__ == "__main__":
    lab.main()
