/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Literals of all shapes are in one hash table. Each literal has a list of (pattern, where in the
 * name it must stand), ascending by pattern. A name is looked up as a whole and behind each of its
 * dots, which gives at most one list per label; a merge of these lists and of the engine's patterns
 * gives the result in order and without repetitions, in the caller's memory only.
 *
 * A dot inside a label (written "\.") separates nothing: x\.b.c is not below b.c, although a search
 * of the text would say so.
 */
#include "pattern/patterns.h"

#include <string.h>

#include "base/arena.h"
#include "base/ctx.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/slice.h"
#include "pattern/shape.h"

enum { LISTS = 128 + 3 }; /* labels of a name, two kinds of "every name", the engine */

struct use {
    uint32_t id;
    uint8_t place; /* enum shape_place, or-ed */
    uint32_t next; /* while building: next use of the literal */
};

struct literal {
    pol_str text;
    uint64_t hash;
    uint32_t first; /* into uses; while building: head of a chain */
    uint32_t last;  /* while building: its tail */
    uint32_t count;
};

struct patterns {
    const pol_ctx *ctx;
    struct arena arena;
    uint32_t count;

    uint32_t *slots; /* literal + 1; 0 is free */
    uint32_t slot_mask;
    struct literal *literals;
    uint32_t literal_count;
    struct use *uses;
    uint32_t every_first, every_count; /* into uses: patterns for every name */

    struct regex **regexes; /* by pattern; NULL: not the engine's */
    uint32_t *engine;       /* patterns of the engine, ascending */
    uint32_t engine_count;
};

struct build {
    const pol_ctx *ctx;
    struct patterns *patterns;
    struct shape *shape;
    struct literal *literals;
    size_t literal_count, literal_capacity;
    struct use *chain;
    size_t chain_count, chain_capacity;
    uint32_t every; /* its chain */
    uint32_t every_last;
};

static uint32_t find(const struct patterns *patterns, const struct literal *literals, pol_str text,
                     uint64_t hash, uint32_t *ret_slot)
{
    uint32_t slot = (uint32_t)hash & patterns->slot_mask;

    for (; patterns->slots[slot]; slot = (slot + 1) & patterns->slot_mask) {
        const struct literal *literal = &literals[patterns->slots[slot] - 1];

        if (literal->hash == hash && str_equal(literal->text, text))
            return patterns->slots[slot] - 1;
    }
    *ret_slot = slot;
    return POL_NONE;
}

/* Keeps the table at most half full. */
static int grow_slots(struct build *b, size_t need)
{
    struct patterns *patterns = b->patterns;
    uint32_t size = patterns->slots ? patterns->slot_mask + 1 : 0;
    uint32_t wanted = size ? size : 16;
    uint32_t *slots;

    while (wanted < 2 * need)
        wanted *= 2;
    if (wanted == size)
        return POL_OK;
    slots = mem_array(&b->ctx->mem, wanted, sizeof(*slots));
    if (!slots)
        return POL_E_NOMEM;
    mem_free(&b->ctx->mem, patterns->slots, size * sizeof(*slots));
    patterns->slots = slots;
    patterns->slot_mask = wanted - 1;
    for (uint32_t i = 0; i < b->literal_count; i++) {
        uint32_t slot = (uint32_t)b->literals[i].hash & patterns->slot_mask;

        while (slots[slot])
            slot = (slot + 1) & patterns->slot_mask;
        slots[slot] = i + 1;
    }
    return POL_OK;
}

static int add_use(struct build *b, uint32_t *first, uint32_t *last, uint32_t id, uint8_t place)
{
    struct use *tail = *first == POL_NONE ? NULL : &b->chain[*last];
    int rc;

    if (tail && tail->id == id) {
        tail->place |= place;
        return POL_OK;
    }
    rc = mem_grow(&b->ctx->mem, (void **)&b->chain, &b->chain_capacity, b->chain_count + 1,
                  sizeof(*b->chain));
    if (rc < 0)
        return rc;
    b->chain[b->chain_count] = (struct use){id, place, POL_NONE};
    if (*first == POL_NONE)
        *first = (uint32_t)b->chain_count;
    else
        b->chain[*last].next = (uint32_t)b->chain_count;
    *last = (uint32_t)b->chain_count++;
    return POL_OK;
}

static int add_literal(struct build *b, pol_str text, uint64_t hash, uint32_t slot)
{
    pol_str copy = arena_str(&b->patterns->arena, text);
    int rc;

    if (!copy.ptr)
        return POL_E_NOMEM;
    rc = mem_grow(&b->ctx->mem, (void **)&b->literals, &b->literal_capacity, b->literal_count + 1,
                  sizeof(*b->literals));
    if (rc < 0)
        return rc;
    b->literals[b->literal_count++] = (struct literal){copy, hash, POL_NONE, POL_NONE, 0};
    b->patterns->slots[slot] = (uint32_t)b->literal_count;
    return POL_OK;
}

static int add_item(struct build *b, const struct shape_item *item, uint32_t id)
{
    struct literal *literal;
    uint32_t index, slot = 0;
    uint64_t hash;
    int rc;

    if (item->place & (SHAPE_EVERY | SHAPE_NOT_EMPTY))
        return add_use(b, &b->every, &b->every_last, id, item->place);
    rc = grow_slots(b, b->literal_count + 1);
    if (rc < 0)
        return rc;
    hash = hash_bytes(b->ctx->hash_seed, item->literal.ptr, item->literal.len);
    index = find(b->patterns, b->literals, item->literal, hash, &slot);
    if (index == POL_NONE) {
        index = (uint32_t)b->literal_count;
        rc = add_literal(b, item->literal, hash, slot);
        if (rc < 0)
            return rc;
    }
    literal = &b->literals[index];
    return add_use(b, &literal->first, &literal->last, id, item->place);
}

static int add_regex(struct build *b, uint32_t id, pol_str text, char *error)
{
    struct patterns *patterns = b->patterns;
    int rc;

    if (patterns->engine_count == b->ctx->limits.regexes)
        return POL_E_LIMIT;
    rc = regex_compile(b->ctx, text, true, &patterns->regexes[id], error);
    if (rc == POL_OK)
        patterns->engine[patterns->engine_count++] = id;
    return rc;
}

static int add_pattern(struct build *b, uint32_t id, pol_str text, char *error)
{
    int rc = POL_OK;

    if (!shape_of(text, b->shape))
        return add_regex(b, id, text, error);
    for (size_t i = 0; i < b->shape->count && rc == POL_OK; i++)
        rc = add_item(b, &b->shape->items[i], id);
    return rc;
}

static uint32_t pack_chain(struct build *b, uint32_t chain, uint32_t *next)
{
    uint32_t first = *next;

    for (; chain != POL_NONE; chain = b->chain[chain].next)
        b->patterns->uses[(*next)++] = b->chain[chain];
    return first;
}

/* Chains become consecutive uses. */
static int pack(struct build *b)
{
    struct patterns *patterns = b->patterns;
    uint32_t next = 0;

    patterns->literals =
        arena_array(&patterns->arena, b->literal_count + 1, sizeof(*patterns->literals));
    patterns->uses = arena_array(&patterns->arena, b->chain_count + 1, sizeof(*patterns->uses));
    if (!patterns->literals || !patterns->uses)
        return POL_E_NOMEM;
    patterns->literal_count = (uint32_t)b->literal_count;
    for (uint32_t i = 0; i < patterns->literal_count; i++) {
        struct literal *literal = &patterns->literals[i];

        *literal = b->literals[i];
        literal->first = pack_chain(b, literal->first, &next);
        literal->count = next - literal->first;
    }
    patterns->every_first = pack_chain(b, b->every, &next);
    patterns->every_count = next - patterns->every_first;
    return POL_OK;
}

static int patterns_new(const pol_ctx *ctx, uint32_t count, struct patterns **ret_patterns)
{
    struct patterns *patterns = mem_zalloc(&ctx->mem, sizeof(*patterns));

    if (!patterns)
        return POL_E_NOMEM;
    patterns->ctx = ctx;
    patterns->count = count;
    arena_init(&patterns->arena, &ctx->mem);
    patterns->regexes = arena_array(&patterns->arena, count + 1, sizeof(*patterns->regexes));
    patterns->engine = arena_array(&patterns->arena, count + 1, sizeof(*patterns->engine));
    if (!patterns->regexes || !patterns->engine) {
        patterns->count = 0;
        patterns_free(patterns);
        return POL_E_NOMEM;
    }
    *ret_patterns = patterns;
    return POL_OK;
}

int patterns_build(const pol_ctx *ctx, const struct patterns_input *inputs, uint32_t count,
                   struct patterns **ret_patterns, uint32_t *reterr_index,
                   char error[REGEX_ERROR_TEXT])
{
    struct build b = {.ctx = ctx, .every = POL_NONE};
    int rc;

    rc = patterns_new(ctx, count, &b.patterns);
    if (rc < 0)
        return rc;
    b.shape = mem_alloc(&ctx->mem, sizeof(*b.shape));
    rc = b.shape ? grow_slots(&b, 1) : POL_E_NOMEM;
    for (uint32_t i = 0; i < count && rc == POL_OK; i++) {
        rc = add_pattern(&b, i, inputs[i].text, error);
        if (rc < 0)
            *reterr_index = i;
    }
    if (rc == POL_OK)
        rc = pack(&b);
    if (rc == POL_OK) {
        *ret_patterns = b.patterns;
        b.patterns = NULL;
    }
    patterns_free(b.patterns);
    mem_free(&ctx->mem, b.shape, sizeof(*b.shape));
    mem_free(&ctx->mem, b.literals, b.literal_capacity * sizeof(*b.literals));
    mem_free(&ctx->mem, b.chain, b.chain_capacity * sizeof(*b.chain));
    return rc;
}

void patterns_free(struct patterns *patterns)
{
    const pol_mem *mem;

    if (!patterns)
        return;
    mem = &patterns->ctx->mem;
    for (uint32_t i = 0; i < patterns->engine_count; i++)
        regex_free(patterns->regexes[patterns->engine[i]]);
    if (patterns->slots)
        mem_free(mem, patterns->slots, (patterns->slot_mask + 1) * sizeof(*patterns->slots));
    arena_fini(&patterns->arena);
    mem_free(mem, patterns, sizeof(*patterns));
}

uint32_t patterns_count(const struct patterns *patterns)
{
    return patterns->count;
}

size_t patterns_memory(const struct patterns *patterns)
{
    size_t bytes = sizeof(*patterns) + patterns->arena.bytes;

    bytes += (patterns->slot_mask + 1) * sizeof(*patterns->slots);
    for (uint32_t i = 0; i < patterns->engine_count; i++)
        bytes += regex_memory(patterns->regexes[patterns->engine[i]]);
    return bytes;
}

bool patterns_needs_engine(const struct patterns *patterns, uint32_t id)
{
    return patterns->regexes[id];
}

/* What is left of one ascending list of uses, of which those with one of `places` count. */
struct list {
    const struct use *at, *end;
    uint8_t places;
};

struct search {
    const struct patterns *patterns;
    struct regex_scratch *scratch;
    pol_str name;
    struct list lists[LISTS];
    uint32_t count;
    uint32_t engine; /* next of patterns->engine */
};

static void list_settle(struct list *list)
{
    while (list->at < list->end && !(list->at->place & list->places))
        list->at++;
}

static void push(struct search *s, uint32_t first, uint32_t count, unsigned places)
{
    struct list *list = &s->lists[s->count];

    if (!count || s->count == LISTS)
        return;
    list->at = s->patterns->uses + first;
    list->end = list->at + count;
    list->places = (uint8_t)places;
    list_settle(list);
    if (list->at < list->end)
        s->count++;
}

static void look_up(struct search *s, size_t at)
{
    pol_str tail = {s->name.ptr + at, s->name.len - at};
    const struct literal *literal;
    uint32_t index, slot;
    uint64_t hash;
    unsigned places;

    if (!tail.len)
        return;
    hash = hash_bytes(s->patterns->ctx->hash_seed, tail.ptr, tail.len);
    index = find(s->patterns, s->patterns->literals, tail, hash, &slot);
    if (index == POL_NONE)
        return;
    if (at == 0)
        places = SHAPE_WHOLE;
    else
        places = at == 1 ? SHAPE_BEHIND_DOT : SHAPE_BEHIND_DOT | SHAPE_BELOW;
    literal = &s->patterns->literals[index];
    push(s, literal->first, literal->count, places);
}

static void collect(struct search *s)
{
    const struct patterns *patterns = s->patterns;

    push(s, patterns->every_first, patterns->every_count,
         s->name.len ? SHAPE_EVERY | SHAPE_NOT_EMPTY : SHAPE_EVERY);
    if (!patterns->literal_count)
        return;
    look_up(s, 0);
    for (size_t i = 0; i < s->name.len; i++) {
        if (s->name.ptr[i] == '\\')
            i++;
        else if (s->name.ptr[i] == '.')
            look_up(s, i + 1);
    }
}

/* The next pattern of the engine that matches, with PATTERN_EXCEPTION; POL_NONE at the end. */
static uint32_t next_engine(struct search *s)
{
    const struct patterns *patterns = s->patterns;

    while (s->engine < patterns->engine_count) {
        uint32_t id = patterns->engine[s->engine++];
        enum regex_result result = regex_search(patterns->regexes[id], s->scratch, s->name);

        if (result == REGEX_YES)
            return id;
        if (result == REGEX_EXCEPTION)
            return id | PATTERN_EXCEPTION;
    }
    return POL_NONE;
}

/* The smallest id at the head of a list, which moves on; POL_NONE at the end. */
static uint32_t next_use(struct search *s)
{
    uint32_t least = POL_NONE;

    for (uint32_t i = 0; i < s->count; i++) {
        if (s->lists[i].at < s->lists[i].end && s->lists[i].at->id < least)
            least = s->lists[i].at->id;
    }
    for (uint32_t i = 0; least != POL_NONE && i < s->count; i++) {
        struct list *list = &s->lists[i];

        if (list->at < list->end && list->at->id == least) {
            list->at++;
            list_settle(list);
        }
    }
    return least;
}

size_t patterns_match(const struct patterns *patterns, struct regex_scratch *scratch, pol_str name,
                      uint32_t *ret_ids, size_t capacity)
{
    struct search s;
    uint32_t use, engine;
    size_t count = 0;

    s.patterns = patterns;
    s.scratch = scratch;
    s.name = name;
    s.count = s.engine = 0;
    collect(&s);
    use = next_use(&s);
    engine = next_engine(&s);
    while (use != POL_NONE || engine != POL_NONE) {
        bool from_use = engine == POL_NONE || use < (engine & ~PATTERN_EXCEPTION);
        uint32_t id = from_use ? use : engine;

        if (count < capacity)
            ret_ids[count] = id;
        count++;
        if (from_use)
            use = next_use(&s);
        else
            engine = next_engine(&s);
    }
    return count;
}
