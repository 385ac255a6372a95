#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that were compiled against an older libpolicy.so.0 run with this one: abidiff compares the library with a
description of its interface that is kept in baseline/.

    baseline.py check LIBRARY     fails on any change that is no mere addition
    baseline.py update LIBRARY    writes the description anew; docs/abi.md says when that is right

The description was taken on x86-64. What is inside the library is left out of it, and so are directories.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent / "baseline"
BASELINE = HERE / "libpolicy.so.0.abi"
SUPPRESSIONS = HERE / "libpolicy.suppr"
PUBLIC = re.compile(r"include/libpolicy/\w+\.h$")
COMMENT = " SPDX-License-Identifier: Apache-2.0. Written by tests/abi/baseline.py. "
SKIPPED = 77

# Bits of abidiff's exit code. It calls a change incompatible only where no program can have survived; that a struct has
# grown is merely a change.
TOOL_FAILED, CHANGED = 1 | 2, 4 | 8


def describe(library):
    """The interface as an XML tree."""
    text = subprocess.run(
        ["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-elf-needed", "--no-parameter-names",
         "--load-all-types", "--type-id-style", "hash", library], check=True, capture_output=True, text=True).stdout
    root = ElementTree.fromstring(text)
    keep_exported(root)
    for unit in root.iter("abi-instr"):
        unit.set("path", re.sub(r"^.*(?=libpolicy/src/)", "", unit.get("path", "")))
        for struct in list(unit.iter("class-decl")) + list(unit.iter("union-decl")):
            if not PUBLIC.search(struct.get("filepath", "")):
                hide_inside(struct)
    # Most enumerations are passed as numbers: no function names them.
    enums = {enum.get("id") for enum in root.iter("enum-decl") if PUBLIC.search(enum.get("filepath", ""))}
    forget_unused_types(root, enums)
    for element in root.iter():
        for key in ("filepath", "line", "column"):
            element.attrib.pop(key, None)
    for unit in root.findall("abi-instr"):
        if len(unit) == 0:
            root.remove(unit)
    return root


def keep_exported(root):
    """Of each exported function one declaration. abidw leaves the symbol out where it has met the function in another
    file first, and abidiff would then compare nothing but the name."""
    wanted = {symbol.get("name"): f"{symbol.get('name')}@@{symbol.get('version')}"
              for symbol in root.find("elf-function-symbols")}
    units = root.findall("abi-instr")
    functions = [(unit, function) for unit in units for function in unit.findall("function-decl")]
    for unit, function in sorted(functions, key=lambda pair: not pair[1].get("elf-symbol-id")):
        symbol = wanted.pop(function.get("name"), None)
        if symbol:
            function.set("mangled-name", function.get("name"))
            function.set("elf-symbol-id", symbol)
        else:
            unit.remove(function)
    if wanted:
        sys.exit(f"abidw does not describe {', '.join(sorted(wanted))}")


def hide_inside(struct):
    """What abidw could do by --headers-dir, if it looked at more than the names of files: src/worker/worker.h is no
    public header."""
    for key in ("size-in-bits", "alignment-in-bits"):
        struct.attrib.pop(key, None)
    struct.set("is-declaration-only", "yes")
    for child in list(struct):
        struct.remove(child)


def mentioned(element):
    return {inner.get(key) for inner in element.iter() for key in ("type-id", "naming-typedef-id") if inner.get(key)}


def forget_unused_types(root, enums):
    """Keeps the types that functions need, and these enumerations, which abidiff is told to look at all the same."""
    types = {}
    for unit in root.iter("abi-instr"):
        for element in unit:
            if element.get("id"):
                types.setdefault(element.get("id"), []).append(element)
    used = reach(types, set().union(*map(mentioned, root.iter("function-decl"))))
    kept = used | reach(types, enums)
    for unit in root.iter("abi-instr"):
        for element in [element for element in unit if element.get("id")]:
            element.attrib.pop("is-non-reachable", None)
            if element.get("id") not in kept:
                unit.remove(element)
            elif element.get("id") in enums - used:
                element.set("is-non-reachable", "yes")


def reach(types, names):
    found, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            for element in types.get(name, []):
                todo.extend(mentioned(element))
    return found


def write(root, path):
    # abidiff knows the file by its first word, so the comment comes second.
    root.insert(0, ElementTree.Comment(COMMENT))
    ElementTree.indent(root, " ")
    pathlib.Path(path).write_text(ElementTree.tostring(root, encoding="unicode") + "\n", encoding="ascii")


def compare(old, new):
    """abidiff's exit code and what it says."""
    found = subprocess.run(
        ["abidiff", "--no-added-syms", "--non-reachable-types", "--suppressions", SUPPRESSIONS, old, new],
        capture_output=True, text=True)
    return found.returncode, found.stdout + found.stderr


def is_unchanged(new):
    code, text = compare(BASELINE, new)
    if code:
        print(text)
    return code == 0


def sees_a_change(new):
    """A comparison that cannot fail would look the same."""
    root = ElementTree.parse(BASELINE).getroot()
    verdict = next(struct for struct in root.iter("class-decl") if struct.get("name") == "pol_verdict")
    verdict.set("size-in-bits", str(int(verdict.get("size-in-bits")) + 64))
    with tempfile.TemporaryDirectory() as directory:
        old = os.path.join(directory, "old.abi")
        write(root, old)
        code, text = compare(old, new)
    if code & TOOL_FAILED or not code & CHANGED or "pol_verdict" not in text:
        print(f"abidiff does not see that pol_verdict had another size; exit code {code}:\n{text}")
        return False
    return True


def read_elf(*arguments):
    return subprocess.run(["readelf", *arguments], check=True, capture_output=True, text=True).stdout


def check(library):
    if not re.search(r"Machine:.*X86-64", read_elf("-h", library)):
        print("SKIP the description is of x86-64")
        return SKIPPED
    if ".debug_info" not in read_elf("-SW", library):
        print(f"{library} has no debug information, so abidiff would see names alone: compile with -g")
        return 1
    if not BASELINE.exists():
        print(f"{BASELINE.name} is missing; tests/abi/baseline.py update writes it")
        return 1
    with tempfile.TemporaryDirectory() as directory:
        new = os.path.join(directory, "new.abi")
        write(describe(library), new)
        results = [is_unchanged(new), sees_a_change(new)]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


def update(library):
    write(describe(library), BASELINE)
    print(f"{BASELINE}: {BASELINE.stat().st_size} octets; read the difference before you commit it")
    return 0


def main(arguments):
    actions = {"check": check, "update": update}
    if len(arguments) != 2 or arguments[0] not in actions:
        sys.exit(__doc__)
    try:
        sys.exit(actions[arguments[0]](os.path.realpath(arguments[1])))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is missing; Debian has abidiff in abigail-tools, readelf in binutils")


main(sys.argv[1:])
