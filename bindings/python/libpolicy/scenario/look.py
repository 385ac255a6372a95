# SPDX-License-Identifier: Apache-2.0
"""grant, names, finding and counter, and what every step shows."""
from __future__ import annotations

from dataclasses import dataclass

from libpolicy import NEVER, Counters, Event, EventKind, Finding, FindingType, Grant

from .words import U32, Address, Args, Readers, StepError, address
from .world import World

_SECOND = 10**9


# --- what every step shows -----------------------------------------------------------------------


@dataclass(frozen=True)
class Before:
    """The grants before a step."""

    learned: int
    refreshed: int


def look_before(world: World) -> Before:
    """To be given to look_after()."""
    stats = world.grants.stats
    return Before(stats.learned, stats.refreshed)


def look_after(world: World, before: Before) -> None:
    """Adds what the step has changed."""
    facts = world.facts
    facts.declare("event", "end", "sni", "fqdn", "rcode", "learned", "answers")
    events = world.drain()
    for event in events:
        _add_event(world, event)
    facts.add("events", len(events))
    stats = world.grants.stats
    facts.add("granted", stats.learned - before.learned)
    facts.add("refreshed", stats.refreshed - before.refreshed)
    facts.add("grants", len(world.grants.list(world.now)))
    facts.add("flows", world.worker.flow_count)
    facts.add("due", _due(world))


def _due(world: World) -> str:
    """When a tick has something to do."""
    deadline = world.worker.deadline
    return "-" if deadline is None else f"{max(deadline - world.now, 0) // _SECOND}s"


def _add_event(world: World, event: Event) -> None:
    facts = world.facts
    facts.add("event", event.kind.name.lower())
    if event.kind == EventKind.FLOW_END:
        facts.add("end", event.end.name.lower())
    facts.add("sni", event.name or "-")
    facts.add("fqdn", event.fqdn or "-")
    if event.kind == EventKind.DNS:
        facts.add("rcode", 255 if event.rcode is None else event.rcode)
        facts.add("learned", event.learned)
        facts.add("answers", ",".join(map(str, event.answers)) or "-")


# --- verbs ---------------------------------------------------------------------------------------


def _take_group(world: World, args: Args) -> int:
    """A group's key, looked for in the newest policies first; "-" has the recorded names."""
    wanted = args.bare("a group")
    if wanted == "-":
        return 0
    for policy in reversed(world.policies):
        for group in policy.groups:
            if group.id == wanted:
                return group.key
    raise StepError(f'no policy has a group "{wanted}"')


def _take_address(args: Args) -> Address:
    text = args.bare("an address")
    try:
        return address(text)
    except ValueError:
        raise StepError(f'"{text}" is no address') from None


def play_grant(world: World, args: Args) -> None:
    """grant GROUP ADDR NAME"""
    key, addr = _take_group(world, args), _take_address(args)
    name = args.bare("a name")
    args.end()
    world.facts.word = "gone"
    for grant in world.grants.list(world.now):
        if (grant.group_key, grant.addr, grant.name) == (key, addr, name):
            _add_grant(world, grant)
            return


def _add_grant(world: World, grant: Grant) -> None:
    facts = world.facts
    facts.word = grant.state.name.lower()
    facts.add("kind", grant.kind.name.lower())
    facts.add("carries", grant.flows)
    facts.add("ttl", grant.ttl)
    facts.add("two_way", _yes(grant.two_way))
    facts.add("lasts", f"{max(grant.expires - world.now, 0) // _SECOND}s")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def play_names(world: World, args: Args) -> None:
    """names GROUP ADDR"""
    key, addr = _take_group(world, args), _take_address(args)
    args.end()
    names = world.grants.names(addr, world.now, key)
    world.facts.add("names", ",".join(grant.name for grant in names) or "-")
    world.facts.add("count", len(names))


@dataclass
class _Wanted:
    group: str | None = None
    dst: str | None = None
    name: str | None = None
    type: str | None = None
    port: int | None = None


_WANTED: Readers = {"group": str, "dst": str, "name": str, "type": str, "port": U32}


def _fits(finding: Finding, wanted: _Wanted) -> bool:
    icmp = f"{finding.icmp_type}/{finding.icmp_code}"
    pairs = (
        (wanted.group, finding.group), (wanted.dst, _text(finding.dst)),
        (wanted.name, finding.name), (wanted.type, icmp), (wanted.port, finding.dst_port),
    )  # fmt: skip
    return all(asked in (None, there) for asked, there in pairs)


def _text(addr: Address | None) -> str:
    return "none" if addr is None else str(addr)


def play_finding(world: World, args: Args) -> None:
    """finding TYPE [key=value]..."""
    text = args.bare("the type of finding")
    kinds = [kind for kind in FindingType if kind.name.lower() == text]
    if not kinds:
        raise StepError(f'"{text}" is no type of finding')
    wanted = _Wanted()
    args.take_rest((_WANTED, wanted))
    listed = world.audit.find(types=kinds, limit=NEVER)
    found = [finding for finding in listed if _fits(finding, wanted)]
    if len(found) > 1:
        raise StepError(f"{len(found)} findings fit")
    world.facts.word = "found" if found else "none"
    if found:
        _add_finding(world, found[0])


def _add_finding(world: World, finding: Finding) -> None:
    facts = world.facts
    facts.add("count", finding.count)
    facts.add("rule", finding.rule or "-")
    facts.add("group", finding.group)
    facts.add("reason", finding.reason.name.lower())
    facts.add("audit", _yes(finding.audit))
    facts.add("name", finding.name or "-")
    facts.add("fqdn", finding.fqdn or "-")
    facts.add("port", finding.dst_port)
    facts.add("type", f"{finding.icmp_type}/{finding.icmp_code}")
    facts.add("qtype", finding.query_type)
    facts.add("generation", finding.generation)
    facts.add("src", _text(finding.src))
    facts.add("dst", _text(finding.dst))
    facts.add("names", ",".join(finding.names) or "-")


def play_counter(world: World, args: Args) -> None:
    """counter NAME [LABELS]"""
    name = args.bare("a counter")
    labels = args.next()
    args.end()
    with Counters(context=world.context) as counters:
        counters.add(world.worker)
        counters.add_grants(world.grants)
        world.facts.add("value", counters.value(name, labels.text if labels else ""))
