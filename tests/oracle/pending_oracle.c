/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said of a TCP connection before its TLS facts are known (decisions.md 3, "Pending"),
 * found by trying each of them: no TLS at all, each server name that some pattern of the policy
 * tells from others, one that nothing matches, none, and each kind of certificate behind them. If
 * all of these lead to one answer, that is the answer; if not, the connection is pending. linear.c
 * has a closed form of it; here are only facts and the walk with all of them known.
 *
 * The library may be more careful than that: it takes every rule that waits for facts for one that
 * can be reached, and does not see that an earlier one takes all its connections. Where the answers
 * that its rules spell and those that facts lead to are the same, it has to agree exactly.
 *
 * Then every fact comes true in a connection of its own, and the verdict on the packet that brings
 * it has to be that of the walk.
 */
#include <libpolicy/policy.h>

#include <stdarg.h>

#include "args.h"
#include "draw.h"
#include "flight.h"
#include "hello.h"

enum { RULES_MAX = 10, JSON_BYTES = 16384, PORT = 443, EVENTS = 64 };

/* --- names, patterns and certificates ------------------------------------------------------- */

enum { NAMES = 4, NO_SNI = NAMES, SNIS };

static const char *const names[NAMES] = {"a.example", "b.example", "db.example.com", "other.test"};

static const struct {
    const char *regex, *exact; /* as the policy says it; exact: JSON list */
    bool matches[SNIS];
} patterns[] = {
    {"^a\\\\.example$", "[\"a.example\"]", {true}},
    {"^[ab]\\\\.example$", "[\"a.example\",\"b.example\"]", {true, true}},
    {"\\\\.example", "[\"b.example\",\"db.example.com\",\"a.example\"]", {true, true, true}},
    {"^db", "[\"DB.example.com.\"]", {false, false, true}},
    {"^never$", "[\"never\"]", {false}},
};

enum { PATTERNS = sizeof(patterns) / sizeof(*patterns) };

enum certificate { SHOWS_DB, SHOWS_ODD, UNTRUSTED, HIDDEN, CERTIFICATES };

static const char *const flight_files[CERTIFICATES] = {"direct.flight", "odd.flight", "self.flight",
                                                       "tls13.flight"};
static const char *const sans[] = {"db.example.com", "odd.example"};

struct fact {
    bool tls;
    uint8_t sni;         /* of names, or NO_SNI */
    uint8_t certificate; /* enum certificate */
};

/* --- policies ------------------------------------------------------------------------------- */

enum kind { PLAIN, ANY_TLS, SNI, DENIED_NAME, CERTIFICATE, INTERCEPT };

struct rule {
    uint8_t kind;
    bool deny, audit, other_port;
    uint8_t pattern; /* SNI, DENIED_NAME; CERTIFICATE: with has_sni */
    bool exact, has_sni;
    uint8_t san;      /* CERTIFICATE: of sans */
    bool hidden_fits; /* tls13_uninspectable: allow */
};

enum ending { NO_DEFAULT, DEFAULT_DENY, DEFAULT_ALLOW };

struct policy {
    struct rule rules[RULES_MAX];
    uint32_t count;
    bool group_audit, goes_on;             /* goes_on: audit_deny continue */
    uint8_t group_default, default_policy; /* enum ending */
};

static struct {
    struct draw draw;
    struct policy policy;
    pol_ctx *ctx;
    pol_policy *compiled;
    pol_worker *worker;
    pol_mono now;
    uint64_t generation;
    uint16_t port; /* of the client */
    char json[JSON_BYTES];
    size_t json_len;
    uint64_t exact, careful; /* openings that had to agree, and those that were not */
    struct hello hellos[SNIS];
    struct flight flights[CERTIFICATES], anchors;
} run;

static uint8_t draw_kind(struct draw *draw)
{
    static const uint8_t kinds[] = {PLAIN,       SNI,         SNI,         SNI,         ANY_TLS,
                                    DENIED_NAME, DENIED_NAME, CERTIFICATE, CERTIFICATE, INTERCEPT};

    return kinds[draw_below(draw, sizeof(kinds))];
}

static void draw_rule(struct rule *rule, struct draw *draw, bool group_audit)
{
    *rule = (struct rule){.kind = draw_kind(draw), .pattern = (uint8_t)draw_below(draw, PATTERNS)};
    rule->deny = rule->kind == DENIED_NAME || (rule->kind != INTERCEPT && draw_percent(draw, 45));
    rule->audit = draw_percent(draw, 15) ? !group_audit : group_audit;
    rule->other_port = draw_percent(draw, 10);
    rule->exact = draw_percent(draw, 50);
    rule->has_sni = draw_percent(draw, 40);
    rule->san = (uint8_t)draw_below(draw, 2);
    rule->hidden_fits = draw_percent(draw, 40);
}

static void draw_policy(void)
{
    struct policy *policy = &run.policy;
    struct draw *draw = &run.draw;

    policy->count = draw_below(draw, draw_percent(draw, 60) ? 4 : RULES_MAX + 1);
    policy->group_audit = draw_percent(draw, 20);
    policy->goes_on = draw_percent(draw, 30);
    policy->group_default = (uint8_t)draw_below(draw, 3);
    policy->default_policy = (uint8_t)draw_between(draw, DEFAULT_DENY, DEFAULT_ALLOW);
    for (uint32_t i = 0; i < policy->count; i++)
        draw_rule(&policy->rules[i], draw, policy->group_audit);
}

/* --- as JSON -------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(run.json + run.json_len, JSON_BYTES - run.json_len, format, args);
    va_end(args);
    run.json_len += (size_t)len;
    if (run.json_len >= JSON_BYTES)
        abort();
}

static void put_sni(const struct rule *rule)
{
    if (rule->exact)
        put("\"sni\":%s", patterns[rule->pattern].exact);
    else
        put("\"sni\":\"%s\"", patterns[rule->pattern].regex);
}

static void put_conditions(const struct rule *rule)
{
    switch (rule->kind) {
    case ANY_TLS:
        put(",\"tls\":{}");
        break;
    case SNI:
        put(",\"tls\":{");
        put_sni(rule);
        put("}");
        break;
    case DENIED_NAME:
        put(",\"dns_hostname\":\"%s\"", patterns[rule->pattern].regex);
        break;
    case CERTIFICATE:
        put(",\"tls\":{\"server_san\":[\"%s\"]", sans[rule->san]);
        if (rule->hidden_fits)
            put(",\"tls13_uninspectable\":\"allow\"");
        if (rule->has_sni) {
            put(",");
            put_sni(rule);
        }
        put("}");
        break;
    case INTERCEPT:
        put(",\"tls\":{\"mode\":\"intercept\",\"http\":{\"request\":{}}}");
        break;
    default:
        break;
    }
}

static const char *ending_word(uint8_t ending)
{
    return ending == DEFAULT_ALLOW ? "allow" : "deny";
}

static void write_json(void)
{
    const struct policy *policy = &run.policy;

    run.json_len = 0;
    put("{\"default_policy\":\"%s\",\"audit_deny\":\"%s\",\"source_groups\":[\n",
        ending_word(policy->default_policy), policy->goes_on ? "continue" : "terminal");
    put(" {\"id\":\"g\",\"mode\":\"%s\",\"sources\":{\"cidrs\":[\"10.0.0.0/8\"]},",
        policy->group_audit ? "audit" : "enforce");
    if (policy->group_default != NO_DEFAULT)
        put("\"default_action\":\"%s\",", ending_word(policy->group_default));
    put("\"rules\":[");
    for (uint32_t i = 0; i < policy->count; i++) {
        const struct rule *rule = &policy->rules[i];

        put("%s\n  {\"id\":\"r%u\",\"action\":\"%s\",\"mode\":\"%s\",\"match\":{\"proto\":\"%s\"",
            i ? "," : "", i, rule->deny ? "deny" : "allow", rule->audit ? "audit" : "enforce",
            rule->kind == DENIED_NAME && !rule->exact ? "any" : "tcp");
        if (rule->other_port)
            put(",\"dst_ports\":[%d]", PORT + 1);
        put_conditions(rule);
        put("}}");
    }
    put("]}]}\n");
}

/* --- the walk with all facts known ---------------------------------------------------------- */

struct answer {
    uint8_t action; /* POL_ALLOW, POL_DENY, POL_INTERCEPT */
    uint8_t raw_action;
    uint32_t rule; /* POL_NONE: a default */
};

/* REFUSES: it denies, whatever its action is. */
enum holds { FAILS, HOLDS, REFUSES };

static enum holds certificate_holds(const struct rule *rule, const struct fact *fact)
{
    if (rule->has_sni && !patterns[rule->pattern].matches[fact->sni])
        return FAILS;
    if (fact->certificate == UNTRUSTED)
        return REFUSES;
    if (fact->certificate == HIDDEN)
        return rule->hidden_fits ? HOLDS : REFUSES;
    return fact->certificate == (rule->san == 0 ? SHOWS_DB : SHOWS_ODD) ? HOLDS : FAILS;
}

static enum holds holds(const struct rule *rule, const struct fact *fact)
{
    if (rule->other_port)
        return FAILS;
    if (rule->kind == PLAIN || rule->kind == INTERCEPT)
        return HOLDS;
    if (!fact->tls)
        return FAILS;
    if (rule->kind == ANY_TLS)
        return HOLDS;
    if (rule->kind == CERTIFICATE)
        return certificate_holds(rule, fact);
    return patterns[rule->pattern].matches[fact->sni] ? HOLDS : FAILS;
}

/* What the rule answers; false: a denial of audit mode that lets the search go on. */
static bool decides(const struct rule *rule, enum holds how, struct answer *ret)
{
    bool denies = rule->deny || how == REFUSES;

    if (denies && rule->audit && run.policy.goes_on)
        return false;
    ret->raw_action = denies ? POL_DENY : rule->kind == INTERCEPT ? POL_INTERCEPT : POL_ALLOW;
    ret->action = denies && rule->audit ? POL_ALLOW : ret->raw_action;
    return true;
}

static struct answer by_default(void)
{
    const struct policy *policy = &run.policy;
    bool by_group = policy->group_default != NO_DEFAULT;
    uint8_t ending = by_group ? policy->group_default : policy->default_policy;
    struct answer answer = {.rule = POL_NONE};

    answer.raw_action = answer.action = ending == DEFAULT_ALLOW ? POL_ALLOW : POL_DENY;
    if (by_group && policy->group_audit)
        answer.action = POL_ALLOW;
    return answer;
}

static struct answer walk(const struct fact *fact)
{
    for (uint32_t i = 0; i < run.policy.count; i++) {
        const struct rule *rule = &run.policy.rules[i];
        enum holds how = holds(rule, fact);
        struct answer answer = {.rule = i};

        if (how != FAILS && decides(rule, how, &answer))
            return answer;
    }
    return by_default();
}

/* --- all facts ------------------------------------------------------------------------------ */

enum { FACTS = 1 + SNIS * CERTIFICATES };

static struct fact fact_of(uint32_t number)
{
    if (number == 0)
        return (struct fact){.tls = false, .sni = NO_SNI};
    number--;
    return (struct fact){true, (uint8_t)(number / CERTIFICATES), (uint8_t)(number % CERTIFICATES)};
}

/* Actions, a bit each. */
#define BIT(action) (1u << (action))

/* What the facts first..last lead to. */
static uint32_t outcomes(uint32_t first, uint32_t last)
{
    uint32_t found = 0;

    for (uint32_t i = first; i <= last; i++) {
        struct fact fact = fact_of(i);

        found |= BIT(walk(&fact).action);
    }
    return found;
}

/* Could facts of first..last make a difference to the rule? */
static bool is_open(const struct rule *rule, uint32_t first, uint32_t last)
{
    bool can[3] = {false};

    for (uint32_t i = first; i <= last; i++) {
        struct fact fact = fact_of(i);

        can[holds(rule, &fact)] = true;
    }
    return can[FAILS] + can[HOLDS] + can[REFUSES] > 1;
}

/* Does the rule wait, as one reads it: it asks for something that is not known yet? */
static bool waits(const struct rule *rule, uint32_t first, uint32_t last)
{
    struct fact fact = fact_of(first);
    bool hello_known = last - first < CERTIFICATES;

    if (rule->other_port || rule->kind == PLAIN || rule->kind == INTERCEPT)
        return false;
    if (!hello_known)
        return true;
    return rule->kind == CERTIFICATE && is_open(rule, first, last) &&
           (!rule->has_sni || patterns[rule->pattern].matches[fact.sni]);
}

/* What rules that wait spell, each taken for itself, up to the first that does not; *ret_names:
 * only denied names waited; *ret_last: what follows them all. */
static uint32_t spelled(uint32_t first, uint32_t last, bool *ret_names, uint8_t *ret_last)
{
    struct fact fact = fact_of(first);
    struct answer answer = by_default();
    uint32_t found = 0;

    *ret_names = true;
    for (uint32_t i = 0; i < run.policy.count; i++) {
        const struct rule *rule = &run.policy.rules[i];

        if (!waits(rule, first, last)) {
            enum holds how = holds(rule, &fact);

            if (how != FAILS && decides(rule, how, &answer))
                break;
            continue;
        }
        if (!decides(rule, HOLDS, &answer) && !decides(rule, REFUSES, &answer))
            continue; /* it is recorded only */
        *ret_names &= rule->kind == DENIED_NAME;
        if (decides(rule, HOLDS, &answer))
            found |= BIT(answer.action);
        if (rule->kind == CERTIFICATE && decides(rule, REFUSES, &answer))
            found |= BIT(answer.action);
        answer = by_default();
    }
    *ret_last = answer.action;
    return found | BIT(answer.action);
}

/* The action while only first..last can still be true. `forwarded`: too late to intercept. */
static uint8_t conclude(uint32_t found, bool forwarded)
{
    if (forwarded && found & BIT(POL_INTERCEPT))
        found = (found & ~BIT(POL_INTERCEPT)) | BIT(POL_DENY);
    if (found == BIT(POL_ALLOW))
        return POL_ALLOW;
    if (found == BIT(POL_DENY))
        return POL_DENY;
    return found == BIT(POL_INTERCEPT) ? POL_INTERCEPT : POL_PENDING;
}

static bool differs(const char *what, uint32_t fact, const pol_verdict *verdict, unsigned expected)
{
    struct fact f = fact_of(fact);

    printf("%s\n%s differs; fact %u: %s, name %s, certificate %s\n", run.json, what, fact,
           f.tls ? "TLS" : "no TLS", f.sni < NAMES ? names[f.sni] : "none",
           flight_files[f.certificate]);
    printf("library %s raw %s rule %d %s, here %s\n", pol_action_word(verdict->action),
           pol_action_word(verdict->raw_action), (int)verdict->rule,
           pol_reason_word(verdict->reason), pol_action_word(expected));
    return false;
}

/* Compares the verdict with what the facts first..last allow to say. */
static bool same_so_far(uint32_t first, uint32_t last, const pol_verdict *verdict, bool forwarded)
{
    uint32_t found = outcomes(first, last), could;
    bool names_only, careful;
    uint8_t after, expected;

    could = spelled(first, last, &names_only, &after);
    expected = conclude(found, forwarded);
    if (!forwarded && names_only && after == POL_INTERCEPT)
        expected = POL_INTERCEPT; /* the interceptor applies them to the server name */
    careful = could != found;
    run.careful += careful;
    run.exact += !careful;
    if (verdict->action == expected || (careful && verdict->action == POL_PENDING))
        return true;
    return differs(first == last ? "the verdict" : "what can be said", first, verdict, expected);
}

/* --- connections ---------------------------------------------------------------------------- */

static void send_packet(bool reply, uint8_t flags, uint32_t seq, uint32_t ack, pol_bytes payload,
                        pol_verdict *ret_verdict)
{
    static const pol_addr client = {.family = 4, .bytes = {10, 0, 0, 5}};
    static const pol_addr server = {.family = 4, .bytes = {203, 0, 113, 9}};
    pol_packet packet = {
        .tuple = {client, server, run.port, PORT, 6},
        .kind = POL_PKT_IP,
        .side = POL_SIDE_INSIDE,
        .hop_limit = 64,
        .ether_type = 0x0800,
        .tcp_flags = flags,
        .tcp_seq = seq,
        .tcp_ack = ack,
        .ip_len = (uint32_t)(40 + payload.len),
        .wire_len = (uint32_t)(54 + payload.len),
        .payload = payload,
    };

    if (reply) {
        packet.tuple = (pol_tuple){server, client, PORT, run.port, 6};
        packet.side = POL_SIDE_OUTSIDE;
    }
    pol_worker_decide(run.worker, &packet, run.now, ret_verdict);
}

static bool same_end(uint32_t number, const pol_verdict *verdict)
{
    struct fact fact = fact_of(number);
    struct answer answer = walk(&fact);

    if (!same_so_far(number, number, verdict, true))
        return false;
    if (answer.action == POL_INTERCEPT || verdict->reason == POL_WHY_DENIED_FLOW)
        return true;
    return (verdict->rule == answer.rule && verdict->raw_action == answer.raw_action) ||
           differs("the rule", number, verdict, answer.action);
}

/* The server's first flight, where the hello has left something open. */
static bool certificate_comes(uint32_t number)
{
    const struct flight *flight = &run.flights[fact_of(number).certificate];
    size_t hello_len = run.hellos[fact_of(number).sni].len;
    pol_verdict verdict;

    send_packet(true, POL_TCP_ACK, 9001, (uint32_t)(1001 + hello_len),
                (pol_bytes){flight->bytes, flight->len}, &verdict);
    return same_end(number, &verdict);
}

static bool hello_comes(uint32_t number)
{
    static const char plain[] = "GET / HTTP/1.0\r\n\r\n";
    struct fact fact = fact_of(number);
    const struct hello *hello = &run.hellos[fact.sni];
    pol_bytes payload = {(const uint8_t *)plain, sizeof(plain) - 1};
    uint32_t first = number, last = number;
    pol_verdict verdict;

    if (fact.tls) {
        payload = (pol_bytes){hello->bytes, hello->len};
        first = 1 + (uint32_t)fact.sni * CERTIFICATES;
        last = first + CERTIFICATES - 1;
    }
    send_packet(false, POL_TCP_ACK, 1001, 9001, payload, &verdict);
    if (!fact.tls)
        return same_end(number, &verdict);
    if (!same_so_far(first, last, &verdict, true))
        return false;
    return verdict.action == POL_DENY || certificate_comes(number);
}

static bool connect(uint32_t number)
{
    static const pol_bytes none = {NULL, 0};
    pol_verdict verdict;

    run.port = (uint16_t)(20000 + number);
    send_packet(false, POL_TCP_SYN, 1000, 0, none, &verdict);
    if (!same_so_far(0, FACTS - 1, &verdict, false))
        return false;
    if (verdict.action != POL_ALLOW && verdict.action != POL_PENDING)
        return true;
    send_packet(true, POL_TCP_SYN | POL_TCP_ACK, 9000, 1001, none, &verdict);
    send_packet(false, POL_TCP_ACK, 1001, 9001, none, &verdict);
    return hello_comes(number);
}

/* --- a world: one policy, every fact -------------------------------------------------------- */

static bool compile(void)
{
    pol_diags *diags = NULL;
    int rc;

    write_json();
    rc = pol_compile(run.ctx, (pol_str){run.json, run.json_len}, NULL, &run.compiled, &diags);
    pol_diags_free(diags);
    if (rc != POL_OK)
        printf("%s\nis not accepted\n", run.json);
    return rc == POL_OK && pol_worker_use(run.worker, run.compiled, ++run.generation) == POL_OK;
}

static bool play(uint64_t seed)
{
    static pol_event events[EVENTS];
    bool same;

    run.draw.state = seed * UINT64_C(0x2545f4914f6cdd1d);
    draw_policy();
    run.now += POL_SECONDS;
    same = compile();
    for (uint32_t i = 0; same && i < FACTS; i++)
        same = connect(i);
    do {
        while (pol_worker_drain(run.worker, events, EVENTS) > 0)
            continue;
    } while (pol_worker_flush(run.worker, run.now) > 0);
    pol_policy_unref(run.compiled);
    run.compiled = NULL;
    return same;
}

static void read_facts(void)
{
    for (int i = 0; i < SNIS; i++)
        hello_build(&run.hellos[i],
                    &(struct hello_options){.sni = i < NAMES ? names[i] : NULL, .tls13 = true});
    for (int i = 0; i < CERTIFICATES; i++)
        flight_load(&run.flights[i], flight_files[i]);
    flight_load(&run.anchors, "ca.pem");
}

static bool make_worker(void)
{
    pol_worker_options options;

    pol_worker_options_init(&options, sizeof(options));
    options.flow_capacity = 64;
    options.event_capacity = 256;
    options.pending_capacity = options.certificate_capacity = 64;
    options.sni_check = POL_SNI_OFF;
    options.trust_anchors_pem = (pol_str){(const char *)run.anchors.bytes, run.anchors.len};
    if (pol_ctx_new(NULL, &run.ctx) != POL_OK ||
        pol_worker_new(run.ctx, &options, &run.worker) != POL_OK)
        return false;
    pol_worker_wall(run.worker, 0, UINT64_C(1780272000000));
    return true;
}

int main(int argc, char **argv)
{
    uint64_t cases = 200000, seed = 1, worlds, passed = 0;

    if (!args_read(argc, argv, &cases, &seed))
        return 2;
    read_facts();
    if (!make_worker())
        return 2;
    worlds = (cases + FACTS - 1) / FACTS;
    while (passed < worlds && play(seed + passed))
        passed++;
    pol_worker_free(run.worker);
    pol_ctx_unref(run.ctx);
    if (passed < worlds)
        printf("again:  pending_oracle --cases 1 --seed %" PRIu64 "\n", seed + passed);
    printf("%" PRIu64 " exact, %" PRIu64 " more careful\n", run.exact, run.careful);
    return args_result(passed, worlds);
}
