# SPDX-License-Identifier: Apache-2.0
"""Finds the library, loads it, and makes sure that it is the one these declarations are for."""
from __future__ import annotations

import ctypes
import os
import pathlib

from . import _abi

SONAME = "libpolicy.so.0"


def candidates() -> list[str]:
    """Where the library may be, the first one that is there counts: what the environment names, what
    came with the wheel, what the system has."""
    named = os.environ.get("LIBPOLICY_LIBRARY")
    if named:
        return [named]
    bundled = pathlib.Path(__file__).with_name(SONAME)
    return [str(bundled)] if bundled.exists() else [SONAME]


def load() -> _abi.Library:
    path = candidates()[0]
    try:
        loaded = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(
            f"libpolicy cannot be loaded: {error}; install it, or name it in LIBPOLICY_LIBRARY"
        ) from None
    try:
        library = _abi.Library(loaded)
    except AttributeError as error:
        raise ImportError(f"{describe(loaded, path)}: {error}") from None
    wrong = wrong_sizes(library)
    if wrong:
        raise ImportError(f"{describe(loaded, path)}: {'; '.join(wrong)}")
    return library


def describe(loaded: ctypes.CDLL, path: str) -> str:
    """Both versions, for the message that they do not fit."""
    version = "of unknown version"
    if hasattr(loaded, "pol_version"):
        loaded.pol_version.restype = ctypes.c_char_p
        version = str((loaded.pol_version() or b"").decode())
    return (f"this binding is made for libpolicy {_abi.POL_VERSION_TEXT} and does not fit "
            f"{path}, which is {version}")


def wrong_sizes(library: _abi.Library) -> list[str]:
    """Structs that the library, or this Python, lays out in another way than the headers did."""
    wrong = []
    for kind, (size, offsets) in _abi.LAYOUT.items():
        name = kind.__name__
        theirs = library.pol_abi_size(name.encode())
        if theirs != size:
            wrong.append(f"{name} has {theirs} octets there and {size} here")
        ours = tuple(getattr(kind, field[0]).offset for field in kind._fields_)
        if (ctypes.sizeof(kind), ours) != (size, offsets):
            wrong.append(f"{name} is laid out differently on this machine")
    return wrong


lib = load()
