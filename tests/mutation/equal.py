# SPDX-License-Identifier: Apache-2.0
"""Mutants that do what the code does, and why: by file, the comparison, its operator, what it became.

Where a file has the same comparison several times, it is the NTH. Whoever changes such a line finds its mutants among
the others again.
"""

SAME = "either of two that are equal"
TIE = "which of two that were used at the same moment comes first is promised nowhere"
BOUND = "a bound on effort, and one look more is as good"
FETCH = "only asks for memory earlier; the next step finds the same with or without"
CHECKED = "what needs no second look gets one"
STABLE = "the C library sorts so that what compares equal stays in its order, which is that of the groups"
SWAPPED = "the two branches of a fork change places, and both are searched"

EQUAL = {
    "grants/grants.c": [
        ("size < capacity", "<", "<=", "an index twice as large finds the same"),
        ("i + 1 < SET_KINDS * capacity", "<", "<=", "grants in all slots need no set behind the last"),
        ("index < grants->opts.capacity", "<", "<=", "an index is never the capacity", 1),
        ("step < WALK_MAX", "<", "<=", BOUND),
        ("i < NAME_WORDS", "<", "<=", "the length, at most 255, ends it at the same word"),
        ("i * 8 < len", "<", "<=", "a word behind the length is copied and cut off"),
        ("out_count < capacity", "<", "<=", SAME),
        ("out[at - 1].used < grant.used", "<", "<=", TIE),
        ("in_use > gone", ">", ">=", "their difference is 0"),
    ],
    "grants/learn.c": [
        ("used < best->used", "<", "<=", TIE),
        ("opts->idle < opts->idle_two_way", "<", "<=", SAME),
        ("answered >= best->used", ">=", ">", "looks further and finds none that is better"),
        ("candidates > 0", ">", ">=", BOUND),
        ("i < looks", "<", "<=", BOUND),
        ("i < grants->opts.capacity", "<", "<=", BOUND, 1),
        ("i < grants->opts.capacity", "<", "<=", BOUND, 2),
        ("i < VICTIMS", "<", "<=", BOUND, 1),
        ("i < VICTIMS", "<", "<=", BOUND, 2),
        ("seen < now", "<", "<=", "writes the moment that is there", 1),
        ("seen < now", "<", "<=", SAME, 2),
        ("k < lesson->key_count", "<", ">=", FETCH, 1),
        ("k < lesson->key_count", "<", ">=", FETCH, 2),
        ("i < count", "<", ">=", FETCH, 2),
        ("a < lesson->addr_count", "<", "<=", "a round for no address"),
        ("lesson->addr_count - a < AHEAD", "<", "<=", SAME),
        ("a < b", "<", "<=", SAME),
        ("grant.used < grant.answered", "<", "<=", SAME),
    ],
    "grants/slots.c": [
        ("set->count > grants->largest", ">", ">=", SAME),
    ],
    "match/classify.c": [
        ("alls[low] < best", "<", "<=", SAME),
        ("part->root.first >= best", ">=", ">", "looks on and finds none before the best"),
        ("group < best", "<", "<=", SAME),
        ("size > b->merge_left", ">", ">=", BOUND),
        ("i < from->count", "<", "<=", "an estimate, of one group more"),
    ],
    "match/classify_flats.c": [
        ("limit > 1", ">", ">=", "with one box each, all are in proportion"),
        ("total <= budget", "<=", "<", BOUND),
        ("i < 256", "<", "<=", "octet 256 is octet 0 again, and a range that ends there ends behind all octets"),
        ("src->count > 1", ">", ">=", CHECKED),
        ("number < b->step_count", "<", "<=", "the last step is the default of the policy, of no group"),
    ],
    "match/classify_sources.c": [
        ("len <= 64", "<=", "<", "shifted by 0"),
        ("x->group > y->group", ">", ">=", "a group has a prefix once"),
        ("x->group < y->group", "<", "<=", "a group has a prefix once"),
        ("x->group > y->group", ">", "<=", STABLE),
        ("x->group < y->group", "<", ">=", STABLE),
        ("i < count", "<", ">=", "another hash", 1),
        ("size < 2 * b->sources.count", "<", "<=", "a larger table"),
    ],
    "match/cuttree.c": [
        ("span.low < box->low[dim]", "<", "<=", SAME),
        ("span.high > box->high[dim]", ">", ">=", SAME),
        ("span.low < edges.low", "<", "<=", SAME, 1),
        ("span.low > edges.high", ">", ">=", SAME),
        ("span.high + 1 < edges.low", "<", "<=", SAME),
        ("span.high + 1 > edges.high", ">", ">=", SAME),
        ("here < b->leaf_flats", "<", "<=", SAME),
        ("x < y", "<", "<=", SAME),
        ("(size_t)2 << bits <= task->count", "<=", "<", BOUND),
        ("i > 0", ">", ">=", "where a child begins only says where it may be cut"),
        ("span.high - span.low > (edges.high - edges.low) / 2", ">", "<=", SWAPPED),
        ("is_broad(b, task, i, dim, edges) == broad", "==", "!=", SWAPPED),
        ("at_most(broad, task->count - broad) <= least", "<=", "<", "either of two forks that are as good"),
        ("task->count <= b->leaf_flats", "<=", "<", BOUND),
        ("task->count < FORK_FLATS", "<", "<=", BOUND),
        ("span.low < edges.low", "<", "<=", SAME, 2),
        ("span.high > edges.high", ">", ">=", SAME),
        ("flat_count < LARGE_POLICY", "<", "<=", BOUND),
    ],
    "match/cuttree.h": [
        ("value < limit", "<", "<=", SAME),
        ("low < high", "<", ">=", "begins at the first block of a leaf"),
        ("count > 4", ">", ">=", "where to begin in a leaf is sought, and could be passed over"),
        ("count > 4", ">", "<=", "where to begin in a leaf is sought, and could be passed over"),
        ("block_tag(&blocks[i], 0) < best", "<", "<=", SAME),
        ("tag < best", "<", "<=", SAME),
        ("part < 0", "<", "<=", SAME),
        ("part > node->last", ">", ">=", SAME),
        ("node->first < best", "<", "<=", "looks into a leaf that has nothing better"),
    ],
    "match/memo.c": [
        ("sets * MEMO_WAYS < names", "<", "<=", "a larger table"),
        ("patterns > memo->pattern_capacity", ">", ">=", "memory that would do is made anew"),
        ("(int32_t)(set[way].age - victim->age) < 0", "<", "<=", TIE),
    ],
    "match/partition.c": [
        ("bits < ROOTS_MAX", "<", "<=", BOUND),
        ("(size_t)1 << bits < 8 * count", "<", "<=", BOUND),
    ],
    "match/partition.h": [
        ("a.hi < b.hi", "<", "<=", "they differ"),
        ("count > SCAN", ">", ">=", "a last bucket is halved once more than it has to be"),
    ],
    "grants/table.h": [
        ("now > seen", ">", ">=", SAME),
        ("time < grants->opts.ttl_min", "<", "<=", SAME),
        ("time < grants->opts.ttl_max", "<", "<=", SAME),
        ("until > used", ">", ">=", SAME),
    ],
    "worker/decide.c": [
        ("now > worker->now", ">", ">=", SAME),
        ("count < BATCH", "<", "<=", SAME),
        ("i < batch", "<", ">=", FETCH, 2),
    ],
}
