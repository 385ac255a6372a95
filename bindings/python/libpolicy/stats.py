# SPDX-License-Identifier: Apache-2.0
"""Counters, summed over workers."""
from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, List

from . import _abi
from ._handle import Exclusive
from ._native import lib
from ._values import static, terminated, written
from .context import Context, context_of
from .errors import check
from .grants import Grants

if TYPE_CHECKING:
    from .worker import Worker


@dataclass(frozen=True)
class CounterInfo:
    """What a counter counts. One name may have several, told apart by their labels."""

    name: str #: as in Prometheus: "dp_packets_total"
    labels: str #: 'direction="outbound",proto="tcp"'; may be empty
    unit: str #: "packets", "bytes", ...; may be empty
    help: str #: when it moves
    is_gauge: bool
    by_group: bool #: has one value per group besides

    @property
    def key(self) -> str:
        return f"{self.name}{{{self.labels}}}" if self.labels else self.name


def describe() -> List[CounterInfo]:
    """All counters there are. Those of one name are neighbours."""
    found = []
    for i in range(lib.pol_counter_count()):
        c = lib.pol_counter_describe(i).contents
        found.append(CounterInfo(static(c.name), static(c.labels), static(c.unit), static(c.help),
                                 c.is_gauge, c.by_group))
    return found


INFO = tuple(describe())
NAMES = frozenset(info.name for info in INFO)


class Counters(Exclusive, Mapping[str, int]):
    """A sum over workers, as a mapping from key to value.

    The keys are name and labels, 'dp_packets_total{direction="outbound",proto="tcp"}'. Asked with
    a name alone, or with a part of the labels, it sums the counters that have them.

    Thread class: one thread at a time.
    """

    __slots__ = ()

    def __init__(self, context: Context | None = None) -> None:
        context = context_of(context)
        pointer = ctypes.POINTER(_abi.pol_counters)()
        with context._handle as ctx:
            check(lib.pol_counters_new(ctx, pointer))
        super().__init__(pointer, lib.pol_counters_free, context._held)

    def add(self, worker: Worker) -> None:
        """Adds a worker's counters; the worker may be at work in another thread meanwhile. Each
        value is read as a whole, the set of them is no snapshot."""
        from .worker import Worker as Kind
        if not isinstance(worker, Kind):
            raise TypeError(f"expected a Worker, not {type(worker).__name__}")
        with self._mine, worker._handle as pointer:
            lib.pol_counters_add(self._pointer, pointer)

    def add_grants(self, grants: Grants) -> None:
        """Adds the numbers of a grant table."""
        if not isinstance(grants, Grants):
            raise TypeError(f"expected a Grants, not {type(grants).__name__}")
        with self._mine, grants._handle as pointer:
            lib.pol_counters_add_grants(self._pointer, pointer)

    def clear(self) -> None:
        with self._mine:
            lib.pol_counters_clear(self._pointer)

    def value(self, name: str, labels: str = "") -> int:
        """One value, summed over groups and over all labels that are not named. 0 if unknown."""
        with self._mine:
            return lib.pol_counters_value(self._pointer, terminated(name), terminated(labels))

    def __getitem__(self, key: str) -> int:
        name, _, labels = key.partition("{")
        if name not in NAMES:
            raise KeyError(key)
        return self.value(name, labels.rstrip("}"))

    def __iter__(self) -> Iterator[str]:
        return (info.key for info in INFO)

    def __len__(self) -> int:
        return len(INFO)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.partition("{")[0] in NAMES

    def info(self, name: str) -> List[CounterInfo]:
        """What is known of the counters of a name."""
        found = [info for info in INFO if name in (info.name, info.key)]
        if not found:
            raise KeyError(name)
        return found

    def json(self) -> str:
        """The objects "dataplane", "dns" and "tls" of the HTTP API's statistics."""
        with self._mine:
            return "{" + written(lib.pol_json_stats, self._pointer).decode() + "}"

    def metrics(self) -> str:
        """All counters in the Prometheus text format."""
        with self._mine:
            return written(lib.pol_metrics_text, self._pointer, capacity=1 << 16).decode()

    def __repr__(self) -> str:
        return f"<Counters{', closed' if self.closed else ''}>"
