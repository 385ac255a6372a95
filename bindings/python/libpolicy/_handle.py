# SPDX-License-Identifier: Apache-2.0
"""What owns an object of the library: frees it once, and only when nobody uses it any more.

A handle counts who holds it: its Python object, other objects that borrow it, calls under way. The
last one to let go frees it, so closing in any order, from any thread, leaves no dangling pointer.
"""
from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Callable, NoReturn, Type, TypeVar

from .errors import Closed, InUse

OwnedT = TypeVar("OwnedT", bound="Owned")


class Handle:
    __slots__ = ("_pointer", "_free", "_kept", "_holders", "_lock")

    def __init__(self, pointer: Any, free: Callable[[Any], None], kept: object = None) -> None:
        self._pointer = pointer
        self._free = free
        self._kept = kept # what the object may still use, such as the callback of its context
        self._holders = 1
        self._lock = threading.Lock()

    def hold(self) -> Any:
        """The pointer; release() gives it back."""
        with self._lock:
            if not self._holders:
                raise Closed("the object is closed")
            self._holders += 1
            return self._pointer

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders:
                return
            pointer, self._pointer = self._pointer, None
        self._free(pointer)

    # One call on an object that threads may share.
    def __enter__(self) -> Any:
        return self.hold()

    def __exit__(self, *_: object) -> None:
        self.release()


class Owned:
    """An object that owns memory of the library. It is freed by close(), at the end of a `with`
    block, or with the last reference to it; afterwards every method raises Closed."""

    __slots__ = ("_held", "__weakref__")

    def __init__(self, pointer: Any, free: Callable[[Any], None], kept: object = None) -> None:
        self._held: Handle | None = Handle(pointer, free, kept)

    @property
    def _handle(self) -> Handle:
        try:
            handle = self._held
        except AttributeError: # __init__() was never called, or it failed
            handle = None
        if handle is None:
            raise Closed(f"the {type(self).__name__} is closed")
        return handle

    @property
    def closed(self) -> bool:
        return getattr(self, "_held", None) is None

    def close(self) -> None:
        """Frees the object; a second time it does nothing. What others borrowed of it lives until
        they are closed too."""
        handle, self._held = getattr(self, "_held", None), None
        if handle is not None:
            handle.release()

    def __enter__(self: OwnedT) -> OwnedT:
        self._handle # raises when closed
        return self

    def __exit__(self, kind: Type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")


def turn(busy: threading.Lock, what: object) -> threading.Lock:
    """`with turn(busy, self):` is one call on an object that belongs to one thread at a time.

    It gives back the lock itself, since an exception of a signal handler (Ctrl-C) may come between
    a method of ours that takes it and the block that gives it back, but not between `with` and a
    lock. When two threads come so close together that neither sees the other here, one waits for
    the other's call.
    """
    if busy.locked():
        raise InUse(f"the {type(what).__name__} is in use by another thread")
    return busy


class Exclusive(Owned):
    """An Owned that belongs to one thread at a time. A second thread, or a callback of the same one,
    that comes while a call is under way gets InUse instead of a corrupt object."""

    __slots__ = ("_busy",)

    def __init__(self, pointer: Any, free: Callable[[Any], None], kept: object = None) -> None:
        self._busy = threading.Lock()
        super().__init__(pointer, free, kept)

    @property
    def _mine(self) -> threading.Lock:
        """`with self._mine:` is one call."""
        self._handle # raises when closed
        return turn(self._busy, self)

    @property
    def _pointer(self) -> Any:
        """Within that block only. It raises when the object was closed before the block began."""
        return self._handle._pointer

    def close(self) -> None:
        if self.closed:
            return
        if self._busy.locked():
            raise InUse(f"the {type(self).__name__} is in use and cannot be closed")
        with self._busy:
            super().close()
