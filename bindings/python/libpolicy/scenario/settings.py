# SPDX-License-Identifier: Apache-2.0
"""option: what a scenario says before everything else."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from libpolicy import Control, ControlPolicy

from .words import U32, Args, Readers, StepError, Table, address, choice, number, time, yes_no

ADDRESSES = 16
_POLICIES = ("pass", "judge", "drop")
TRUSTED = ("192.0.2.53", "2001:db8::53")


def _prefixes(text: str) -> list[str]:
    parts = text.split(",")
    if len(parts) > ADDRESSES:
        raise ValueError(text)
    for part in parts:
        addr, slash, length = part.partition("/")
        if slash:
            number(32 if address(addr).version == 4 else 128)(length)
        else:
            address(addr)
    return parts


def _addresses(text: str) -> list[str]:
    if "/" in text:
        raise ValueError(text)
    return _prefixes(text)


def _trust(text: str) -> list[str] | str:
    if text == "all":
        return text
    return [] if text == "none" else _addresses(text)


def _control(text: str) -> dict[Control, ControlPolicy]:
    """"KIND:POLICY,KIND:POLICY"."""
    chosen = {}
    for part in text.split(","):
        kind, _, policy = part.partition(":")
        chosen[_kind(kind)] = ControlPolicy(choice(*_POLICIES)(policy))
    return chosen


def _kind(text: str) -> Control:
    try:
        return Control[text.upper()]
    except KeyError:
        raise ValueError(text) from None


_WORKER: Readers = {
    "sni_check": choice("off", "log", "enforce"),
    "midstream": choice("judge", "deny"),
    "control": _control,
    "inside": _prefixes,
    "own": _addresses,
    "inside_resolvers": _addresses,
    **dict.fromkeys(("reject_inside", "admit_outside"), yes_no),
    **dict.fromkeys(
        ("midstream_window", "query_timeout", "tls_timeout", "report_interval"), time
    ),
    **dict.fromkeys(
        (
            "flow_capacity", "event_capacity", "memo_capacity", "pending_capacity",
            "query_capacity", "stream_capacity", "fragment_capacity", "member_capacity",
            "certificate_capacity",
        ),
        U32,
    ),
}  # fmt: skip
_RENAMED = {"anchors": "trust_anchors"}
# What the scenario calls it, and what the library does.
_GRANTS = {
    "grant_capacity": "capacity", "addresses_per_name": "addresses_per_name",
    "names_per_address": "names_per_address", "ttl_min": "ttl_min", "ttl_max": "ttl_max",
    "grant_idle": "idle", "grant_idle_two_way": "idle_two_way",
}  # fmt: skip
_GRANT_NUMBERS = ("grant_capacity", "addresses_per_name", "names_per_address")
_LIMITS = {
    "limit_document": "document_bytes", "limit_groups": "groups", "limit_rules": "rules",
    "limit_id": "id_bytes", "limit_pattern": "pattern_bytes",
}  # fmt: skip
_OWN: Readers = {
    "ports": choice("pair", "one"), "default_allow": yes_no, "trust": _trust, "wall": U32,
}  # fmt: skip


@dataclass
class Settings:
    """All of them, as the objects of the library take them."""

    ports: int = 0  # 0: a pair; 1: one port
    default_allow: bool = False
    wall: int = 1_780_272_000  # seconds since 1970 at the moment 0, June 2026; 0: nobody says
    data: Path = Path()  # where files named by `anchors` and `flight` are
    trust: list[str] | str = field(default_factory=lambda: list(TRUSTED))
    worker: SimpleNamespace = field(default_factory=SimpleNamespace)
    grants: SimpleNamespace = field(default_factory=SimpleNamespace)
    limits: SimpleNamespace = field(default_factory=SimpleNamespace)

    def tables(self) -> list[Table]:
        """Which word goes where."""
        grants = {key: U32 if key in _GRANT_NUMBERS else time for key in _GRANTS}
        return [
            (_OWN, self),
            ({"anchors": self._anchors}, self.worker),
            (_WORKER, self.worker),
            (grants, self.grants),
            (dict.fromkeys(_LIMITS, U32), self.limits),
        ]

    def _anchors(self, name: str) -> bytes:
        return read_data(self.data / f"{name}.pem")

    def worker_options(self) -> dict[str, Any]:
        """Of a worker."""
        trusted = [] if isinstance(self.trust, str) else self.trust
        return {
            "trusted_resolvers": trusted,
            "trust_all_resolvers": self.trust == "all",
            **{_RENAMED.get(key, key): value for key, value in vars(self.worker).items()},
        }

    def grants_options(self) -> dict[str, Any]:
        """Of a grant table."""
        return {_GRANTS[key]: value for key, value in vars(self.grants).items()}

    def context_limits(self) -> dict[str, int]:
        """Of a context: what a document may hold."""
        return {_LIMITS[key]: value for key, value in vars(self.limits).items()}


def read_data(path: Path) -> bytes:
    """What a server has sent, or a certificate."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error: # a NUL is no OSError
        raise ValueError(path) from error


def take_options(settings: Settings, args: Args, begun: bool) -> None:
    """option KEY=VALUE..."""
    if begun:
        raise StepError("options come before everything else")
    args.take_rest(*settings.tables())
