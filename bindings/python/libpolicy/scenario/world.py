# SPDX-License-Identifier: Apache-2.0
"""What a scenario plays in: a context, policies, grants, one worker and the findings, all with
fixed seeds and the time of the script."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import libpolicy
from libpolicy import (
    Action,
    Audit,
    Context,
    DnsQuery,
    Event,
    Grants,
    Link,
    Packet,
    Policy,
    Side,
    Verdict,
    Worker,
    coverage,
)

from .facts import FLAGS, Facts
from .frames import ACK, FIN, SYN, Frame
from .script import Script, Step
from .settings import Settings
from .words import Address, StepError

if TYPE_CHECKING:
    from .dns import Question

SIDES = ("unknown", "inside", "outside")
MAX_FINDINGS = 1000
# Scenarios begin at this time of day, in milliseconds; only the differences show.
WALL_BEGIN = 1_700_000_000_000
_SEED = (1, 2)


# --- TCP sequence numbers ------------------------------------------------------------------------


@dataclass
class Sender:
    """One direction of a TCP connection, so that segments follow each other by themselves."""

    isn: int
    next: int


@dataclass
class Senders:
    """All of them, by their ends."""

    known: dict[tuple[Address, int, Address, int], Sender] = field(default_factory=dict)

    def number(self, frame: Frame, flags: int, isn: int | None, at: int | None) -> None:
        """Gives a segment its numbers; `at` is its place in what this end sends."""
        sender = self._begin(frame, flags, isn)
        peer = self.known.get((frame.dst, frame.dst_port, frame.src, frame.src_port))
        frame.tcp_flags = flags
        frame.tcp_seq = _wrap(sender.next if at is None else sender.isn + 1 + at)
        frame.tcp_ack = peer.next if peer and flags & ACK else 0
        after = _wrap(frame.tcp_seq + len(frame.payload) + bool(flags & SYN) + bool(flags & FIN))
        if 0 < _wrap(after - sender.next) < 1 << 31:
            sender.next = after

    def _begin(self, frame: Frame, flags: int, isn: int | None) -> Sender:
        """The sender, begun by its SYN, or by what it sends first."""
        ends = (frame.src, frame.src_port, frame.dst, frame.dst_port)
        if ends not in self.known or flags & SYN or isn is not None:
            first = 1000 if isn is None else isn
            self.known[ends] = Sender(first, _wrap(first + (not flags & SYN)))
        return self.known[ends]


def _wrap(number: int) -> int:
    return number & 0xFFFF_FFFF


# --- the world -----------------------------------------------------------------------------------


class World:
    """Where steps are played; `facts` is what came of the newest."""

    def __init__(self, script: Script, data: Path | None = None) -> None:
        """
        :param data: where files that the scenario names as `flight` and `anchors` are; where they
            are in the source tree, if not given
        """
        self.script = script
        self.settings = Settings(data=data or script.directory.parent / "data" / "tls")
        self.facts = Facts()
        self.now = 0
        self.policies: list[Policy] = []  # by generation - 1
        self.document: bytes | None = None
        self.senders = Senders()
        self.questions: list[Question] = []
        self.begun = False
        self.context: Context
        self.audit: Audit
        self.grants: Grants
        self.worker: Worker

    def begin(self) -> None:
        """Makes the worker, before the first step that is no option."""
        if self.begun:
            return
        try:
            limits = self.settings.context_limits()
            self.context = Context(hash_seed=_SEED, limits=limits)
            self.audit = Audit(MAX_FINDINGS, context=self.context)
            self._make_worker()
        except libpolicy.PolError as error:
            raise StepError("these options make no worker") from error
        self.begun = True

    def _make_worker(self) -> None:
        self.grants = Grants(context=self.context, **self.settings.grants_options())
        options = self.settings.worker_options()
        self.worker = Worker(context=self.context, grants=self.grants, **options)
        self.worker.wall(0, self.settings.wall * 1000)

    def restart(self) -> None:
        """The process begins anew: only grants and the policy are left."""
        saved = list(self.grants.list(self.now))
        self.worker.close()
        self.grants.close()
        self._make_worker()
        for grant in saved:
            try:
                self.grants.restore(grant, self.now)
            except libpolicy.PolError:
                pass  # it is gone, or there is no room
        self.use_policy()

    def use_policy(self) -> None:
        """Puts the newest policy in force."""
        if self.policies:
            self.worker.use(self.policies[-1], len(self.policies))

    def policy_of(self, generation: int) -> Policy | None:
        """The policy of a generation."""
        return self.policies[generation - 1] if 0 < generation <= len(self.policies) else None

    def tick(self) -> None:
        """Ends everything that has run out by now."""
        while self.worker.tick(self.now) > 0:
            pass
        self.grants.expire(self.now)

    # --- deciding

    def judge(self, octets: bytes, side: int) -> None:
        """Judges a frame that came from this side."""
        packet = Packet.parse(octets, Link.ETHERNET, side=Side(side))
        self._add_verdict(self.worker.decide(packet, self.now))

    def judge_query(self, client: Address, octets: bytes) -> DnsQuery | None:
        """Judges a query put to a proxy; None when it must not be asked upstream."""
        verdict, query = self.worker.dns_decide(client, octets, self.now)
        self._add_verdict(verdict)
        self.facts.add("kind", query.kind.name.lower())
        self.facts.add("grantees", ",".join(self._grantees(query)) or "-")
        return query if verdict.action == Action.ALLOW else None

    def _grantees(self, query: DnsQuery) -> list[str]:
        groups = self.policies[-1].groups if self.policies else ()
        ids = {group.key: group.id for group in groups}
        return [ids[key] for key in query.grantees if key in ids]

    def learn(self, query: DnsQuery, answer: bytes) -> None:
        """The answer to a query that was put to a proxy."""
        try:
            self.worker.dns_learn(query, answer, self.now)
            self.facts.word = "allow"
        except libpolicy.Full:
            self.facts.word = "servfail"
        except libpolicy.PolError:
            self.facts.word = "deny"

    def _add_verdict(self, verdict: Verdict) -> None:
        policy = self.policy_of(verdict.generation)
        facts = self.facts
        if coverage.active is not None and policy is not None:
            coverage.active.decided(policy, verdict)
        facts.word = verdict.action.name.lower()
        facts.flags += [flag for i, flag in enumerate(FLAGS) if verdict.flags & 1 << i]
        facts.add("raw", verdict.raw_action.name.lower())
        facts.add("reason", verdict.reason.name.lower())
        rule = policy.rule(verdict.rule) if policy else None
        group = policy.group(verdict.group) if policy else None
        facts.add("rule", rule.id if rule else "-")
        facts.add("group", group.id if group else "default")
        facts.add("side", verdict.side.name.lower())
        facts.add("generation", verdict.generation)

    # --- what a step has changed

    def drain(self) -> list[Event]:
        """What happened since the last step; the findings have it too."""
        events = self.worker.drain()
        for event in events:
            wall = WALL_BEGIN + event.at // 1_000_000
            self.audit.add(event, wall, self.policy_of(event.verdict.generation), self.grants)
        return events

    def close(self) -> None:
        """Releases everything."""
        if self.begun:
            self.worker.close()
            self.grants.close()
            self.audit.close()
            for policy in self.policies:
                policy.close()
            self.context.close()
