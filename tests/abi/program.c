/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What someone else writes against the installed library, as C11 and as C++17. It is compiled in
 * many ways (consumers/run). Once a release is out, its copy of this file is kept and must go on
 * working, also without being compiled again.
 */
#include <libpolicy/policy.h>

#include <stdio.h>
#include <string.h>

static const char document[] =
    "{\"default_policy\": \"deny\", \"source_groups\": [{\"id\": \"lab\", \"mode\": \"enforce\","
    " \"sources\": {\"cidrs\": [\"192.0.2.0/24\"]}, \"rules\": [{\"id\": \"web\","
    " \"action\": \"allow\", \"match\": {\"dst_cidrs\": [\"198.51.100.0/24\"], \"proto\": \"tcp\","
    " \"dst_ports\": [443]}}]}]}";

/* TCP, a SYN from 192.0.2.1 port 1024 to 198.51.100.1, without Ethernet */
static const uint8_t syn[40] = {0x45, 0, 0,   40, 0,    0, 0,    0,    64, 6, 0, 0, 192, 0,
                                2,    1, 198, 51, 100,  1, 4,    0,    0,  0, 0, 0, 0,   1,
                                0,    0, 0,   0,  0x50, 2, 0xff, 0xff, 0,  0, 0, 0};

static enum pol_action decide(pol_worker *worker, uint16_t port)
{
    uint8_t octets[sizeof(syn)];
    pol_bytes frame = {octets, sizeof(octets)};
    pol_packet packet;
    pol_verdict verdict;

    memcpy(octets, syn, sizeof(syn));
    octets[22] = (uint8_t)(port >> 8);
    octets[23] = (uint8_t)(port & 0xff);
    pol_packet_parse(frame, POL_LINK_RAW_IP, sizeof(syn), &packet);
    packet.side = POL_SIDE_INSIDE;
    return pol_worker_decide(worker, &packet, 1 * POL_SECONDS, &verdict);
}

int main(void)
{
    pol_str text = {document, sizeof(document) - 1};
    pol_ctx *ctx = NULL;
    pol_policy *policy = NULL;
    pol_worker *worker = NULL;
    pol_worker_options options;
    enum pol_action web = POL_DENY, mail = POL_ALLOW;

    pol_worker_options_init(&options, sizeof(options));
    if (pol_ctx_new(NULL, &ctx) == POL_OK &&
        pol_compile(ctx, text, NULL, &policy, NULL) == POL_OK &&
        pol_worker_new(ctx, &options, &worker) == POL_OK &&
        pol_worker_use(worker, policy, 1) == POL_OK) {
        web = decide(worker, 443);
        mail = decide(worker, 25);
    }
    pol_worker_free(worker);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
    printf("libpolicy %s: web %s, mail %s\n", pol_version(), pol_action_word(web),
           pol_action_word(mail));
    return !(web == POL_ALLOW && mail == POL_DENY);
}
