# SPDX-License-Identifier: Apache-2.0
"""policy and reload: documents and diagnostics."""
from __future__ import annotations

from collections.abc import Sequence

from libpolicy import Diagnostic, Policy, PolicyError, Severity, coverage

from .words import Args, StepError
from .world import World


def _add_diagnostics(world: World, found: Sequence[Diagnostic]) -> None:
    facts = world.facts
    facts.declare("error", "warning", "text")
    for diagnostic in found:
        key = "error" if diagnostic.severity == Severity.ERROR else "warning"
        place = f"{diagnostic.path} {diagnostic.line}:{diagnostic.column}"
        facts.add(key, f"{diagnostic.code.name} {place} {diagnostic.text}")
        facts.add("text", diagnostic.text)
    errors = sum(diagnostic.severity == Severity.ERROR for diagnostic in found)
    facts.add("errors", errors)
    facts.add("warnings", len(found) - errors)


def _load(world: World, name: str) -> bytes:
    """Reads a policy file that lies beside the scenario."""
    path = world.script.directory / name
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error: # a NUL is no OSError
        raise StepError(f"{path} cannot be read") from error


def _take_document(world: World, args: Args) -> bytes:
    """Which document the step means; without an argument, the one in force."""
    word = args.next()
    if word is not None and word.key:
        raise args.unknown(word)
    args.end()
    if args.step.document is not None:
        return args.step.document
    if word is not None:
        return _load(world, word.text)
    if world.document is None:
        raise StepError("which policy?")
    return world.document


def play_policy(world: World, args: Args) -> None:
    """policy FILE | <<END; reload [FILE | <<END]."""
    document = _take_document(world, args)
    try:
        policy = Policy(document, world.context, default_allow=world.settings.default_allow)
    except PolicyError as error:
        world.facts.word = "rejected"
        _add_diagnostics(world, error.diagnostics)
        if not args.step.expected:
            raise StepError(f"the document was rejected:\n {world.facts}") from None
        return
    world.facts.word = "accepted"
    _add_diagnostics(world, policy.warnings)
    world.facts.add("json", policy.json())
    world.document = document
    world.policies.append(policy)
    if coverage.active is not None:
        coverage.active.met(policy)
    world.use_policy()
