/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FINDINGS = 1000 };

/* Made by the first step that is no option. */
static bool make_worker(struct world *world)
{
    if (pol_grants_new(world->ctx, &world->settings.grants, &world->grants) != POL_OK)
        return false;
    world->settings.worker.grants = world->grants;
    if (pol_worker_new(world->ctx, &world->settings.worker, &world->worker) != POL_OK)
        return false;
    pol_worker_wall(world->worker, 0, (pol_wall)world->settings.wall * 1000);
    return true;
}

static bool begin(struct world *world, const struct step *step)
{
    if (world->ctx)
        return true;
    if (pol_ctx_new(&world->settings.ctx, &world->ctx) != POL_OK ||
        pol_audit_new(world->ctx, MAX_FINDINGS, &world->audit) != POL_OK || !make_worker(world))
        return script_error(world->script, step->line, "these options make no worker");
    return true;
}

void world_use_policy(struct world *world)
{
    if (world->generation)
        (void)pol_worker_use(world->worker, world->policies[world->generation - 1],
                             world->generation);
}

static void end_worker(struct world *world)
{
    pol_worker_free(world->worker);
    pol_grants_free(world->grants);
    world->worker = NULL;
    world->grants = NULL;
}

/* What a process writes down of its grants before it ends. */
static pol_grant *save_grants(const struct world *world, size_t *ret_count)
{
    size_t capacity = world->settings.grants.capacity;
    pol_grant *grants = grow(NULL, capacity * sizeof(*grants));
    uint32_t position = 0;

    *ret_count = pol_grants_list(world->grants, &position, world->now, grants, capacity);
    return grants;
}

static bool play_restart(struct world *world, struct args *args)
{
    pol_grant *saved;
    size_t count;
    bool made;

    if (args_peek(args))
        return args_unknown(args, args_peek(args));
    saved = save_grants(world, &count);
    end_worker(world);
    made = make_worker(world);
    for (size_t i = 0; made && i < count; i++)
        (void)pol_grants_restore(world->grants, &saved[i], world->now);
    free(saved);
    world_use_policy(world);
    return made;
}

static bool play_tick(struct world *world, struct args *args)
{
    if (args_peek(args))
        return args_unknown(args, args_peek(args));
    while (pol_worker_tick(world->worker, world->now, SIZE_MAX) > 0)
        ;
    (void)pol_grants_expire(world->grants, world->now, SIZE_MAX);
    return true;
}

static const struct verb {
    const char *name;
    bool (*play)(struct world *world, struct args *args);
    bool silent; /* needs no "expect" */
} verbs[] = {
    {"option", play_option, true},    {"policy", play_policy, true},
    {"reload", play_policy, true},    {"restart", play_restart, true},
    {"tick", play_tick, true},        {"tcp", play_tcp, false},
    {"udp", play_udp, false},         {"icmp", play_icmp, false},
    {"proto", play_proto, false},     {"frame", play_frame, false},
    {"ether", play_ether, false},     {"group", play_group, false},
    {"dhcp", play_dhcp, false},       {"dhcp6", play_dhcp6, false},
    {"dns", play_dns, false},         {"wire-dns", play_wire_dns, false},
    {"answer", play_answer, false},   {"grant", play_grant, false},
    {"names", play_names, false},     {"finding", play_finding, false},
    {"counter", play_counter, false},
};

static const struct verb *find_verb(const struct word *word)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (word_is(word, verbs[i].name))
            return &verbs[i];
    return NULL;
}

/* False when the scenario cannot go on. */
static bool play_step(struct world *world, const struct step *step, const struct verb *verb)
{
    struct args args = args_of(world->script, step);
    struct before before;

    world->now = step->at;
    world->payload.len = 0;
    if (verb->play == play_option)
        return play_option(world, &args);
    if (!begin(world, step))
        return false;
    before = look_before(world);
    if (!verb->play(world, &args))
        return false;
    if (verb->play == play_restart)
        before = look_before(world);
    look_after(world, &before);
    return true;
}

static void release(struct world *world)
{
    end_worker(world);
    pol_audit_free(world->audit);
    for (uint64_t i = 0; i < world->generation; i++)
        pol_policy_unref(world->policies[i]);
    for (size_t i = 0; i < world->loaded_count; i++)
        free(world->loaded[i]);
    for (size_t i = 0; i < world->question_count; i++)
        free(world->questions[i]);
    free(world->policies);
    free(world->loaded);
    free(world->questions);
    free(world->senders);
    facts_clear(&world->facts);
    pol_ctx_unref(world->ctx);
    free(world);
}

static const struct verb *understand(const struct script *script, const struct step *step)
{
    const struct verb *verb = step->count ? find_verb(step->words) : NULL;

    if (!verb)
        script_error(script, step->line, "unknown verb \"%s\"",
                     step->count ? step->words[0].text : "");
    else if (!verb->silent && step->expected == 0)
        script_error(script, step->line, "%s needs an \"expect\"", verb->name);
    else
        return verb;
    return NULL;
}

static void show(const struct world *world, const struct step *step, enum shown shown)
{
    const char *path = world->script->path, *slash = strrchr(path, '/');

    if (shown == SHOW_STEP) {
        printf("%4u  %s\n      came", step->line, step->source);
        facts_print(&world->facts);
    } else if (shown == SHOW_TRACE) {
        facts_trace(&world->facts, slash ? slash + 1 : path, step->line);
    }
}

bool world_play(const struct script *script, enum shown shown)
{
    struct world *world = grow(NULL, sizeof(*world));
    bool well = true;

    memset(world, 0, sizeof(*world));
    world->script = script;
    settings_init(&world->settings);
    for (size_t i = 0; i < script->count; i++) {
        const struct step *step = &script->steps[i];
        const struct verb *verb = understand(script, step);

        facts_clear(&world->facts);
        if (!verb || !play_step(world, step, verb)) {
            well = false;
            break;
        }
        show(world, step, shown);
        if (!facts_check(&world->facts, script, step))
            well = false;
    }
    release(world);
    return well;
}
