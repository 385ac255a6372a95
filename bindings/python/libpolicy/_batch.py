# SPDX-License-Identifier: Apache-2.0
"""What packets, verdicts and events have in common when there are many of them."""
from __future__ import annotations

import ctypes
import operator
from typing import Any, ClassVar, Generic, Iterator, NoReturn, Sequence, TypeVar

from ._values import NONE, number

ItemT = TypeVar("ItemT")
BatchT = TypeVar("BatchT", bound="Batch[Any]")


class Batch(Generic[ItemT]):
    """Structs side by side in memory, made once and used again; `memory` and `dtype()` give numpy
    the fields without a copy."""

    __slots__ = ("_array", "_count")

    _kind: ClassVar[type[ctypes.Structure]]
    _word: ClassVar[str] # for messages
    _hidden: ClassVar[Sequence[str]] = () # fields that dtype() does not name

    def __init__(self, capacity: int = 256) -> None:
        self._array: Any = (self._kind * number(capacity, NONE, "capacity"))()
        self._count = 0

    @property
    def capacity(self) -> int:
        return len(self._array)

    def __len__(self) -> int:
        return self._count

    def _at(self, place: int) -> ItemT:
        raise NotImplementedError

    def _place(self, which: int) -> int:
        place = operator.index(which)
        if place < 0:
            place += self._count
        if not 0 <= place < self._count:
            raise IndexError(f"{self._word} {which} of {self._count}")
        return place

    def __getitem__(self, which: int) -> ItemT:
        return self._at(self._place(which))

    def __iter__(self) -> Iterator[ItemT]:
        return (self[i] for i in range(self._count))

    @property
    def memory(self) -> memoryview:
        """The octets of what is there, read-only, without a copy:
        numpy.frombuffer(batch.memory, dtype())."""
        return self._octets().toreadonly()

    def _octets(self) -> memoryview:
        return memoryview(self._array).cast("B")[:self._count * ctypes.sizeof(self._kind)]

    @classmethod
    def dtype(cls) -> dict[str, Any]:
        """What numpy.dtype() takes for one of them."""
        return dtype_of(cls._kind, cls._hidden)

    def copy(self: BatchT) -> BatchT:
        """A batch with memory of its own and the same in it."""
        made = type(self)(self.capacity)
        ctypes.memmove(made._array, self._array, ctypes.sizeof(self._array))
        made._count = self._count
        return made

    def __copy__(self: BatchT) -> BatchT:
        return self.copy()

    def __deepcopy__(self: BatchT, _memo: object) -> BatchT:
        return self.copy()

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self._count} of {self.capacity}>"


def dtype_of(kind: type[ctypes.Structure], leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """A struct in the form of numpy.dtype(): names, formats, offsets, itemsize."""
    fields = [field for field in kind._fields_ if field[0] not in leave_out]
    return {"names": [field[0] for field in fields],
            "formats": [_format_of(field[1]) for field in fields],
            "offsets": [getattr(kind, field[0]).offset for field in fields],
            "itemsize": ctypes.sizeof(kind)}


def _format_of(kind: Any) -> Any:
    if issubclass(kind, ctypes.Structure):
        return dtype_of(kind)
    if issubclass(kind, ctypes.Array):
        if kind._type_ is ctypes.c_char:
            return f"S{kind._length_}"
        return (_format_of(kind._type_), (kind._length_,))
    return f"u{ctypes.sizeof(kind)}"
