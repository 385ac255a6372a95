/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ipset.h"

#include <stdio.h>

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/mem.h"
#include "frames.h"
#include "prng.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_PREFIXES = 10, ROUNDS = 3000 };

static struct arena arena;

static void begin(void)
{
    arena_init(&arena, &mem_libc);
}

static void end(void)
{
    arena_fini(&arena);
}

TestSuite(ipset, .init = begin, .fini = end);

static struct ipset *build(const pol_prefix *prefixes, size_t count)
{
    struct ipset *set = NULL;

    cr_assert_eq(ipset_build(&arena, prefixes, count, &set), POL_OK);
    return set;
}

/* Prefixes separated by blanks. */
static struct ipset *set_from(const char *text)
{
    pol_prefix prefixes[MAX_PREFIXES];
    size_t count = 0;
    char copy[256];

    cr_assert_lt(strlen(text), sizeof(copy));
    strcpy(copy, text);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        cr_assert_lt(count, MAX_PREFIXES);
        prefixes[count++] = prefix_from(word);
    }
    return build(prefixes, count);
}

static const struct {
    const char *prefixes;
    const char *ranges; /* first-last, in order */
} merges[] = {
    {"", ""},
    {"10.0.0.1", "10.0.0.1-10.0.0.1 "},
    {"10.0.0.0/25 10.0.0.128/25", "10.0.0.0-10.0.0.255 "},
    {"10.0.0.128/25 10.0.0.0/25", "10.0.0.0-10.0.0.255 "},
    {"10.0.0.0/8 10.1.0.0/16 10.1.2.3", "10.0.0.0-10.255.255.255 "},
    {"10.0.0.0/25 10.0.1.0/24", "10.0.0.0-10.0.0.127 10.0.1.0-10.0.1.255 "},
    {"0.0.0.0/1 128.0.0.0/1", "0.0.0.0-255.255.255.255 "},
    {"255.255.255.255 0.0.0.0", "0.0.0.0-0.0.0.0 255.255.255.255-255.255.255.255 "},
    {"255.255.255.255 255.255.255.254/31", "255.255.255.254-255.255.255.255 "},
    {"::/1 8000::/1", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "},
    {"2001:db8::ffff:ffff:ffff:ffff 2001:db8:0:1::",
     "2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1:: "}, /* touches across the middle */
    {"fe80::/10 10.0.0.0/8 ::1",
     "10.0.0.0-10.255.255.255 ::1-::1 fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff "},
};

Test(ipset, prefixes_become_disjoint_ranges)
{
    for (size_t i = 0; i < COUNT(merges); i++) {
        struct ipset *set = set_from(merges[i].prefixes);
        char text[512] = "", first[POL_ADDR_TEXT], last[POL_ADDR_TEXT];

        for (size_t j = 0; j < ipset_range_count(set); j++) {
            struct iprange range = ipset_range(set, j);
            size_t len = strlen(text);

            pol_addr_format(&range.first, first);
            pol_addr_format(&range.last, last);
            snprintf(text + len, sizeof(text) - len, "%s-%s ", first, last);
        }
        cr_expect_str_eq(text, merges[i].ranges);
    }
}

static const struct {
    const char *prefixes, *addr;
    bool has;
} members[] = {
    {"", "10.0.0.1", false},
    {"", "::1", false},
    {"0.0.0.0/0", "::1", false},
    {"::/0", "10.0.0.1", false},
    {"0.0.0.0/0", "255.255.255.255", true},
    {"10.0.0.0/8 192.168.0.0/16", "9.255.255.255", false},
    {"10.0.0.0/8 192.168.0.0/16", "10.0.0.0", true},
    {"10.0.0.0/8 192.168.0.0/16", "10.255.255.255", true},
    {"10.0.0.0/8 192.168.0.0/16", "11.0.0.0", false},
    {"10.0.0.0/8 192.168.0.0/16", "192.168.255.255", true},
    {"10.0.0.0/8 192.168.0.0/16", "192.169.0.0", false},
    {"2001:db8::/32 fd00::/8", "2001:db8:ffff::", true},
    {"2001:db8::/32 fd00::/8", "2001:db9::", false},
    {"2001:db8::/32 fd00::/8", "fdff::1", true},
};

Test(ipset, has_its_addresses_and_no_others)
{
    pol_addr none = {0};

    for (size_t i = 0; i < COUNT(members); i++) {
        struct ipset *set = set_from(members[i].prefixes);
        pol_addr addr = addr_from(members[i].addr);

        cr_expect_eq(ipset_has(set, &addr), members[i].has, "%s in %s", members[i].addr,
                     members[i].prefixes);
        cr_expect(!ipset_has(set, &none));
    }
}

static const struct {
    const char *outer, *inner;
    bool covers;
} covers[] = {
    {"", "", true},
    {"10.0.0.0/8", "", true},
    {"", "10.0.0.0/8", false},
    {"10.0.0.0/8", "10.1.0.0/16 10.2.0.0/16", true},
    {"10.0.0.0/8", "10.1.0.0/16 11.0.0.0/16", false},
    {"10.0.0.0/9 10.128.0.0/9", "10.0.0.0/8", true}, /* only together */
    {"0.0.0.0/0", "10.0.0.0/8 ::1", false},
    {"0.0.0.0/0 ::/0", "10.0.0.0/8 ::1", true},
    {"2001:db8::/32", "2001:db8::/33 2001:db8:8000::1", true},
    {"2001:db8::/33", "2001:db8::/32", false},
};

Test(ipset, covers_what_lies_inside_it)
{
    for (size_t i = 0; i < COUNT(covers); i++) {
        cr_expect_eq(ipset_covers(set_from(covers[i].outer), set_from(covers[i].inner)),
                     covers[i].covers, "%s covers %s", covers[i].outer, covers[i].inner);
    }
}

/* A small world: 256 places that differ in eight bits, where the bits behind them and the whole
 * space around them make the cases interesting. */
struct world {
    const char *base;
    unsigned start; /* the first of the eight bits */
};

static const struct world worlds[] = {
    {"10.0.0.0", 24},
    {"0.0.0.0", 0},
    {"0.0.0.0", 24},
    {"255.255.255.0", 24},
    {"2001:db8::", 60}, /* across the two halves of the integer */
    {"::", 0},
    {"::", 120},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00", 120},
};

static pol_addr place(const struct world *world, unsigned index, bool fill)
{
    pol_addr addr = addr_from(world->base);
    unsigned bits = addr.family == 4 ? 32 : 128;

    for (unsigned bit = world->start; bit < bits; bit++) {
        unsigned i = bit - world->start;
        bool set = i < 8 ? index >> (7 - i) & 1 : fill;

        if (set)
            addr.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        else
            addr.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    }
    return addr;
}

static size_t random_prefixes(uint64_t *seed, const struct world *world, pol_prefix *ret_prefixes)
{
    size_t count = prng_below(seed, MAX_PREFIXES + 1);

    for (size_t i = 0; i < count; i++) {
        pol_addr addr = place(world, prng_below(seed, 256), false);

        ret_prefixes[i] = prefix_of(&addr, world->start + 3 + prng_below(seed, 6));
    }
    return count;
}

static bool oracle_has(const pol_prefix *prefixes, size_t count, const pol_addr *addr)
{
    for (size_t i = 0; i < count; i++) {
        if (prefix_contains(&prefixes[i], addr))
            return true;
    }
    return false;
}

static void check_order(const struct ipset *set)
{
    for (size_t i = 0; i < ipset_range_count(set); i++) {
        struct iprange range = ipset_range(set, i);

        cr_assert_leq(addr_compare(&range.first, &range.last), 0);
        cr_assert(ipset_has(set, &range.first) && ipset_has(set, &range.last));
        if (i > 0) {
            struct iprange before = ipset_range(set, i - 1);

            cr_assert_gt(addr_compare(&range.first, &before.last), 0);
        }
    }
}

static void check_round(const struct world *world, uint64_t *seed)
{
    pol_prefix a[MAX_PREFIXES], b[MAX_PREFIXES];
    size_t a_count = random_prefixes(seed, world, a), b_count = random_prefixes(seed, world, b);
    struct ipset *outer = build(a, a_count), *inner = build(b, b_count);
    bool covered = true;
    size_t changes = 0;
    bool before = false;

    for (unsigned i = 0; i < 512; i++) {
        pol_addr addr = place(world, i / 2, i % 2);
        bool has = oracle_has(a, a_count, &addr);

        cr_assert_eq(ipset_has(outer, &addr), has, "%s place %u", world->base, i);
        covered = covered && (has || !oracle_has(b, b_count, &addr));
        changes += has && !before;
        before = has;
    }
    cr_assert_eq(ipset_covers(outer, inner), covered, "%s", world->base);
    cr_assert_eq(ipset_range_count(outer), changes, "neighbours are joined");
    check_order(outer);
}

Test(ipset, agrees_with_a_scan_of_the_prefixes)
{
    uint64_t seed = 1;

    for (unsigned round = 0; round < ROUNDS; round++)
        check_round(&worlds[round % COUNT(worlds)], &seed);
}

struct meter {
    unsigned left;
};

static void *metered(void *user, size_t size)
{
    struct meter *meter = user;

    return meter->left-- ? mem_alloc(&mem_libc, size) : NULL;
}

static void release(void *user, void *ptr, size_t size)
{
    (void)user;
    mem_free(&mem_libc, ptr, size);
}

Test(ipset, without_memory_there_is_no_set)
{
    static pol_prefix many[5000]; /* more than one block of the arena */

    for (size_t i = 0; i < COUNT(many); i++) {
        many[i] = i % 2 ? prefix_from("2001:db8::1") : prefix_from("10.0.0.0/8");
    }
    for (unsigned allowed = 0; allowed < 3; allowed++) {
        struct meter meter = {allowed};
        pol_mem mem = {.user = &meter, .alloc = metered, .release = release};
        struct ipset *set = NULL;
        struct arena poor;

        arena_init(&poor, &mem);
        cr_expect_eq(ipset_build(&poor, many, COUNT(many), &set), POL_E_NOMEM, "%u", allowed);
        cr_expect_null(set);
        arena_fini(&poor);
    }
}
