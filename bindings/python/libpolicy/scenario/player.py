# SPDX-License-Identifier: Apache-2.0
"""Plays the steps of a scenario one after the other."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import control, dns, look, packets, policies
from .facts import Facts
from .script import Script, ScriptError, Step
from .settings import take_options
from .words import Args, StepError
from .world import World

Play = Callable[[World, Args], None]


def _restart(world: World, args: Args) -> None:
    args.end()
    world.restart()


def _tick(world: World, args: Args) -> None:
    args.end()
    world.tick()


def _option(world: World, args: Args) -> None:
    take_options(world.settings, args, world.begun)


VERBS: dict[str, Play] = {
    "option": _option, "policy": policies.play_policy, "reload": policies.play_policy,
    "restart": _restart, "tick": _tick,
    "tcp": packets.play_tcp, "udp": packets.play_udp, "icmp": packets.play_icmp,
    "proto": packets.play_proto, "frame": packets.play_frame,
    "ether": control.play_ether, "group": control.play_group, "dhcp": control.play_dhcp,
    "dhcp6": control.play_dhcp6,
    "dns": dns.play_dns, "wire-dns": dns.play_wire_dns, "answer": dns.play_answer,
    "grant": look.play_grant, "names": look.play_names, "finding": look.play_finding,
    "counter": look.play_counter,
}  # fmt: skip
SILENT = frozenset(("option", "policy", "reload", "restart", "tick"))  # need no "expect"


@dataclass(frozen=True)
class Played:
    """A step, what came of it, and a line for each expectation that does not hold."""

    step: Step
    facts: Facts
    faults: list[str]


def play(script: Script, world: World) -> Iterator[Played]:
    """Plays step by step; raises ScriptError at one that makes no sense."""
    for step in script.steps:
        try:
            facts = _play_step(world, step)
        except StepError as error:
            raise ScriptError(script.path, step.line, str(error)) from error
        yield Played(step, facts, list(facts.faults(step)))


def _play_step(world: World, step: Step) -> Facts:
    verb = _understand(step)
    world.facts = Facts()
    world.now = step.at
    args = Args(step)
    if verb is _option:
        verb(world, args)
        return world.facts
    world.begin()
    before = look.look_before(world)
    verb(world, args)
    if verb is _restart:
        before = look.look_before(world)
    look.look_after(world, before)
    return world.facts


def _understand(step: Step) -> Play:
    word = step.words[0] if step.words else None
    known = word is not None and not word.key and not word.quoted and word.text in VERBS
    if word is None or not known:
        raise StepError(f'unknown verb "{word.text if word else ""}"')
    if word.text not in SILENT and not step.expected:
        raise StepError(f'{word.text} needs an "expect"')
    return VERBS[word.text]


def failure(script: Script, played: Played) -> Iterator[str]:
    """What is wrong with a step: its line, what was expected, and what came."""
    if played.faults:
        yield f"{script.path}:{played.step.line}: {played.step.source}"
        yield from (f"    {fault}" for fault in played.faults)
        yield f"    came {played.facts}"
