# SPDX-License-Identifier: Apache-2.0
"""Every object used as the README shows; mypy reads it, and test_usage.py runs it."""
from __future__ import annotations

import ipaddress

import libpolicy
from libpolicy import (Action, Audit, Context, Counters, Event, EventBatch, Grants, Packet,
                       PacketBatch, Policy, Readiness, Tap, Verdict, VerdictBatch, Worker, dns, reply,
                       seconds, tls)


def compile_it(document: dict[str, object], lines: list[str]) -> Policy:
    def log(level: libpolicy.LogLevel, text: str) -> None:
        lines.append(f"{level.name} {text}")

    context = Context(log=log, hash_seed=(1, 2), limits={"rules": 1000})
    try:
        return Policy(document, context)
    except libpolicy.PolicyError as error:
        for diagnostic in error.diagnostics:
            lines.append(f"{diagnostic.line}:{diagnostic.column}: {diagnostic.text}")
        raise


def decide(worker: Worker, policy: Policy) -> tuple[Verdict, str]:
    packet = Packet(src="10.0.0.5", dst=ipaddress.ip_address("192.0.2.10"), proto="tcp",
                    sport=40000, dport=443, flags="S", vlan=7)
    verdict = worker.decide(packet, now=seconds(1))
    rule = policy.rule(verdict.rule)
    assert verdict.action is Action.ALLOW and rule is not None
    return verdict, f"{rule.id} of {rule.group.id}"


def decide_many(worker: Worker, frames: list[bytes]) -> list[Action]:
    packets, verdicts = PacketBatch(256), VerdictBatch(256)
    packets.parse(frames, "raw_ip", side="inside")
    return [verdict.action for verdict in worker.decide_batch(packets, seconds(2), verdicts)]


def look(worker: Worker, grants: Grants, policy: Policy) -> tuple[list[Event], int]:
    audit, tap = Audit(), Tap(src=["10.0.0.0/8"], dst_ports=[443, (8000, 8999)], protos=["tcp"])
    events = worker.drain()
    for event in events:
        audit.add(event, wall=1_700_000_000_000, policy=worker.policy_of(event), grants=grants)
    found = [finding.json("node-1") for finding in audit.find(types=["l4_deny"], limit=10)]
    shown = [event.json(policy, node_id="node-1") for event in tap.filter(events)]
    batch = EventBatch(16)
    counters = Counters()
    counters.add(worker)
    counters.add_grants(grants)
    assert counters["dp_packets_total"] == worker.counters["dp_packets_total"]
    return events, len(found) + len(shown) + worker.drain_into(batch)


def proxy(worker: Worker, query: bytes, answer: bytes) -> bytes:
    verdict, asked = worker.dns_decide("10.0.0.5", query, seconds(3))
    if verdict.action is not Action.ALLOW:
        return dns.refuse(query, "nxdomain")
    worker.dns_learn(asked, answer, seconds(3))
    return answer


def refuse(frame: bytes) -> bytes:
    return reply.reject(Packet.parse(frame, "raw_ip"), frame, "raw_ip")


def name_of(stream: bytes) -> str | None:
    try:
        return tls.server_name(stream)
    except (libpolicy.NotFound, libpolicy.Truncated):
        return None


def names_of(stream: bytes) -> tuple[str, ...]:
    shown = tls.certificate(stream)
    return shown.sans + shown.cns if shown.not_before < shown.not_after else ()


def knowing(policy: Policy, anchors: str, wall: int) -> Worker:
    worker = Worker(policy, trust_anchors=anchors, certificate_capacity=4)
    worker.wall(seconds(1), wall)
    return worker


def ready(workers: list[Worker]) -> str:
    with Readiness() as checks:
        checks.generations(1, workers)
        checks.draining(False)
        checks.set("cluster", True, "one node")
        return checks.json()
