#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/rfc-map.md names every RFC that the sources cite, and only files that cite it.

    rfcs.py MAP SOURCE...            checks
    rfcs.py --update MAP SOURCE...   writes the rows anew; a title that is not there yet becomes "?"
"""
import collections
import pathlib
import re
import sys

SUFFIXES = {".c", ".h", ".def", ".in", ".py"}
# The number may stand on the next line of a comment. Sections: "4.2", "3.1, 3.2", "4.1 and 4.4", "2.4 e".
CITATION = re.compile(r"\bRFC(?:\s|\s\*\s)+(\d{3,5})\b((?:(?:,| and)? ?\b\d+(?:\.\d+)*\b(?! [a-z]{3}))*)")
ROW = re.compile(r"^\| \[RFC (\d+)\]\(\S+\) \| (.*?) \| (.*) \|$", re.M)
FILE = re.compile(r"`([^`]+)`")


def cited(top, sources):
    """{number: {file: sections}} of what is in the sources."""
    found = collections.defaultdict(dict)
    for source in sources:
        for path in sorted(path for path in source.rglob("*") if path.suffix in SUFFIXES):
            for number, sections in CITATION.findall(path.read_text(encoding="utf-8")):
                place = found[int(number)].setdefault(str(path.relative_to(top)), set())
                place.update(re.findall(r"\d+(?:\.\d+)*", sections))
    return found


def by_number(section):
    return [int(part) for part in section.split(".")]


def row(number, title, files):
    def place(name):
        sections = ", ".join(sorted(files[name], key=by_number))
        return f"`{name}`" + (f" ({sections})" if sections else "")

    where = ", ".join(place(name) for name in sorted(files))
    return f"| [RFC {number}](https://www.rfc-editor.org/rfc/rfc{number}) | {title} | {where} |"


def update(page, found):
    text = page.read_text(encoding="utf-8")
    titles = {int(number): title for number, title, _ in ROW.findall(text)}
    rows = [row(number, titles.get(number, "?"), found[number]) for number in sorted(found)]
    head = ROW.sub("", text).rstrip("\n")
    page.write_text(head + "\n" + "\n".join(rows) + "\n", encoding="utf-8")


def complaints(page, found):
    """None for what is right, words for what is not."""
    listed = {int(number): (title, FILE.findall(where))
              for number, title, where in ROW.findall(page.read_text(encoding="utf-8"))}
    for number in sorted(found):
        title, _ = listed.get(number, ("?", ()))
        yield None if title != "?" else f"RFC {number} is cited in {', '.join(found[number])} and is not in {page.name}"
    for number, (_, files) in sorted(listed.items()):
        for name in files:
            yield None if name in found[number] else f"{name} does not cite RFC {number}, or is not there"


def main(arguments):
    write = arguments[:1] == ["--update"]
    arguments = arguments[1:] if write else arguments
    if len(arguments) < 2:
        sys.exit(__doc__)
    page, *sources = (pathlib.Path(name).resolve() for name in arguments)
    found = cited(page.parent.parent, sources)
    if write:
        update(page, found)
    results = list(complaints(page, found))
    errors = [text for text in results if text]
    for text in errors:
        print(text)
    if errors:
        print("tests/abi/rfcs.py --update docs/rfc-map.md libpolicy daemon writes the rows anew; titles are yours to add")
    print(f"{len(results) - len(errors)} passed, {len(errors)} failed")
    sys.exit(1 if errors or not results else 0)


main(sys.argv[1:])
