# SPDX-License-Identifier: Apache-2.0
"""A scenario file cut into steps and words; nothing here knows what a verb means."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

STEP_WORDS = 96
_KEY = re.compile(rb"([a-z0-9_]+)=")
_ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b'"': b'"', b"\\": b"\\"}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ms|s|m|h)")


class ScriptError(Exception):
    """What is wrong with a scenario, and where: "path:line: message"."""

    def __init__(self, path: str, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.line = line


def text_of(octets: bytes) -> str:
    """Text that can be turned back into the same octets, whatever they are."""
    return octets.decode("utf-8", "surrogateescape")


def octets_of(text: str) -> bytes:
    """The reverse of text_of()."""
    return text.encode("utf-8", "surrogateescape")


def read_time(text: str) -> int | None:
    """Nanoseconds of "0s", "1.5s", "250ms", "10m" or "2h"; None where it is no time."""
    found = _TIME.fullmatch(text)
    if not found or float(found[1]) > 1e9:
        return None
    return int(float(found[1]) * _UNITS[found[2]] * 1e9 + 0.5)


@dataclass(frozen=True)
class Word:
    """A bare word, key=value, or text in quotes; the key is "" without one."""

    key: str
    octets: bytes
    quoted: bool

    @property
    def text(self) -> str:
        """The word without its key."""
        return text_of(self.octets)

    def is_bare(self, text: str) -> bool:
        """Whether it is just this word, without key and quotes."""
        return not self.key and not self.quoted and self.text == text

    def __str__(self) -> str:
        return f"{self.key}={self.text}" if self.key else self.text


@dataclass
class Step:
    """One line: the words before "expect" and those behind it."""

    line: int
    at: int
    words: list[Word]
    expected: list[Word]
    source: str
    document: bytes | None = None


@dataclass
class Script:
    """A whole file."""

    path: str
    title: str = ""
    proves: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        """Where files named in the scenario lie."""
        return Path(self.path).parent


def read(script: Script) -> None:
    """Reads the file that script.path names into the script.

    What was read before a mistake stays in it, so that a report can name the title.
    """
    try:
        octets = Path(script.path).read_bytes()
    except OSError as error:
        raise ScriptError(script.path, 0, "cannot be read") from error
    _Reader(script, octets).read()


class _Reader:
    """Where reading stands."""

    def __init__(self, script: Script, octets: bytes) -> None:
        self.script = script
        self.lines = octets.removesuffix(b"\n").split(b"\n") if octets else []
        self.line = 0
        self.now = 0  # of t=
        self.told = 0  # of this line: now, or what clock= says

    def read(self) -> None:
        self._head()
        while self.line < len(self.lines):
            self._step(self._next())

    def _wrong(self, message: str, line: int | None = None) -> ScriptError:
        return ScriptError(self.script.path, self.line if line is None else line, message)

    def _next(self) -> bytes:
        self.line += 1
        return self.lines[self.line - 1]

    def _head(self) -> None:
        if not self.lines or not self.lines[0].startswith(b"# "):
            raise self._wrong('the first line is not "# " and a title', 1)
        self.script.title = text_of(self._next()[2:])
        while self.line < len(self.lines) and self.lines[self.line].startswith(
            (b"# decisions ", b"# semantics ")
        ):
            self.script.proves.append(text_of(self._next()[2:]))
        if not self.script.proves:
            raise self._wrong("no line names a paragraph that is proved", 2)

    def _step(self, line: bytes) -> None:
        words = self._time("t", self._cut(line))
        if self.told < self.now:
            raise self._wrong("time goes back")
        self.now = self.told
        words = self._time("clock", words)
        if not words and self.told == self.now:
            return
        self._keep(words, text_of(line))

    def _keep(self, words: list[Word], source: str) -> None:
        at = next((i for i, word in enumerate(words) if word.is_bare("expect")), len(words))
        step = Step(self.line, self.told, words[:at], words[at + 1 :], source)
        self.script.steps.append(step)
        if at + 1 == len(words):
            raise self._wrong('nothing is written behind "expect"')
        for word in step.words:
            if not word.key and word.octets.startswith(b"<<"):
                step.document = self._document(word.octets[2:], step.line)
                break

    def _time(self, key: str, words: list[Word]) -> list[Word]:
        """Takes KEY=TIME off the front; without it, the moment is that of the last t=."""
        self.told = self.now
        if not words or words[0].key != key:
            return words
        told = read_time(words[0].text)
        if told is None:
            raise self._wrong(f'"{words[0].text}" is no time')
        self.told = told
        return words[1:]

    def _document(self, end: bytes, first: int) -> bytes:
        begin = self.line
        while self.line < len(self.lines):
            if self._next() == end:
                return b"".join(line + b"\n" for line in self.lines[begin : self.line - 1])
        raise self._wrong(f'no line "{text_of(end)}" ends the document', first)

    def _cut(self, line: bytes) -> list[Word]:
        words: list[Word] = []
        rest = line.lstrip(b" \t")
        while rest and not rest.startswith(b"#"):
            if len(words) == STEP_WORDS:
                raise self._wrong(f"more than {STEP_WORDS} words")
            word, rest = self._word(rest)
            words.append(word)
            rest = rest.lstrip(b" \t")
        return words

    def _word(self, rest: bytes) -> tuple[Word, bytes]:
        found = _KEY.match(rest)
        key = text_of(found[1]) if found else ""
        rest = rest[found.end() :] if found else rest
        if rest.startswith(b'"'):
            octets, rest = self._quoted(rest[1:])
            return Word(key, octets, True), rest
        end = re.search(rb"[ \t]|$", rest)
        at = end.start() if end else len(rest)
        return Word(key, rest[:at], False), rest[at:]

    def _quoted(self, rest: bytes) -> tuple[bytes, bytes]:
        out = b""
        while rest and rest[:1] != b'"':
            if rest[:1] == b"\\":
                octet, rest = self._escape(rest[1:])
            else:
                octet, rest = rest[:1], rest[1:]
            out += octet
        if not rest:
            raise self._wrong("a quoted text that does not end")
        return out, rest[1:]

    def _escape(self, rest: bytes) -> tuple[bytes, bytes]:
        if re.match(rb"x[0-9a-fA-F]{2}", rest):
            return bytes([int(rest[1:3], 16)]), rest[3:]
        if rest[:1] not in _ESCAPES:
            raise self._wrong("a quoted text that does not end")
        return _ESCAPES[rest[:1]], rest[1:]
