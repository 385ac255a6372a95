/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "world.h"

#define WORKER(name) offsetof(struct settings, worker.name)
#define GRANTS(name) offsetof(struct settings, grants.name)
#define LIMIT(name)  offsetof(struct settings, ctx.limits.name)

static const struct word_key keys[] = {
    {"ports", WORD_CHOICE, offsetof(struct settings, ports), "pair|one"},
    {"default_allow", WORD_BOOL, offsetof(struct settings, default_allow), NULL},
    {"sni_check", WORD_CHOICE, WORKER(sni_check), "off|log|enforce"},
    {"midstream", WORD_CHOICE, WORKER(midstream), "judge|deny"},
    {"reject_inside", WORD_BOOL, WORKER(reject_inside), NULL},
    {"admit_outside", WORD_BOOL, WORKER(admit_outside), NULL},
    {"flow_capacity", WORD_U32, WORKER(flow_capacity), NULL},
    {"event_capacity", WORD_U32, WORKER(event_capacity), NULL},
    {"memo_capacity", WORD_U32, WORKER(memo_capacity), NULL},
    {"pending_capacity", WORD_U32, WORKER(pending_capacity), NULL},
    {"query_capacity", WORD_U32, WORKER(query_capacity), NULL},
    {"stream_capacity", WORD_U32, WORKER(stream_capacity), NULL},
    {"fragment_capacity", WORD_U32, WORKER(fragment_capacity), NULL},
    {"certificate_capacity", WORD_U32, WORKER(certificate_capacity), NULL},
    {"wall", WORD_U32, offsetof(struct settings, wall), NULL},
    {"member_capacity", WORD_U32, WORKER(member_capacity), NULL},
    {"midstream_window", WORD_TIME, WORKER(midstream_window), NULL},
    {"query_timeout", WORD_TIME, WORKER(query_timeout), NULL},
    {"tls_timeout", WORD_TIME, WORKER(tls_timeout), NULL},
    {"report_interval", WORD_TIME, WORKER(report_interval), NULL},
    {"grant_capacity", WORD_U32, GRANTS(capacity), NULL},
    {"addresses_per_name", WORD_U32, GRANTS(addresses_per_name), NULL},
    {"names_per_address", WORD_U32, GRANTS(names_per_address), NULL},
    {"ttl_min", WORD_TIME, GRANTS(ttl_min), NULL},
    {"ttl_max", WORD_TIME, GRANTS(ttl_max), NULL},
    {"grant_idle", WORD_TIME, GRANTS(idle), NULL},
    {"grant_idle_two_way", WORD_TIME, GRANTS(idle_two_way), NULL},
    {"limit_document", WORD_SIZE, LIMIT(document_bytes), NULL},
    {"limit_groups", WORD_U32, LIMIT(groups), NULL},
    {"limit_rules", WORD_U32, LIMIT(rules), NULL},
    {"limit_id", WORD_U32, LIMIT(id_bytes), NULL},
    {"limit_pattern", WORD_U32, LIMIT(pattern_bytes), NULL},
};

void settings_init(struct settings *settings)
{
    *settings = (struct settings){.ports = 0};
    pol_worker_options_init(&settings->worker, sizeof(settings->worker));
    pol_grants_options_init(&settings->grants, sizeof(settings->grants));
    pol_ctx_options_init(&settings->ctx, sizeof(settings->ctx));
    settings->wall = 1780272000; /* 2026-06-01 */
    settings->ctx.hash_seed[0] = 1;
    settings->ctx.hash_seed[1] = 2;
    (void)pol_addr_parse((pol_str){"192.0.2.53", 10}, &settings->trusted[0]);
    (void)pol_addr_parse((pol_str){"2001:db8::53", 12}, &settings->trusted[1]);
    settings->worker.trusted_resolvers = settings->trusted;
    settings->worker.trusted_resolver_count = 2;
    settings->worker.inside_resolvers = settings->inside_resolvers;
    settings->worker.inside = settings->inside;
    settings->worker.own = settings->own;
}

/* Reads "a,b,c" as prefixes. */
static bool take_prefixes(const char *text, pol_prefix *prefixes, size_t *ret_count)
{
    size_t count = 0;

    while (count < SETTING_ADDRESSES) {
        size_t len = strcspn(text, ",");

        if (pol_prefix_parse((pol_str){text, len}, &prefixes[count++]) != POL_OK)
            return false;
        if (text[len] == '\0') {
            *ret_count = count;
            return true;
        }
        text += len + 1;
    }
    return false;
}

static bool take_addresses(const char *text, pol_addr *addrs, size_t *ret_count)
{
    pol_prefix prefixes[SETTING_ADDRESSES];

    if (strchr(text, '/') || !take_prefixes(text, prefixes, ret_count))
        return false;
    for (size_t i = 0; i < *ret_count; i++)
        addrs[i] = prefixes[i].addr;
    return true;
}

static bool take_trust(const char *text, struct settings *settings)
{
    if (!strcmp(text, "all"))
        settings->worker.trust_all_resolvers = true;
    else if (!strcmp(text, "none"))
        settings->worker.trusted_resolver_count = 0;
    else
        return take_addresses(text, settings->trusted, &settings->worker.trusted_resolver_count);
    return true;
}

static int control_kind(const char *word, size_t len)
{
    for (int kind = 0; kind < POL_CONTROL_COUNT; kind++) {
        const char *name = pol_control_word((unsigned)kind);

        if (strlen(name) == len && !strncmp(name, word, len))
            return kind;
    }
    return -1;
}

/* Reads "KIND:POLICY,KIND:POLICY". */
static bool take_control(const char *text, uint8_t control[16])
{
    while (*text) {
        size_t len = strcspn(text, ":"), rest;
        int kind = control_kind(text, len), policy;
        char word[8] = "";

        if (kind < 0 || text[len] != ':')
            return false;
        text += len + 1;
        rest = strcspn(text, ",");
        if (rest >= sizeof(word))
            return false;
        memcpy(word, text, rest);
        policy = word_choice(word, "pass|judge|drop");
        if (policy < 0)
            return false;
        control[kind] = (uint8_t)policy;
        text += rest + (text[rest] == ',');
    }
    return true;
}

static bool take_anchors(const char *name, struct settings *settings)
{
    struct flight *pem = &settings->anchors;
    char file[64];

    snprintf(file, sizeof(file), "%s.pem", name);
    if (!flight_read(pem, file))
        return false;
    settings->worker.trust_anchors_pem = (pol_str){(const char *)pem->bytes, pem->len};
    return true;
}

static enum word_taken take_list(const struct word *word, struct settings *settings)
{
    pol_worker_options *worker = &settings->worker;
    bool fits;

    if (!word->key)
        return WORD_UNKNOWN;
    if (!strcmp(word->key, "trust"))
        fits = take_trust(word->text, settings);
    else if (!strcmp(word->key, "inside"))
        fits = take_prefixes(word->text, settings->inside, &worker->inside_count);
    else if (!strcmp(word->key, "control"))
        fits = take_control(word->text, worker->control);
    else if (!strcmp(word->key, "anchors"))
        fits = take_anchors(word->text, settings);
    else if (!strcmp(word->key, "own"))
        fits = take_addresses(word->text, settings->own, &worker->own_count);
    else if (!strcmp(word->key, "inside_resolvers"))
        fits =
            take_addresses(word->text, settings->inside_resolvers, &worker->inside_resolver_count);
    else
        return WORD_UNKNOWN;
    return fits ? WORD_TAKEN : WORD_BAD;
}

bool play_option(struct world *world, struct args *args)
{
    const struct word *word;

    if (world->ctx)
        return script_error(world->script, args->step->line, "options come before everything else");
    while ((word = args_next(args))) {
        enum word_taken taken =
            word_take(word, keys, sizeof(keys) / sizeof(keys[0]), &world->settings);

        if (taken == WORD_UNKNOWN)
            taken = take_list(word, &world->settings);
        if (!args_taken(args, word, taken))
            return false;
    }
    return true;
}
