# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: coverage of policies, and scenario files as tests.

pytest loads it by itself where libpolicy is installed; from a source tree, -p libpolicy.pytest_plugin
does.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import coverage
from .scenario import Script, ScriptError, World, failure, play, read

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

_HEAD = (b"# decisions ", b"# semantics ")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("libpolicy")
    group.addoption(
        "--policy-coverage", nargs="?", const="", metavar="FILE.json",
        help="which rules and defaults of the policies have decided something; FILE.json also gets "
        "it",
    )  # fmt: skip
    group.addoption(
        "--policy-coverage-min", type=float, metavar="PERCENT",
        help="fail if it is less; implies --policy-coverage",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Begins to count if that is asked for."""
    wanted = config.getoption("--policy-coverage")
    least = config.getoption("--policy-coverage-min")
    if wanted and not wanted.endswith(".json"):
        # "--policy-coverage test_policy.py" would write over the test.
        raise pytest.UsageError(f'--policy-coverage {wanted}: the name of the file to write ends in '
                                '".json"; put --policy-coverage alone behind the tests')
    if wanted is not None or least is not None:
        if config.getoption("dist", "no") != "no": # of pytest-xdist
            raise pytest.UsageError("--policy-coverage counts in one process: run pytest without -n")
        config.pluginmanager.register(_Counting(wanted or "", least), "libpolicy-coverage")


class _Counting:
    """One run with --policy-coverage."""

    def __init__(self, path: str, least: float | None) -> None:
        self.path = path
        self.least = least
        self.faults: list[str] = []
        self.before = coverage.active
        self.coverage = coverage.active = coverage.Coverage()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """What is decided from now on belongs to this test."""
        self.coverage.current = nodeid

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """A run that passed fails if too little was covered, or nobody will read what was."""
        if self.least is not None and self.coverage.percent < self.least:
            self.faults.append(f"less than {self.least:g} %")
        if self.path:
            self._write()
        if self.faults and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write(self) -> None:
        text = json.dumps(self.coverage.to_dict(), indent=2, ensure_ascii=False)
        try:
            Path(self.path).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            self.faults.append(f"cannot write {self.path}: {error.strerror}")

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """The table."""
        terminalreporter.section("policy coverage")
        for line in self.coverage.table():
            terminalreporter.line(line)
        for fault in self.faults:
            terminalreporter.line(f"FAILED: {fault}", red=True)

    def pytest_unconfigure(self) -> None:
        """Another run in this process begins anew."""
        coverage.active = self.before


# --- scenario files ------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Scenario files, told from other files of that name by their head unless they were named."""
    if file_path.suffix != ".scn":
        return None
    if not parent.session.isinitpath(file_path) and not _has_head(file_path):
        return None
    collector: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return collector


def _has_head(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().startswith(b"# ") and file.readline().startswith(_HEAD)


class ScenarioFile(pytest.File):
    """A scenario file, which is one test."""

    def collect(self) -> Iterator[pytest.Item]:
        yield ScenarioItem.from_parent(self, name=self.path.stem)


class ScenarioFailed(Exception):
    """Lines that say which step did not come out as expected."""


class ScenarioItem(pytest.Item):
    """The story in it."""

    def runtest(self) -> None:
        script = Script(os.path.relpath(self.path))
        read(script)
        world = World(script)
        try:
            lines = [line for played in play(script, world) for line in failure(script, played)]
        finally:
            world.close()
        if lines:
            raise ScenarioFailed("\n".join(lines))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, (ScenarioFailed, ScriptError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name
