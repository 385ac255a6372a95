# SPDX-License-Identifier: Apache-2.0
"""Unit tests for a policy.

    from libpolicy import Policy
    from libpolicy.testing import assert_allows, assert_denies

    policy = Policy.load("policy.json")
    assert_allows(policy, "10.0.0.5", "api.example.com", 443)
    assert_denies(policy, "10.0.0.5", "192.0.2.7", 22, reason="policy_default")

Each call is a world of its own: a firewall that has just started, with this policy in force. A
name is asked for first, at a trusted resolver on the outside; if the policy lets the query through,
the answer is an address from a documentation range, and the client connects to that. A TCP client
that has to show what it speaks sends a ClientHello with that name. So the verdict is what the
traffic of a real client would get, from the engine itself.
"""
from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from operator import index
from typing import Any

from . import Action, Grants, Packet, Policy, Side, Verdict, VerdictFlag, Worker, coverage
from . import reason_text, seconds, word
from ._nearest import PROTOCOLS, Tried, nearest, proto_word
from .scenario.dnsmsg import TYPES, Message
from .scenario.frames import ACK, ICMP, ICMPV6, PSH, SYN, TCP, UDP, WITH_PORTS, Frame
from .scenario.hello import hello

__all__ = [
    "Attempt", "Outcome", "Seen", "assert_allows", "assert_audited", "assert_denies",
    "assert_intercepts", "assert_query", "attempt", "explain",
]

Address = IPv4Address | IPv6Address
AddressLike = str | Address

RESOLVERS = {4: "192.0.2.53", 6: "2001:db8::53"}
ADDRESSES = {4: "203.0.113.10", 6: "2001:db8:ffff::10"}
_CLIENT_PORT, _QUERY_PORT = 40000, 53000
_ECHO = {4: 8, 6: 128}
_NOT_TLS = b"SSH-2.0-client\r\n"
_TABLES: dict[str, Any] = {
    "flow_capacity": 64, "event_capacity": 64, "memo_capacity": 64, "pending_capacity": 4,
    "query_capacity": 16, "stream_capacity": 1, "fragment_capacity": 1, "member_capacity": 1,
}  # fmt: skip


# --- what is tried -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """What a client tries.

    dst        a name, which is asked for first, or an address
    port       of the destination; 0 where the protocol has none
    proto      "tcp", "udp", "icmp" (ICMPv6 for an IPv6 client) or a protocol number
    address    what the name resolves to, instead of an address for documentation; with it, the
               client connects even if its query was denied
    sni        server name of the ClientHello; dst if not given, "" for a hello without one
    tls        False: the client speaks something else
    icmp_type  an echo request if not given
    resolver   whom the client asks; trusted
    """

    src: Address
    dst: Address | str
    port: int = 0
    proto: int = TCP
    address: Address | None = None
    sni: str | None = None
    tls: bool = True
    icmp_type: int | None = None
    resolver: Address | None = None

    @property
    def name(self) -> str:
        """What is asked for; empty without a query."""
        return self.dst if isinstance(self.dst, str) else ""

    @property
    def target(self) -> Address:
        """Where the client connects to."""
        if not isinstance(self.dst, str):
            return self.dst
        return self.address or ip_address(ADDRESSES[self.src.version])

    @property
    def asked(self) -> Address:
        """The resolver."""
        return self.resolver or ip_address(RESOLVERS[self.src.version])

    def __str__(self) -> str:
        port = f" {proto_word(self.proto)}/{self.port}" if self.port else f" {self.proto_name}"
        return f"{self.src} > {self.dst}{port}"

    @property
    def proto_name(self) -> str:
        """"tcp", or the number."""
        return proto_word(self.proto)


# What a client can look up without quoting: a slip in an address must not pass for a name.
_LABEL = re.compile("[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NAME_MAX = 253


def _attempt(
    src: AddressLike, dst: AddressLike, port: int, proto: int | str, given: dict[str, Any]
) -> Attempt:
    source = _address(src)
    for key in ("address", "resolver"):
        if given.get(key) is not None:
            given[key] = _address(given[key])
    made = Attempt(source, _destination(dst), index(port), _proto(proto, source.version), **given)
    ends = [made.target, made.asked] if made.name else [made.target]
    if any(end.version != source.version for end in ends):
        raise ValueError(f"{made}: source and destination are of different families")
    if made.proto in WITH_PORTS and not 0 < port < 65536:
        raise ValueError(f"{made}: {made.proto_name} needs a port from 1 to 65535")
    if made.proto not in WITH_PORTS and port:
        raise ValueError(f"{made}: {made.proto_name} has no ports")
    _check_rest(made)
    return made


def _check_rest(made: Attempt) -> None:
    if made.icmp_type is not None and not 0 <= index(made.icmp_type) <= 255:
        raise ValueError(f"{made}: icmp_type {made.icmp_type} is not between 0 and 255")
    if made.proto != TCP and (made.sni is not None or not made.tls):
        raise ValueError(f"{made}: only TCP clients speak TLS here")
    if made.sni is not None and len(made.sni.encode()) > 255:
        raise ValueError(f"{made}: sni has at most 255 octets")
    if made.address is not None and not made.name:
        raise ValueError(f"{made}: address= says what a name resolves to, and there is none")


def _address(value: AddressLike) -> Address:
    """IPv4-mapped addresses are the IPv4 addresses they mean, as in the library."""
    if not isinstance(value, (str, IPv4Address, IPv6Address)):
        raise TypeError(f"expected an address, not {type(value).__name__}")
    found = ip_address(value)
    if isinstance(found, IPv4Address):
        return found
    if found.scope_id is not None:
        raise ValueError(f"{found} has a scope, which no policy knows")
    return found.ipv4_mapped or found


def _destination(dst: AddressLike) -> Address | str:
    try:
        return _address(dst)
    except ValueError:
        return _name(str(dst))


def _name(text: str) -> str:
    name = text.removesuffix(".").lower()
    labels = name.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit() or len(name) > _NAME_MAX:
        raise ValueError(f'"{text}" is neither an address nor a host name'
                         + ("" if text.isascii() else ', which begins with "xn--" on the wire'))
    return name


def _proto(proto: int | str, version: int) -> int:
    if isinstance(proto, int):
        if not 0 <= proto <= 255:
            raise ValueError(f"proto {proto} is not between 0 and 255")
        return proto
    if proto == "icmp" and version == 6:
        return ICMPV6
    if proto not in PROTOCOLS:
        raise ValueError(f'"{proto}" is no protocol; one of {", ".join(PROTOCOLS)}, or a number')
    return PROTOCOLS[proto]


# --- the world -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A packet, and what became of it."""

    what: str
    verdict: Verdict
    from_client: bool = True

    @property
    def result(self) -> str:
        """"allow", "audit" (allowed, because audit mode softened a denial), "deny", "pending" or
        "intercept"."""
        action = self.verdict.action
        if action == Action.ALLOW and self.verdict.flags & VerdictFlag.AUDIT:
            return "audit"
        if action in (Action.DENY, Action.REJECT, Action.ANSWER):
            return "deny"
        return word(action)


class _World:
    """A firewall that has just started, and a client."""

    def __init__(self, policy: Policy, tried: Attempt) -> None:
        self.policy = policy
        self.tried = tried
        self.seen: list[Seen] = []
        self.names: list[str] = []
        self.now = 0
        self.grants = Grants(policy.context, capacity=64)
        self.worker = Worker(policy, self.grants, trusted_resolvers=[tried.asked], **_TABLES)

    def close(self) -> None:
        self.worker.close()
        self.grants.close()

    def run(self) -> None:
        """All that the client does."""
        tried = self.tried
        if tried.name and not self._resolve() and tried.address is None:
            return
        verdict = self._connect()
        shows = verdict.action == Action.PENDING or verdict.flags & VerdictFlag.WATCHED
        speaks = tried.sni is not None or not tried.tls
        if tried.proto == TCP and verdict.allowed and (shows or speaks):
            self._speak()
        for group in self.policy.groups:
            found = self.grants.names(tried.target, self.now, group.key)
            self.names += [f"{grant.name} in {group.id} ({word(grant.kind)})"
                           for grant in found if grant.group_key == group.key]

    def ask(self) -> None:
        """Only the query."""
        self._resolve()

    def _resolve(self) -> bool:
        """Whether the client has got an answer."""
        tried = self.tried
        qtype = "A" if tried.src.version == 4 else "AAAA"
        query = Message.query(tried.name, TYPES[qtype], 1)
        frame = Frame(tried.src, tried.asked, UDP, _QUERY_PORT, 53, bytes(query.octets))
        if not self._send(f"query {qtype} {tried.name} to {tried.asked}", frame).allowed:
            return False
        answer = query.response()
        answer.record(tried.name, TYPES[qtype], tried.target.packed)
        back = Frame(tried.asked, tried.src, UDP, 53, _QUERY_PORT, bytes(answer.octets))
        return self._send(f"answer {tried.target}", back, from_client=False).allowed

    def _connect(self) -> Verdict:
        tried = self.tried
        frame = Frame(tried.src, tried.target, tried.proto, _CLIENT_PORT, tried.port)
        if tried.proto == TCP:
            frame.tcp_flags, frame.tcp_seq = SYN, 1000
        elif tried.proto in (ICMP, ICMPV6):
            frame.icmp_type, frame.dst_port = _icmp_type(tried), 1
        else:
            frame.payload = b"?"
        kind = "SYN" if tried.proto == TCP else tried.proto_name
        port = f" port {tried.port}" if tried.port else ""
        return self._send(f"{kind} to {tried.target}{port}", frame)

    def _speak(self) -> None:
        """The rest of the handshake, and the client's first octets."""
        tried = self.tried
        back = Frame(tried.target, tried.src, TCP, tried.port, _CLIENT_PORT)
        back.tcp_flags, back.tcp_seq, back.tcp_ack = SYN | ACK, 5000, 1001
        self._send("SYN+ACK", back, from_client=False)
        sni = tried.name if tried.sni is None else tried.sni
        frame = Frame(tried.src, tried.target, TCP, _CLIENT_PORT, tried.port)
        frame.payload = hello(sni or None) if tried.tls else _NOT_TLS
        frame.tcp_flags, frame.tcp_seq, frame.tcp_ack = PSH | ACK, 1001, 5001
        what = f"ClientHello with {'SNI ' + sni if sni else 'no SNI'}"
        self._send(what if tried.tls else "octets that are no TLS", frame)

    def _send(self, what: str, frame: Frame, from_client: bool = True) -> Verdict:
        self.now += seconds(0.01)
        side = Side.INSIDE if from_client else Side.OUTSIDE
        verdict = self.worker.decide(Packet.parse(frame.build(), side=side), self.now)
        self.seen.append(Seen(what, verdict, from_client))
        if coverage.active is not None:
            coverage.active.decided(self.policy, verdict)
        return verdict


def _icmp_type(tried: Attempt) -> int:
    return _ECHO[tried.src.version] if tried.icmp_type is None else tried.icmp_type


# --- what came of it -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt."""

    policy: Policy
    attempt: Attempt
    seen: tuple[Seen, ...]
    names: tuple[str, ...] = ()

    @property
    def last(self) -> Seen:
        """The client's newest packet, whose verdict is the verdict."""
        return [seen for seen in self.seen if seen.from_client][-1]

    @property
    def result(self) -> str:
        """As Seen.result, of the last one; "audit" also when only the query needed audit mode."""
        result = self.last.result
        softened = any(seen.result == "audit" for seen in self.seen)
        return "audit" if result == "allow" and softened else result

    @property
    def rule(self) -> str | None:
        """Id of the rule that decided."""
        rule = self.policy.rule(self.last.verdict.rule)
        return rule.id if rule else None

    @property
    def group(self) -> str:
        """Id of the group that decided; "default" for none."""
        group = self.policy.group(self.last.verdict.group)
        return group.id if group else "default"

    @property
    def reason(self) -> str:
        """"rule", "group_default", "policy_default", "dns_no_rule", ..."""
        return word(self.last.verdict.reason)

    def trace(self) -> str:
        """What happened packet by packet, the names that are known, and the nearest rules."""
        lines = [str(self.attempt)]
        width = max(len(seen.what) for seen in self.seen)
        for seen in self.seen:
            lines.append(f"  {seen.what:{width}}  {seen.result:7} {self._why(seen.verdict)}")
        if self.attempt.name and len(self.seen) > 1:
            names = ", ".join(self.names) or "none"
            lines.append(f"  names known for {self.attempt.target}: {names}")
        return "\n".join(lines)

    def nearest(self, action: str) -> list[str]:
        """Which rules with this action came nearest, and what they would have needed."""
        tried = self.attempt
        spoke = self.last.what.startswith("ClientHello")
        if self.last.what.startswith("query"):
            made = Tried(tried.src, UDP, tried.asked, _QUERY_PORT, 53, name=tried.name, query=True)
        else:
            made = Tried(
                tried.src, tried.proto, tried.target, _CLIENT_PORT, tried.port,
                _icmp_type(tried) if tried.proto in (ICMP, ICMPV6) else None, tried.name,
                (tried.name if tried.sni is None else tried.sni) if spoke else None,
            )  # fmt: skip
        return nearest(self.policy.to_dict(), made, action)

    def _why(self, verdict: Verdict) -> str:
        rule, group = self.policy.rule(verdict.rule), self.policy.group(verdict.group)
        if rule is not None and word(verdict.reason) == "rule":
            return f"rule {rule.group.id}/{rule.id}"
        where = f" ({group.id})" if group else ""
        return f"{word(verdict.reason)}{where}: {reason_text(verdict.reason)}"


def attempt(
    policy: Policy,
    src: AddressLike,
    dst: AddressLike,
    port: int = 0,
    *,
    proto: int | str = "tcp",
    mode: str | None = None,
    **given: Any,
) -> Outcome:
    """Tries it, and says what came of it.

    :param mode: "enforce" or "audit": as if every group and rule of the policy were in that mode
    :param given: further fields of Attempt: address, sni, tls, icmp_type, resolver
    """
    return _run(_in_mode(policy, mode), _attempt(src, dst, port, proto, dict(given)))


def _run(policy: Policy, tried: Attempt, query_only: bool = False) -> Outcome:
    world = _World(policy, tried)
    try:
        if query_only:
            world.ask()
        else:
            world.run()
        return Outcome(policy, tried, tuple(world.seen), tuple(world.names))
    finally:
        world.close()


def _in_mode(policy: Policy, mode: str | None) -> Policy:
    if not isinstance(policy, Policy):
        raise TypeError(f"expected a Policy, not {type(policy).__name__}")
    if mode is None:
        return policy
    if mode not in ("audit", "enforce"):
        raise ValueError(f'mode "{mode}" is neither audit nor enforce')
    document = policy.to_dict()
    for group in document["source_groups"]:
        group["mode"] = mode
        for rule in group["rules"]:
            rule["mode"] = None
    return Policy(json.dumps(document), policy.context)


def explain(
    policy: Policy, src: AddressLike, dst: AddressLike, port: int = 0, **given: Any
) -> str:
    """What would happen and why, in words; arguments as of attempt()."""
    outcome = attempt(policy, src, dst, port, **given)
    return _explained(outcome, "deny" if outcome.result in ("allow", "audit") else "allow")


def _explained(outcome: Outcome, action: str) -> str:
    lines = outcome.nearest(action)
    nearest_lines = [f"  nearest with action {action}:", *(f"    {line}" for line in lines)]
    return "\n".join([outcome.trace(), *nearest_lines])


# --- assertions ----------------------------------------------------------------------------------

_HINTS = {
    ("allow", "audit"): "it is let through by audit mode only: assert_audited() expects that",
    ("deny", "audit"): "audit mode lets it through: assert_audited() expects that, "
    'and mode="enforce" shows what comes later',
    ("audit", "deny"): "it is denied in earnest, not in audit mode",
    ("audit", "allow"): "nothing here would be denied",
}


def _check(outcome: Outcome, result: str, wanted: dict[str, str | None]) -> Outcome:
    __tracebackhide__ = True
    came = {"rule": outcome.rule, "group": outcome.group, "reason": outcome.reason}
    faults = [] if outcome.result == result else [f"expected {result}, came {outcome.result}"]
    if (result, outcome.result) in _HINTS:
        faults.append(_HINTS[result, outcome.result])
    for key, value in wanted.items():
        if value is not None and value != came[key]:
            faults.append(f"expected {key} {value}, came {came[key] or 'none'}")
    if faults:
        action = "allow" if result == "allow" else "deny"
        raise AssertionError("\n".join([*faults, _explained(outcome, action)]))
    return outcome


def _asserted(
    result: str,
    policy: Policy,
    src: AddressLike,
    dst: AddressLike,
    port: int,
    given: dict[str, Any],
) -> Outcome:
    __tracebackhide__ = True
    wanted = {key: given.pop(key, None) for key in ("rule", "group", "reason")}
    return _check(attempt(policy, src, dst, port, **given), result, wanted)


def assert_allows(
    policy: Policy, src: AddressLike, dst: AddressLike, port: int = 0, **given: Any
) -> Outcome:
    """The policy lets it through, and not only because of audit mode.

    :param given: fields of Attempt, `mode`, and what is expected beside it: rule=, group= (ids) and
        reason= (a word such as "group_default")
    """
    __tracebackhide__ = True
    return _asserted("allow", policy, src, dst, port, given)


def assert_denies(
    policy: Policy, src: AddressLike, dst: AddressLike, port: int = 0, **given: Any
) -> Outcome:
    """The policy stops it, the query for its name or the connection; arguments as of
    assert_allows()."""
    __tracebackhide__ = True
    return _asserted("deny", policy, src, dst, port, given)


def assert_audited(
    policy: Policy, src: AddressLike, dst: AddressLike, port: int = 0, **given: Any
) -> Outcome:
    """Audit mode lets it through, and reports it as a denial; arguments as of assert_allows()."""
    __tracebackhide__ = True
    return _asserted("audit", policy, src, dst, port, given)


def assert_intercepts(
    policy: Policy, src: AddressLike, dst: AddressLike, port: int = 443, **given: Any
) -> Outcome:
    """The connection goes to TLS interception; arguments as of assert_allows()."""
    __tracebackhide__ = True
    return _asserted("intercept", policy, src, dst, port, given)


def assert_query(
    policy: Policy,
    src: AddressLike,
    name: str,
    expect: str = "allow",
    *,
    mode: str | None = None,
    resolver: AddressLike | None = None,
    rule: str | None = None,
    group: str | None = None,
    reason: str | None = None,
) -> Outcome:
    """The query for the name alone is let through ("allow"), stopped ("deny") or softened
    ("audit")."""
    __tracebackhide__ = True
    if expect not in ("allow", "deny", "audit"):
        raise ValueError(f'expect "{expect}" is none of allow, deny, audit')
    tried = _attempt(src, name, 53, UDP, {"resolver": resolver})
    if not tried.name:
        raise ValueError(f"{name} is no name that could be asked for")
    outcome = _run(_in_mode(policy, mode), tried, query_only=True)
    return _check(outcome, expect, {"rule": rule, "group": group, "reason": reason})
