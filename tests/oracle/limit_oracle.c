/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns that a backtracking engine may take for ever on, and names that make it: whoever runs
 * into a limit fails closed (decisions.md 7). What a pattern means is told here by a loop over the
 * name. Whether the library has run into its limit cannot be known, so for a long name each slow
 * pattern is taken for known or for unknown, in every combination: unknown, a rule that allows does
 * not match and one that denies does. The verdict has to be that of one combination, and the reason
 * "limit" only that of a denial in which a rule that would have allowed was unknown. For short
 * names there is one verdict. A query that is repeated gets the same.
 */
#include <libpolicy/policy.h>

#include <stdarg.h>

#include "args.h"
#include "dnsmsg.h"
#include "draw.h"

enum { RULES_MAX = 5, NAMES = 40, NAME_LEN = 60, SHORT = 10, JSON_BYTES = 4096 };

/* --- patterns ------------------------------------------------------------------------------- */

static size_t count_of(const char **at, const char *letters)
{
    size_t len = strspn(*at, letters);

    *at += len;
    return len;
}

static bool begins_and_goes_on(const char *name)
{
    return *name == 'a' && (name++, count_of(&name, "ab")) >= 1 && strcmp(name, ".x") == 0;
}

static bool only_a(const char *name)
{
    return count_of(&name, "a") >= 1 && strcmp(name, ".x") == 0;
}

static bool a_then_b(const char *name)
{
    return count_of(&name, "a") >= 1 && strcmp(name, "b.x") == 0;
}

static bool has_ac(const char *name)
{
    return strstr(name, "ac") != NULL;
}

static bool ends_in_c(const char *name)
{
    return strstr(name, "c.x") != NULL;
}

static bool has_a(const char *name)
{
    return strchr(name, 'a') != NULL;
}

static const struct {
    const char *text;
    bool slow;
    bool (*matches)(const char *name);
} patterns[] = {
    {"^(a|aa|aaa)+(b|a)+\\\\.x$", true, begins_and_goes_on},
    {"^(a|a|aa)+\\\\.x$", true, only_a},
    {"^(aa|a|aaa)+b\\\\.x$", true, a_then_b},
    {"(a|aa|aaa)+c", true, has_ac},
    {"c\\\\.x$", false, ends_in_c},
    {"a", false, has_a},
};

enum { PATTERNS = sizeof(patterns) / sizeof(*patterns) };

/* --- policies ------------------------------------------------------------------------------- */

struct rule {
    uint8_t pattern;
    bool deny, audit;
};

static struct {
    struct draw draw;
    struct rule rules[RULES_MAX];
    uint32_t count;
    bool group_audit, goes_on;
    pol_ctx *ctx;
    pol_policy *policy;
    pol_worker *worker;
    uint64_t generation, limited;
    struct dnsmsg query;
    char name[NAME_LEN + 8];
    char json[JSON_BYTES];
    size_t len;
} run;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    run.len += (size_t)vsnprintf(run.json + run.len, JSON_BYTES - run.len, format, args);
    va_end(args);
}

static void draw_policy(void)
{
    struct draw *draw = &run.draw;

    run.count = draw_between(draw, 1, RULES_MAX);
    run.group_audit = draw_percent(draw, 20);
    run.goes_on = draw_percent(draw, 30);
    for (uint32_t i = 0; i < run.count; i++)
        run.rules[i] = (struct rule){
            .pattern = (uint8_t)draw_below(draw, draw_percent(draw, 80) ? 4 : PATTERNS),
            .deny = draw_percent(draw, 40),
            .audit = draw_percent(draw, 20) ? !run.group_audit : run.group_audit,
        };
}

static void write_json(void)
{
    run.len = 0;
    put("{\"audit_deny\":\"%s\",\"source_groups\":[{\"id\":\"g\",\"mode\":\"%s\",",
        run.goes_on ? "continue" : "terminal", run.group_audit ? "audit" : "enforce");
    put("\"sources\":{\"cidrs\":[\"10.0.0.0/8\"]},\"rules\":[");
    for (uint32_t i = 0; i < run.count; i++)
        put("%s\n {\"id\":\"r%u\",\"action\":\"%s\",\"mode\":\"%s\",\"match\":{\"dns_hostname\":"
            "\"%s\"}}",
            i ? "," : "", i, run.rules[i].deny ? "deny" : "allow",
            run.rules[i].audit ? "audit" : "enforce", patterns[run.rules[i].pattern].text);
    put("]}]}\n");
}

/* --- the verdict ---------------------------------------------------------------------------- */

struct answer {
    uint8_t action, raw_action;
    uint16_t reason;
    uint32_t rule;
};

/* With the patterns of the bits in `unknown` not known. */
static struct answer decide(uint32_t unknown)
{
    bool limited = false;

    for (uint32_t i = 0; i < run.count; i++) {
        const struct rule *rule = &run.rules[i];
        bool is_unknown = unknown & 1u << rule->pattern;

        limited |= is_unknown;
        if (is_unknown ? !rule->deny : !patterns[rule->pattern].matches(run.name))
            continue;
        if (!rule->deny)
            return (struct answer){POL_ALLOW, POL_ALLOW, POL_WHY_RULE, i};
        if (rule->audit && run.goes_on)
            continue;
        return (struct answer){rule->audit ? POL_ALLOW : POL_ANSWER, POL_DENY, POL_WHY_RULE, i};
    }
    return (struct answer){run.group_audit ? POL_ALLOW : POL_ANSWER, POL_DENY,
                           limited ? POL_WHY_LIMIT : POL_WHY_DNS_NO_RULE, POL_NONE};
}

static uint32_t slow_patterns(void)
{
    uint32_t slow = 0;

    for (uint32_t i = 0; i < run.count; i++)
        slow |= patterns[run.rules[i].pattern].slow ? 1u << run.rules[i].pattern : 0;
    return strlen(run.name) <= SHORT ? 0 : slow;
}

static bool is_possible(const pol_verdict *verdict)
{
    uint32_t slow = slow_patterns(), unknown = slow;

    for (;;) {
        struct answer answer = decide(unknown);

        if (answer.action == verdict->action && answer.raw_action == verdict->raw_action &&
            answer.reason == verdict->reason && answer.rule == verdict->rule)
            return true;
        if (unknown == 0)
            return false;
        unknown = (unknown - 1) & slow; /* the next combination */
    }
}

/* --- names ---------------------------------------------------------------------------------- */

static void draw_name(void)
{
    static const char *const tails[] = {".x", "b.x", "c.x", "ab.x", "bc.x", "ba.x", "bac.x"};
    struct draw *draw = &run.draw;
    uint32_t len = draw_percent(draw, 40) ? draw_below(draw, 6) : draw_below(draw, NAME_LEN - 5);

    memset(run.name, 'a', len);
    strcpy(run.name + len, tails[draw_below(draw, 7)]);
    if (len == 0 && run.name[0] == '.')
        strcpy(run.name, "a.x");
}

static void ask(pol_verdict *ret_verdict)
{
    static const pol_addr client = {.family = 4, .bytes = {10, 0, 0, 5}};
    pol_dns_query query;

    dnsmsg_query(&run.query, run.name, 1, 7, 0);
    pol_dns_decide(run.worker, &client, (pol_bytes){run.query.bytes, run.query.len}, POL_SECONDS,
                   &query, ret_verdict);
}

static bool same_query(void)
{
    pol_verdict verdict, again;

    draw_name();
    ask(&verdict);
    ask(&again);
    run.limited += verdict.reason == POL_WHY_LIMIT;
    if (is_possible(&verdict) && again.action == verdict.action && again.reason == verdict.reason &&
        again.rule == verdict.rule)
        return true;
    printf("%s%s: %s raw %s rule %d %s\n", run.json, run.name, pol_action_word(verdict.action),
           pol_action_word(verdict.raw_action), (int)verdict.rule, pol_reason_word(verdict.reason));
    return false;
}

/* --- a world -------------------------------------------------------------------------------- */

static bool play(uint64_t seed)
{
    pol_diags *diags = NULL;
    bool same;

    run.draw.state = seed * UINT64_C(0x2545f4914f6cdd1d);
    draw_policy();
    write_json();
    same =
        pol_compile(run.ctx, (pol_str){run.json, run.len}, NULL, &run.policy, &diags) == POL_OK &&
        pol_worker_use(run.worker, run.policy, ++run.generation) == POL_OK;
    pol_diags_free(diags);
    for (int i = 0; same && i < NAMES; i++)
        same = same_query();
    pol_policy_unref(run.policy);
    run.policy = NULL;
    return same;
}

int main(int argc, char **argv)
{
    uint64_t cases = 20000, seed = 1, worlds, passed = 0;

    if (!args_read(argc, argv, &cases, &seed))
        return 2;
    if (pol_ctx_new(NULL, &run.ctx) != POL_OK ||
        pol_worker_new(run.ctx, NULL, &run.worker) != POL_OK)
        return 2;
    worlds = (cases + NAMES - 1) / NAMES;
    while (passed < worlds && play(seed + passed))
        passed++;
    pol_worker_free(run.worker);
    pol_ctx_unref(run.ctx);
    if (passed < worlds)
        printf("again:  limit_oracle --cases 1 --seed %" PRIu64 "\n", seed + passed);
    printf("%" PRIu64 " denied for a limit\n", run.limited);
    return args_result(passed, worlds);
}
