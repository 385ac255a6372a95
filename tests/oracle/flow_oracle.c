/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow table and its wheel against a list: who is found, who makes room when the table is full
 * (what is closing, then what is half-open, then denied entries, the oldest first; never another),
 * that a key can be used again at once when its flow is gone, and that a flow comes up once its
 * moment has passed and never before, except to be put back.
 */
#include <inttypes.h>

#include "args.h"
#include "base/mem.h"
#include "draw.h"
#include "flow/table.h"

enum {
    FLOWS_MAX = 40,
    KEYS = 64,
    WORLD_STEPS = 2000,
    FAR = 8000 /* seconds the wheel can see */,
    TAKEN_MAX = 1000
};

struct entry {
    uint32_t key, index;
    uint64_t id;
    pol_mono deadline; /* POL_NEVER: not on the wheel */
    uint8_t list;      /* enum flow_list */
};

struct model {
    struct draw draw;
    struct flow_table table;
    pol_mono now;
    uint32_t count;
    struct entry list[FLOWS_MAX]; /* in the order in which they came to their list */
    uint64_t last_id;
    const char *difference;
};

static bool differs(struct model *model, const char *what)
{
    if (!model->difference)
        model->difference = what;
    return false;
}

/* A tuple of its own for every number, seen from either end. */
static void key_of(uint32_t number, bool reply, struct flow_key *ret_key, uint8_t *ret_end)
{
    static const uint8_t protos[] = {6, 17, 1, 58, 47};
    static const uint16_t vlan[2] = {7, 8};
    uint8_t proto = protos[number % 5];
    pol_addr a = {.family = 4, .bytes = {10, 0, 0, 1}}, b = {.family = 4, .bytes = {10, 0, 0, 2}};
    pol_tuple tuple = {.src = reply ? b : a, .dst = reply ? a : b, .proto = proto};
    bool icmp = proto == 1 || proto == 58;

    tuple.src_port = (uint16_t)(reply && !icmp ? 53 : number / 15);
    if (!icmp)
        tuple.dst_port = (uint16_t)(reply ? number / 15 : 53);
    flow_key_of(&tuple, vlan, (uint8_t)(number / 5 % 3), ret_key, ret_end);
}

static struct entry *find(struct model *model, uint32_t key)
{
    for (uint32_t i = 0; i < model->count; i++) {
        if (model->list[i].key == key)
            return &model->list[i];
    }
    return NULL;
}

static void drop(struct model *model, struct entry *entry)
{
    uint32_t at = (uint32_t)(entry - model->list);

    memmove(entry, entry + 1, (--model->count - at) * sizeof(*entry));
}

static bool look(struct model *model, uint32_t number)
{
    const struct entry *entry = find(model, number);
    struct flow_key key, other;
    uint8_t end, other_end;
    uint32_t index;

    key_of(number, false, &key, &end);
    key_of(number, true, &other, &other_end);
    if (memcmp(&key, &other, sizeof(key)) != 0 || end == other_end)
        return differs(model, "the keys of both directions");
    index = flow_find(&model->table, &key, flow_hash(&model->table, &key));
    if (index != (entry ? entry->index : POL_NONE))
        return differs(model, "what is found");
    return !entry || model->table.flows[index].id == entry->id || differs(model, "the id");
}

/* Who has to go: the first entry of the first list that has one. */
static struct entry *victim(struct model *model)
{
    static const uint8_t order[] = {LIST_CLOSING, LIST_HALF_OPEN, LIST_DENIED};

    for (int at = 0; at < 3; at++) {
        for (uint32_t i = 0; i < model->count; i++) {
            if (model->list[i].list == order[at])
                return &model->list[i];
        }
    }
    return NULL;
}

/* In a full table, as the worker does it; false: they differ. */
static bool make_room(struct model *model)
{
    struct entry *entry = victim(model);
    uint32_t index = flow_victim(&model->table);

    if (index != (entry ? entry->index : POL_NONE))
        return differs(model, "who makes room");
    if (entry && model->count == model->table.capacity) {
        flow_remove(&model->table, index);
        drop(model, entry);
    }
    return true;
}

/* An entry is new, whoever had the key or the place before: its id is, too, and nothing of its
 * predecessor stays. */
static bool is_fresh(struct model *model, uint32_t index)
{
    const struct flow *flow = &model->table.flows[index];
    bool fresh = flow->id > model->last_id && flow->state == FLOW_ALLOWED &&
                 flow->list == LIST_HALF_OPEN && !flow->both_ways && !flow->fins &&
                 flow->wheel_slot == POL_NONE;

    model->last_id = flow->id;
    return fresh || differs(model, "a fresh entry");
}

static bool insert(struct model *model, uint32_t number)
{
    struct flow_key key;
    uint8_t end;
    uint32_t index;

    if (find(model, number))
        return true;
    key_of(number, false, &key, &end);
    flow_clock(&model->table, model->now);
    if (draw_percent(&model->draw, 80) && !make_room(model))
        return false;
    index = flow_insert(&model->table, &key, flow_hash(&model->table, &key));
    if ((index == POL_NONE) != (model->count == model->table.capacity))
        return differs(model, "whether there is room");
    if (index != POL_NONE)
        model->list[model->count++] =
            (struct entry){number, index, model->table.flows[index].id, POL_NEVER, LIST_HALF_OPEN};
    return (index == POL_NONE || is_fresh(model, index)) && look(model, number);
}

static bool drop_flow(struct model *model, uint32_t number)
{
    struct entry *entry = find(model, number);

    if (!entry)
        return true;
    flow_remove(&model->table, entry->index);
    drop(model, entry);
    return look(model, number);
}

/* It is answered, denied, closed, or anything else that changes its list. */
static bool move(struct model *model, uint32_t number)
{
    struct entry *entry = find(model, number), copy;
    struct flow *flow;

    if (!entry)
        return true;
    flow = &model->table.flows[entry->index];
    copy = *entry;
    copy.list = (uint8_t)draw_below(&model->draw, LIST_NONE + 1);
    flow->state = copy.list == LIST_DENIED ? FLOW_DENIED : FLOW_ALLOWED;
    flow->both_ways = 1;
    flow->fins = 3;
    flow_put_on(&model->table, entry->index, copy.list);
    if (copy.list != entry->list) {
        drop(model, entry);
        model->list[model->count++] = copy;
    }
    return true;
}

static bool same_victim(struct model *model)
{
    const struct entry *entry = victim(model);

    return flow_victim(&model->table) == (entry ? entry->index : POL_NONE) ||
           differs(model, "who would make room");
}

/* The same key again, in the moment in which its flow is over. */
static bool reuse(struct model *model, uint32_t number)
{
    return drop_flow(model, number) && insert(model, number);
}

static bool schedule(struct model *model, uint32_t number)
{
    struct entry *entry = find(model, number);
    bool far = draw_percent(&model->draw, 5);
    pol_mono wait = draw_below(&model->draw, far ? 20000 : 300) * POL_SECONDS;

    if (!entry)
        return true;
    entry->deadline = model->now + wait + draw_below(&model->draw, 1000000000);
    flow_schedule(&model->table, entry->index, entry->deadline);
    return true;
}

static bool is_due(const struct model *model, const struct entry *entry)
{
    return entry->deadline != POL_NEVER && model->now >= entry->deadline + POL_SECONDS;
}

/* Takes what is due off the wheel; a flow that waits for longer than it can see comes up early and
 * goes back. */
static bool take_due(struct model *model)
{
    for (uint32_t taken = 0;; taken++) {
        uint32_t index = flow_due(&model->table, model->now);
        struct entry *entry = NULL;

        if (index == POL_NONE)
            break;
        if (taken == TAKEN_MAX)
            return differs(model, "flows that come up for ever");
        for (uint32_t i = 0; i < model->count; i++) {
            if (model->list[i].index == index)
                entry = &model->list[i];
        }
        if (!entry || entry->deadline == POL_NEVER)
            return differs(model, "a flow that is not on the wheel");
        if (model->now > entry->deadline)
            entry->deadline = POL_NEVER;
        else if (entry->deadline - model->now > 20000 * POL_SECONDS)
            return differs(model, "a flow long before its time");
        else
            flow_schedule(&model->table, index, entry->deadline);
    }
    for (uint32_t i = 0; i < model->count; i++) {
        if (is_due(model, &model->list[i]))
            return differs(model, "a flow that was forgotten");
    }
    return true;
}

/* Nothing runs out before the moment the wheel names. */
static bool next_due(struct model *model)
{
    pol_mono next = flow_next_due(&model->table);

    for (uint32_t i = 0; i < model->count; i++) {
        const struct entry *entry = &model->list[i];

        if (entry->deadline != POL_NEVER && next > entry->deadline + POL_SECONDS)
            return differs(model, "when there is something to do");
    }
    return true;
}

static bool step(struct model *model)
{
    uint32_t number = draw_below(&model->draw, KEYS), what = draw_below(&model->draw, 100);

    model->now += draw_below(&model->draw, 4) * POL_SECONDS / 2;
    if (draw_percent(&model->draw, 1))
        model->now += draw_below(&model->draw, 2 * FAR) * POL_SECONDS;
    if (what < 25)
        return insert(model, number);
    if (what < 35)
        return drop_flow(model, number);
    if (what < 40)
        return reuse(model, number);
    if (what < 55)
        return move(model, number) && same_victim(model);
    if (what < 75)
        return schedule(model, number);
    if (what < 90)
        return look(model, number);
    return take_due(model) && next_due(model);
}

static bool play(struct model *model, uint64_t seed)
{
    static const uint64_t hash_seed[2] = {1, 2};
    bool same = true;

    *model = (struct model){.draw = {seed}};
    model->now = draw_below(&model->draw, 1000000) * POL_SECONDS;
    if (flow_table_init(&model->table, &mem_libc, draw_between(&model->draw, 1, FLOWS_MAX),
                        hash_seed) != POL_OK)
        return differs(model, "flow_table_init");
    for (int i = 0; i < WORLD_STEPS && same; i++)
        same = step(model);
    flow_table_fini(&model->table, &mem_libc);
    return same;
}

int main(int argc, char **argv)
{
    static struct model model;
    uint64_t cases = 5000000, seed = 1, worlds, passed = 0;

    if (!args_read(argc, argv, &cases, &seed))
        return 2;
    worlds = (cases + WORLD_STEPS - 1) / WORLD_STEPS;
    while (passed < worlds && play(&model, seed + passed))
        passed++;
    if (passed < worlds)
        printf("they differ in: %s\nagain:  flow_oracle --cases 1 --seed %" PRIu64 "\n",
               model.difference, seed + passed);
    return args_result(passed, worlds);
}
