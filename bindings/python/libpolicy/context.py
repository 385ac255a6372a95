# SPDX-License-Identifier: Apache-2.0
"""What every other object is made from."""
from __future__ import annotations

import ctypes
import secrets
from typing import Any, Callable, Mapping

from . import _abi
from ._abi import LogLevel
from ._handle import Owned
from ._native import lib
from ._values import borrowed, fill, known, number
from .errors import Invalid, check

Log = Callable[[LogLevel, str], object]


class Context(Owned):
    """The log, the secret that keys the hash tables, and limits on documents.

    Thread class: shareable. Immutable; any number of threads may use it.
    """

    __slots__ = ()

    def __init__(self, *, log: Log | None = None, hash_seed: tuple[int, int] | None = None,
                 limits: Mapping[str, int] | None = None) -> None:
        """
        log        gets a level and a line of text; may be called from any thread that uses an
                   object made from this context, and must not call back into it
        hash_seed  two 64-bit numbers; random and secret unless given (tests want them constant)
        limits     fields of pol_limits by name, such as {"rules": 1000}; the others keep their
                   defaults
        """
        if log is not None and not callable(log):
            raise TypeError(f"log: expected a function, not {type(log).__name__}")
        options = _abi.pol_ctx_options()
        lib.pol_ctx_options_init(options, ctypes.sizeof(options))
        if hash_seed is None:
            hash_seed = (secrets.randbits(64), secrets.randbits(64))
        if len(hash_seed) != 2:
            raise Invalid("a hash seed is two numbers")
        for i in range(2):
            options.hash_seed[i] = number(hash_seed[i], _abi.POL_NEVER, "hash seed")
        self._set_limits(options.limits, limits or {})
        # What is made from this context keeps its handle, and the handle the callback.
        callback = _abi.pol_log_fn(_logger(log)) if log is not None else None
        if callback is not None:
            options.log = callback
        pointer = ctypes.POINTER(_abi.pol_ctx)()
        check(lib.pol_ctx_new(options, pointer))
        super().__init__(pointer, lib.pol_ctx_unref, callback)

    @staticmethod
    def _set_limits(target: _abi.pol_limits, limits: Mapping[str, int]) -> None:
        known_names = [field[0] for field in target._fields_]
        for name in limits:
            if name not in known_names:
                raise Invalid(f"limit {name!r} is none of {', '.join(known_names)}")
        fill(target, list(limits.items()))


def _logger(log: Log) -> Callable[[Any, int, _abi.pol_str], None]:
    def forward(_user: Any, level: int, message: _abi.pol_str) -> None:
        log(known(LogLevel, level), borrowed(message))
    return forward


def context_of(context: Context | None) -> Context:
    """What an object is made from: the context it is given, or one of its own."""
    if context is None:
        return Context()
    if not isinstance(context, Context):
        raise TypeError(f"expected a Context, not {type(context).__name__}")
    return context
