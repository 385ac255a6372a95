# SPDX-License-Identifier: Apache-2.0
"""Which rule came nearest to matching, and what it would have needed: for error messages only, so
it is a plain reading of the document and decides nothing."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

from . import Event, Tap, _abi

Address = IPv4Address | IPv6Address
Match = dict[str, Any]

PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
SHOWN = 3  # entries of a list


@dataclass(frozen=True)
class Tried:
    """What a client tried, as selectors see it."""

    src: Address
    proto: int
    dst: Address | None = None
    src_port: int = 0
    dst_port: int = 0
    icmp_type: int | None = None
    name: str = ""  # asked for before; empty without a query
    sni: str | None = None  # None: no ClientHello was seen
    query: bool = False  # a DNS query: rules with a hostname look at nothing else


def nearest(document: dict[str, Any], tried: Tried, action: str) -> list[str]:
    """Lines about the rules with this action that came nearest, the nearest first."""
    groups = [g for g in document["source_groups"] if _holds_source(g["sources"], tried.src)]
    if not groups:
        return [f"{tried.src} is in no group", *_sources(document)]
    found = [
        (list(_misses(rule["match"], tried)), f"{group['id']}/{rule['id']}")
        for group in groups
        for rule in _rules(group, tried)
        if rule["action"] == action
    ]
    if not found:
        ids = ", ".join(group["id"] for group in groups)
        return [f"no rule of {ids} has the action {action}"]
    found.sort(key=lambda each: len(each[0]))
    return [line for misses, rule in found[:SHOWN] for line in _lines(rule, misses)]


def _rules(group: dict[str, Any], tried: Tried) -> list[dict[str, Any]]:
    """Those that can decide: rules for names, where a name is asked for and there are any."""
    rules: list[dict[str, Any]] = group["rules"]
    named = [rule for rule in rules if rule["match"]["dns_hostname"] is not None]
    return named if tried.query and named else rules


def _lines(rule: str, misses: list[str]) -> list[str]:
    if not misses:
        return [f"{rule} fits, and would decide if nothing before it did"]
    return [f"{rule} needs {misses[0]}", *(f"{'':{len(rule)}}   and {miss}" for miss in misses[1:])]


def _sources(document: dict[str, Any]) -> Iterator[str]:
    for group in document["source_groups"][:SHOWN]:
        listed = group["sources"]["cidrs"] + group["sources"]["ips"]
        yield f"{group['id']} has {', '.join(listed[:SHOWN])}{', ...' * (len(listed) > SHOWN)}"


def _holds_source(sources: dict[str, Any], src: Address) -> bool:
    return _in_networks(sources["cidrs"] + sources["ips"], src)


def _in_networks(networks: list[str], addr: Address) -> bool:
    return any(addr in ip_network(network, strict=False) for network in networks)


# --- what does not fit ---------------------------------------------------------------------------


def _misses(match: Match, tried: Tried) -> Iterator[str]:
    """What a rule's selectors would have needed; nothing when all of them fit."""
    by_name = tried.query and match["dns_hostname"] is not None
    for check in (_hostname,) if by_name else _CHECKS:
        yield from check(match, tried)


def _destination(match: Match, tried: Tried) -> Iterator[str]:
    networks = match["dst_cidrs"] + match["dst_ips"]
    if networks and tried.dst is not None and not _in_networks(networks, tried.dst):
        yield f"a destination in {_listed(networks)}; this is {tried.dst}"


def _hostname(match: Match, tried: Tried) -> Iterator[str]:
    pattern = match["dns_hostname"]
    if pattern is None or (tried.name and _found(pattern, tried.name)):
        return
    yield f'a name like "{pattern}"; {_asked(tried)}'


def _asked(tried: Tried) -> str:
    return f"{tried.name} is none" if tried.name else "no name was asked for"


def _protocol(match: Match, tried: Tried) -> Iterator[str]:
    wanted = match["proto"]
    if wanted in (None, "any"):
        return
    number = PROTOCOLS.get(str(wanted).lower(), wanted)
    if str(number) != str(tried.proto):
        yield f"proto {wanted}; this is {proto_word(tried.proto)}"


def _ports(match: Match, tried: Tried) -> Iterator[str]:
    for key, port in (("dst_ports", tried.dst_port), ("src_ports", tried.src_port)):
        if match[key] and not any(_in_range(each, port) for each in match[key]):
            yield f"{key} {_listed(match[key])}; {f'this is {port}' if port else 'this has none'}"


def _icmp(match: Match, tried: Tried) -> Iterator[str]:
    wanted = match["icmp_types"]
    if wanted and tried.icmp_type is not None and tried.icmp_type not in wanted:
        yield f"icmp_types {_listed(wanted)}; this is {tried.icmp_type}"


def _tls(match: Match, tried: Tried) -> Iterator[str]:
    wanted = match["tls"]
    if wanted is None:
        return
    if tried.sni is None:
        yield "a TLS ClientHello; none was seen"
    elif wanted["sni"] is not None and not _name_fits(wanted["sni"], tried.sni):
        yield f"tls.sni {_written(wanted['sni'])}; this is {tried.sni or 'missing'}"
    for key in ("server_san", "server_cn", "server_dn", "fingerprint_sha256"):
        if wanted[key]:
            yield f"tls.{key}, from a certificate that was not seen"


_CHECKS: tuple[Callable[[Match, Tried], Iterator[str]], ...] = (
    _hostname, _destination, _protocol, _ports, _icmp, _tls,
)  # fmt: skip


def _in_range(entry: int | str, port: int) -> bool:
    low, _, high = str(entry).partition("-")
    return int(low) <= port <= int(high or low)


def _name_fits(wanted: Any, name: str) -> bool:
    """A pattern, a list of exact names, or both."""
    if isinstance(wanted, str):
        return _found(wanted, name)
    if isinstance(wanted, list):
        return name.lower() in [str(each).lower() for each in wanted]
    exact, pattern = wanted.get("exact"), wanted.get("regex")
    return (not exact or _name_fits(exact, name)) and (not pattern or _found(pattern, name))


def _written(wanted: Any) -> str:
    return _listed(wanted) if isinstance(wanted, list) else f'"{wanted}"'


def _found(pattern: str, name: str) -> bool:
    """By the engine, whose patterns end: Python's could search for ever. One that reaches its limit
    fits nothing, as in a rule that allows."""
    octets = name.encode()
    event = _abi.pol_event(name=octets, name_len=len(octets))
    with Tap(hostnames=[pattern]) as tap:
        return tap.match(Event(event))


def _listed(entries: list[Any]) -> str:
    more = ", ..." if len(entries) > SHOWN else ""
    return ", ".join(str(entry) for entry in entries[:SHOWN]) + more


def proto_word(proto: int) -> str:
    """"tcp", or the number."""
    return next((word for word, number in PROTOCOLS.items() if number == proto), str(proto))
