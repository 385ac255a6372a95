# SPDX-License-Identifier: Apache-2.0
"""A wire between two hosts, in network namespaces of this run, and measurements over it.

    client c0 ---- in  firewall  out ---- s0 server

The hosts' work is on core 0 (a TCP stream's receiver also on core 1), the firewall's thread on core 1. Names carry the process id, and
everything goes away with the namespaces.
"""

import json
import os
import signal
import subprocess
import time

CLIENT, SERVER = "198.18.0.1", "198.18.1.1"  # RFC 2544's own addresses; one /15
SOURCES = 4
ECHO_PORT, ACCEPT_PORT, BULK_PORT = 7, 4000, 5201
HOST_CORE, WALL_CORE = "0", "1"
OFFLOADS = ["tso", "gso", "gro", "tx", "rx"]

# Classic BPF for tc: drop all; drop UDP to port 9 and leave the rest alone.
DROP_ALL = "1,6 0 0 2"
DROP_FLOOD = "6,48 0 0 23,21 0 3 17,40 0 0 36,21 0 1 9,6 0 0 2,6 0 0 4294967295"


class BenchError(Exception):
    pass


def sh(*words, check=True, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise BenchError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def prefer(process):
    """What else runs on the machine takes little from this run: the process has a session of its own,
    and the session's share counts (sched(7), autogroups)."""
    try:
        with open(f"/proc/{process.pid}/autogroup", "w") as file:
            file.write("-20")
    except OSError:
        pass  # a kernel without autogroups, or the process has ended


def read_json(text, title):
    try:
        return json.loads(text)
    except ValueError:
        raise BenchError(f"{title} printed no result: {text[-200:]!r}") from None


class Wire:
    """The three namespaces. `direct` joins the hosts without a firewall between."""

    def __init__(self, number, direct=False, offloads=True, guard=False, mtu=1500):
        tag = f"pb{os.getpid()}n{number}"
        self.client, self.wall, self.server = f"{tag}c", f"{tag}w", f"{tag}s"
        self.spaces = [self.client, self.wall, self.server]
        self.processes = []
        self.direct, self.offloads, self.guard, self.mtu = direct, offloads, guard, mtu

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def build(self):
        for space in self.spaces:
            sh("ip", "netns", "add", space)
            for scope in "all", "default":
                self.ip_setting(space, f"net.ipv6.conf.{scope}.disable_ipv6=1")
        if self.direct:
            self.pair(self.client, "c0", self.server, "s0")
        else:
            self.pair(self.client, "c0", self.wall, "in")
            self.pair(self.server, "s0", self.wall, "out")
        self.ip(self.client, "addr", "add", CLIENT + "/15", "dev", "c0")
        self.ip(self.server, "addr", "add", SERVER + "/15", "dev", "s0")
        for i in range(1, SOURCES):
            self.ip(self.client, "addr", "add", f"198.18.0.{1 + i}/15", "dev", "c0")
        self.mac = self.link(self.server, "s0")["address"]
        client_mac = self.link(self.client, "c0")["address"]
        self.ip(self.client, "neigh", "replace", SERVER, "lladdr", self.mac, "dev", "c0")
        for i in range(SOURCES):
            self.ip(self.server, "neigh", "replace", f"198.18.0.{1 + i}", "lladdr", client_mac,
                    "dev", "s0")
        self.filter(self.server, "s0", DROP_FLOOD)
        if self.guard:
            self.filter(self.wall, "in", DROP_ALL)
            self.filter(self.wall, "out", DROP_ALL)
        if not self.offloads:
            self.switch_offloads_off()

    def pair(self, left, left_name, right, right_name):
        sh("ip", "link", "add", left_name, "netns", left, "type", "veth", "peer", "name",
           right_name, "netns", right)
        for space, name in (left, left_name), (right, right_name):
            self.ip(space, "link", "set", name, "mtu", str(self.mtu), "up")

    def switch_offloads_off(self):
        ends = [(self.client, "c0"), (self.server, "s0")]
        if not self.direct:
            ends += [(self.wall, "in"), (self.wall, "out")]
        for space, name in ends:
            for feature in OFFLOADS:
                self.run(space, "ethtool", "-K", name, feature, "off", check=False)

    def filter(self, space, name, bytecode):
        self.run(space, "tc", "qdisc", "add", "dev", name, "clsact")
        self.run(space, "tc", "filter", "add", "dev", name, "ingress", "bpf", "da", "bytecode",
                 bytecode)

    def run(self, space, *words, check=True, text=None):
        return sh("ip", "netns", "exec", space, *words, check=check, text=text)

    def ip(self, space, *words):
        return sh("ip", "-n", space, *words)

    def ip_setting(self, space, setting):
        self.run(space, "sysctl", "-qw", setting)

    def link(self, space, name):
        return json.loads(self.ip(space, "-j", "-s", "link", "show", "dev", name))[0]

    def received(self):
        return self.link(self.server, "s0")["stats64"]["rx"]["packets"]

    def start(self, space, core, *words, ready=None, log=None):
        """Starts a process on a core, and waits for a line that begins with `ready`."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", space, "taskset", "-c", core, *words], text=True,
            stdout=subprocess.PIPE if log is None else log, stderr=log or subprocess.PIPE,
            start_new_session=True)
        prefer(process)
        process.title = os.path.basename(words[0])
        self.processes.append(process)
        if ready is not None and not process.stdout.readline().startswith(ready):
            raise BenchError(f"{words[0]}: {process.stderr.read().strip()}")
        return process

    def finish(self, process, seconds):
        """Waits for a process to end by itself and returns what it printed."""
        try:
            process.wait(seconds + 15)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{process.title} does not end") from None
        return self.stop(process)

    def stop(self, process):
        """Ends a process with SIGTERM and returns what it printed."""
        self.processes.remove(process)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.communicate(timeout=20)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise BenchError(f"{process.title} does not end at SIGTERM")

    def close(self):
        for process in list(self.processes):
            try:
                self.stop(process)
            except BenchError:
                pass
        for space in self.spaces:
            sh("ip", "netns", "del", space, check=False)


# --- measuring -----------------------------------------------------------------------------------


def thread_ns(pid, prefix=""):
    """CPU of a process's threads with such a name, in nanoseconds (the scheduler's own account)."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        folder = f"/proc/{pid}/task/{thread}"
        with open(f"{folder}/comm") as comm, open(f"{folder}/schedstat") as account:
            if comm.read().startswith(prefix):
                total += int(account.read().split()[0])
    return total


def softirq_pids():
    """ksoftirqd of both cores: forwarding that no thread of ours is charged for."""
    names = sh("ps", "-e", "-o", "pid=,comm=").split("\n")
    return [int(line.split()[0]) for line in names if "ksoftirqd/" in line]


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


class Meter:
    def __init__(self, wire, traffic, seconds, wall_pid=None, wall_threads=""):
        self.wire, self.traffic, self.seconds = wire, traffic, seconds
        self.wall_pid, self.wall_threads = wall_pid, wall_threads
        self.softirqs = softirq_pids()

    def flood_words(self, rate, seconds):
        return [self.traffic, "flood", "--interface", "c0", "--mac", self.wire.mac, "--from",
                CLIENT, "--to", SERVER, "--rate", str(rate), "--seconds", str(seconds)]

    def wall_ns(self):
        return thread_ns(self.wall_pid, self.wall_threads) if self.wall_pid else 0

    def softirq_ns(self):
        return sum(thread_ns(pid) for pid in self.softirqs)

    def flood(self, rate=0, seconds=None):
        """Frames of 64 octets at a rate (0: as fast as the sender can)."""
        seconds = seconds or self.seconds
        wire = self.wire
        before = wire.received(), self.wall_ns(), self.softirq_ns()
        sender = wire.start(wire.client, HOST_CORE, *self.flood_words(rate, seconds))
        sent = read_json(wire.finish(sender, seconds), "flood")
        wall_ns, softirq_ns = self.wall_ns() - before[1], self.softirq_ns() - before[2]
        time.sleep(0.15)  # what is still in the rings
        got = max(wire.received() - before[0], 1)
        return {
            "offered_pps": sent["sent"] / sent["seconds"],
            "pps": got / sent["seconds"],
            "lost": max(0.0, 1 - got / max(sent["sent"], 1)),
            "wall_ns": wall_ns / got,
            "all_ns": (wall_ns + softirq_ns + sent["cpu_ns"]) / got,
        }

    def ping(self, load=0):
        """Round trips while frames are sent at a rate; load 0 is an idle wire.

        Both ends have real-time priority: what is measured is the wire, not the share of the core
        that the sender of the load leaves them."""
        wire = self.wire
        echo = wire.start(wire.server, HOST_CORE, "chrt", "-f", "1", self.traffic, "echo", "--from", SERVER, "--port",
                          str(ECHO_PORT), ready="ready")
        flood = None
        if load > 0:
            flood = wire.start(wire.client, HOST_CORE, *self.flood_words(load, self.seconds + 1))
            time.sleep(0.3)
        probe = wire.start(wire.client, HOST_CORE, "chrt", "-f", "1", self.traffic, "ping", "--from", CLIENT, "--to",
                           SERVER, "--port", str(ECHO_PORT), "--seconds", str(self.seconds))
        result = read_json(wire.finish(probe, self.seconds), "ping")
        if flood:
            wire.stop(flood)
        wire.stop(echo)
        return result

    def bulk(self, server_core):
        """One TCP stream to a server on that core, Gbit/s at the receiver."""
        wire = self.wire
        server = wire.start(wire.server, server_core, "iperf3", "-s", "-1", "-B", SERVER)
        time.sleep(0.3)
        before = self.wall_ns()
        client = wire.start(wire.client, HOST_CORE, "iperf3", "-c", SERVER, "-J", "-t",
                            str(self.seconds), "-O", "1")
        text = wire.finish(client, self.seconds + 1)
        used = self.wall_ns() - before
        wire.stop(server)
        end = read_json(text, "iperf3").get("end", {})
        got = end.get("sum_received", {}).get("bits_per_second", 0)
        octets = end.get("sum_received", {}).get("bytes", 0)
        return {"gbit": got / 1e9, "wall_ns_per_kib": used / max(octets, 1) * 1024,
                "retransmits": end.get("sum_sent", {}).get("retransmits", 0)}

    def connections(self):
        """TCP connections opened and reset, a second."""
        wire = self.wire
        taker = wire.start(wire.server, HOST_CORE, self.traffic, "accept", "--from", SERVER,
                           "--port", str(ACCEPT_PORT), ready="ready")
        opener = wire.start(wire.client, HOST_CORE, self.traffic, "connect", "--from", CLIENT,
                            "--to", SERVER, "--port", str(ACCEPT_PORT), "--sources", str(SOURCES),
                            "--seconds", str(self.seconds))
        result = read_json(wire.finish(opener, self.seconds), "connect")
        wire.stop(taker)
        return {"cps": result["connected"] / result["seconds"], "failed": result["failed"]}
