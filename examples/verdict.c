/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One policy, one packet, one verdict, and why.
 *
 *   verdict [SRC DST PORT]      verdict 10.0.0.5 192.0.2.10 443
 *
 * Exit code: 0 allowed, 1 denied, 2 when something is wrong with the arguments.
 */
#include <libpolicy/policy.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char document[] =
    "{ \"default_policy\": \"deny\","
    "  \"source_groups\": [ { \"id\": \"office\", \"mode\": \"enforce\","
    "    \"sources\": { \"cidrs\": [\"10.0.0.0/24\", \"2001:db8:10::/64\"] },"
    "    \"rules\": ["
    "      { \"id\": \"no-lab\", \"action\": \"deny\", \"match\": { \"dst_cidrs\": "
    "[\"192.0.2.128/25\"] } },"
    "      { \"id\": \"web\", \"action\": \"allow\","
    "        \"match\": { \"proto\": \"tcp\", \"dst_ports\": [80, 443],"
    "                   \"dst_cidrs\": [\"192.0.2.0/24\", \"2001:db8:20::/64\"] } } ] } ] }";

static pol_str text(const char *s)
{
    return (pol_str){s, strlen(s)};
}

static void print_why(const pol_policy *policy, const pol_verdict *verdict)
{
    pol_str group = pol_policy_group_id(policy, verdict->group);
    pol_str rule = pol_policy_rule_id(policy, verdict->rule);

    printf("%s: %s", pol_action_word(verdict->action), pol_reason_text(verdict->reason));
    printf(" (group %.*s", (int)group.len, group.ptr);
    if (rule.len)
        printf(", rule %.*s", (int)rule.len, rule.ptr);
    puts(")");
}

/* A SYN between ends of one family, from the inside. */
static bool describe(const char *src, const char *dst, const char *dst_port, pol_packet *packet)
{
    char *end;
    long port = strtol(dst_port, &end, 10);

    packet->tuple.proto = 6; /* TCP */
    packet->tuple.src_port = 40000;
    packet->tuple.dst_port = (uint16_t)port;
    return pol_addr_parse(text(src), &packet->tuple.src) == POL_OK &&
           pol_addr_parse(text(dst), &packet->tuple.dst) == POL_OK &&
           packet->tuple.src.family == packet->tuple.dst.family && *end == '\0' && port > 0 &&
           port <= UINT16_MAX;
}

int main(int argc, char **argv)
{
    const char *defaults[] = {argv[0], "10.0.0.5", "192.0.2.10", "443"};
    const char *const *args = argc == 4 ? (const char *const *)argv : defaults;
    pol_packet packet = {.kind = POL_PKT_IP,
                         .side = POL_SIDE_INSIDE,
                         .hop_limit = 64,
                         .tcp_flags = POL_TCP_SYN,
                         .ip_len = 40,
                         .wire_len = 54};
    pol_ctx *ctx = NULL;
    pol_policy *policy = NULL;
    pol_worker *worker = NULL;
    pol_verdict verdict = {.action = POL_DENY};
    int rc, code = 2;

    if ((argc != 1 && argc != 4) || !describe(args[1], args[2], args[3], &packet)) {
        fprintf(stderr, "usage: %s [SRC DST PORT]\n", argv[0]);
        return code;
    }

    if ((rc = pol_ctx_new(NULL, &ctx)) < 0 ||
        (rc = pol_compile(ctx, text(document), NULL, &policy, NULL)) < 0 ||
        (rc = pol_worker_new(ctx, NULL, &worker)) < 0 ||
        (rc = pol_worker_use(worker, policy, 1)) < 0) {
        fprintf(stderr, "%s\n", pol_status_text(rc));
        goto out;
    }
    pol_worker_decide(worker, &packet, 0, &verdict);
    print_why(policy, &verdict);
    code = verdict.action == POL_ALLOW ? 0 : 1;

out:
    pol_worker_free(worker);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
    return code;
}
