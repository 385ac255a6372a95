# SPDX-License-Identifier: Apache-2.0
"""What came of a step, as words, and whether it is what the scenario expects."""
from __future__ import annotations

import enum
import json
from collections.abc import Iterator

from .script import Step, Word

OUTCOMES = frozenset(
    "allow deny reject pending intercept answer servfail accepted rejected live held gone found "
    "none".split()
)
# In the order of the bits of enum pol_verdict_flag.
FLAGS = (
    "opened known rejudged watched audit side_inferred reply related named sni_seen sni_mismatch"
).split()


class Holding(enum.Enum):
    """Whether an expectation holds, or could not be held to this step at all."""

    HOLDS = enum.auto()
    FAILS = enum.auto()
    SENSELESS = enum.auto()


class Facts:
    """One word that says it all ("allow"), flags, and key=value facts.

    A key may have several values, such as one for each event, or none: it can be expected here,
    but nothing came.
    """

    def __init__(self) -> None:
        self.word: str | None = None
        self.flags: list[str] = []
        self.list: list[tuple[str, str | None]] = []

    def add(self, key: str, value: object) -> None:
        """Adds a fact; its value is kept as text."""
        self.list.append((key, str(value)))

    def declare(self, *keys: str) -> None:
        """Makes keys known that may get no value."""
        self.list += [(key, None) for key in keys]

    def values(self, key: str) -> list[str]:
        """All values of a key."""
        return [value for found, value in self.list if found == key and value is not None]

    def __str__(self) -> str:
        words = [self.word] if self.word else []
        words += self.flags
        words += [f"{k}={v}" for k, v in self.list if v is not None and k != "json"]
        return " ".join(words)

    def faults(self, step: Step) -> Iterator[str]:
        """A line for each expectation of the step that does not hold."""
        for word in step.expected:
            holding = self._holds(word)
            if holding is Holding.FAILS:
                yield f"expected {word}"
            elif holding is Holding.SENSELESS:
                yield f"cannot be expected here {word}"

    def trace(self, file: str, step: Step) -> str:
        """All of it as one line of JSON, as scenario_runner --trace prints it."""
        row = {
            "file": file,
            "line": step.line,
            "word": self.word,
            "flags": self.flags,
            "facts": [[key, value] for key, value in self.list if value is not None],
        }
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"))

    def _holds(self, word: Word) -> Holding:
        if word.key:
            return self._key_holds(word)
        text = word.text.removeprefix("!")
        absent = text != word.text
        if text in FLAGS:
            return Holding.HOLDS if (text in self.flags) != absent else Holding.FAILS
        if absent or self.word is None or text not in OUTCOMES:
            return Holding.SENSELESS
        return Holding.HOLDS if self.word == text else Holding.FAILS

    def _key_holds(self, word: Word) -> Holding:
        if all(key != word.key for key, _ in self.list):
            return Holding.SENSELESS
        fits = any(_value_fits(word, value) for value in self.values(word.key))
        return Holding.HOLDS if fits else Holding.FAILS


def _value_fits(word: Word, value: str) -> bool:
    """A diagnostic is expected by how it begins, a text by a part of it, all else exactly."""
    if word.key in ("error", "warning"):
        return value.startswith(word.text)
    if word.key in ("text", "json"):
        return word.text in value
    return value == word.text
