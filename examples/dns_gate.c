/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a name opens an address: query, answer, grant, packet; and how time closes it again. The
 * clock is made up, as every clock is for the library: the whole afternoon takes a millisecond.
 * Read it beside what it prints. Exit code 0 if every verdict was the one announced.
 */
#include <libpolicy/policy.h>

#include <stdio.h>
#include <string.h>

static const char document[] =
    "{ \"source_groups\": [ { \"id\": \"office\", \"mode\": \"enforce\","
    "    \"sources\": { \"cidrs\": [\"10.0.0.0/24\"] },"
    "    \"rules\": [ { \"id\": \"api\", \"action\": \"allow\", \"match\": {"
    "      \"dns_hostname\": \"^api\\\\.example\\\\.com$\", \"proto\": \"tcp\","
    "      \"dst_ports\": [443] } } ] } ] }";

static const pol_addr client = {4, {10, 0, 0, 5}}, server = {4, {192, 0, 2, 10}};

struct gate {
    pol_ctx *ctx;
    pol_policy *policy;
    pol_grants *grants;
    pol_worker *worker;
    pol_mono now;
    bool surprised;
};

static void said(struct gate *gate, const char *what, const pol_verdict *verdict, unsigned expected)
{
    printf("%5u s  %-48s %-6s (%s)\n", (unsigned)(gate->now / POL_SECONDS), what,
           pol_action_word(verdict->action), pol_reason_text(verdict->reason));
    gate->surprised |= verdict->action != expected;
}

/* RFC 1035 4.1: a header, one question for an A record, and with an address an answer that lives
 * for 30 seconds. */
static pol_bytes message(uint8_t *buf, const char *name, const pol_addr *address)
{
    static const uint8_t question[] = {0, 1, 0, 1};
    static const uint8_t answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4};
    uint8_t *at = buf + 12;

    memset(buf, 0, 12);
    buf[1] = 7;                     /* identifier */
    buf[2] = address ? 0x81 : 0x01; /* QR, RD */
    buf[5] = 1;                     /* one question */
    buf[7] = address ? 1 : 0;       /* records of the answer */
    for (const char *dot; *name; name = *dot ? dot + 1 : dot) {
        dot = strchr(name, '.') ? strchr(name, '.') : name + strlen(name);
        *at++ = (uint8_t)(dot - name);
        memcpy(at, name, (size_t)(dot - name));
        at += dot - name;
    }
    *at++ = 0;
    memcpy(at, question, sizeof(question));
    at += sizeof(question);
    if (address) {
        memcpy(at, answer, sizeof(answer));
        memcpy(at + sizeof(answer), address->bytes, 4);
        at += sizeof(answer) + 4;
    }
    return (pol_bytes){buf, (size_t)(at - buf)};
}

/* What a DNS proxy does with a query. */
static void resolve(struct gate *gate, const char *name, unsigned expected)
{
    uint8_t buf[512], refusal[1232];
    char what[96];
    pol_bytes query = message(buf, name, NULL);
    pol_dns_query asked;
    pol_dns_learned learned;
    pol_verdict verdict;
    size_t len;

    pol_dns_decide(gate->worker, &client, query, gate->now, &asked, &verdict);
    snprintf(what, sizeof(what), "query for %s", name);
    said(gate, what, &verdict, expected);
    if (verdict.action == POL_ANSWER &&
        pol_dns_refuse(query, POL_DNS_NXDOMAIN, refusal, sizeof(refusal), &len) == POL_OK)
        printf("         the proxy answers NXDOMAIN itself: %zu octets\n", len);
    if (verdict.action != POL_ALLOW)
        return;

    /* The order matters: the answer is learned, and only then sent to the client. */
    gate->surprised |=
        pol_dns_learn(gate->worker, &asked, message(buf, name, &server), gate->now, &learned) < 0;
    printf("         the answer is learned (%u new), then released\n", learned.added);
}

static void send(struct gate *gate, const char *what, uint16_t src_port, uint16_t dst_port,
                 uint8_t flags, unsigned expected)
{
    pol_packet packet = {.kind = POL_PKT_IP,
                         .side = POL_SIDE_INSIDE,
                         .hop_limit = 64,
                         .tcp_flags = flags,
                         .ip_len = 40,
                         .wire_len = 54};
    pol_verdict verdict;

    packet.tuple = (pol_tuple){client, server, src_port, dst_port, 6};
    pol_worker_decide(gate->worker, &packet, gate->now, &verdict);
    said(gate, what, &verdict, expected);
}

static void afternoon(struct gate *gate)
{
    send(gate, "SYN to 192.0.2.10:443, a number nobody asked for", 40000, 443, POL_TCP_SYN,
         POL_DENY);
    resolve(gate, "other.example.com", POL_ANSWER);
    resolve(gate, "api.example.com", POL_ALLOW);
    send(gate, "SYN to 192.0.2.10:443", 40001, 443, POL_TCP_SYN, POL_ALLOW);
    send(gate, "SYN to 192.0.2.10:22, not what the rule opens", 40002, 22, POL_TCP_SYN, POL_DENY);

    /* TTL and idle time are over, but a connection is open on it: it goes on, none begins. */
    gate->now += 20 * POL_SECONDS;
    send(gate, "the open connection", 40001, 443, POL_TCP_ACK, POL_ALLOW);
    gate->now += 3600 * POL_SECONDS;
    send(gate, "SYN to 192.0.2.10:443, an hour later", 40003, 443, POL_TCP_SYN, POL_DENY);
    resolve(gate, "api.example.com", POL_ALLOW);
    send(gate, "SYN to 192.0.2.10:443", 40004, 443, POL_TCP_SYN, POL_ALLOW);
}

int main(void)
{
    struct gate gate = {.surprised = false};
    pol_worker_options opts;
    int rc;

    if ((rc = pol_ctx_new(NULL, &gate.ctx)) < 0 ||
        (rc = pol_compile(gate.ctx, (pol_str){document, sizeof(document) - 1}, NULL, &gate.policy,
                          NULL)) < 0 ||
        (rc = pol_grants_new(gate.ctx, NULL, &gate.grants)) < 0)
        goto out;
    pol_worker_options_init(&opts, sizeof(opts));
    opts.grants = gate.grants;
    if ((rc = pol_worker_new(gate.ctx, &opts, &gate.worker)) < 0 ||
        (rc = pol_worker_use(gate.worker, gate.policy, 1)) < 0)
        goto out;
    afternoon(&gate);

out:
    if (rc < 0)
        fprintf(stderr, "%s\n", pol_status_text(rc));
    pol_worker_free(gate.worker);
    pol_grants_free(gate.grants);
    pol_policy_unref(gate.policy);
    pol_ctx_unref(gate.ctx);
    return rc < 0 || gate.surprised;
}
