#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a public header or a page of docs/ in Doxygen's words; the lines keep their numbers.

A header: a comment behind a declaration documents it, the comment at the top documents the file, lists of one XX() a row
become the enumerators that are made from them, indented parts of a comment stay as they stand, and "@return" with a
status a row becomes a table. A page: headings get the names by which links find them.
"""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What Doxygen reads besides the headers, as in Doxyfile.in.
PAGES = re.compile(r"docs/.*\.md|(examples|libpolicy|bindings/python)/README\.md")
STATUS = re.compile(r"( \* +)(?:@return +)?(POL_(?:OK|E_\w+))(?: {2,}(.*))?$")


def enumerators(text, parameters, pattern, name):
    """The enumerators of the list called name, in one line; the last argument of a row says what it means."""
    body = re.search(rf"^#define {name}\(XX\)((?:.*\\\n)*.*)$", text, re.MULTILINE).group(1)
    made = []
    for row in re.findall(r'XX\(((?:"[^"]*"|[^()"])*)\)', body):
        values = dict(zip(parameters.split(", "), re.findall(r'"[^"]*"|[\w-]+', row)))
        code = re.sub(r"(?:##)?(\w+)", lambda word: values.get(word[1], word[0]), pattern)
        *word, meaning = re.findall(r'"([^"]*)"', row)
        made.append(f"{code} /**< {''.join(f'`{each}`: ' for each in word)}{meaning} */")
    return " ".join(made)


def comment(found):
    """One documentation comment: what is indented, lists of status codes, the thread class."""
    out, command, status, code = [], False, False, False
    for line in found[0].split("\n"):
        if line == " *":
            command = status = False
        elif line.startswith(" * @"):
            command, status = True, bool(STATUS.match(line))
        begins = out and (out[-1] == " *" or out[-1].endswith(":"))
        if re.match(r" \* {3}", line) and not command and (code or begins):
            if not code:
                out[-1] += " @code{.c}"
            code = True
        elif code and line != " *":
            out[-1] += " @endcode"
            code = False
        if status:
            line = STATUS.sub(r" * @retval \2 \3", line)
        out.append(re.sub(r"^( \* +|/\*\* )Thread class:", r"\1@threads", line))
    return "\n".join(out)


def one_by_one(found):
    """Fields that share a line and its comment."""
    indent, of_type, names, meaning = found.groups()
    line = re.sub(r"\s+", " ", meaning)
    fields = [f"{of_type} {name}; /**< {line} */" for name in names.split(", ")]
    return indent + " ".join(fields) + "\n" * meaning.count("\n")


def header(path, text):
    name = os.path.basename(path)
    what = "@mainpage libpolicy" if name == "policy.h" else f"@file {name}"
    text = re.sub(r"^/\*$", f"/** {what}", text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^#define XX\((.*)\) (.*)\n +(\w+)\(XX\)\n#undef XX$",
                  lambda found: "\n" + enumerators(text, *found.groups()) + "\n", text, flags=re.MULTILINE)
    text = re.sub(r"^( +)((?:const )?\w+) (\*?\w+(?:, \*?\w+)+); */\* ((?:[^*]|\*(?!/))*) \*/", one_by_one, text,
                  flags=re.MULTILINE)
    text = re.sub(r"^(.*[^\s*/].*?) /\*(?=\s)", r"\1 /**<", text, flags=re.MULTILINE)
    return re.sub(r"^/\*\*.*?\*/", comment, text, flags=re.MULTILINE | re.DOTALL)


def label(path, heading=""):
    """The name of a heading: that of its page, and of the heading as in the links of other programs. Doxygen's own name
    for a page is its path, which it cannot find again if there is a space in it."""
    page_name = "page-" + os.path.relpath(path, TOP).removesuffix(".md").replace("/", "-")
    return page_name + (heading and "-") + re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


def page(path, text):
    def link(found):
        words, target, _, place = re.match(r"\[(.*?)\]\(([^)#]*)(#?)(.*)\)$", found[0], re.DOTALL).groups()
        file = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if "://" in target:
            return found[0]
        if not PAGES.fullmatch(os.path.relpath(file, TOP)):
            return words
        return f"[{words}](#{label(file, place)})"

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    for i, part in enumerate(parts):
        if part.startswith("```"):
            parts[i] = re.sub(r"^```(\w+) .*", r"```\1", part)
        else:
            part = re.sub(r"\[[^\]]*\]\([^) ]+\)", link, part)
            part = re.sub(r"^# .*$", rf"\g<0> {{#{label(path)}}}", part, flags=re.MULTILINE)
            parts[i] = re.sub(r"^(##+) (.*)$", lambda found: f"{found[0]} {{#{label(path, found[2])}}}", part,
                              flags=re.MULTILINE)
    return "".join(parts)


def filtered(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    kinds = {".h": header, ".md": page}
    return kinds.get(os.path.splitext(path)[1], lambda _, same: same)(path, text)


def main():
    try:
        print(filtered(os.path.abspath(sys.argv[1])), end="")
    except Exception:
        # Doxygen asks for no exit status. A command that it does not know is a warning, and so fails.
        print("/** @file\n * @filter_failed */")
        raise


if __name__ == "__main__":
    main()
