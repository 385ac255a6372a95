# SPDX-License-Identifier: Apache-2.0
"""What words mean by themselves: numbers, times, addresses, names, and tables of key=value."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from keyword import iskeyword

from .script import Step, Word, octets_of, read_time

Address = IPv4Address | IPv6Address
Reader = Callable[[str], object]
Readers = Mapping[str, Reader]
Table = tuple[Readers, object]  # what reads a key, and whose attribute it becomes


class StepError(Exception):
    """A step that makes no sense."""


def number(limit: int) -> Callable[[str], int]:
    """A reader of decimal numbers up to the limit."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]+", text, re.ASCII) or int(text) > limit:
            raise ValueError(text)
        return int(text)

    return read


U8, U16, U32 = number(0xFF), number(0xFFFF), number(0xFFFF_FFFF)


def time(text: str) -> int:
    """A time in nanoseconds."""
    nanoseconds = read_time(text)
    if nanoseconds is None:
        raise ValueError(text)
    return nanoseconds


def choice(*words: str) -> Callable[[str], int]:
    """A reader of one of these words; the result is its place among them."""
    return list(words).index


def yes_no(text: str) -> bool:
    """"yes" or "no"."""
    return choice("no", "yes")(text) == 1


def name(text: str) -> str:
    """A name that fits into a DNS message: labels of 1 to 63 octets, 253 in all."""
    plain = re.sub(rb"\\[0-9]{3}", b"x", octets_of(text))
    labels = plain.removesuffix(b".").split(b".")
    fits = all(0 < len(label) <= 63 for label in labels) and len(plain) <= 253
    if text != "." and (not fits or b"\\" in plain):
        raise ValueError(text)
    return text


def address(text: str) -> Address:
    """An address as the library reads it: a mapped one is the IPv4 address it means."""
    if "%" in text:
        raise ValueError(text)
    found = ip_address(text)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


@dataclass(frozen=True)
class Endpoint:
    """An end of a packet."""

    addr: Address
    port: int | None = None

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.addr.version


_ENDPOINT = re.compile(r"\[([^\]]*)\](?::([0-9]+))?|([^:\[]+):([0-9]+)|([^\[]+)")


def endpoint(text: str) -> Endpoint:
    """"10.0.0.5", "10.0.0.5:443", "2001:db8::1" or "[2001:db8::1]:443"."""
    found = _ENDPOINT.fullmatch(text)
    if not found:
        raise ValueError(text)
    port = found[2] or found[4]
    addr = address(found[1] or found[3] or found[5] or "")
    return Endpoint(addr, None if port is None else U16(port))


class Args:
    """The arguments of a step, one after the other."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.verb = step.words[0].text
        self.rest = step.words[1:]

    def peek(self) -> Word | None:
        """The next word, or None."""
        return self.rest[0] if self.rest else None

    def next(self) -> Word | None:
        """Takes the next word."""
        return self.rest.pop(0) if self.rest else None

    def bare(self, what: str) -> str:
        """Takes the next word, which must have no key; `what` is for the error."""
        word = self.next()
        if word is None or word.key:
            raise StepError(f"{what} is missing")
        return word.text

    def end(self) -> None:
        """There must be no word left."""
        if self.rest:
            raise self.unknown(self.rest[0])

    def unknown(self, word: Word) -> StepError:
        """The word is not known to this verb."""
        return StepError(f'unknown word "{word}" for {self.verb}')

    def take(self, word: Word, *tables: Table) -> None:
        """Puts a key=value where the first table that knows the key says."""
        if not try_take(word, *tables):
            raise self.unknown(word)

    def take_rest(self, *tables: Table) -> None:
        """The same with every word that is left."""
        while (word := self.next()) is not None:
            self.take(word, *tables)

    def take_keys(self, *tables: Table) -> None:
        """The same with words up to the first that has no key."""
        while self.rest and self.rest[0].key:
            self.take(self.rest[0], *tables)
            self.rest.pop(0)


def try_take(word: Word, *tables: Table) -> bool:
    """False when no table knows the word."""
    for readers, into in tables:
        if word.key and word.key in readers:
            try:
                setattr(into, _attribute(word.key), readers[word.key](word.text))
            except ValueError:
                raise StepError(f'"{word.text}" is no {word.key}') from None
            return True
    return False


def _attribute(key: str) -> str:
    return key + "_" if iskeyword(key) else key
