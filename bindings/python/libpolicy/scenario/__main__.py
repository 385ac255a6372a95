# SPDX-License-Identifier: Apache-2.0
"""Plays scenario files from the command line."""
from __future__ import annotations

import argparse
import contextlib
import enum
import io
import json
import sys
from pathlib import Path

from libpolicy import coverage

from .player import Played, failure, play
from .script import Script, ScriptError, read
from .world import World


class Shown(enum.Enum):
    """What is printed of a step beside its failures."""

    NOTHING = enum.auto()
    STEP = enum.auto()
    TRACE = enum.auto()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m libpolicy.scenario",
        description='Plays scenarios and prints "ok" or "not ok" for each; the last line counts '
        "them.",
    )
    shown = parser.add_mutually_exclusive_group()
    parser.set_defaults(shown=Shown.NOTHING)
    for option, value, text in (
        ("--verbose", Shown.STEP, "show every step and what came of it"),
        ("--trace", Shown.TRACE, "show what came of every step, a line of JSON each"),
    ):
        shown.add_argument(option, dest="shown", action="store_const", const=value, help=text)
    shown.add_argument(
        "--list", action="store_true", help="play nothing, print titles and what they prove"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR",
        help="where what the scenarios call flight and anchors is; ../data/tls beside each",
    )  # fmt: skip
    parser.add_argument(
        "--coverage", action="store_true",
        help="show which rules and defaults of the policies have decided something",
    )  # fmt: skip
    parser.add_argument(
        "--coverage-json", type=Path, metavar="FILE", help="the same, with the scenarios, as JSON"
    )
    parser.add_argument("files", nargs="+", metavar="FILE.scn")
    return parser


def _show(script: Script, played: Played, shown: Shown) -> None:
    if shown is Shown.STEP:
        print(f"{played.step.line:4}  {played.step.source}")
        print(f"      came {played.facts}")
    elif shown is Shown.TRACE:
        print(played.facts.trace(Path(script.path).name, played.step))
    for line in failure(script, played):
        print(line)


def _counted(script: Script) -> contextlib.AbstractContextManager[None]:
    """What is decided meanwhile belongs to this scenario."""
    if coverage.active is None:
        return contextlib.nullcontext()
    return coverage.active.test(Path(script.path).name)


def _play(script: Script, shown: Shown, data: Path | None) -> bool:
    well = True
    try:
        read(script)
        world = World(script, data)
        with contextlib.closing(world), _counted(script):
            for played in play(script, world):
                _show(script, played, shown)
                well = well and not played.faults
    except ScriptError as error:
        print(error)
        well = False
    title = script.title or "no scenario"
    print(f"{'ok' if well else 'not ok'} - {Path(script.path).name}: {title}")
    return well


def _cover(found: coverage.Coverage, show: bool, path: Path | None) -> bool:
    """Whether it came where it was wanted."""
    if show:
        print("\n".join(found.table()))
    if path is None:
        return True
    try:
        path.write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"cannot write {path}: {error.strerror}")
        return False
    return True


def _list(script: Script) -> bool:
    try:
        read(script)
    except ScriptError as error:
        print(error)
        return False
    print(f"{Path(script.path).name}: {script.title}")
    for line in script.proves:
        print(f"    {line}")
    return True


def main() -> int:
    """Returns the exit code."""
    arguments = _arguments().parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    scripts = [Script(path) for path in arguments.files]
    if arguments.list:
        return 0 if all([_list(script) for script in scripts]) else 1
    if arguments.coverage or arguments.coverage_json:
        coverage.active = coverage.Coverage()
    failed = sum(not _play(script, arguments.shown, arguments.data) for script in scripts)
    covered = coverage.active is None or _cover(coverage.active, arguments.coverage,
                                                arguments.coverage_json)
    print(f"{len(scripts) - failed} passed, {failed} failed")
    return 0 if covered and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
