# SPDX-License-Identifier: Apache-2.0
"""Which rules and defaults of a policy have decided something, and in which tests.

    coverage = Coverage()
    with coverage.test("office may browse"):
        coverage.decided(policy, worker.decide(packet, now))
    print("\\n".join(coverage.table()))

The pytest plugin and the scenario player feed one; see --policy-coverage of both.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import Action, Policy, Reason, Verdict

# The list was walked to its end, or to a group's default, without a rule that matched.
_WALKED = frozenset((
    Reason.GROUP_DEFAULT, Reason.POLICY_DEFAULT, Reason.NOT_TLS, Reason.DNS_EXPIRED,
    Reason.DNS_UNTRUSTED_RESOLVER,
))


@dataclass(frozen=True)
class Item:
    """What can decide: a rule, the default of a group (without rule), or that of the policy."""

    group: str = ""
    rule: str = ""
    action: str = field(default="", compare=False)

    def __str__(self) -> str:
        if self.rule:
            return f"{self.group}/{self.rule} ({self.action})"
        if self.group:
            return f"{self.group}: default_action ({self.action})"
        return f"default_policy ({self.action})"


@dataclass
class Tally:
    """How often something decided, and in which tests."""

    hits: int = 0
    tests: list[str] = field(default_factory=list)

    def add(self, test: str) -> None:
        """One more decision."""
        self.hits += 1
        if test and test not in self.tests:
            self.tests.append(test)


class PolicyCoverage:
    """Of one document."""

    def __init__(self, policy: Policy) -> None:
        self.digest = policy.digest.hex()
        self.groups = [group.id for group in policy.groups]
        self.items = {item: Tally() for item in _items(policy)}

    @property
    def never(self) -> list[Item]:
        """What has decided nothing yet."""
        return [item for item, tally in self.items.items() if not tally.hits]

    @property
    def covered(self) -> int:
        """How many have decided something."""
        return len(self.items) - len(self.never)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "digest": self.digest,
            "groups": self.groups,
            "covered": self.covered,
            "total": len(self.items),
            "items": [
                {"group": item.group or None, "rule": item.rule or None, "action": item.action,
                 "hits": tally.hits, "tests": tally.tests}
                for item, tally in self.items.items()
            ],
        }

    def table(self) -> list[str]:
        """A line for each rule and default."""
        lines = [f"policy {self.digest[:12]}, groups {', '.join(self.groups) or 'none'}"]
        width = max(len(str(item)) for item in self.items)
        for item, tally in self.items.items():
            times = f"{tally.hits:6}" if tally.hits else " never"
            lines.append(f"  {str(item):{width}} {times}")
        return lines + [f"  {self.covered} of {len(self.items)} decided something"]


def _items(policy: Policy) -> Iterator[Item]:
    """In the order in which they are asked."""
    document = policy.to_dict()
    groups = {group["id"]: group for group in document["source_groups"]}
    actions = {(group["id"], rule["id"]): rule["action"]
               for group in document["source_groups"] for rule in group["rules"]}
    for group in policy.groups:
        for rule in policy.rules:
            if rule.group.index == group.index:
                yield Item(group.id, rule.id, actions[group.id, rule.id])
        default = groups[group.id]["default_action"]
        if default is not None:
            yield Item(group.id, "", default)
    yield Item("", "", document["default_policy"])


class Coverage:
    """Of all policies that were met, by their digest: two objects with the same document are one."""

    def __init__(self) -> None:
        self.policies: dict[bytes, PolicyCoverage] = {}
        self.current = ""  # the test that decisions belong to

    @contextlib.contextmanager
    def test(self, name: str) -> Iterator[None]:
        """What is decided meanwhile belongs to this test."""
        before, self.current = self.current, name
        try:
            yield
        finally:
            self.current = before

    def met(self, policy: Policy) -> PolicyCoverage:
        """Counts a policy in, although it has not decided anything yet."""
        digest = policy.digest
        if digest not in self.policies:
            self.policies[digest] = PolicyCoverage(policy)
        return self.policies[digest]

    def decided(self, policy: Policy, verdict: Verdict) -> None:
        """Counts a verdict of this policy. One that is still pending, or that no rule and no default
        gave, such as that on a malformed packet, counts for nothing."""
        items = self.met(policy).items
        item = _decider(policy, verdict)
        if item in items:
            items[item].add(self.current)

    @property
    def percent(self) -> float:
        """Of all rules and defaults that were met; 0 without any policy."""
        total = sum(len(each.items) for each in self.policies.values())
        return 100 * sum(each.covered for each in self.policies.values()) / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        policies = [each.to_dict() for each in self.policies.values()]
        return {"percent": round(self.percent, 2), "policies": policies}

    def table(self) -> list[str]:
        """For people."""
        lines = [line for each in self.policies.values() for line in each.table()]
        return lines + [f"policy coverage {self.percent:.1f} %"]


def _decider(policy: Policy, verdict: Verdict) -> Item | None:
    if verdict.action == Action.PENDING:
        return None
    rule, group = policy.rule(verdict.rule), policy.group(verdict.group)
    if rule is not None:
        return Item(rule.group.id, rule.id)
    if verdict.reason not in _WALKED:
        return None
    return Item(group.id if group else "")


active: Coverage | None = None  # what libpolicy.testing feeds; the pytest plugin sets it
