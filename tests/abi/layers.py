#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the includes of libpolicy/src with layers.txt.

    layers.py layers.txt libpolicy/src
"""
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def read_layers(path):
    """Returns what rooms and single files may include, the files of each vendor's headers, the system's headers."""
    rooms, vendors, system = {}, {}, set()
    with open(path, encoding="ascii") as file:
        for line in file:
            key, _, values = line.split("#")[0].partition(":")
            key = key.strip()
            if not key:
                continue
            if key == "system":
                system.update(values.split())
            elif key.startswith("<"):
                vendors[key.strip("<>")] = set(values.split())
            else:
                below = set(values.split()) - rooms.keys()
                if below and "/" not in key:
                    sys.exit(f"{path}: {key} looks downwards, to {' '.join(sorted(below))}")
                rooms[key] = set(values.split())
    return rooms, vendors, system


def judge(room, file, kind, header, layers):
    """Returns what is wrong with one include, or None."""
    rooms, vendors, system = layers
    if kind == '"':
        target = header.split("/")[0]
        if "/" not in header:
            return f'"{header}" is spelled without its room'
        if target != room and target not in rooms[room] | rooms.get(file, set()):
            return f'"{header}": {room} may not include {target}'
        return None
    if header.startswith("libpolicy/") or header in system:
        return None
    for vendor, files in vendors.items():
        if header == vendor or (vendor.endswith("/") and header.startswith(vendor)):
            return None if file in files else f"<{header}> belongs into {' or '.join(sorted(files))}"
    return f"<{header}> is not in layers.txt"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    layers = read_layers(sys.argv[1])
    passed = failed = 0
    for directory, _, files in sorted(os.walk(sys.argv[2])):
        for name in sorted(files):
            if not name.endswith((".c", ".h", ".def")):
                continue
            path = os.path.join(directory, name)
            file = os.path.relpath(path, sys.argv[2])
            room = file.split(os.sep)[0]
            with open(path, encoding="utf-8") as text:
                found = INCLUDE.findall(text.read())
            wrong = [f"no line for room {room}"] if room not in layers[0] else []
            for kind, header in found if not wrong else []:
                error = judge(room, file, kind, header, layers)
                if error:
                    wrong.append(error)
            for error in wrong:
                print(f"{path}: {error}")
            failed += bool(wrong)
            passed += not wrong
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()
