# SPDX-License-Identifier: Apache-2.0
"""What is put between the two hosts, and how each of it is started."""

import os
import shutil
import time

from wire import HOST_CORE, SERVER, WALL_CORE, BenchError

RULES = 10_000
RULES_PER_GROUP = 20
BACKPORTS = ("suricata is not installed; Debian 12: add \"deb http://deb.debian.org/debian "
             "bookworm-backports main\" to apt's sources, then apt-get install -t "
             "bookworm-backports suricata; Debian 13 has it")


# --- one policy, in two languages ----------------------------------------------------------------


def rule_list(count=RULES):
    """(source, destination, TCP port) of every rule, in order; the hosts of the bench match the last
    one only, which has no port."""
    rules = []
    for i in range(count - 1):
        group, r = divmod(i, RULES_PER_GROUP)
        source = f"10.{group >> 8}.{group & 255}.0/24"
        if group == (count - 1) // RULES_PER_GROUP:
            source = "198.18.0.0/24"
        rules.append((source, f"192.{r}.{group * 7 + r & 255}.0/24", 400 + r))
    rules.append(("198.18.0.0/24", SERVER + "/32", None))
    return rules


def policy_document(rules):
    groups = []
    for i in range(0, len(rules), RULES_PER_GROUP):
        listed = []
        for source, target, port in rules[i:i + RULES_PER_GROUP]:
            match = {"dst_cidrs": [target]}
            if port:
                match |= {"proto": "tcp", "dst_ports": [port]}
            listed.append({"id": f"r{len(listed)}", "action": "allow", "match": match})
        groups.append({"id": f"g{len(groups)}", "mode": "enforce", "sources": {"cidrs": [source]},
                       "rules": listed})
    return {"default_policy": "deny", "source_groups": groups}


def nft_script(rules):
    """Stateless, one rule each. What comes from the server passes first of all: less than policyd
    does, in favour of nftables."""
    lines = ["table bridge bench {", " chain forward {",
             "  type filter hook forward priority 0; policy drop;",
             "  iifname \"out\" accept", "  ether type arp accept"]
    for source, target, port in rules:
        port_part = f" tcp dport {port}" if port else ""
        lines.append(f"  ip saddr {source} ip daddr {target}{port_part} accept")
    return "\n".join(lines + [" }", "}", ""])


# --- contestants ---------------------------------------------------------------------------------


class Peer:
    """Between the hosts there is nothing."""

    name, direct, offloads, guard = "no firewall", True, True, False
    threads = ""

    def __init__(self, options):
        self.options = options

    def missing(self):
        """Why it cannot run here, or None."""
        return None

    def start(self, wire):
        """@return the process to be measured, or None when it is the kernel"""
        return None


class Bridge(Peer):
    name, direct = "kernel bridge", False

    def start(self, wire):
        wire.ip(wire.wall, "link", "add", "bench0", "type", "bridge")
        for port in "in", "out":
            wire.ip(wire.wall, "link", "set", port, "master", "bench0")
        wire.ip(wire.wall, "link", "set", "bench0", "up")
        return None


class Nftables(Bridge):
    name = "bridge + nftables, 10k rules"

    def missing(self):
        return None if shutil.which("nft") else "nft is not installed: apt-get install nftables"

    def start(self, wire):
        super().start(wire)
        wire.run(wire.wall, "nft", "-f", "-", text=nft_script(rule_list()))
        return None


class Suricata(Peer):
    name, direct, offloads = "Suricata inline, no rules", False, False

    CONFIG = """%YAML 1.1
---
vars: {address-groups: {HOME_NET: "any", EXTERNAL_NET: "any"}, port-groups: {}}
default-log-dir: LOGS
stats: {enabled: no}
outputs: []
logging:
  default-log-level: notice
  outputs: [{console: {enabled: yes}}]
af-packet:
  - {interface: in, threads: 1, cluster-id: 98, cluster-type: cluster_flow, defrag: no,
     copy-mode: ips, copy-iface: out, use-mmap: yes, ring-size: 4096, checksum-checks: no}
  - {interface: out, threads: 1, cluster-id: 99, cluster-type: cluster_flow, defrag: no,
     copy-mode: ips, copy-iface: in, use-mmap: yes, ring-size: 4096, checksum-checks: no}
stream: {inline: yes, midstream: yes, checksum-validation: no}
unix-command: {enabled: no}
threading: {set-cpu-affinity: no}
"""

    def missing(self):
        return None if shutil.which("suricata") else BACKPORTS

    def start(self, wire):
        folder = self.options.work
        config = os.path.join(folder, "suricata.yaml")
        with open(config, "w") as file:
            file.write(self.CONFIG.replace("LOGS", folder))
        log = os.path.join(folder, "suricata.log")
        with open(log, "w") as file:
            process = wire.start(wire.wall, WALL_CORE, "suricata", "-c", config, "--af-packet", "-S",
                                 "/dev/null", "-l", folder, "--runmode", "workers", log=file)
        wait_for(process, lambda: "Engine started" in open(log).read(), log)
        return process


class RingLoop(Peer):
    name, direct, guard = "ring loop, no policy", False, True

    def __init__(self, options, words=()):
        super().__init__(options)
        self.words = list(words)
        self.offloads = "--slot-len" not in self.words  # super-frames need the full slots

    def start(self, wire):
        return wire.start(wire.wall, WALL_CORE, self.options.ring_loop, *self.words, "in", "out",
                          ready="ready")


class Policyd(Peer):
    direct, threads = False, "worker"
    PORT = 8080

    def __init__(self, options, workers):
        super().__init__(options)
        self.workers = workers
        self.name = f"policyd, 10k rules, {workers} worker{'s' if workers > 1 else ''}"

    def missing(self):
        return None if os.access(self.options.policyd, os.X_OK) else "policyd is not built"

    def start(self, wire):
        wire.ip(wire.wall, "link", "set", "lo", "up")
        folder = os.path.join(self.options.work, f"policyd-{wire.wall}-{self.workers}")
        os.makedirs(folder)
        log = os.path.join(folder, "log")
        core = WALL_CORE if self.workers == 1 else f"{HOST_CORE},{WALL_CORE}"
        with open(log, "w") as file:
            process = wire.start(
                wire.wall, core, self.options.policyd, "--policy", self.options.policy, "--inline",
                "in,out", "--workers", str(self.workers), "--state", os.path.join(folder, "state"),
                "--admin-token-file", self.options.token, "--http", f"127.0.0.1:{self.PORT}",
                log=file)
        wait_for(process, lambda: self.ready(wire), log)
        return process

    def ready(self, wire):
        code = wire.run(wire.wall, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                        f"http://127.0.0.1:{self.PORT}/ready", check=False)
        return code == "200"


def wait_for(process, condition, log, seconds=20):
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise BenchError(f"{process.title} did not start: {open(log).read()[-500:]}")


def contestants(options):
    return [Peer(options), Bridge(options), Nftables(options), Suricata(options),
            RingLoop(options, ["--spin", "50"]), Policyd(options, 1), Policyd(options, 2)]
