/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Once everything is made, nothing allocates: neither through pol_mem nor from libc, whatever comes
 * along. So a machine without memory decides as one that has plenty.
 */
#include "bed.h"
#include "traffic.h"

enum { ROUNDS = 5 };

static uint64_t play(bool starved, size_t *ret_requests)
{
    struct bed bed = bed_of();
    struct traffic traffic;
    uint64_t digest;

    bed_open(&bed, traffic_policy);
    traffic_init(&traffic, &bed);
    if (starved)
        fault_starve();
    else
        fault_count();
    for (int i = 0; i < ROUNDS; i++)
        traffic_play(&traffic);
    *ret_requests = fault_counted();
    digest = traffic.digest;
    traffic_fini(&traffic);
    bed_close(&bed);
    return digest;
}

static void nothing_is_asked_for(void)
{
    size_t requests;

    play(false, &requests);
    EXPECT(requests == 0);
}

static void without_memory_everything_is_decided_as_with_it(void)
{
    size_t with, without;

    EXPECT(play(true, &without) == play(false, &with));
    EXPECT(with == without);
}

/* Otherwise the other cases would prove little. */
static void the_traffic_reaches_every_part(void)
{
    static const char *const moved[][2] = {
        {"dp_packets_total", "decision=\"allow\""},
        {"dp_packets_total", "decision=\"deny\""},
        {"dp_packets_total", "decision=\"pending_tls\""},
        {"dp_icmp_decisions_total", ""},
        {"dp_ipv4_fragments_dropped_total", ""},
        {"policyd_malformed_total", ""},
        {"policyd_control_frames_total", "kind=\"arp\""},
        {"policyd_control_frames_total", "kind=\"dhcp\""},
        {"policyd_control_frames_total", "kind=\"groups\""},
        {"dp_flow_closes_total", "reason=\"tcp_rst\""},
        {"dp_flow_closes_total", "reason=\"idle_timeout\""},
        {"dp_tls_decisions_total", "outcome=\"allow\""},
        {"dp_tls_decisions_total", "outcome=\"deny\""},
        {"dns_queries_total", "reason=\"policy_allow\""},
        {"dns_queries_total", "reason=\"policy_deny\""},
        {"policyd_dns_learned_total", ""},
        {"policyd_dns_unsolicited_total", ""},
        {"policyd_memo_misses_total", ""},
        {"policyd_grants_expired_total", ""},
    };
    struct bed bed = bed_of();
    struct traffic traffic;

    bed_open(&bed, traffic_policy);
    traffic_init(&traffic, &bed);
    for (int i = 0; i < ROUNDS; i++)
        traffic_play(&traffic);
    for (size_t i = 0; i < sizeof(moved) / sizeof(*moved); i++) {
        fault_note("%s{%s}", moved[i][0], moved[i][1]);
        EXPECT(bed_counter(&bed, moved[i][0], moved[i][1]) > 0);
    }
    traffic_fini(&traffic);
    bed_close(&bed);
}

static const struct fault_case cases[] = {
    {"nothing is asked for", nothing_is_asked_for},
    {"without memory everything is decided as with it",
     without_memory_everything_is_decided_as_with_it},
    {"the traffic reaches every part", the_traffic_reaches_every_part},
};

int main(void)
{
    return FAULT_RUN(cases);
}
