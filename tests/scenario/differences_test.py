#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds docs/differences.md to the scenarios.

    differences_test.py DIFFERENCES SCENARIOS

Every row of the reference's semantics that ROWS counts must stand there once, marked kept, better or later. A row that
is kept or better names what shows it: a scenario, or another path of the tree. A row that comes later says with what.
"""
import pathlib
import re
import sys

# Rows by section of the reference's policy semantics: tables from top to bottom, then what stands in prose.
ROWS = {"2": 10, "2.1": 10, "2.2": 2, "2.3": 4, "2.4": 1, "3.2": 10, "3.5": 5, "4.1": 12, "4.4": 9, "4.5": 7, "5": 18,
        "6": 15, "9": 16}
ROW = re.compile(r"^\| ([0-9.]+)-([0-9]+) \|(.*)\|$", re.M)


def shown(text, scenarios):
    """What is wrong with the last column of a kept or better row."""
    names = re.findall(r"`([^`]+)`", text)
    if not names:
        return "names nothing that shows it"
    top = scenarios.parent.parent
    missing = [name for name in names if not (scenarios / f"{name}.scn").exists() and not (top / name).exists()]
    return f"names {', '.join(missing)}, which does not exist" if missing else None


def fault_of(cells, scenarios):
    if len(cells) != 4:
        return f"has {len(cells) + 1} columns instead of 5"
    what, ours, mark, where = cells
    if not what or not ours:
        return "says nothing"
    if mark not in ("kept", "better", "later"):
        return f'is marked "{mark}"'
    if mark == "later":
        return None if len(where) > 3 else "does not say what brings it"
    return shown(where, scenarios)


def check(document, scenarios):
    """Yields (row, fault or None)."""
    found = {}
    for section, number, rest in ROW.findall(document):
        row = f"{section}-{number}"
        fault = fault_of([cell.strip() for cell in rest.split("|")], scenarios)
        found[row] = "stands there twice" if row in found else fault
    wanted = [f"{section}-{i}" for section, count in ROWS.items() for i in range(1, count + 1)]
    for row in wanted:
        yield row, found.get(row, "is missing")
    for row in found:
        if row not in wanted:
            yield row, "is no row of the reference"


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__)
    document = pathlib.Path(arguments[0]).read_text(encoding="utf-8")
    faults = list(check(document, pathlib.Path(arguments[1]).resolve()))
    failed = [(row, fault) for row, fault in faults if fault]
    for row, fault in failed:
        print(f"not ok - {row} {fault}")
    print(f"{len(faults) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
