# SPDX-License-Identifier: Apache-2.0
"""Writes every comparison of a C file so that a number chosen at run time breaks one of them.

    a < b   becomes   (mutant_is(7) ? (a) <= (b) : mutant_is(8) ? (a) >= (b) : (a) < (b))

So one build holds all mutants. Only one branch of the conditional runs: side effects happen once. clang finds the
comparisons; those inside macros (assert among them) and those that have to be constants stay as they are.
"""
import json
import subprocess

# A boundary that is off by one, then the opposite; equality has only the opposite.
BROKEN = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",)}
CONSTANT = {"EnumConstantDecl", "StaticAssertDecl", "CaseStmt", "ConstantExpr"}


class Walk:
    """Goes through clang's JSON in the order in which it was written: a location repeats its file only when that is
    another one than before."""

    def __init__(self, path):
        self.path, self.file = path, None
        self.found = {} # (begin, end) -> (operator, end of its left side, begin of its right side)

    def place(self, location):
        """Returns (offset, length of the token) in the file at hand, None elsewhere or in a macro."""
        if "spellingLoc" in location:
            self.place(location["spellingLoc"])
            self.place(location["expansionLoc"])
            return None
        self.file = location.get("file", self.file)
        if "offset" not in location or self.file != self.path:
            return None
        return location["offset"], location["tokLen"]

    def span(self, node):
        if "loc" in node:
            self.place(node["loc"])
        begin, end = (self.place(node.get("range", {}).get(edge, {})) for edge in ("begin", "end"))
        return (begin[0], sum(end)) if begin and end else None

    def node(self, node, constant=False):
        """Returns the span of the node; notes the comparisons in it."""
        span = self.span(node)
        constant = constant or node.get("kind") in CONSTANT
        if constant and node.get("kind") == "CaseStmt":
            inner = [self.node(child, constant=index == 0) for index, child in enumerate(node.get("inner", ()))]
        else:
            inner = [self.node(child, constant) for child in node.get("inner", ()) if child]
        if node.get("kind") == "BinaryOperator" and node["opcode"] in BROKEN and not constant and span and all(inner):
            self.found[span] = (node["opcode"], inner[0][1], inner[1][0])
        return span


def comparisons(path, flags):
    done = subprocess.run(["clang", "-fsyntax-only", "-Xclang", "-ast-dump=json", *flags, path], capture_output=True,
                          text=True, check=True)
    walk = Walk(path)
    walk.node(json.loads(done.stdout))
    return walk.found


def rewrite(path, found, first):
    """Rewrites the file in place. Returns [(number, line, operator, what it became, text)], numbered from first."""
    with open(path, "rb") as file:
        source = file.read()
    mutants = []
    numbers = {}
    for span in sorted(found):
        operator = found[span][0]
        numbers[span] = list(range(first, first + len(BROKEN[operator])))
        first += len(BROKEN[operator])
        line = source.count(b"\n", 0, span[0]) + 1
        text = " ".join(source[slice(*span)].decode().split())
        mutants += [(number, line, operator, broken, text)
                    for number, broken in zip(numbers[span], BROKEN[operator])]

    def text(begin, end):
        """The source from begin to end, with what is nested in it rewritten."""
        out, at = b"", begin
        for span in sorted(found, key=lambda s: (s[0], -s[1])):
            if span[0] >= at and span[1] <= end:
                out += source[at:span[0]] + comparison(span)
                at = span[1]
        return out + source[at:end]

    def comparison(span):
        operator, left_end, right_begin = found[span]
        left, right = text(span[0], left_end), text(right_begin, span[1])
        out = b"(%s) %s (%s)" % (left, operator.encode(), right)
        for number, broken in zip(numbers[span], BROKEN[operator]):
            out = b"mutant_is(%d) ? (%s) %s (%s) : %s" % (number, left, broken.encode(), right, out)
        return b"(" + out + b")"

    changed = b'#include "mutant.h"\n#line 1\n' + text(0, len(source))
    with open(path, "wb") as file:
        file.write(changed)
    return mutants
