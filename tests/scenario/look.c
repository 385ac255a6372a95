/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "world.h"

enum { GRANT_BATCH = 64, NAME_BATCH = 300 };

/* Scenarios begin at this time of day; only the differences show. */
#define WALL_BEGIN UINT64_C(1700000000000)

/* Text of an id for facts; `none` where there is none. */
static void add_id(struct facts *facts, const char *key, pol_str id, const char *none)
{
    if (id.len)
        facts_add(facts, key, "%.*s", STR(id));
    else
        facts_add(facts, key, "%s", none);
}

static void add_flags(struct facts *facts, uint32_t flags)
{
    static const char *const words[] = {"opened", "known",         "rejudged",    "watched",
                                        "audit",  "side_inferred", "reply",       "related",
                                        "named",  "sni_seen",      "sni_mismatch"};

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (flags & 1u << i)
            facts_flag(facts, words[i]);
}

void facts_verdict(struct world *world, const pol_verdict *verdict)
{
    static const char *const sides[] = {"unknown", "inside", "outside"};
    const pol_policy *policy = policy_of(world, verdict->generation);
    struct facts *facts = &world->facts;
    const pol_str none = {NULL, 0};

    facts->word = pol_action_word(verdict->action);
    add_flags(facts, verdict->flags);
    facts_add(facts, "raw", "%s", pol_action_word(verdict->raw_action));
    facts_add(facts, "reason", "%s", pol_reason_word(verdict->reason));
    add_id(facts, "rule", policy ? pol_policy_rule_id(policy, verdict->rule) : none, "-");
    add_id(facts, "group", policy ? pol_policy_group_id(policy, verdict->group) : none, "default");
    facts_add(facts, "side", "%s", verdict->side < 3 ? sides[verdict->side] : "?");
    facts_add(facts, "generation", "%llu", (unsigned long long)verdict->generation);
}

/* What a step has changed. */

static size_t count_grants(const struct world *world)
{
    pol_grant batch[GRANT_BATCH];
    uint32_t position = 0;
    size_t count = 0, got;

    do {
        got = pol_grants_list(world->grants, &position, world->now, batch, GRANT_BATCH);
        count += got;
    } while (got == GRANT_BATCH);
    return count;
}

static void add_addresses(struct facts *facts, const pol_event *event)
{
    char list[1024] = "", text[POL_ADDR_TEXT];

    for (unsigned i = 0; i < event->answer_count && i < POL_EVENT_ADDRESSES; i++) {
        (void)pol_addr_format(&event->answers[i], text);
        facts_join(list, sizeof(list), text);
    }
    facts_add(facts, "answers", "%s", *list ? list : "-");
}

static void add_event(struct world *world, const pol_event *event)
{
    static const char *const kinds[] = {"flow_open", "flow_update", "flow_active",
                                        "flow_end",  "deny",        "dns"};
    static const char *const ends[] = {"-",      "fin",     "rst",    "idle",
                                       "policy", "evicted", "reused", "flushed"};
    struct facts *facts = &world->facts;

    facts_add(facts, "event", "%s", event->kind < 6 ? kinds[event->kind] : "?");
    if (event->kind == POL_EV_FLOW_END)
        facts_add(facts, "end", "%s", event->end < 8 ? ends[event->end] : "?");
    facts_add(facts, "sni", "%s", *event->name ? event->name : "-");
    facts_add(facts, "fqdn", "%s", *event->fqdn ? event->fqdn : "-");
    if (event->kind != POL_EV_DNS)
        return;
    facts_add(facts, "rcode", "%u", (unsigned)event->rcode);
    facts_add(facts, "learned", "%u", (unsigned)event->learned);
    add_addresses(facts, event);
}

static void drain(struct world *world)
{
    pol_event batch[8];
    size_t got, count = 0;

    facts_declare(&world->facts, "event");
    facts_declare(&world->facts, "end");
    facts_declare(&world->facts, "sni");
    facts_declare(&world->facts, "fqdn");
    facts_declare(&world->facts, "rcode");
    facts_declare(&world->facts, "learned");
    facts_declare(&world->facts, "answers");
    while ((got = pol_worker_drain(world->worker, batch, 8)) > 0)
        for (size_t i = 0; i < got; i++, count++) {
            add_event(world, &batch[i]);
            (void)pol_audit_add(world->audit, policy_of(world, batch[i].verdict.generation),
                                world->grants, &batch[i], WALL_BEGIN + batch[i].at / 1000000);
        }
    facts_add(&world->facts, "events", "%zu", count);
}

struct before look_before(const struct world *world)
{
    struct before before;

    pol_grants_stats_get(world->grants, &before.stats);
    return before;
}

/* When a tick has something to do. */
static void add_deadline(struct world *world)
{
    pol_mono due = pol_worker_deadline(world->worker);

    if (due == POL_NEVER)
        facts_add(&world->facts, "due", "-");
    else
        facts_add(&world->facts, "due", "%llus",
                  (unsigned long long)(due > world->now ? (due - world->now) / POL_SECONDS : 0));
}

void look_after(struct world *world, const struct before *before)
{
    struct facts *facts = &world->facts;
    pol_grants_stats stats;

    drain(world);
    pol_grants_stats_get(world->grants, &stats);
    facts_add(facts, "granted", "%lld", (long long)(stats.learned - before->stats.learned));
    facts_add(facts, "refreshed", "%lld", (long long)(stats.refreshed - before->stats.refreshed));
    facts_add(facts, "grants", "%zu", count_grants(world));
    facts_add(facts, "flows", "%u", (unsigned)pol_worker_flow_count(world->worker));
    add_deadline(world);
}

/* Verbs. */

static bool take_group(struct world *world, struct args *args, uint64_t *ret_key)
{
    const char *id = args_bare(args, "a group");

    if (!id)
        return false;
    return group_key_of(world, id, ret_key) ||
           script_error(args->script, args->step->line, "no policy has a group \"%s\"", id);
}

static bool take_address(struct args *args, pol_addr *ret_addr)
{
    const char *text = args_bare(args, "an address");

    if (!text)
        return false;
    return pol_addr_parse((pol_str){text, strlen(text)}, ret_addr) == POL_OK ||
           script_error(args->script, args->step->line, "\"%s\" is no address", text);
}

static bool at_end(struct args *args)
{
    return !args_peek(args) || args_unknown(args, args_peek(args));
}

static bool find_grant(const struct world *world, uint64_t key, const pol_addr *addr,
                       const char *name, pol_grant *ret_grant)
{
    uint32_t position = 0;

    while (pol_grants_list(world->grants, &position, world->now, ret_grant, 1) == 1)
        if (ret_grant->group_key == key && !memcmp(&ret_grant->addr, addr, sizeof(*addr)) &&
            !strcmp(ret_grant->name, name))
            return true;
    return false;
}

static void add_grant(struct world *world, const pol_grant *grant)
{
    static const char *const kinds[] = {"allowed", "observed", "recorded"};
    static const char *const states[] = {"live", "held", "gone"};
    struct facts *facts = &world->facts;
    pol_mono left = grant->expires > world->now ? grant->expires - world->now : 0;

    facts->word = grant->state < 3 ? states[grant->state] : "?";
    facts_add(facts, "kind", "%s", grant->kind < 3 ? kinds[grant->kind] : "?");
    facts_add(facts, "carries", "%u", (unsigned)grant->flows);
    facts_add(facts, "ttl", "%u", (unsigned)grant->ttl);
    facts_add(facts, "two_way", "%s", grant->two_way ? "yes" : "no");
    facts_add(facts, "lasts", "%llus", (unsigned long long)(left / POL_SECONDS));
}

bool play_grant(struct world *world, struct args *args)
{
    uint64_t key;
    pol_addr addr;
    pol_grant grant;
    const char *name;

    if (!take_group(world, args, &key) || !take_address(args, &addr))
        return false;
    name = args_bare(args, "a name");
    if (!name || !at_end(args))
        return false;
    world->facts.word = "gone";
    if (find_grant(world, key, &addr, name, &grant))
        add_grant(world, &grant);
    return true;
}

bool play_names(struct world *world, struct args *args)
{
    static pol_grant grants[NAME_BATCH];
    char list[4096] = "";
    uint64_t key;
    pol_addr addr;
    size_t count;

    if (!take_group(world, args, &key) || !take_address(args, &addr) || !at_end(args))
        return false;
    count = pol_grants_names(world->grants, key, &addr, world->now, grants, NAME_BATCH);
    for (size_t i = 0; i < count && i < NAME_BATCH; i++)
        facts_join(list, sizeof(list), grants[i].name);
    facts_add(&world->facts, "names", "%s", *list ? list : "-");
    facts_add(&world->facts, "count", "%zu", count);
    return true;
}

/* Findings. */

struct finding_words {
    const char *group, *dst, *name, *type;
    int64_t port;
};

#define FINDING(name) offsetof(struct finding_words, name)

static const struct word_key finding_keys[] = {
    {"group", WORD_TEXT, FINDING(group), NULL}, {"dst", WORD_TEXT, FINDING(dst), NULL},
    {"name", WORD_TEXT, FINDING(name), NULL},   {"type", WORD_TEXT, FINDING(type), NULL},
    {"port", WORD_I64, FINDING(port), NULL},
};

struct search {
    struct finding_words words;
    int type;
    unsigned found;
    pol_finding finding;
};

static bool text_fits(const char *wanted, const char *text)
{
    return !wanted || !strcmp(wanted, text);
}

static bool finding_fits(const struct finding_words *words, const pol_finding *finding)
{
    char dst[POL_ADDR_TEXT], type[16];

    (void)pol_addr_format(&finding->dst, dst);
    (void)snprintf(type, sizeof(type), "%u/%u", (unsigned)finding->icmp_type,
                   (unsigned)finding->icmp_code);
    return text_fits(words->group, finding->group) && text_fits(words->dst, dst) &&
           text_fits(words->name, finding->name) && text_fits(words->type, type) &&
           (words->port < 0 || words->port == finding->dst_port);
}

static bool visit(void *user, const pol_finding *finding)
{
    struct search *search = user;

    if (finding->type != search->type || !finding_fits(&search->words, finding))
        return true;
    search->found++;
    search->finding = *finding;
    return true;
}

static void add_names(struct facts *facts, const pol_finding *finding)
{
    char list[4096] = "";

    for (unsigned i = 0; i < finding->name_count && i < POL_FINDING_NAMES; i++)
        facts_join(list, sizeof(list), finding->names[i]);
    facts_add(facts, "names", "%s", *list ? list : "-");
}

static void add_finding(struct facts *facts, const pol_finding *finding)
{
    char text[POL_ADDR_TEXT];

    facts_add(facts, "count", "%llu", (unsigned long long)finding->count);
    facts_add(facts, "rule", "%s", *finding->rule ? finding->rule : "-");
    facts_add(facts, "group", "%s", finding->group);
    facts_add(facts, "reason", "%s", pol_reason_word(finding->reason));
    facts_add(facts, "audit", "%s", finding->audit ? "yes" : "no");
    facts_add(facts, "name", "%s", *finding->name ? finding->name : "-");
    facts_add(facts, "fqdn", "%s", *finding->fqdn ? finding->fqdn : "-");
    facts_add(facts, "port", "%u", (unsigned)finding->dst_port);
    facts_add(facts, "type", "%u/%u", (unsigned)finding->icmp_type, (unsigned)finding->icmp_code);
    facts_add(facts, "qtype", "%u", (unsigned)finding->query_type);
    facts_add(facts, "generation", "%llu", (unsigned long long)finding->generation);
    (void)pol_addr_format(&finding->src, text);
    facts_add(facts, "src", "%s", text);
    (void)pol_addr_format(&finding->dst, text);
    facts_add(facts, "dst", "%s", text);
    add_names(facts, finding);
}

static bool find_findings(struct world *world, struct search *search)
{
    pol_audit_query query;

    pol_audit_query_init(&query, sizeof(query));
    query.limit = SIZE_MAX;
    return pol_audit_find(world->audit, &query, visit, search) >= 0;
}

bool play_finding(struct world *world, struct args *args)
{
    struct search search = {.words = {.port = -1}};
    const char *type = args_bare(args, "the type of finding");
    const struct word *word;

    if (!type)
        return false;
    search.type = word_choice(type, "dns_deny|l4_deny|tls_deny|icmp_deny|auth_sso");
    if (search.type < 0)
        return script_error(args->script, args->step->line, "\"%s\" is no type of finding", type);
    while ((word = args_next(args)))
        if (!args_taken(args, word, word_take(word, finding_keys, 5, &search.words)))
            return false;
    if (!find_findings(world, &search))
        return script_error(args->script, args->step->line, "out of memory");
    if (search.found > 1)
        return script_error(args->script, args->step->line, "%u findings fit", search.found);
    world->facts.word = search.found ? "found" : "none";
    if (search.found)
        add_finding(&world->facts, &search.finding);
    return true;
}

bool play_counter(struct world *world, struct args *args)
{
    const char *name = args_bare(args, "a counter");
    const struct word *labels = args_next(args);
    pol_counters *counters = NULL;

    if (!name || !at_end(args))
        return false;
    if (pol_counters_new(world->ctx, &counters) != POL_OK)
        return script_error(args->script, args->step->line, "out of memory");
    pol_counters_add(counters, world->worker);
    pol_counters_add_grants(counters, world->grants);
    facts_add(&world->facts, "value", "%llu",
              (unsigned long long)pol_counters_value(counters, name, labels ? labels->text : ""));
    pol_counters_free(counters);
    return true;
}
