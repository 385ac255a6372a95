# SPDX-License-Identifier: Apache-2.0
"""Mutants that do what the code does: (file, comparison, operator, what it became) and why.

Whoever changes such a line finds its mutants among the others again.
"""

SAME_MINIMUM = "the smaller of two equal ones is either"
TIE = "which of two that were used at the same moment comes first is promised nowhere"
BOUND = "a bound on effort, and one look more is as good"
FETCH = "only asks for memory earlier; the next step finds the same with or without"

EQUAL = {
    ("grants/grants.c", "size < capacity", "<", "<="): "an index twice as large finds the same",
    ("grants/grants.c", "i + 1 < SET_KINDS * capacity", "<", "<="):
        "grants in every slot need no more sets than there are: nobody takes one behind the last",
    ("grants/grants.c", "step < WALK_MAX", "<", "<="): BOUND,
    ("grants/grants.c", "i < NAME_WORDS", "<", "<="): "the length, at most 255, ends it at the same word",
    ("grants/grants.c", "i * 8 < len", "<", "<="): "a word behind the length is copied and cut off",
    ("grants/grants.c", "out_count < capacity", "<", "<="): SAME_MINIMUM,
    ("grants/grants.c", "out[at - 1].used < grant.used", "<", "<="): TIE,
    ("grants/grants.c", "in_use > gone", ">", ">="): "their difference is 0",
    ("grants/learn.c", "used < best->used", "<", "<="): TIE,
    ("grants/learn.c", "opts->idle < opts->idle_two_way", "<", "<="): SAME_MINIMUM,
    ("grants/learn.c", "answered >= best->used", ">=", ">"): "looks further and finds none that is better",
    ("grants/learn.c", "candidates > 0", ">", ">="): BOUND,
    ("grants/learn.c", "i < looks", "<", "<="): BOUND,
    ("grants/learn.c", "i < VICTIMS", "<", "<="): BOUND,
    ("grants/learn.c", "seen < now", "<", "<="): "writes the moment that is there, or chooses between equal ones",
    ("grants/learn.c", "a < b", "<", "<="): SAME_MINIMUM,
}
