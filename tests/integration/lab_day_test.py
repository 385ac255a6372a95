#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A day in a short time: traffic of every kind, a policy every 100 ms, links that flap, a worker that stands still, and
policyd killed and started again under load.

Meanwhile nothing that every policy denies reaches the far side, /ready does not claim what is not, open connections go
on, and afterwards nothing has leaked. LAB_DAY_SECONDS says how long it takes ("tests/run --long": 120 s), LAB_SLOWNESS
how many times slower than usual the policyd of a build with sanitizers may be.
"""
import contextlib
import copy
import http.client
import os
import socket
import struct
import threading
import time
import unittest

import frames
import freeze
import lab
import support

SECONDS = float(os.environ.get("LAB_DAY_SECONDS", "24"))
FLAP_EVERY, FLAP_LASTS = 2.3, 0.15
FREEZE_LASTS = 3
PUT_EVERY = 0.1
SLOW = float(os.environ.get("LAB_SLOWNESS", "1"))

ECHO, NEVER_UDP = 7001, 9001
ALWAYS = (lab.FILES, lab.FILES6)
BY_NAME = (lab.WEB, lab.WEB6) # www.example.com, asked for again and again
REMEMBERED = (lab.POOL, lab.POOL6) # shop.example.com, asked for once
SOMETIMES = (lab.PARTNER, lab.PARTNER6)
NEVER = (lab.SHORT, lab.SHORT6)
RESOLVERS = (lab.RESOLVER, lab.RESOLVER6)
OTHERS = (lab.OTHER_RESOLVER, lab.OTHER_RESOLVER6)


def policies():
    """They differ in what they say of SOMETIMES, and in their number of other rules."""
    rules = [
        {"id": "no-ads", "action": "deny", "match": {"dns_hostname": r"^ads\.example\.com$"}},
        {"id": "by-name", "action": "allow",
         "match": {"dns_hostname": r"^(?:www|shop)\.example\.com$", "proto": "tcp", "dst_ports": [80, ECHO]}},
        {"id": "always", "action": "allow", "match": {"dst_ips": list(ALWAYS), "proto": "tcp", "dst_ports": [80, ECHO]}},
        {"id": "always-udp", "action": "allow", "match": {"dst_ips": list(ALWAYS), "proto": "udp", "dst_ports": [ECHO]}},
    ]
    sometimes = {"id": "sometimes", "action": "allow", "match": {"dst_ips": list(SOMETIMES), "proto": "tcp",
                                                                 "dst_ports": [ECHO]}}
    more = [{"id": f"more-{number}", "action": "deny",
             "match": {"dst_cidrs": [f"10.{number}.0.0/16"], "proto": "tcp", "dst_ports": [number + 1]}}
            for number in range(100)]
    group = {"id": "clients", "mode": "enforce", "sources": {"ips": [lab.CLIENT, lab.CLIENT6]},
             "default_action": "deny"}
    for which in (rules, rules + [sometimes], more + rules):
        yield {"default_policy": "deny", "source_groups": [{**copy.deepcopy(group), "rules": which}]}


def may_pass(frame):
    """Whether some policy of the rotation lets this frame reach the far side."""
    if frame.outgoing or frame.ethertype == frames.ARP:
        return True
    if frame.protocol == frames.ICMPV6 and frame.payload[0] in (1, 2, 3, 4, 131, 132, 133, 135, 136, 143):
        return True # neighbours, listeners, and errors, which belong to their flow
    if frame.protocol == 0 and frame.dst.startswith("ff02:"):
        return True # MLD: hop-by-hop options before ICMPv6
    if frame.protocol == frames.ICMP and frame.payload[0] == 3:
        return True
    if frame.src not in (lab.CLIENT, lab.CLIENT6):
        return False
    if frame.protocol == frames.TCP:
        return frame.dport == ECHO and frame.dst in ALWAYS + BY_NAME + REMEMBERED + SOMETIMES or \
            frame.dport == 80 and frame.dst in ALWAYS + BY_NAME + REMEMBERED
    if frame.protocol == frames.UDP:
        return frame.dport == ECHO and frame.dst in ALWAYS or \
            frame.dport == 53 and frame.dst in RESOLVERS and b"\3ads" not in frame.payload
    return False


def may_pass_inwards(frame):
    """The same of what comes from the far side: nothing is opened there."""
    if frame.outgoing or frame.protocol == frames.ICMPV6 or frame.ethertype == frames.ARP or frame.protocol == 0:
        return True
    if frame.protocol == frames.TCP:
        return frame.flags & (frames.SYN | frames.ACK) != frames.SYN
    return not (frame.protocol == frames.UDP and frame.sport == NEVER_UDP)


def serve(listener):
    """Gives every connection back what it sends."""
    while True:
        try:
            made = listener.accept()[0]
        except TimeoutError:
            continue
        except OSError:
            return # closed
        threading.Thread(target=give_back, args=(made,), daemon=True).start()


def give_back(made):
    with made, contextlib.suppress(OSError):
        while octets := made.recv(65536):
            made.sendall(octets)


def question(name, number):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


class Conversation:
    """One TCP connection that lives through the day: a number every 50 ms, each given back."""

    def __init__(self, its_lab, address):
        self.address = address
        self.socket = its_lab.connect(address, ECHO, keep=True)
        self.sent, self.received, self.gap, self.newest = 0, 0, 0.0, time.monotonic()
        self.broken = None

    def run(self, ended):
        self.socket.settimeout(30)
        try:
            while not ended.wait(0.05):
                self.socket.sendall(struct.pack("!Q", self.sent))
                self.sent += 1
                got = b""
                while len(got) < 8:
                    piece = self.socket.recv(8 - len(got))
                    if not piece:
                        raise ConnectionError("closed")
                    got += piece
                if struct.unpack("!Q", got)[0] != self.received:
                    raise ConnectionError("another octet")
                self.received += 1
                now = time.monotonic()
                self.gap, self.newest = max(self.gap, now - self.newest), now
        except OSError as error:
            self.broken = f"{type(error).__name__}: {error}"


class Day:
    """The same for every number of workers."""

    @classmethod
    def prepare(cls):
        for address in ALWAYS + BY_NAME + REMEMBERED + SOMETIMES + NEVER:
            listener = cls.lab.socket("server", socket.AF_INET6 if ":" in address else socket.AF_INET)
            listener.bind((address, ECHO))
            listener.listen(100)
            listener.settimeout(0.2)
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
        cls.lab.udp_echo(ECHO, *ALWAYS)
        cls.lab.udp_echo(NEVER_UDP, *ALWAYS)

    def setUp(self):
        self.ended = threading.Event()
        self.threads, self.troubles = [], []
        self.counts = {"allowed": 0, "denied": 0, "answers": 0, "refused queries": 0, "policies": 0, "given up": 0}
        self.acknowledged = self.lab.policyd.get("/api/v1/policy").json()
        self.asked = self.acknowledged # of the newest PUT, whether or not it was answered
        self.calm = 0.0 # from when on nothing happens any more
        self.frozen = None # since when a worker stands still
        self.disturbances = [] # from when until when the wire is cut, or may be
        self.putting = threading.Lock() # held while policyd is being killed: nobody is in the middle of asking
        self.addCleanup(self.end)

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def thread(self, run, *arguments):
        def guarded():
            try:
                run(*arguments)
            except Exception as error: # pylint: disable=broad-except # of whatever kind, the test has failed
                self.troubles.append(f"{run.__name__}: {type(error).__name__}: {error}")
        made = threading.Thread(target=guarded)
        made.start()
        self.threads.append(made)

    # -- Traffic

    def allowed(self):
        """New connections that every policy allows. They fail only while the wire is cut."""
        while not self.ended.wait(0.02):
            for address in ALWAYS + BY_NAME:
                began = time.monotonic()
                if self.try_to_connect(address):
                    self.counts["allowed"] += 1
                elif not self.was_disturbed(began, time.monotonic()):
                    self.troubles.append(f"{address} was closed while nothing stood in the way")

    def denied(self):
        """Connections and datagrams that every policy denies."""
        with self.lab.inside("client"):
            quiet = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
        while not self.ended.wait(0.02):
            for address, datagrams in zip(NEVER, quiet):
                if self.try_to_connect(address, 0.05):
                    self.troubles.append(f"{address} was open")
                self.counts["denied"] += 1
            for address, datagrams in zip(ALWAYS, quiet):
                with contextlib.suppress(OSError):
                    datagrams.sendto(b"never", (address, NEVER_UDP))
        for each in quiet:
            each.close()

    def sometimes(self):
        while not self.ended.wait(0.02):
            for address in SOMETIMES:
                self.try_to_connect(address, 0.1)

    def was_disturbed(self, began, ended):
        """The kernel tells a carrier that is back up to a second later."""
        return any(start <= ended and began <= end + 1.5 * SLOW for start, end in list(self.disturbances))

    @contextlib.contextmanager
    def disturbance(self):
        self.disturbances.append((time.monotonic(), float("inf")))
        try:
            yield
        finally:
            self.disturbances[-1] = (self.disturbances[-1][0], time.monotonic())

    def try_to_connect(self, address, seconds=0.5):
        with self.lab.inside("client"):
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        with made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            made.settimeout(seconds)
            try:
                made.connect((address, ECHO))
                made.sendall(b"hello")
                return made.recv(5) == b"hello"
            except OSError:
                return False

    def raw(self):
        """What no socket sends: from a source without a group, in the middle of no connection, and from outside. The ports
        are none that the kernel chooses for the connections above."""
        inside, outside = self.lab.sender("client"), self.lab.sender("server")
        there, back = [], []
        for mine, watched, files, never, resolver in ((lab.CLIENT, lab.WATCHED, lab.FILES, lab.SHORT, lab.RESOLVER),
                                                      (lab.CLIENT6, lab.WATCHED6, lab.FILES6, lab.SHORT6, lab.RESOLVER6)):
            there += [frames.tcp(watched, files, 20001, 80), frames.udp(watched, files, 20001, ECHO, b"x"),
                      frames.tcp(mine, never, 20002, ECHO, frames.ACK, 5, 7, b"x"),
                      frames.tcp(mine, files, 20002, 22, frames.ACK | frames.PSH, 5, 7, b"x"),
                      frames.udp(mine, resolver, 20003, 53, question("ads.example.com", 1)),
                      frames.udp(mine, OTHERS[":" in mine], 20003, 53, question("www.example.com", 1)),
                      frames.echo(mine, files)]
            back += [frames.tcp(files, mine, 80, 22), frames.tcp(files, mine, ECHO, 20004),
                     frames.udp(files, mine, NEVER_UDP, 20005, b"x")]
        there = [frames.ethernet(lab.SERVER_MAC, lab.CLIENT_MAC, packet) for packet in there]
        back = [frames.ethernet(lab.CLIENT_MAC, lab.SERVER_MAC, packet) for packet in back]
        while not self.ended.wait(0.02):
            with contextlib.suppress(OSError): # the link is down
                inside.send(*there)
            with contextlib.suppress(OSError):
                outside.send(*back)

    def queries(self):
        number = 0
        with self.lab.inside("client"):
            asking = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
        for each, resolver in zip(asking, RESOLVERS):
            each.settimeout(0.2)
            each.connect((resolver, 53))
        while not self.ended.wait(0.02):
            for each in asking:
                for name, rcode, counter in (("www.example.com", 0, "answers"), ("ads.example.com", 3, "refused queries")):
                    number += 1
                    with contextlib.suppress(OSError):
                        each.send(question(name, number))
                        answer = each.recv(4096)
                        if answer[:2] == struct.pack("!H", number & 0xFFFF):
                            self.assertEqual(answer[3] & 15, rcode, name)
                            self.counts[counter] += 1
        for each in asking:
            each.close()

    # -- The operator

    def put_policies(self):
        documents = list(policies())
        number = 0
        while not self.ended.wait(PUT_EVERY):
            number += 1
            with self.putting, contextlib.suppress(OSError, http.client.HTTPException):
                self.asked = documents[number % len(documents)]
                reply = self.lab.policyd.put_policy(self.asked)
                if reply.status == 200:
                    self.acknowledged = self.asked
                    self.counts["policies"] += 1
                else:
                    self.assertEqual(reply.status, 503, reply.body)
                    self.assertTrue(self.frozen, reply.body)
                    self.counts["given up"] += 1

    def ask_whether_ready(self):
        """From a second after the worker stood still until it goes on, no answer may be yes."""
        while not self.ended.wait(0.05):
            asked, since = time.monotonic(), self.frozen
            with contextlib.suppress(OSError, http.client.HTTPException):
                check = self.lab.policyd.get("/ready").json()["checks"][0]
                if since and since == self.frozen and asked - since > 1 and check["ok"]:
                    self.troubles.append(f"/ready said yes {asked - since:.3f} s after a worker stood still")

    # -- Fate

    def flap(self, number):
        device = ("lan0", "wan0")[number % 2]
        with self.disturbance():
            self.lab.ip("firewall", "link", "set", device, "down")
            time.sleep(FLAP_LASTS)
            self.lab.ip("firewall", "link", "set", device, "up")

    def freeze(self, number):
        with self.disturbance(), freeze.frozen(self.lab.policyd.process.pid, f"worker-{number}"):
            self.frozen = time.monotonic()
            time.sleep(FREEZE_LASTS)
            self.frozen = None

    def kill(self):
        """While requests are under way: what was not acknowledged may or may not be in force afterwards."""
        self.assertIsNone(self.lab.policyd.process.poll(), self.lab.policyd.log())
        with self.disturbance():
            self.lab.policyd.kill()
            took = self.start_again()
        for address in REMEMBERED:
            self.assertTrue(any(self.try_to_connect(address) for _ in range(10)), f"{address} is forgotten")
        return took

    def start_again(self):
        with self.putting:
            began = time.monotonic()
            self.lab.policyd.start()
            in_force = self.lab.policyd.get("/api/v1/policy").json()
            while not self.lab.policyd.get("/ready").json()["checks"][2]["ok"]:
                self.assertLess(time.monotonic() - began, 1 * SLOW)
            took = time.monotonic() - began
            self.assertLess(took, 1 * SLOW)
            self.assertIn(self.described(in_force), [self.described(self.acknowledged), self.described(self.asked)])
            self.acknowledged = in_force
        return took

    @staticmethod
    def described(document):
        return [rule["id"] for rule in document["source_groups"][0]["rules"]]

    # -- The day

    def test_a_day(self):
        self.assertEqual(self.lab.dig("shop.example.com").status, "NOERROR")
        self.assertEqual(self.lab.dig("shop.example.com", "AAAA").status, "NOERROR")
        self.assertEqual(self.lab.dig("www.example.com").status, "NOERROR")
        self.assertEqual(self.lab.dig("www.example.com", "AAAA").status, "NOERROR")
        talks = [Conversation(self.lab, address) for address in ALWAYS + BY_NAME + REMEMBERED]
        outside = self.lab.capture("server", keep=lambda frame: not may_pass(frame))
        inside = self.lab.capture("client", keep=lambda frame: not may_pass_inwards(frame))
        time.sleep(1.2) # the store may be a second behind
        for run in (self.allowed, self.denied, self.sometimes, self.raw, self.queries, self.put_policies,
                    self.ask_whether_ready):
            self.thread(run)
        for talk in talks:
            self.thread(talk.run, self.ended)
        starts = self.live()
        self.catch_up(talks)
        self.end()

        print(f"\n{self.seconds:.0f} s, {self.options['workers']} workers: {self.counts}; policy in force {max(starts):.3f} s after the start at most; "
              f"longest silence of a connection {max(talk.gap for talk in talks):.1f} s, "
              f"{sum(talk.received for talk in talks)} echoes; frames seen {outside.seen} + {inside.seen}", flush=True)
        self.assertEqual(self.troubles, [])
        self.assertEqual([(talk.address, talk.broken) for talk in talks if talk.broken], [])
        self.assertEqual([talk.address for talk in talks if talk.newest < self.calm], [], "connections that hang")
        for capture in (outside, inside):
            self.assertEqual(capture.frames[:5], [])
            self.assertGreater(capture.seen, 1000)
        for what, least in (("allowed", 20), ("denied", 20), ("answers", 20), ("refused queries", 20), ("policies", 20),
                            ("given up", 1)):
            self.assertGreaterEqual(self.counts[what], least / SLOW if least > 1 else 1, what)
        self.lab.ready()
        self.assert_nothing_leaks()
        code, _ = self.lab.policyd.terminate(20 * SLOW)
        self.assertEqual(code, 0, self.lab.policyd.log())
        self.assertNotRegex(self.lab.policyd.log(), "Sanitizer|runtime error|error:")

    def live(self):
        """Does what happens to a firewall; returns how long each start took."""
        began = time.monotonic()
        flaps = freezes = 0
        starts = []
        every = min(20, self.seconds / 3)
        next_kill, next_flap, next_freeze = every, FLAP_EVERY, every * 1.4
        while (now := time.monotonic() - began) < self.seconds:
            if now > next_freeze:
                self.freeze(freezes % self.options["workers"])
                freezes, next_freeze = freezes + 1, next_freeze + 2 * every
            elif now > next_kill:
                starts.append(self.kill())
                next_kill += every
            elif now > next_flap:
                self.flap(flaps)
                flaps, next_flap = flaps + 1, now + FLAP_EVERY
            time.sleep(0.02)
        self.assertGreater(min(len(starts), flaps, freezes), 0)
        return starts

    def catch_up(self, talks):
        """What was lost is sent again, at longer and longer intervals."""
        self.calm = time.monotonic()
        while any(talk.newest < self.calm and not talk.broken for talk in talks) and time.monotonic() < self.calm + 30:
            time.sleep(0.05)

    def used(self):
        process = self.lab.policyd.process.pid
        with open(f"/proc/{process}/status", encoding="ascii") as file:
            resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        return resident, len(os.listdir(f"/proc/{process}/fd")), len(os.listdir(f"/proc/{process}/task"))

    def put_many(self, count):
        for number in range(count):
            self.lab.put_policy(list(policies())[number % 3])

    def assert_nothing_leaks(self):
        """Of policies, interfaces that go and come, and requests. A leak grows in every round; the allocator does not."""
        self.put_many(30)
        self.flap(0)
        self.lab.ready()
        before = self.used()
        rounds = [before]
        for number in range(4):
            self.put_many(75)
            self.flap(number)
            self.lab.ready()
            rounds.append(self.used())
        after = rounds[-1]
        grown = [later[0] - sooner[0] for sooner, later in zip(rounds, rounds[1:])]
        print(f"resident {before[0]} KiB, then {grown} more; {after[1]} descriptors, {after[2]} threads", flush=True)
        if SLOW == 1: # sanitizers keep what was freed for a while; they find leaks themselves
            self.assertLess(min(grown), 512)
        self.assertLessEqual(after[1], before[1] + 2, "descriptors") # a connection of the API may just be closing
        self.assertEqual(after[2], before[2], "threads")


class OneWorker(Day, lab.LabTest):
    options = {"policy": next(policies()), "workers": 1}
    seconds = SECONDS / 2


class FourWorkers(Day, lab.LabTest):
    options = {"policy": next(policies()), "workers": 4}
    seconds = SECONDS


if __name__ == "__main__":
    lab.main()
