# SPDX-License-Identifier: Apache-2.0
"""Where decisions are made: workers, their verdicts and their events."""
from __future__ import annotations

import ctypes
from typing import Any, Iterable, List, Mapping

from . import _abi
from ._abi import Control, ControlPolicy, EventKind, Midstream, SniCheck
from ._handle import Exclusive
from ._native import lib
from ._values import (NEVER, NONE, Address, Buffer, Octets, Prefix, Text, address, addresses, fill, member,
                      moment, number, prefixes)
from .context import Context, context_of
from .dns import DnsDecision, DnsLearned, DnsQuery
from .errors import Closed, InUse, Invalid, check
from .grants import Grants
from .packet import Layered, Packet, PacketBatch, layered_link
from .policy import Policy
from .stats import Counters
from .verdict import Event, EventBatch, Verdict, VerdictBatch

ALL_EVENTS = frozenset(EventKind)
_decide = lib.pol_worker_decide
GENERATIONS_KEPT = 4 # policies that a worker remembers, for events that were not drained yet

class Worker(Exclusive):
    """Decides about packets and queries, and remembers their flows.

    Moments are nanoseconds on a clock of the caller's choosing that does not go backwards;
    time.monotonic_ns() will do, and so will a capture's.

    Thread class: one thread at a time; a second one gets InUse. Calls let other Python threads run.
    """

    __slots__ = ("_grants", "_policies", "_generation", "_events")

    def __init__(self, policy: Policy | None = None, grants: Grants | None = None, *,
                 context: Context | None = None, generation: int = 1,
                 flow_capacity: int | None = None, event_capacity: int | None = None,
                 memo_capacity: int | None = None, pending_capacity: int | None = None,
                 query_capacity: int | None = None, stream_capacity: int | None = None,
                 fragment_capacity: int | None = None, member_capacity: int | None = None,
                 certificate_capacity: int | None = None, trust_anchors: str | bytes = b"",
                 idle: Mapping[str, int] | None = None, report_interval: int | None = None,
                 midstream_window: int | None = None, query_timeout: int | None = None,
                 tls_timeout: int | None = None, midstream: Midstream | str | None = None,
                 sni_check: SniCheck | str | None = None, reject_inside: bool | None = None,
                 admit_outside: bool | None = None, trust_all_resolvers: bool | None = None,
                 inside: Iterable[Prefix] = (), trusted_resolvers: Iterable[Address] = (),
                 inside_resolvers: Iterable[Address] = (), own: Iterable[Address] = (),
                 control: Mapping[Control | str, ControlPolicy | str] | None = None) -> None:
        """
        policy   in use from the beginning, under `generation`; without one everything is denied
        grants   shared with other workers; without a table no names are learned. It is kept alive
        context  unless given the policy's

        The others as in pol_worker_options; durations are nanoseconds (seconds()). `idle` has
        fields of pol_idle, such as {"udp_two_way": seconds(60)}; `control` words of Control and
        ControlPolicy, such as {"lldp": "drop"}. `trust_anchors` is PEM: what the chain of a
        server's certificate may end in, where a rule has no anchors of its own; see wall().
        """
        options = _abi.pol_worker_options()
        lib.pol_worker_options_init(options, ctypes.sizeof(options))
        fill(options, [
            ("flow_capacity", flow_capacity), ("event_capacity", event_capacity),
            ("memo_capacity", memo_capacity), ("pending_capacity", pending_capacity),
            ("query_capacity", query_capacity), ("stream_capacity", stream_capacity),
            ("fragment_capacity", fragment_capacity), ("member_capacity", member_capacity),
            ("certificate_capacity", certificate_capacity),
            ("report_interval", report_interval), ("midstream_window", midstream_window),
            ("query_timeout", query_timeout), ("tls_timeout", tls_timeout)])
        _set_words(options, midstream, sni_check, control)
        _set_idle(options.idle, idle or {})
        for name, flag in (("reject_inside", reject_inside), ("admit_outside", admit_outside),
                           ("trust_all_resolvers", trust_all_resolvers)):
            if flag is not None:
                setattr(options, name, bool(flag))
        # Borrowed for the call of pol_worker_new() only.
        options.inside, options.inside_count = prefixes(inside)
        options.trusted_resolvers, options.trusted_resolver_count = addresses(trusted_resolvers)
        options.inside_resolvers, options.inside_resolver_count = addresses(inside_resolvers)
        options.own, options.own_count = addresses(own)
        anchors = Text(trust_anchors) # alive for the call
        options.trust_anchors_pem = anchors
        _expect(policy, Policy, "policy")
        _expect(grants, Grants, "grants")

        if context is None and policy is not None:
            context = policy.context
        context = context_of(context)
        self._grants = grants
        self._policies: dict[int, Policy | None] = {}
        self._generation = 0
        self._events: EventBatch | None = None
        self._make(context, options, grants)
        if policy is not None:
            try:
                self.use(policy, generation)
            except BaseException:
                self.close()
                raise

    def _make(self, context: Context, options: _abi.pol_worker_options,
              grants: Grants | None) -> None:
        pointer = ctypes.POINTER(_abi.pol_worker)()
        table = grants._handle if grants is not None else None
        if table is not None:
            options.grants = table.hold()
        try:
            with context._handle as ctx:
                check(lib.pol_worker_new(ctx, options, pointer), "worker")
        except BaseException:
            if table is not None:
                table.release()
            raise

        def free(worker: Any) -> None:
            lib.pol_worker_free(worker)
            if table is not None:
                table.release() # not before: the worker is a reader of it until it is gone

        super().__init__(pointer, free, context._held)

    # -- policy

    def use(self, policy: Policy | None, generation: int | None = None) -> int:
        """Decides by this policy from now on; open flows are judged again at their next packet.
        `generation` grows with every policy; unless given it is the next. Returns it."""
        _expect(policy, Policy, "policy")
        with self._mine:
            if generation is None:
                generation = self._generation + 1
            number(generation, NEVER, "generation")
            if generation <= self._generation:
                raise Invalid(f"generation {generation} is not above {self._generation}, the one in "
                              "use")
            if policy is None:
                check(lib.pol_worker_use(self._pointer, None, generation),
                      f"generation {generation}")
            else:
                with policy._handle as pointer:
                    check(lib.pol_worker_use(self._pointer, pointer, generation),
                          f"generation {generation}")
            self._generation = generation
            self._policies[generation] = policy
            while len(self._policies) > GENERATIONS_KEPT:
                del self._policies[next(iter(self._policies))]
        return generation

    @property
    def policy(self) -> Policy | None:
        """The one in use."""
        return self._policies.get(self._generation)

    @property
    def generation(self) -> int:
        """Of the policy in use; 0 before the first."""
        return self._generation

    def policy_of(self, what: Verdict | Event) -> Policy | None:
        """The policy that a verdict's or event's numbers belong to, if it is one of the newest
        four."""
        verdict = what.verdict if isinstance(what, Event) else what
        return self._policies.get(verdict.generation)

    @property
    def grants(self) -> Grants | None:
        return self._grants

    # -- packets

    def decide(self, packet: Packet | Layered, now: int) -> Verdict:
        """Judges one packet. It never fails: what is wrong with a packet is a verdict. A packet of
        scapy will do; where it came from is inferred then, see Packet.parse() to say it."""
        if not isinstance(packet, Packet):
            if layered_link(packet) is None:
                raise TypeError(f"expected a Packet, not {type(packet).__name__}")
            packet = Packet.parse(packet)
        if type(now) is not int or not 0 <= now <= NEVER:
            now = moment(now)
        verdict = _abi.pol_verdict()
        # What `with self._mine` does, written out: every packet goes this way.
        busy = self._busy
        if busy.locked():
            raise InUse("the Worker is in use by another thread")
        with busy:
            handle = self._held
            if handle is None:
                raise Closed("the Worker is closed")
            _decide(handle._pointer, packet._c, now, verdict)
        return Verdict._of(verdict)

    def decide_batch(self, packets: PacketBatch, now: int,
                     verdicts: VerdictBatch | None = None) -> VerdictBatch:
        """Judges packets in order, as decide() on each would, but faster. One policy and one moment
        hold for all. `verdicts` is used again if given, and returned."""
        if not isinstance(packets, PacketBatch):
            raise TypeError(f"expected a PacketBatch, not {type(packets).__name__}")
        if verdicts is None:
            verdicts = VerdictBatch(len(packets))
        elif not isinstance(verdicts, VerdictBatch):
            raise TypeError(f"expected a VerdictBatch, not {type(verdicts).__name__}")
        now = moment(now)
        with packets._mine, self._mine:
            count = len(packets)
            if verdicts.capacity < count:
                raise Invalid(f"{count} verdicts do not fit a batch of {verdicts.capacity}")
            lib.pol_worker_decide_batch(self._pointer, packets._array, count, now, verdicts._array)
            verdicts._count = count
        return verdicts

    # -- time

    @property
    def deadline(self) -> int | None:
        """When tick() has something to do; None when nothing is under way."""
        with self._mine:
            when = lib.pol_worker_deadline(self._pointer)
        return None if when == NEVER else when

    def wall(self, now: int, wall: int) -> None:
        """Says that at the moment `now` it is `wall`, in milliseconds since 1970: certificates are
        valid or not by this clock, which goes on with `now`. Before it is told, none is valid."""
        now, told = moment(now), number(wall, NEVER, "wall")
        with self._mine:
            lib.pol_worker_wall(self._pointer, now, told)

    def tick(self, now: int, budget: int = NONE) -> int:
        """Ends what has run out, at most `budget` flows, queries and datagrams; returns how many."""
        now, budget = moment(now), number(budget, NEVER, "budget")
        with self._mine:
            return lib.pol_worker_tick(self._pointer, now, budget)

    def flush(self, now: int) -> int:
        """Ends every flow and query, as far as the ring of events has room; returns how many are
        left. For the end of a capture: drain() and repeat."""
        now = moment(now)
        with self._mine:
            return lib.pol_worker_flush(self._pointer, now)

    # -- events

    def drain(self) -> List[Event]:
        """All events since the last time, oldest first. When the ring was full, some were dropped
        and counted (policyd_events_dropped_total)."""
        events: List[Event] = []
        with self._mine:
            if self._events is None:
                self._events = EventBatch()
            while self._drain(self._events):
                events += [event.copy() for event in self._events]
        return events

    def drain_into(self, events: EventBatch) -> int:
        """Moves events into memory that is used again, as many as fit; returns how many."""
        if not isinstance(events, EventBatch):
            raise TypeError(f"expected an EventBatch, not {type(events).__name__}")
        with self._mine:
            return self._drain(events)

    def _drain(self, events: EventBatch) -> int:
        count = lib.pol_worker_drain(self._pointer, events._array, events.capacity)
        events._count = count
        return count

    def report(self, kinds: Iterable[EventKind | str] = ALL_EVENTS) -> None:
        """Chooses the kinds of events that are made from now on."""
        if isinstance(kinds, str):
            raise TypeError("expected a list of kinds, not one")
        bits = 0
        for kind in kinds:
            bits |= 1 << member(EventKind, kind, "kind")
        with self._mine:
            lib.pol_worker_report(self._pointer, bits)

    # -- DNS messages

    def dns_decide(self, client: Address, query: Buffer, now: int) -> DnsDecision:
        """Judges a DNS query; the whole message, as a proxy has it."""
        asker, octets, now = address(client), Octets(query), moment(now)
        asked, verdict = _abi.pol_dns_query(), _abi.pol_verdict()
        with self._mine:
            lib.pol_dns_decide(self._pointer, asker, octets, now, asked, verdict)
        return DnsDecision(Verdict._of(verdict), DnsQuery(asked))

    def dns_learn(self, query: DnsQuery, answer: Buffer, now: int) -> DnsLearned:
        """Learns the addresses of an answer, before it is sent on. Raises Format when it is not an
        answer to the query, Full when there is no room: answer SERVFAIL instead."""
        if not isinstance(query, DnsQuery):
            raise TypeError(f"expected a DnsQuery, not {type(query).__name__}")
        octets, now = Octets(answer), moment(now)
        learned = _abi.pol_dns_learned()
        with self._mine:
            check(lib.pol_dns_learn(self._pointer, query._c, octets, now, learned),
                  f"answer for {query.name!r}")
        return DnsLearned(learned.addresses, learned.added, learned.refreshed, learned.rcode)

    # -- numbers

    @property
    def counters(self) -> Counters:
        """What it has counted so far. May be asked from any thread."""
        counters = Counters()
        counters.add(self)
        return counters

    @property
    def flow_count(self) -> int:
        """Flows in the table, denied entries included."""
        with self._mine:
            return lib.pol_worker_flow_count(self._pointer)

    @property
    def memory(self) -> int:
        """Octets of memory that the worker holds."""
        with self._mine:
            return lib.pol_worker_memory(self._pointer)

    def __repr__(self) -> str:
        return f"<Worker{', closed' if self.closed else f', generation {self._generation}'}>"


def _expect(value: object, kind: type, what: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{what}: expected a {kind.__name__}, not {type(value).__name__}")


def _set_words(options: _abi.pol_worker_options, midstream: Midstream | str | None,
               sni_check: SniCheck | str | None,
               control: Mapping[Control | str, ControlPolicy | str] | None) -> None:
    if midstream is not None:
        options.midstream = member(Midstream, midstream, "midstream")
    if sni_check is not None:
        options.sni_check = member(SniCheck, sni_check, "sni_check")
    for kind, treatment in (control or {}).items():
        options.control[member(Control, kind, "control")] = \
            member(ControlPolicy, treatment, "control")


def _set_idle(target: _abi.pol_idle, idle: Mapping[str, int]) -> None:
    names = [field[0] for field in target._fields_]
    for name in idle:
        if name not in names:
            raise Invalid(f"idle time {name!r} is none of {', '.join(names)}")
    fill(target, list(idle.items()))
