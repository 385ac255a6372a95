# SPDX-License-Identifier: Apache-2.0
"""Policy documents, checked and compiled."""
from __future__ import annotations

import ctypes
import json
import operator
import os
import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping, Sequence, TypeVar, Union

from . import _abi
from ._abi import DiagCode, Mode, Need, Severity, VerdictFlag
from ._handle import Owned
from ._native import lib
from ._values import Text, borrowed, known, member, static, word, written
from .context import Context, context_of
from .errors import Invalid, PolicyRejected, check

if TYPE_CHECKING:
    from .verdict import Verdict

ItemT = TypeVar("ItemT")
Document = Union[str, bytes, Mapping[str, Any]]


@dataclass(frozen=True)
class Diagnostic:
    """What the compiler has to say about one place of a document."""

    severity: Severity
    code: DiagCode
    path: str #: JSON pointer (RFC 6901)
    line: int #: from 1; 0 when unknown
    column: int
    text: str

    def __str__(self) -> str:
        where = f" ({self.path})" if self.path else ""
        return f"{self.line}:{self.column}: {self.severity.name.lower()}: {self.text}{where}"


class PolicyError(PolicyRejected):
    """A document that was rejected. `diagnostics` has all errors and warnings in document order;
    `errors_json` is what the HTTP API answers."""

    def __init__(self, diagnostics: Sequence[Diagnostic], errors_json: str) -> None:
        self.diagnostics = list(diagnostics)
        self.errors_json = errors_json
        errors = [each for each in diagnostics if each.severity is Severity.ERROR]
        super().__init__("\n".join(map(str, errors)) or "the document was rejected")


@dataclass(frozen=True)
class Group:
    """A source group, numbered in evaluation order."""

    index: int
    id: str
    key: int #: under which grants are kept for it; the same after every reload


@dataclass(frozen=True)
class Rule:
    """A rule, numbered in evaluation order through all groups."""

    index: int
    id: str
    group: Group


class Policy(Owned):
    """A compiled policy document. It decides nothing itself: workers use it.

    Thread class: shareable. Immutable; any number of threads may use it.
    """

    __slots__ = ("_context", "_groups", "_rules", "_warnings", "_warnings_json")

    def __init__(self, document: Document, context: Context | None = None, *,
                 default_allow: bool = False, absent_mode: Mode | str = Mode.REQUIRED) -> None:
        """
        document       JSON as text or octets, or the object that it would be
        default_allow  what an absent default_policy resolves to
        absent_mode    how a group without "mode" is taken; REQUIRED: an error

        Raises PolicyError for a document with errors.
        """
        text = document_text(document)
        self._context = context_of(context)
        options = _abi.pol_compile_options()
        lib.pol_compile_options_init(options, ctypes.sizeof(options))
        options.default_allow = bool(default_allow)
        options.absent_mode = member(Mode, absent_mode, "absent_mode")
        pointer = ctypes.POINTER(_abi.pol_policy)()
        found = ctypes.POINTER(_abi.pol_diags)()
        with self._context._handle as ctx:
            status = lib.pol_compile(ctx, Text(text), options, pointer, found)
        try:
            self._warnings = _diagnostics(found)
            if status == _abi.Status.E_POLICY:
                raise PolicyError(self._warnings, written(lib.pol_json_errors, found).decode())
            self._warnings_json = written(lib.pol_json_diags, found).decode() if found else "[]"
        finally:
            lib.pol_diags_free(found)
        check(status)
        super().__init__(pointer, lib.pol_policy_unref, self._context._held)
        self._groups = self._read_groups(pointer)
        self._rules = self._read_rules(pointer)

    @classmethod
    def load(cls, path: str | os.PathLike[str], context: Context | None = None, *,
             default_allow: bool = False, absent_mode: Mode | str = Mode.REQUIRED) -> Policy:
        """Reads and compiles a file."""
        try:
            return cls(pathlib.Path(path).read_bytes(), context, default_allow=default_allow,
                       absent_mode=absent_mode)
        except PolicyError as error:
            error.add_note(f"in {os.fspath(path)}")
            raise

    @staticmethod
    def _read_groups(policy: Any) -> tuple[Group, ...]:
        return tuple(Group(i, borrowed(lib.pol_policy_group_id(policy, i)),
                           lib.pol_policy_group_key(policy, i))
                     for i in range(lib.pol_policy_group_count(policy)))

    def _read_rules(self, policy: Any) -> tuple[Rule, ...]:
        return tuple(Rule(i, borrowed(lib.pol_policy_rule_id(policy, i)),
                          self._groups[lib.pol_policy_rule_group(policy, i)])
                     for i in range(lib.pol_policy_rule_count(policy)))

    @property
    def context(self) -> Context:
        return self._context

    @property
    def warnings(self) -> list[Diagnostic]:
        """What the compiler thinks the author may not mean."""
        return list(self._warnings)

    @property
    def warnings_json(self) -> str:
        """The warnings as the HTTP API shows them."""
        return self._warnings_json

    @property
    def groups(self) -> tuple[Group, ...]:
        return self._groups

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self._rules

    def group(self, which: int | str | None) -> Group | None:
        """A group by its number or id; None for None, what verdicts have without a group."""
        if which is None:
            return None
        if isinstance(which, str):
            found = [group for group in self._groups if group.id == which]
            if not found:
                raise Invalid(f"there is no group {which!r}")
            return found[0]
        return _numbered(self._groups, which, "group")

    def rule(self, which: int | None) -> Rule | None:
        """A rule by its number; None for None, what verdicts have without a rule."""
        if which is None:
            return None
        return _numbered(self._rules, which, "rule")

    def explain(self, verdict: Verdict) -> str:
        """A verdict in words: 'allow by rule "web" of group "site": a rule matched'."""
        where = ""
        group, rule = self.group(verdict.group), self.rule(verdict.rule)
        if rule is not None:
            where = f' by rule "{rule.id}" of group "{rule.group.id}"'
        elif group is not None:
            where = f' by group "{group.id}"'
        audited = f" ({word(verdict.raw_action)} but for audit mode)" \
            if verdict.flags & VerdictFlag.AUDIT else ""
        text = static(lib.pol_reason_text(int(verdict.reason)))
        return f"{word(verdict.action)}{where}: {text}{audited}"

    def json(self) -> str:
        """The accepted document: every key present, the default resolved. Compiling it again gives
        an equal policy."""
        with self._handle as policy:
            return written(lib.pol_policy_json, policy).decode()

    def to_dict(self) -> dict[str, Any]:
        """json() as an object."""
        document: dict[str, Any] = json.loads(self.json())
        return document

    @property
    def digest(self) -> bytes:
        """SHA-256 of json(); equal digests mean equal documents."""
        digest = (ctypes.c_uint8 * 32)()
        with self._handle as policy:
            lib.pol_policy_digest(policy, digest)
        return bytes(digest)

    @property
    def default_allow(self) -> bool:
        with self._handle as policy:
            return lib.pol_policy_default_allow(policy)

    @property
    def needs(self) -> Need:
        """What the policy needs from a node."""
        with self._handle as policy:
            return Need(lib.pol_policy_needs(policy))

    @property
    def memory(self) -> int:
        """Octets that the compiled policy holds."""
        with self._handle as policy:
            return lib.pol_policy_memory(policy)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Policy):
            return NotImplemented
        return self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        if self.closed:
            return "<Policy, closed>"
        return f"<Policy {self.digest[:4].hex()}, {len(self._groups)} groups, " \
               f"{len(self._rules)} rules>"


def _numbered(items: Sequence[ItemT], which: int, what: str) -> ItemT:
    place = operator.index(which)
    if not 0 <= place < len(items):
        raise Invalid(f"there is no {what} {which}; the policy has {len(items)}")
    return items[place]


def document_text(document: Document) -> str | bytes:
    if isinstance(document, (str, bytes)):
        return document
    if isinstance(document, Mapping):
        return json.dumps(document, default=_plain)
    raise TypeError("a policy document is JSON text or an object; Policy.load() takes a path")


def _plain(value: object) -> dict[str, Any]:
    """What json cannot write by itself."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no place in a policy document")


def _diagnostics(found: Any) -> list[Diagnostic]:
    diagnostics = []
    for i in range(lib.pol_diags_count(found) if found else 0):
        diag = lib.pol_diags_at(found, i).contents
        diagnostics.append(Diagnostic(
            known(Severity, diag.severity), known(DiagCode, diag.code), borrowed(diag.path),
            diag.line, diag.column, borrowed(diag.text)))
    return diagnostics
