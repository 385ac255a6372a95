/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grant table against a list that is searched from end to end: lifetimes, what is held, the
 * caps and who has to go, restoring. Every step happens at a moment of its own, so "least recently
 * used" always means exactly one grant. Where the library may choose (which of the grants that are
 * gone, which of the largest groups), the model takes what the library took if it was allowed to.
 *
 * Tables are as small as what the library promises to look at in full.
 */
#include <inttypes.h>

#include "args.h"
#include "draw.h"
#include "grants/grants.h"
#include "names.h"

enum { MODEL_MAX = 32, KEYS = 4, ADDRS = 8, NAMES = 8, WORLD_STEPS = 2000, PINS_MAX = 4 };

#define REMEMBERED (3600 * POL_SECONDS)

struct entry {
    uint64_t key;
    int addr, name;
    uint8_t kind;
    bool two_way, seen_gone;
    uint32_t ttl, flows;
    pol_mono learned, answered, used, until;
    bool named;    /* by the library, when it was asked who is there */
    uint32_t slot; /* where the library keeps it, known once it was looked up */
};

struct model {
    struct draw draw;
    pol_grants_options options;
    pol_ctx *ctx;
    pol_grants *grants;
    pol_mono now;
    uint32_t count;
    struct entry list[MODEL_MAX];
    pol_grants_stats stats;
    pol_addr addrs[ADDRS];
    const char *difference; /* NULL: none */
};

static bool differs(struct model *model, const char *what)
{
    if (!model->difference)
        model->difference = what;
    return false;
}

/* --- the model ------------------------------------------------------------------------------ */

static pol_mono clamped(const struct model *model, uint32_t ttl)
{
    pol_mono time = ttl * POL_SECONDS;

    if (time < model->options.ttl_min)
        return model->options.ttl_min;
    return time > model->options.ttl_max ? model->options.ttl_max : time;
}

static pol_mono live_until(const struct model *model, const struct entry *entry)
{
    pol_mono idle = entry->two_way ? model->options.idle_two_way : model->options.idle;

    return entry->until > entry->used + idle ? entry->until : entry->used + idle;
}

static uint8_t state_of(const struct model *model, const struct entry *entry)
{
    if (model->now < live_until(model, entry))
        return POL_GRANT_LIVE;
    return entry->flows ? POL_GRANT_HELD : POL_GRANT_GONE;
}

static struct entry *find(struct model *model, uint64_t key, int addr, int name)
{
    for (uint32_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->list[i];

        if (entry->key == key && entry->addr == addr && entry->name == name)
            return entry;
    }
    return NULL;
}

static void drop(struct model *model, struct entry *entry)
{
    *entry = model->list[--model->count];
}

/* Who has to go among those that fit: -1 fits any. Gone ones first, then the least recently used;
 * never one that carries a flow. */
struct wanted {
    uint64_t key;
    int addr, name;
};

static uint32_t count_of(const struct model *model, uint64_t key)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < model->count; i++)
        count += model->list[i].key == key;
    return count;
}

static bool fits(const struct entry *entry, const struct wanted *wanted)
{
    return entry->key == wanted->key && (wanted->addr < 0 || entry->addr == wanted->addr) &&
           (wanted->name < 0 || entry->name == wanted->name);
}

static struct entry *victim(struct model *model, const struct wanted *wanted, uint32_t *ret_count)
{
    struct entry *best = NULL;

    *ret_count = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->list[i];
        bool gone = state_of(model, entry) == POL_GRANT_GONE, best_gone;

        if (!fits(entry, wanted))
            continue;
        ++*ret_count;
        if (entry->flows)
            continue;
        best_gone = best && state_of(model, best) == POL_GRANT_GONE;
        if (!best || gone > best_gone || (gone == best_gone && entry->used < best->used))
            best = entry;
    }
    return best;
}

static uint32_t group_count(const struct model *model)
{
    uint32_t count = 0;

    for (uint64_t key = 0; key <= KEYS; key++)
        count += count_of(model, key) > 0;
    return count;
}

/* Asks the library, which has already made room, for what it still has. */
static void name_those_left(struct model *model)
{
    struct grants_hit hits[GRANTS_HITS_MAX];

    for (uint32_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->list[i];
        const char *text = name_texts[entry->name];
        uint64_t hash = grants_name_hash(model->grants, (pol_str){text, strlen(text)});
        size_t count =
            grants_lookup(model->grants, entry->key, &model->addrs[entry->addr], model->now, hits);

        entry->named = false;
        for (size_t h = 0; h < count; h++)
            entry->named |= hits[h].name_hash == hash;
    }
}

enum choice { ANY_GONE, OF_LARGEST, ANY_AT_ALL };

static bool is_largest(const struct model *model, uint64_t group)
{
    for (uint64_t key = 0; key <= KEYS; key++) {
        if (count_of(model, key) > count_of(model, group))
            return false;
    }
    return true;
}

/* Every grant of one of the largest groups carries a flow. */
static bool largest_is_held(struct model *model)
{
    uint32_t unused;

    for (uint64_t key = 0; key <= KEYS; key++) {
        if (is_largest(model, key) && !victim(model, &(struct wanted){key, -1, -1}, &unused))
            return true;
    }
    return false;
}

static bool may_go(struct model *model, struct entry *entry, enum choice choice)
{
    uint32_t unused;

    if (entry->flows)
        return false;
    if (choice == ANY_GONE)
        return state_of(model, entry) == POL_GRANT_GONE;
    return choice == ANY_AT_ALL ||
           (is_largest(model, entry->key) &&
            victim(model, &(struct wanted){entry->key, -1, -1}, &unused) == entry);
}

/* One of those that may go, and the one that did if there is such a one. */
static struct entry *chosen(struct model *model, enum choice choice)
{
    struct entry *any = NULL;

    for (uint32_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->list[i];

        if (!may_go(model, entry, choice))
            continue;
        if (!entry->named)
            return entry;
        any = entry;
    }
    return any;
}

/* The table is full: a group at its fair share gives of its own, others take from who has most. */
static bool make_room(struct model *model, uint64_t key)
{
    uint32_t own = count_of(model, key), unused;
    uint32_t share = model->options.capacity / (group_count(model) + (own == 0));
    struct entry *entry = NULL;

    name_those_left(model);
    if (own > 0 && own >= share)
        entry = victim(model, &(struct wanted){key, -1, -1}, &unused);
    if (!entry)
        entry = chosen(model, ANY_GONE);
    if (!entry)
        entry = chosen(model, largest_is_held(model) ? ANY_AT_ALL : OF_LARGEST);
    if (!entry)
        return false;
    if (state_of(model, entry) != POL_GRANT_GONE)
        model->stats.evicted_total++;
    else if (!entry->seen_gone)
        model->stats.expired++;
    drop(model, entry);
    return true;
}

/* An answer to what is gone counts as if that had never been there. Otherwise those of a stronger
 * kind make the grant what they are and never shorten it, and those of a weaker one do not count.
 */
static void refresh(struct model *model, struct entry *entry, const struct entry *answer)
{
    pol_mono until = answer->answered + clamped(model, answer->ttl);

    model->stats.refreshed++;
    if (answer->kind > entry->kind && state_of(model, entry) != POL_GRANT_GONE)
        return;
    if (state_of(model, entry) == POL_GRANT_GONE) {
        entry->answered = entry->until = entry->used = 0;
        entry->two_way = answer->two_way;
        entry->learned = answer->learned;
    }
    entry->kind = answer->kind;
    if (answer->answered >= entry->answered) {
        entry->answered = answer->answered;
        entry->ttl = answer->ttl;
    }
    entry->until = until > entry->until ? until : entry->until;
    entry->used = answer->used > entry->used ? answer->used : entry->used;
    entry->seen_gone = false;
}

enum result { ADDED, REFRESHED, NO_ROOM };

static enum result refuse(struct model *model)
{
    model->stats.refused_full++;
    return NO_ROOM;
}

static enum result add(struct model *model, const struct entry *answer)
{
    struct entry *entry = find(model, answer->key, answer->addr, answer->name);
    uint32_t count;

    if (entry) {
        refresh(model, entry, answer);
        return REFRESHED;
    }
    entry = victim(model, &(struct wanted){answer->key, answer->addr, -1}, &count);
    if (count >= model->options.names_per_address) {
        if (!entry)
            return refuse(model);
        drop(model, entry);
        model->stats.evicted_address++;
    }
    for (int i = 0; i < 2; i++) {
        entry = victim(model, &(struct wanted){answer->key, -1, answer->name}, &count);
        if (count >= model->options.addresses_per_name && entry) {
            drop(model, entry);
            model->stats.evicted_name++;
        }
    }
    if (model->count == model->options.capacity && !make_room(model, answer->key))
        return refuse(model);
    entry = &model->list[model->count++];
    *entry = *answer;
    entry->until = answer->answered + clamped(model, answer->ttl);
    model->stats.learned++;
    return ADDED;
}

/* --- comparing ------------------------------------------------------------------------------ */

static bool same_hit(struct model *model, uint64_t key, int addr, const struct grants_hit *hit)
{
    char text[POL_NAME_MAX + 1];
    struct entry *entry = NULL;
    uint8_t len;

    if (!grants_name(model->grants, hit->name, hit->name_hash, text, &len))
        return differs(model, "a name that is not there");
    for (int name = 0; name < NAMES && !entry; name++) {
        if (strcmp(text, name_texts[name]) == 0)
            entry = find(model, key, addr, name);
    }
    if (!entry)
        return differs(model, "a grant that should not be there");
    entry->slot = hit->slot;
    if (hit->kind != entry->kind || hit->used != entry->used)
        return differs(model, "kind or last use");
    return hit->state == state_of(model, entry) || differs(model, "state");
}

static bool same_lookup(struct model *model, uint64_t key, int addr)
{
    struct grants_hit hits[GRANTS_HITS_MAX];
    size_t count = grants_lookup(model->grants, key, &model->addrs[addr], model->now, hits);
    uint32_t expected = 0;

    for (uint32_t i = 0; i < model->count; i++)
        expected += model->list[i].key == key && model->list[i].addr == addr;
    if (count != expected)
        return differs(model, "number of grants of an address");
    for (size_t i = 0; i < count; i++) {
        if (!same_hit(model, key, addr, &hits[i]))
            return false;
    }
    return true;
}

static bool same_stats(struct model *model)
{
    pol_grants_stats stats, *expected = &model->stats;

    pol_grants_stats_get(model->grants, &stats);
    expected->capacity = model->options.capacity;
    expected->live = 0;
    for (uint32_t i = 0; i < model->count; i++)
        expected->live += !model->list[i].seen_gone;
    return memcmp(&stats, expected, sizeof(stats)) == 0 || differs(model, "statistics");
}

static bool same_everywhere(struct model *model)
{
    for (uint64_t key = 0; key < KEYS; key++) {
        for (int addr = 0; addr < ADDRS; addr++) {
            if (!same_lookup(model, key, addr))
                return false;
        }
    }
    return same_stats(model);
}

/* --- steps ---------------------------------------------------------------------------------- */

static bool learn(struct model *model)
{
    struct draw *draw = &model->draw;
    struct entry answer = {
        .key = draw_below(draw, KEYS) / (1 + draw_below(draw, 2)), /* some learn more than others */
        .addr = (int)draw_below(draw, ADDRS),
        .name = (int)draw_below(draw, NAMES),
        .kind = (uint8_t)draw_below(draw, 3),
        .ttl = draw_below(draw, 5) ? draw_below(draw, 600) : UINT32_MAX,
        .learned = model->now,
        .answered = model->now,
        .used = model->now,
    };
    const char *name = name_texts[answer.name];
    struct grants_lesson lesson = {
        .keys = &answer.key,
        .key_count = 1,
        .kind = answer.kind,
        .name = {name, strlen(name)},
        .addrs = &model->addrs[answer.addr],
        .ttls = &answer.ttl,
        .addr_count = 1,
    };
    struct grants_learned learned;
    enum result result;

    grants_learn(model->grants, &lesson, model->now, &learned);
    result = add(model, &answer);
    if (learned.added != (result == ADDED) || learned.refreshed != (result == REFRESHED) ||
        learned.full != (result == NO_ROOM))
        return differs(model, "what a lesson has done");
    return same_lookup(model, answer.key, answer.addr);
}

static struct entry *some_entry(struct model *model)
{
    return model->count ? &model->list[draw_below(&model->draw, model->count)] : NULL;
}

static bool pin(struct model *model)
{
    struct grants_hit hits[GRANTS_HITS_MAX];
    struct entry *entry = some_entry(model);
    size_t count;

    if (!entry || state_of(model, entry) == POL_GRANT_GONE || entry->flows >= PINS_MAX)
        return true;
    if (!same_lookup(model, entry->key, entry->addr))
        return false;
    count = grants_lookup(model->grants, entry->key, &model->addrs[entry->addr], model->now, hits);
    for (size_t i = 0; i < count; i++) {
        if (hits[i].slot != entry->slot)
            continue;
        if (grants_pin(model->grants, hits[i].slot, hits[i].version + 1))
            return differs(model, "a pin of another version");
        if (!grants_pin(model->grants, hits[i].slot, hits[i].version))
            return differs(model, "a pin that failed");
        entry->flows++;
    }
    return true;
}

static bool unpin(struct model *model)
{
    struct entry *entry = some_entry(model);

    if (entry && entry->flows) {
        grants_unpin(model->grants, entry->slot);
        entry->flows--;
    }
    return true;
}

static bool touch(struct model *model)
{
    struct entry *entry = some_entry(model);
    bool two_way = draw_percent(&model->draw, 30);

    if (entry && entry->flows) {
        grants_touch(model->grants, entry->slot, model->now, two_way);
        entry->used = model->now;
        entry->two_way |= two_way;
    }
    return true;
}

static bool expire(struct model *model)
{
    size_t expected = 0, freed = pol_grants_expire(model->grants, model->now, SIZE_MAX);

    for (uint32_t i = 0; i < model->count;) {
        struct entry *entry = &model->list[i];
        bool gone = state_of(model, entry) == POL_GRANT_GONE;

        if (gone && !entry->seen_gone)
            model->stats.expired++;
        entry->seen_gone |= gone;
        if (gone && model->now >= live_until(model, entry) + REMEMBERED) {
            drop(model, entry);
            expected++;
        } else {
            i++;
        }
    }
    return freed == expected ? same_everywhere(model) : differs(model, "number freed");
}

static bool same_grant(struct model *model, const pol_grant *grant)
{
    for (uint32_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->list[i];

        if (grant->group_key != entry->key || strcmp(grant->name, name_texts[entry->name]) != 0 ||
            memcmp(&grant->addr, &model->addrs[entry->addr], sizeof(grant->addr)) != 0)
            continue;
        return grant->kind == entry->kind && grant->state == state_of(model, entry) &&
               grant->two_way == entry->two_way && grant->flows == entry->flows &&
               grant->ttl == entry->ttl && grant->learned == entry->learned &&
               grant->answered == entry->answered && grant->used == entry->used &&
               grant->expires == live_until(model, entry);
    }
    return false;
}

/* A saved grant carries its newest answer only: what an older, longer one gave beyond that is lost.
 */
static void shorten(const struct model *model, pol_grant *grant)
{
    struct entry entry = {.two_way = grant->two_way, .used = grant->used};

    entry.until = grant->answered + clamped(model, grant->ttl);
    grant->expires = live_until(model, &entry);
    grant->state = state_of(model, &entry);
    grant->flows = 0;
}

static bool restore_one(struct model *model, pol_grants *other, const pol_grant *grant)
{
    int rc = pol_grants_restore(other, grant, model->now);

    if (rc != (grant->state == POL_GRANT_LIVE ? POL_OK : POL_E_NOTFOUND))
        return differs(model, "restoring");
    if (rc == POL_OK && pol_grants_restore(other, grant, model->now) != POL_OK)
        return differs(model, "restoring twice");
    return true;
}

/* Lists the table, and brings another one to the same state from the list. */
static bool list_and_restore(struct model *model)
{
    pol_grant grants[MODEL_MAX], again[MODEL_MAX];
    uint32_t position = 0, second = 0;
    size_t count = pol_grants_list(model->grants, &position, model->now, grants, MODEL_MAX);
    size_t expected = 0, live = 0;
    pol_grants_options roomy = model->options;
    pol_grants *other;
    bool same = true;

    for (uint32_t i = 0; i < model->count; i++)
        expected += state_of(model, &model->list[i]) != POL_GRANT_GONE;
    if (count != expected)
        return differs(model, "length of the list");
    /* Only an open flow lets a name exceed its cap, and flows are not restored. */
    roomy.addresses_per_name = roomy.names_per_address = MODEL_MAX;
    if (pol_grants_new(model->ctx, &roomy, &other) != POL_OK)
        return differs(model, "pol_grants_new");
    for (size_t i = 0; i < count; i++) {
        same = same && (same_grant(model, &grants[i]) || differs(model, "a listed grant"));
        shorten(model, &grants[i]);
        same = same && restore_one(model, other, &grants[i]);
        if (grants[i].state == POL_GRANT_LIVE)
            grants[live++] = grants[i];
    }
    count = pol_grants_list(other, &second, model->now, again, MODEL_MAX);
    if (same && (count != live || memcmp(grants, again, live * sizeof(*grants)) != 0))
        same = differs(model, "the restored list");
    pol_grants_free(other);
    return same;
}

static bool step(struct model *model)
{
    struct draw *draw = &model->draw;
    uint32_t what = draw_below(draw, 100);

    model->now += draw_percent(draw, 3) ? draw_below(draw, 2000) * POL_SECONDS
                                        : 1 + draw_below(draw, 4) * POL_SECONDS;
    if (what < 45)
        return learn(model);
    if (what < 60)
        return pin(model);
    if (what < 74)
        return unpin(model);
    if (what < 85)
        return touch(model);
    if (what < 97)
        return same_lookup(model, draw_below(draw, KEYS), (int)draw_below(draw, ADDRS));
    return what < 99 ? expire(model) : list_and_restore(model);
}

/* --- a world -------------------------------------------------------------------------------- */

static void draw_options(struct model *model)
{
    struct draw *draw = &model->draw;
    pol_grants_options *options = &model->options;

    pol_grants_options_init(options, sizeof(*options));
    options->capacity = draw_between(draw, 1, MODEL_MAX);
    options->addresses_per_name = draw_between(draw, 1, ADDRS + 1);
    options->names_per_address = draw_between(draw, 1, NAMES + 1);
    options->ttl_min = draw_below(draw, 60) * POL_SECONDS;
    options->ttl_max = draw_between(draw, 60, 1000) * POL_SECONDS;
    options->idle = draw_below(draw, 300) * POL_SECONDS;
    options->idle_two_way = options->idle + draw_below(draw, 3000) * POL_SECONDS;
}

static void draw_addresses(struct model *model)
{
    for (int i = 0; i < ADDRS; i++) {
        /* The same octets in both families are two addresses. */
        model->addrs[i] = (pol_addr){.family = i % 2 ? 6 : 4, .bytes = {192, 0, 2}};
        model->addrs[i].bytes[3] = (uint8_t)(i / 2);
    }
}

static bool play(struct model *model, uint64_t seed, uint64_t steps)
{
    bool same;

    *model = (struct model){.draw = {seed}, .ctx = model->ctx};
    draw_options(model);
    draw_addresses(model);
    if (pol_grants_new(model->ctx, &model->options, &model->grants) != POL_OK)
        return differs(model, "pol_grants_new");
    do {
        same = step(model);
    } while (same && --steps > 0);
    same = same && same_everywhere(model);
    pol_grants_free(model->grants);
    return same;
}

int main(int argc, char **argv)
{
    static struct model model;
    uint64_t cases = 5000000, seed = 1, worlds, passed = 0;

    if (!args_read(argc, argv, &cases, &seed))
        return 2;
    if (pol_ctx_new(NULL, &model.ctx) != POL_OK)
        return 2;
    worlds = (cases + WORLD_STEPS - 1) / WORLD_STEPS;
    while (passed < worlds && play(&model, seed + passed, WORLD_STEPS))
        passed++;
    if (passed < worlds)
        printf("they differ in: %s, at %" PRIu64 " ns\nagain:  grants_oracle --cases 1 --seed "
               "%" PRIu64 "\n",
               model.difference, model.now, seed + passed);
    pol_ctx_unref(model.ctx);
    return args_result(passed, worlds);
}
