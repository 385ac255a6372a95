# SPDX-License-Identifier: Apache-2.0
"""The lab of examples/lab for tests: its namespaces, its servers, and a policyd between them that a test can stop,
kill and start again.

    with Lab(policy=document, workers=4) as lab:
        assert lab.connect("198.51.100.30", 80) == "open"

Names are unique to the process, so several labs can be up. Everything is ended and removed when the with statement
ends, and at the latest when the process does, also by SIGTERM. What a killed process left is removed by the next one.
"""
import atexit
import collections
import contextlib
import ctypes
import errno
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

import frames
import support

LAB = os.path.join(support.TOP, "examples/lab/lab")
POLICY = os.path.join(support.TOP, "examples/lab/policy.json")

# What examples/lab/lab builds.
CLIENT, WATCHED, GATEWAY, RESOLVER = "192.0.2.10", "192.0.2.20", "192.0.2.1", "192.0.2.53"
CLIENT6, WATCHED6, GATEWAY6, RESOLVER6 = "2001:db8:0:1::10", "2001:db8:0:1::20", "2001:db8:0:1::1", "2001:db8:0:1::53"
CLIENT_MAC, SERVER_MAC = "00:00:5e:00:53:10", "00:00:5e:00:53:01"
WEB, WEB6 = "198.51.100.10", "2001:db8:2::10"
POOL, POOL6 = "198.51.100.20", "2001:db8:2::20"
FILES, FILES6 = "198.51.100.30", "2001:db8:2::30"
OTHER_RESOLVER, OTHER_RESOLVER6 = "198.51.100.53", "2001:db8:2::53"
SHORT, SHORT6 = "203.0.113.20", "2001:db8:2:1::20"
PARTNER, PARTNER6 = "203.0.113.40", "2001:db8:2:1::40"

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
numbers = itertools.count(1)
alive = set()

Answer = collections.namedtuple("Answer", "status addresses extended seconds")
Answer.__doc__ = """What dig saw: the rcode as a word or None without an answer, the addresses, the number of the
extended error (RFC 8914) or None, and how long it took."""

Fetch = collections.namedtuple("Fetch", "outcome body seconds")
Fetch.__doc__ = """What curl saw: "200" or another status, "no such name", "refused", "reset" or "no answer"."""


# -- Whether it can work here, and what remains when it ends badly

def lab(*arguments, seconds=60, **options):
    done = subprocess.run([LAB, *arguments], capture_output=True, text=True, timeout=seconds, check=False, **options)
    if done.returncode:
        raise AssertionError(f"lab {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def directory_of(name):
    return os.path.join(support.TOP, "build/lab", name)


def process_start(pid):
    """The start of a process in clock ticks, as examples/lab/lab records it; None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def runs(pid, start):
    return process_start(pid) == start


def missing(*more):
    """Why no lab can be built here, or None; a test may need more tools."""
    if os.geteuid() != 0:
        return "needs root"
    tools = [tool for tool in ("ip", "nginx", "unbound", "dig", "curl", "openssl", "ping", "jq", *more)
             if not shutil.which(tool)]
    if tools:
        return "not installed: " + ", ".join(tools)
    name = f"t{os.getpid()}x0"
    try:
        for command in (["netns", "add", name], ["-n", name, "link", "add", "v0", "type", "veth", "peer", "name", "v1"]):
            done = subprocess.run(["ip", *command], capture_output=True, text=True, timeout=10, check=False)
            if done.returncode:
                return "no network namespaces or veth devices: " + done.stderr.strip()
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=10, check=False)
    return None


def remove_abandoned():
    """A process that was killed could not remove its labs; its number is in their names."""
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir("/run/netns"):
            owner = re.fullmatch(r"(t(\d+)x\d+)-(?:client|firewall|server)", entry)
            if owner and not os.path.exists("/proc/" + owner.group(2)):
                with contextlib.suppress(AssertionError):
                    lab("down", "--name", owner.group(1))


@atexit.register
def remove_all():
    for each in list(alive):
        each.down()


def main(*tools):
    """support.main() for a program that needs labs, and these tools. Without them it says so and ends with ctest's code
    for skipped."""
    reason = missing(*tools)
    if reason:
        print(f"SKIP labs: {reason}")
        raise SystemExit(77)
    # unittest passes KeyboardInterrupt on where it would count another exception as a failed test.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    remove_abandoned()
    support.main()


# -- The firewall

class Firewall(support.Policyd):
    """A policyd in the firewall's namespace; every request to it is made from there."""

    def __init__(self, its_lab, policy, *arguments):
        super().__init__(*arguments, wait=None)
        if isinstance(policy, dict):
            document, policy = policy, os.path.join(self.directory, "policy.json")
            with open(policy, "w", encoding="utf-8") as file:
                json.dump(document, file)
        self.lab = its_lab
        self.arguments = ["ip", "netns", "exec", its_lab.space("firewall"), *self.arguments, "--policy", policy]

    def start(self):
        super().start()
        self.lab.note("policyd", self.process.pid)

    def ask(self, *arguments, **options):
        with self.lab.inside("firewall"):
            return super().ask(*arguments, **options)

    def raw(self, octets):
        with self.lab.inside("firewall"):
            return super().raw(octets)


class Lab:
    """Three namespaces, servers, and policyd inline.

    policy   a document (dict) or the path of one; default: the sample policy
    workers  policyd's dataplane threads
    flags    more arguments for policyd
    wire     "policyd", "bridge" (the kernel's: shows what the lab does without a policy) or "none"
    start    False leaves policyd to be started by the test, after it has changed something
    """

    def __init__(self, policy=POLICY, workers=1, flags=(), wire="policyd", start=True):
        self.name = f"t{os.getpid()}x{next(numbers)}"
        self.directory = directory_of(self.name)
        self.wire, self.start = wire, start
        self.children, self.closing = [], []
        alive.add(self)
        self.policyd = None
        if wire == "policyd":
            self.policyd = Firewall(self, policy, "--inline", "lan0,wan0", "--workers", str(workers),
                                    "--trust-resolver", RESOLVER, "--trust-resolver", RESOLVER6, *flags)

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *_):
        self.down()

    def up(self):
        lab("up", "--name", self.name, "--wire", "none" if self.wire == "policyd" else self.wire)
        if self.policyd and self.start:
            self.policyd.start()
            self.ready()

    def down(self):
        """May be called again."""
        if self not in alive:
            return
        for closing in self.closing:
            closing.close()
        for child in self.children:
            child.kill()
            child.wait()
        if self.policyd:
            self.policyd.__exit__()
        lab("down", "--name", self.name)
        alive.discard(self)

    def space(self, part):
        return f"{self.name}-{part}"

    def note(self, what, pid):
        """Makes "lab down" end the process, should this one not be able to."""
        start = process_start(pid)
        if start:
            with open(os.path.join(self.directory, "processes"), "a", encoding="ascii") as file:
                file.write(f"{what} {pid} {start}\n")

    # -- policyd; its get(), ask(), put_policy(), kill(), terminate(), start() and log() are those of lab.policyd

    def get(self, path):
        return self.policyd.get(path)

    def put_policy(self, document):
        """Puts a policy in force; an answer other than 200 is an error."""
        reply = self.policyd.put_policy(document)
        if reply.status != 200:
            raise AssertionError(f"PUT policy: {reply.status} {reply.body.decode()}")
        return reply.json()

    def ready(self, seconds=10):
        """Waits until every check is ok."""
        end = time.monotonic() + seconds
        while True:
            reply = self.get("/ready")
            if reply.status == 200:
                return
            if time.monotonic() > end:
                bad = [check for check in reply.json()["checks"] if not check["ok"]]
                raise AssertionError(f"not ready within {seconds} s: {bad}\n{self.policyd.log()}")
            time.sleep(0.02)

    def counter(self, name, **labels):
        """The sum of the samples of a counter of /metrics that have these labels."""
        total = 0.0
        for line in self.get("/metrics").body.decode().splitlines():
            sample = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
            if sample and sample.group(1) == name:
                found = dict(re.findall(r'(\w+)="([^"]*)"', sample.group(2) or ""))
                if labels.items() <= found.items():
                    total += float(sample.group(3))
        return total

    # -- In a part

    @contextlib.contextmanager
    def inside(self, part):
        """The calling thread is in the part's network while in the with statement; sockets made there stay there."""
        with open("/proc/thread-self/ns/net", "rb") as home, open("/run/netns/" + self.space(part), "rb") as there:
            self.enter(there)
            try:
                yield
            finally:
                self.enter(home)

    @staticmethod
    def enter(space):
        if libc.setns(space.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def socket(self, part, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        with self.inside(part):
            made = socket.socket(family, kind, protocol)
        self.closing.append(made)
        return made

    def ip(self, part, *arguments):
        """The ip command in a part."""
        done = subprocess.run(["ip", "-n", self.space(part), *arguments], capture_output=True, text=True, timeout=10,
                              check=False)
        if done.returncode:
            raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def run(self, *command, part="client", seconds=20, **options):
        """A command in a part, with the lab's resolver and certificates; its outcome as subprocess gives it."""
        return subprocess.run([LAB, "--name", self.name, "shell", part, *command], capture_output=True, text=True,
                              timeout=seconds, check=False, **options)

    def launch(self, part, *command, **options):
        """A command in the background, ended with the lab at the latest."""
        child = subprocess.Popen([LAB, "--name", self.name, "shell", part, *command], **options)
        self.children.append(child)
        self.note(os.path.basename(command[0]), child.pid)
        return child

    def capture(self, part="server", device="eth0", **options):
        """Everything that crosses a device from now on; by default, what came through the wire."""
        with self.inside(part):
            made = frames.Capture(device, **options)
        self.closing.append(made)
        return made

    def sender(self, part="client", device="eth0"):
        with self.inside(part):
            made = frames.Sender(device)
        self.closing.append(made)
        return made

    # -- The client's tools

    def dig(self, name, kind="A", *options, part="client"):
        began = time.monotonic()
        text = self.run("dig", "+tries=1", "+timeout=4", *options, name, kind, part=part).stdout
        took = time.monotonic() - began
        status = re.search(r"status: (\w+)", text)
        extended = re.search(r"^; EDE: (\d+)", text, re.M)
        return Answer(status and status.group(1), re.findall(r"\sIN\s+(?:A|AAAA)\s+(\S+)$", text, re.M),
                      extended and int(extended.group(1)), took)

    def curl(self, url, *options, seconds=8):
        done = self.run("curl", "-sS", "--max-time", str(seconds), "-w", "\n%{http_code} %{time_total}", *options, url,
                        seconds=seconds + 5)
        body, _, figures = done.stdout.rpartition("\n")
        status, took = figures.split()
        failures = {6: "no such name", 7: "refused", 28: "no answer", 35: "reset", 52: "reset", 56: "reset"}
        outcome = failures.get(done.returncode, done.stderr.strip()) if done.returncode else status
        return Fetch(outcome, body, float(took))

    def connect(self, address, port, source=None, seconds=3, keep=False):
        """A TCP connection from the client: "open", "refused" (by RST or ICMP) or "no answer". With `keep`, the socket of
        an open one instead."""
        made = self.socket("client", socket.AF_INET6 if ":" in address else socket.AF_INET)
        made.settimeout(seconds)
        try:
            if source:
                made.bind((source, 0))
            made.connect((address, port))
        except TimeoutError:
            made.close()
            return "no answer"
        except OSError as error:
            made.close()
            if error.errno in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES):
                return "refused"
            raise
        if keep:
            return made
        made.close()
        return "open"

    def udp(self, address, port, payload=b"hello", seconds=2, source=None):
        """A datagram from the client and its answer, "refused" (by ICMP) or "no answer"."""
        made = self.socket("client", socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        with made:
            made.settimeout(seconds)
            if source:
                made.bind((source, 0))
            made.connect((address, port))
            try:
                made.send(payload)
                return made.recv(65536)
            except TimeoutError:
                return "no answer"
            except OSError:
                return "refused"

    def ping(self, address):
        """"answered", "refused" or "no answer"."""
        text = self.run("ping", "-n", "-c", "1", "-W", "2", address).stdout
        if " bytes from " in text:
            return "answered"
        return "refused" if re.search("Packet filtered|Administratively prohibited", text) else "no answer"

    # -- Servers that a test adds

    def udp_echo(self, port, *addresses):
        """Every datagram to this port of these addresses of the server comes back."""
        for address in addresses:
            made = self.socket("server", socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((address, port))
            # Closing a socket does not wake who waits for it.
            made.settimeout(0.2)
            threading.Thread(target=echo, args=(made,), daemon=True).start()


def echo(datagrams):
    while True:
        try:
            payload, peer = datagrams.recvfrom(65536)
            datagrams.sendto(payload, peer)
        except TimeoutError:
            continue
        except OSError:
            return # closed


class LabTest(unittest.TestCase):
    """Tests that share one lab: `options` are the arguments of Lab(); prepare() is called once it is up."""

    options = {}
    lab = None

    @classmethod
    def prepare(cls):
        pass

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(**cls.options)
        cls.addClassCleanup(cls.lab.down)
        cls.lab.up()
        cls.prepare()
