/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written is what was meant, by readers that are not ours: addresses and prefixes read back
 * and compared with what libc writes, the ports of random policies read from the accepted document
 * by cJSON and counted one by one, and that document compiled to itself; random findings read by
 * cJSON, and the counters of a worker added up from the lines of the metrics page.
 */
#include <libpolicy/json.h>
#include <libpolicy/policy.h>

#include <arpa/inet.h>
#include <cjson/cJSON.h>

#include "args.h"
#include "names.h"
#include "traffic.h"

enum { WORLD_CASES = 100, TEXT_BYTES = 1 << 20, PACKETS = 200 };

static struct {
    struct draw draw;
    struct model model;
    struct traffic traffic;
    pol_ctx *ctx;
    char text[TEXT_BYTES], again[TEXT_BYTES];
    size_t len;
} run;

static bool differs(const char *what, const char *text)
{
    printf("%s: %s\n", what, text);
    return false;
}

/* --- addresses and prefixes ----------------------------------------------------------------- */

static pol_addr any_addr(struct draw *draw)
{
    pol_addr addr = {.family = draw_percent(draw, 50) ? 4 : 6};
    bool sparse = draw_percent(draw, 60);

    for (int i = 0; i < (addr.family == 4 ? 4 : 16); i++) {
        if (!sparse || draw_percent(draw, 30))
            addr.bytes[i] = (uint8_t)draw_u64(draw);
    }
    return addr;
}

/* libc writes the last four octets of these with dots; ours does so for none. */
static bool is_dotted(const pol_addr *addr)
{
    static const uint8_t zero[12], mapped[12] = {[10] = 0xff, [11] = 0xff};

    return addr->family == 6 &&
           (memcmp(addr->bytes, zero, 12) == 0 || memcmp(addr->bytes, mapped, 12) == 0);
}

static bool same_address(void)
{
    pol_addr addr = any_addr(&run.draw), back;
    char ours[POL_ADDR_TEXT], theirs[INET6_ADDRSTRLEN];
    size_t len = pol_addr_format(&addr, ours);

    if (is_dotted(&addr))
        return true;
    inet_ntop(addr.family == 4 ? AF_INET : AF_INET6, addr.bytes, theirs, sizeof(theirs));
    if (strcmp(ours, theirs) != 0 || len != strlen(ours))
        return differs("an address", ours);
    if (pol_addr_parse((pol_str){ours, len}, &back) != POL_OK ||
        memcmp(&back, &addr, sizeof(addr)) != 0)
        return differs("an address read back", ours);
    return true;
}

static bool same_prefix(void)
{
    pol_addr addr = any_addr(&run.draw);
    unsigned bits = addr.family == 4 ? 32 : 128, len = draw_below(&run.draw, bits + 1);
    char text[POL_PREFIX_TEXT], ours[POL_ADDR_TEXT];
    pol_prefix prefix, again;

    if (is_dotted(&addr))
        return true;
    pol_addr_format(&addr, ours);
    snprintf(text, sizeof(text), "%s/%u", ours, len);
    if (pol_prefix_parse((pol_str){text, strlen(text)}, &prefix) != POL_OK || prefix.len != len)
        return differs("a prefix", text);
    for (unsigned bit = 0; bit < bits; bit++) {
        unsigned mask = 0x80u >> bit % 8, expected = bit < len ? addr.bytes[bit / 8] & mask : 0;

        if ((prefix.addr.bytes[bit / 8] & mask) != expected)
            return differs("a bit of a prefix", text);
    }
    if (is_dotted(&prefix.addr))
        return true;
    pol_addr_format(&prefix.addr, ours);
    snprintf(text, sizeof(text), "%s/%u", ours, prefix.len);
    return (pol_prefix_parse((pol_str){text, strlen(text)}, &again) == POL_OK &&
            memcmp(&again, &prefix, sizeof(prefix)) == 0) ||
           differs("a prefix read back", text);
}

/* --- policies ------------------------------------------------------------------------------- */

static pol_policy *compile(const char *text, size_t len)
{
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;

    pol_compile(run.ctx, (pol_str){text, len}, NULL, &policy, &diags);
    pol_diags_free(diags);
    return policy;
}

static void mark_ports(bool set[65536], uint32_t first, uint32_t last)
{
    for (uint32_t port = first; port <= last; port++)
        set[port] = true;
}

/* "443" or "1000-2000", or a number. */
static bool read_ports(const cJSON *list, bool set[65536])
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        unsigned first = 0, last;
        int count = cJSON_IsNumber(item) ? 1 : sscanf(item->valuestring, "%u-%u", &first, &last);

        if (cJSON_IsNumber(item))
            first = (unsigned)item->valueint;
        if (count < 1 || first > 65535)
            return false;
        last = count == 2 ? last : first;
        mark_ports(set, first, last > 65535 ? 65535 : last);
    }
    return true;
}

static bool same_ports(const cJSON *match, const char *key, const struct model_range *ranges,
                       int count)
{
    static bool written[65536], meant[65536];

    memset(written, 0, sizeof(written));
    memset(meant, 0, sizeof(meant));
    for (int i = 0; i < count; i++)
        mark_ports(meant, ranges[i].first, ranges[i].last);
    return read_ports(cJSON_GetObjectItemCaseSensitive(match, key), written) &&
           memcmp(written, meant, sizeof(meant)) == 0;
}

static bool same_rules(const cJSON *document)
{
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(document, "source_groups");

    for (uint32_t g = 0; g < run.model.group_count; g++) {
        const struct model_group *group = &run.model.groups[g];
        const cJSON *rules =
            cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(groups, (int)g), "rules");

        for (uint32_t r = 0; r < group->rule_count; r++) {
            const struct model_rule *rule = &run.model.rules[group->first_rule + r];
            const cJSON *match =
                cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(rules, (int)r), "match");

            if (!same_ports(match, "dst_ports", rule->dst_ports, rule->dst_port_count) ||
                !same_ports(match, "src_ports", rule->src_ports, rule->src_port_count))
                return differs("ports", run.text);
        }
    }
    return true;
}

static bool same_document(pol_policy *policy)
{
    size_t len = 0;
    pol_policy *again;
    cJSON *document;
    bool same;

    if (pol_policy_json(policy, run.text, TEXT_BYTES, &run.len) != POL_OK)
        return differs("pol_policy_json", "");
    again = compile(run.text, run.len);
    same = again && pol_policy_json(again, run.again, TEXT_BYTES, &len) == POL_OK &&
           len == run.len && memcmp(run.again, run.text, len) == 0;
    pol_policy_unref(again);
    document = cJSON_ParseWithLength(run.text, run.len);
    run.text[run.len] = '\0';
    if (!same)
        differs("a document compiled again", run.text);
    same = same && same_rules(document);
    cJSON_Delete(document);
    return same;
}

/* --- findings ------------------------------------------------------------------------------- */

static uint64_t draw_count(struct draw *draw)
{
    return draw_u64(draw) >> draw_below(draw, 64);
}

/* cJSON holds numbers as doubles: the octets behind the key are read instead, in a document that
 * cJSON accepts. */
static bool says_number(const char *key, uint64_t value)
{
    char wanted[64];
    const char *at;

    snprintf(wanted, sizeof(wanted), "\"%s\":", key);
    at = strstr(run.text, wanted);
    return at && strtoull(at + strlen(wanted), NULL, 10) == value;
}

static bool reads_number(const cJSON *json, const char *key, double value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

    return cJSON_IsNumber(item) && item->valuedouble >= value && item->valuedouble <= value;
}

static bool reads_text(const cJSON *json, const char *key, const char *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

    return cJSON_IsString(item) && strcmp(item->valuestring, value) == 0;
}

static void draw_finding(pol_finding *finding)
{
    struct draw *draw = &run.draw;

    *finding = (pol_finding){.type = POL_FIND_L4_DENY, .proto = (uint8_t)draw_u64(draw)};
    finding->dst = any_addr(draw);
    finding->src = any_addr(draw);
    finding->dst_port = (uint16_t)draw_u64(draw);
    finding->reason = (uint16_t)draw_below(draw, POL_WHY_COUNT);
    finding->generation = draw_count(draw);
    finding->count = draw_count(draw);
    finding->first_seen = draw_count(draw);
    finding->last_seen = draw_count(draw);
    snprintf(finding->group, sizeof(finding->group), "g\"%u\\", draw_below(draw, 100));
}

static bool same_finding(void)
{
    char dst[POL_ADDR_TEXT], src[POL_ADDR_TEXT];
    pol_finding finding;
    cJSON *json;
    bool same;

    draw_finding(&finding);
    if (pol_json_finding(&finding, (pol_str){"n", 1}, run.text, TEXT_BYTES, &run.len) != POL_OK)
        return differs("pol_json_finding", "");
    run.text[run.len] = '\0';
    pol_addr_format(&finding.dst, dst);
    pol_addr_format(&finding.src, src);
    json = cJSON_ParseWithLength(run.text, run.len);
    same = json && says_number("count", finding.count) &&
           says_number("generation", finding.generation) &&
           says_number("first_seen", finding.first_seen / 1000) &&
           says_number("last_seen", finding.last_seen / 1000) &&
           reads_number(json, "dst_port", finding.dst_port) &&
           reads_number(json, "proto", finding.proto) &&
           reads_text(json, "source_group", finding.group) && reads_text(json, "dst_ip", dst) &&
           reads_text(json, "src_ip", src) &&
           reads_text(json, "reason", pol_reason_word(finding.reason));
    cJSON_Delete(json);
    return same || differs("a finding", run.text);
}

/* --- counters ------------------------------------------------------------------------------- */

/* The sum of the lines of `name` whose labels hold `labels`. */
static double sum_of_lines(const char *name, const char *labels)
{
    size_t name_len = strlen(name);
    double sum = 0;

    for (const char *line = run.text; *line; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n'), *found = labels ? strstr(line, labels) : line;
        const char *value = end;

        if (strncmp(line, name, name_len) != 0 || (line[name_len] != '{' && line[name_len] != ' '))
            continue;
        while (value[-1] != ' ')
            value--;
        if (found && found < end)
            sum += strtod(value, NULL);
    }
    return sum;
}

static bool same_counter(const pol_counters *counters, const pol_counter_info *info)
{
    double value = (double)pol_counters_value(counters, info->name, info->labels);
    double shown = sum_of_lines(info->name, info->labels);

    if (strcmp(info->unit, "millionths") == 0)
        shown *= 1e6;
    return (shown > value - 0.5 && shown < value + 0.5) || differs("a counter", info->name);
}

static bool same_counters(pol_worker *worker)
{
    pol_counters *counters;
    bool same;

    if (pol_counters_new(run.ctx, &counters) != POL_OK)
        return differs("pol_counters_new", "");
    pol_counters_add(counters, worker);
    same = pol_metrics_text(counters, run.text, TEXT_BYTES - 1, &run.len) == POL_OK;
    run.text[run.len] = '\0';
    for (size_t i = 0; same && i < pol_counter_count(); i++)
        same = same_counter(counters, pol_counter_describe(i));
    pol_counters_free(counters);
    return same;
}

static bool same_page(pol_policy *policy, uint64_t seed)
{
    static pol_packet packets[PACKETS];
    pol_worker *worker = NULL;
    pol_verdict verdict;
    bool same;

    if (pol_worker_new(run.ctx, NULL, &worker) != POL_OK ||
        pol_worker_use(worker, policy, 1) != POL_OK)
        return differs("pol_worker_new", "");
    traffic_begin(&run.traffic, &run.model, seed);
    traffic_next(&run.traffic, packets, PACKETS);
    for (uint32_t i = 0; i < PACKETS; i++)
        pol_worker_decide(worker, &packets[i], i * POL_SECONDS, &verdict);
    same = same_counters(worker);
    pol_worker_free(worker);
    return same;
}

/* --- a world -------------------------------------------------------------------------------- */

static bool play(uint64_t seed)
{
    pol_policy *policy;
    bool same = true;

    run.draw.state = seed * UINT64_C(0x2545f4914f6cdd1d);
    for (int i = 0; same && i < WORLD_CASES; i++)
        same = same_address() && same_prefix() && same_finding();
    model_draw(&run.model, &run.draw);
    policy = compile(run.text, model_json(&run.model, run.text, TEXT_BYTES));
    same = same && policy && same_document(policy) && same_page(policy, seed);
    pol_policy_unref(policy);
    return same;
}

int main(int argc, char **argv)
{
    uint64_t cases = 100000, seed = 1, worlds, passed = 0;

    if (!args_read(argc, argv, &cases, &seed))
        return 2;
    names_init();
    if (pol_ctx_new(NULL, &run.ctx) != POL_OK)
        return 2;
    worlds = (cases + WORLD_CASES - 1) / WORLD_CASES;
    while (passed < worlds && play(seed + passed))
        passed++;
    pol_ctx_unref(run.ctx);
    if (passed < worlds)
        printf("again:  text_oracle --cases 1 --seed %" PRIu64 "\n", seed + passed);
    return args_result(passed, worlds);
}
