# SPDX-License-Identifier: Apache-2.0
"""Readiness: named checks in a fixed order."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Iterable, List

from . import _abi
from ._handle import Exclusive
from ._native import lib
from ._values import NEVER, borrowed, listed, number, terminated, written
from .context import Context, context_of
from .errors import check
from .worker import Worker


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    detail: str #: cause and fix; may be empty
    advisory: bool #: is shown, but does not make the whole not ready


class Readiness(Exclusive):
    """Whether a node is able to work. Every check begins as not ok, "not checked yet".

    Thread class: one thread at a time.
    """

    __slots__ = ()

    def __init__(self, names: Iterable[str] = _abi.POL_READY_CHECKS,
                 context: Context | None = None) -> None:
        kept = [terminated(name) for name in listed(names, "names")]
        array = (ctypes.c_char_p * len(kept))(*kept)
        context = context_of(context)
        pointer = ctypes.POINTER(_abi.pol_ready)()
        with context._handle as ctx:
            check(lib.pol_ready_new(ctx, array, len(kept), pointer), "names of checks")
        super().__init__(pointer, lib.pol_ready_free, context._held)

    def set(self, name: str, ok: bool, detail: str | None = None) -> None:
        """Sets a check. A detail says cause and fix in one line; it is cut at 255 octets. Raises
        NotFound when there is no such check."""
        text = None if detail is None else terminated(detail)
        with self._mine:
            check(lib.pol_ready_set(self._pointer, terminated(name), bool(ok), text),
                  f"check {name!r}")

    def advise(self, name: str, advisory: bool = True) -> None:
        """An advisory check is shown, but does not make the whole not ready."""
        with self._mine:
            check(lib.pol_ready_advise(self._pointer, terminated(name), bool(advisory)),
                  f"check {name!r}")

    def generations(self, wanted: int, workers: Iterable[Worker],
                    name: str = "policy_ready") -> bool:
        """Sets a check to whether every worker decides by this generation, or a newer one, yet."""
        wanted = number(wanted, NEVER, "generation")
        present = [worker.generation for worker in workers]
        done = sum(generation >= wanted for generation in present)
        ok = bool(present) and done == len(present)
        self.set(name, ok, None if ok else
                 f"{done} of {len(present)} workers use generation {wanted}; wait for the others")
        return ok

    def draining(self, draining: bool, detail: str = "stopping; send traffic elsewhere") -> None:
        """Sets the check "draining", which is ok as long as the node is not."""
        self.set("draining", not draining, detail if draining else None)

    @property
    def ok(self) -> bool:
        """Whether every check that is not advisory is ok."""
        with self._mine:
            return lib.pol_ready_ok(self._pointer)

    def report(self) -> List[Check]:
        line = _abi.pol_ready_line()
        found: List[Check] = []
        with self._mine:
            while lib.pol_ready_at(self._pointer, len(found), line):
                found.append(Check(borrowed(line.name), line.ok, borrowed(line.detail),
                                   line.advisory))
        return found

    def json(self) -> str:
        """As the HTTP API answers on /ready."""
        with self._mine:
            return written(lib.pol_json_ready, self._pointer).decode()
