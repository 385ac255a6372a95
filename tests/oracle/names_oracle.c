/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names against patterns: the index and the memo against PCRE2, asked with one pattern after the
 * other and told what decisions.md 3 says. Patterns are drawn from a grammar of names, suffixes,
 * alternations, wildcards and real regular expressions, in whatever combination; names are short
 * and of few letters, or made of what a pattern consists of, so that they meet. A pattern that is
 * said to have a shape is also checked against what the shape stands for.
 */
#include <libpolicy/context.h>

#include <inttypes.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "args.h"
#include "base/mem.h"
#include "draw.h"
#include "match/memo.h"
#include "pattern/shape.h"

enum {
    PATTERNS = 100, /* more than the memo keeps of one name */
    PATTERN_BYTES = 200,
    NAME_BYTES = 96,
    NAMES = 40,
    WORLD_CASES = 400 /* names asked for */
};

static struct world {
    struct draw draw;
    pol_ctx *ctx;
    uint32_t count;
    bool lavish; /* names match more patterns than the memo keeps of one */
    char texts[PATTERNS][PATTERN_BYTES];
    pcre2_code *codes[PATTERNS];
    struct shape shapes[PATTERNS];
    bool shaped[PATTERNS];
    pcre2_match_data *data;
    struct patterns *patterns;
    struct regex_scratch *scratch;
    struct memo memo;
    char names[NAMES][NAME_BYTES];
    char difference[512];
} world;

static bool differs(const char *what, const char *name, uint32_t pattern)
{
    snprintf(world.difference, sizeof(world.difference), "%s: name \"%s\", pattern \"%s\"", what,
             name, pattern < world.count ? world.texts[pattern] : "");
    return false;
}

/* --- drawing -------------------------------------------------------------------------------- */

static void append(char *text, size_t capacity, const char *more)
{
    size_t len = strlen(text), added = strlen(more);

    if (len + added < capacity)
        memcpy(text + len, more, added + 1);
}

static const char *const labels[] = {"a", "b",  "ab", "www",    "x-1", "_d",
                                     "c", "ba", "aa", "\\034b", "B",   "a\\.b"};

static const char *draw_label(void)
{
    return labels[draw_below(&world.draw, sizeof(labels) / sizeof(*labels))];
}

/* A label as a pattern spells it. */
static void put_label(char *text)
{
    for (const char *c = draw_label(); *c; c++) {
        char one[3] = {'\\', *c, '\0'};

        append(text, PATTERN_BYTES, *c == '\\' || *c == '.' || *c == '-' ? one : one + 1);
    }
}

static void put_group(char *text, int depth);

static void put_literal(char *text, int depth)
{
    uint32_t count = draw_between(&world.draw, 1, 3);

    for (uint32_t i = 0; i < count; i++) {
        if (i)
            append(text, PATTERN_BYTES, "\\.");
        if (depth > 0 && draw_percent(&world.draw, 15))
            put_group(text, depth - 1);
        else
            put_label(text);
    }
}

static void put_group(char *text, int depth)
{
    uint32_t count = draw_between(&world.draw, 1, 3);

    append(text, PATTERN_BYTES, draw_percent(&world.draw, 50) ? "(?:" : "(");
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            append(text, PATTERN_BYTES, "|");
        if (draw_percent(&world.draw, 92))
            put_literal(text, depth);
    }
    append(text, PATTERN_BYTES, draw_percent(&world.draw, 10) ? ")?" : ")");
}

static void put_end(char *text)
{
    if (draw_percent(&world.draw, 88))
        append(text, PATTERN_BYTES, "$");
}

/* What a document has most: names, suffixes and alternations of them. */
static void put_shape(char *text)
{
    static const char *const heads[] = {
        "^",      "^",      "^(?:.+\\.)?", "^(.+\\.)?",   "(^|\\.)", "(?:^|\\.)",
        "^.+\\.", "^.*\\.", "\\.",         "^(?:.*\\.)?", ""};

    append(text, PATTERN_BYTES, heads[draw_below(&world.draw, 11)]);
    if (draw_percent(&world.draw, 35))
        put_group(text, 1);
    else
        put_literal(text, 1);
    if (draw_percent(&world.draw, 20)) {
        append(text, PATTERN_BYTES, "\\.");
        put_literal(text, 0);
    }
    put_end(text);
}

/* Anything else, put together from pieces; not every result is a pattern. */
static void put_regex(char *text)
{
    static const char *const pieces[] = {
        "^",      "$",      ".",           ".*",   ".+",    "\\.",     "a",
        "b",      "[a-c]",  "[^.]+",       "\\d",  "\\w+",  "a{2}",    "b?",
        "(a|b)+", "|",      "(?:",         ")",    "(",     "(^|\\.)", "(?i)",
        "A",      "-",      "_",           "\\b",  "$|^",   "a*",      "(?:^a|b$)",
        "c",      ".{1,3}", "(|a)",        "\\\\", "\\x61", "[.]",     "(?:.+\\.)?",
        "\\034",  "x",      "[[:alpha:]]", "+?",   "\\A",   "\\z",     "\\Z",
    };
    uint32_t count = draw_between(&world.draw, 1, 7);

    for (uint32_t i = 0; i < count; i++)
        append(text, PATTERN_BYTES,
               pieces[draw_below(&world.draw, sizeof(pieces) / sizeof(*pieces))]);
}

static void draw_pattern(char *text)
{
    static const char *const every[] = {".*", "^.*$", ".+", "^.+$", "^.*", ".*$", "^", "$", "^$"};
    uint32_t what = draw_below(&world.draw, 100);

    *text = '\0';
    if (world.lavish && what < 85) {
        append(text, PATTERN_BYTES, "(|");
        put_literal(text, 0);
        append(text, PATTERN_BYTES, ")");
    } else if (what < 4) {
        append(text, PATTERN_BYTES, every[draw_below(&world.draw, 9)]);
    } else if (what < 60) {
        put_shape(text);
    } else if (what < 85) {
        put_regex(text);
    } else {
        put_shape(text);
        append(text, PATTERN_BYTES, "|");
        put_shape(text);
    }
}

static void draw_labels(char *name)
{
    uint32_t count = draw_below(&world.draw, 5);

    for (uint32_t i = 0; i < count; i++) {
        if (i)
            append(name, NAME_BYTES, ".");
        append(name, NAME_BYTES, draw_label());
    }
}

/* What is left of a pattern without its operators, so that names and patterns meet. */
static void draw_from_pattern(char *name)
{
    const char *text = world.texts[draw_below(&world.draw, world.count)];
    char one[2] = {0};

    for (; *text; text++) {
        if (strchr("^$()?:+*|[]{}", *text) || (*text == '\\' && text[1] != '\\'))
            continue;
        if (*text == '\\')
            text++;
        one[0] = *text;
        append(name, NAME_BYTES, one);
        if (draw_percent(&world.draw, 5))
            *name = '\0';
    }
}

/* Names come in lower case. */
static void draw_name(char *name)
{
    *name = '\0';
    if (draw_percent(&world.draw, 60))
        draw_labels(name);
    else
        draw_from_pattern(name);
    for (char *c = name; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 32);
    }
}

/* --- PCRE2, directly ------------------------------------------------------------------------ */

static pcre2_code *compile(const char *text)
{
    PCRE2_SIZE offset;
    int error;

    return pcre2_compile((PCRE2_SPTR)text, strlen(text),
                         PCRE2_CASELESS | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &error,
                         &offset, NULL);
}

static bool searched(uint32_t pattern, const char *name)
{
    int rc =
        pcre2_match(world.codes[pattern], (PCRE2_SPTR)name, strlen(name), 0, 0, world.data, NULL);

    return rc >= 0;
}

/* --- shapes --------------------------------------------------------------------------------- */

/* A dot inside a label is written "\\." and separates nothing. */
static bool separates(const char *name, size_t at)
{
    size_t slashes = 0;

    while (slashes < at && name[at - 1 - slashes] == '\\')
        slashes++;
    return name[at] == '.' && slashes % 2 == 0;
}

static bool item_fits(const struct shape_item *item, const char *name)
{
    size_t len = strlen(name), tail = item->literal.len;

    if (item->place & SHAPE_EVERY || (item->place & SHAPE_NOT_EMPTY && len > 0))
        return true;
    if (len < tail || memcmp(name + len - tail, item->literal.ptr, tail) != 0)
        return false;
    if (item->place & SHAPE_WHOLE && len == tail)
        return true;
    if (len == tail || !separates(name, len - tail - 1))
        return false;
    return item->place & SHAPE_BEHIND_DOT || (item->place & SHAPE_BELOW && len > tail + 1);
}

static bool shape_fits(uint32_t pattern, const char *name)
{
    const struct shape *shape = &world.shapes[pattern];
    bool fits = false;

    for (size_t i = 0; i < shape->count; i++)
        fits |= item_fits(&shape->items[i], name);
    return fits;
}

/* A suffix is one of labels, where the pattern has a shape; a search knows only text. */
static bool matches(uint32_t pattern, const char *name)
{
    return world.shaped[pattern] ? shape_fits(pattern, name) : searched(pattern, name);
}

static bool same_shape(uint32_t pattern, const char *name)
{
    return strstr(name, "\\.") || shape_fits(pattern, name) == searched(pattern, name) ||
           differs("a shape", name, pattern);
}

/* --- one name ------------------------------------------------------------------------------- */

static bool same_ids(const char *what, const char *name, const uint32_t *ids, size_t count)
{
    size_t next = 0;

    for (uint32_t p = 0; p < world.count; p++) {
        bool found = next < count && ids[next] == p;

        if (found != matches(p, name))
            return differs(what, name, p);
        next += found;
    }
    return next == count || differs(what, name, POL_NONE);
}

/* A buffer that is too small is told how much there is, and holds the beginning. */
static bool same_prefix(const char *name, const uint32_t *ids, size_t count)
{
    uint32_t some[PATTERNS];
    size_t capacity = draw_below(&world.draw, PATTERNS), total;

    total = patterns_match(world.patterns, world.scratch, (pol_str){name, strlen(name)}, some,
                           capacity);
    return (total == count &&
            memcmp(some, ids, (capacity < count ? capacity : count) * sizeof(*ids)) == 0) ||
           differs("a small buffer", name, POL_NONE);
}

static bool same_memo(uint32_t number)
{
    const char *name = world.names[number];
    struct memo_patterns found;
    uint64_t hash = number + 1;

    if (!memo_find(&world.memo, hash, &found))
        memo_add(&world.memo, hash, (pol_str){name, strlen(name)}, world.patterns, world.scratch,
                 &found);
    return same_ids("the memo", name, found.ids, found.count);
}

static bool ask(uint32_t number)
{
    const char *name = world.names[number];
    uint32_t ids[PATTERNS];
    size_t count =
        patterns_match(world.patterns, world.scratch, (pol_str){name, strlen(name)}, ids, PATTERNS);

    if (!same_ids("the index", name, ids, count) || !same_prefix(name, ids, count) ||
        !same_memo(number))
        return false;
    for (uint32_t p = 0; p < world.count; p++) {
        if (world.shaped[p] && !same_shape(p, name))
            return false;
    }
    return true;
}

/* --- a world -------------------------------------------------------------------------------- */

/* Keeps a pattern that both accept. What the library refuses is for other tests to judge; what it
 * accepts must be a pattern. */
static bool add_pattern(void)
{
    uint32_t at = world.count;
    char *text = world.texts[at], error[REGEX_ERROR_TEXT];
    struct regex *regex = NULL;
    pol_str str;
    int rc;

    draw_pattern(text);
    str = (pol_str){text, strlen(text)};
    rc = str.len ? regex_compile(world.ctx, str, true, &regex, error) : POL_E_FORMAT;
    regex_free(regex);
    world.shaped[at] = str.len && shape_of(str, &world.shapes[at]);
    world.codes[at] = rc == POL_OK ? compile(text) : NULL;
    if (rc == POL_OK && !world.codes[at])
        return differs("accepted", text, POL_NONE);
    if (rc < 0 && world.shaped[at])
        return differs("a shape of what is no pattern", text, POL_NONE);
    world.count += rc == POL_OK;
    return true;
}

static bool begin(uint64_t seed)
{
    struct patterns_input inputs[PATTERNS];
    uint32_t wanted, bad;
    char error[REGEX_ERROR_TEXT];

    world.draw.state = seed;
    world.count = 0;
    wanted = draw_percent(&world.draw, 70) ? draw_between(&world.draw, 1, 12) : PATTERNS;
    world.lavish = wanted == PATTERNS && draw_percent(&world.draw, 40);
    while (world.count < wanted) {
        if (!add_pattern())
            return false;
    }
    for (uint32_t i = 0; i < world.count; i++)
        inputs[i] = (struct patterns_input){{world.texts[i], strlen(world.texts[i])}};
    for (uint32_t i = 0; i < NAMES; i++)
        draw_name(world.names[i]);
    if (patterns_build(world.ctx, inputs, world.count, &world.patterns, &bad, error) != POL_OK)
        return differs("not built", error, POL_NONE);
    return memo_reset(&world.memo, &mem_libc, world.count) == POL_OK ||
           differs("memo_reset", "", POL_NONE);
}

static void end(void)
{
    patterns_free(world.patterns);
    world.patterns = NULL;
    for (uint32_t i = 0; i < world.count; i++)
        pcre2_code_free(world.codes[i]);
    world.count = 0;
}

static bool play(uint64_t seed)
{
    bool same = begin(seed);

    for (int i = 0; same && i < WORLD_CASES; i++)
        same = ask(draw_below(&world.draw, NAMES));
    end();
    return same;
}

static bool prepare(void)
{
    world.data = pcre2_match_data_create(1, NULL);
    return world.data && pol_ctx_new(NULL, &world.ctx) == POL_OK &&
           regex_scratch_new(world.ctx, &world.scratch) == POL_OK &&
           memo_init(&world.memo, &mem_libc, NAMES / 2) == POL_OK;
}

static void clean_up(void)
{
    memo_fini(&world.memo, &mem_libc);
    regex_scratch_free(world.scratch);
    pol_ctx_unref(world.ctx);
    pcre2_match_data_free(world.data);
}

int main(int argc, char **argv)
{
    uint64_t cases = 1000000, seed = 1, worlds, passed = 0;

    if (!args_read(argc, argv, &cases, &seed) || !prepare())
        return 2;
    worlds = (cases + WORLD_CASES - 1) / WORLD_CASES;
    while (passed < worlds && play(seed + passed))
        passed++;
    if (passed < worlds)
        printf("they differ in: %s\nagain:  names_oracle --cases 1 --seed %" PRIu64 "\n",
               world.difference, seed + passed);
    clean_up();
    return args_result(passed, worlds);
}
