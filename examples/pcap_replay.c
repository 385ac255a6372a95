/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture through a worker: what would this policy have done? Findings at the end, as JSON lines.
 *
 *   pcap_replay CAPTURE POLICY.json
 *
 * Time is that of the capture. Needs libpcap. policyctl replay is the same with every record.
 */
#include <libpolicy/policy.h>

#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 256, FINDINGS = 1000, JSON_MAX = 16384 };

struct replay {
    pol_ctx *ctx;
    pol_policy *policy;
    pol_grants *grants;
    pol_worker *worker;
    pol_audit *audit;
    pcap_t *pcap;
    enum pol_link link;
    pol_mono now;
    uint64_t packets[POL_ANSWER + 1]; /* by action */
};

/* One clock serves as both here: a capture knows the time of day. */
static void collect(struct replay *replay)
{
    static pol_event events[EVENTS];
    size_t count;

    while ((count = pol_worker_drain(replay->worker, events, EVENTS)) > 0)
        for (size_t i = 0; i < count; i++)
            pol_audit_add(replay->audit, replay->policy, replay->grants, &events[i],
                          events[i].at / 1000000);
}

static void judge(struct replay *replay, const struct pcap_pkthdr *head, const uint8_t *octets)
{
    pol_packet packet;
    pol_verdict verdict;
    pol_mono at = (pol_mono)head->ts.tv_sec * POL_SECONDS +
                  (pol_mono)head->ts.tv_usec; /* nanoseconds, see open */

    if (at > replay->now)
        replay->now = at;
    pol_packet_parse((pol_bytes){octets, head->caplen}, replay->link, head->len, &packet);
    replay->packets[pol_worker_decide(replay->worker, &packet, replay->now, &verdict)]++;
    if (pol_worker_deadline(replay->worker) <= replay->now)
        pol_worker_tick(replay->worker, replay->now, 64);
    collect(replay);
}

static bool print_finding(void *user, const pol_finding *finding)
{
    static char json[JSON_MAX];
    size_t len;

    (void)user;
    if (pol_json_finding(finding, (pol_str){"replay", 6}, json, sizeof(json), &len) == POL_OK)
        printf("%.*s\n", (int)len, json);
    return true;
}

static int link_of(int linktype, enum pol_link *ret_link)
{
    switch (linktype) {
    case DLT_EN10MB:
        *ret_link = POL_LINK_ETHERNET;
        return 0;
    case DLT_RAW:
        *ret_link = POL_LINK_RAW_IP;
        return 0;
    case DLT_LINUX_SLL:
        *ret_link = POL_LINK_LINUX_SLL;
        return 0;
    case DLT_LINUX_SLL2:
        *ret_link = POL_LINK_LINUX_SLL2;
        return 0;
    }
    fprintf(stderr, "pcap_replay: link type %d is not Ethernet, Linux cooked or raw IP\n",
            linktype);
    return -1;
}

static int open_capture(struct replay *replay, const char *path)
{
    char error[PCAP_ERRBUF_SIZE];

    replay->pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
    if (!replay->pcap) {
        fprintf(stderr, "pcap_replay: %s\n", error);
        return -1;
    }
    return link_of(pcap_datalink(replay->pcap), &replay->link);
}

static int compile_file(struct replay *replay, const char *path)
{
    static char text[2 << 20];
    FILE *file = fopen(path, "rb");
    pol_diags *diags = NULL;
    size_t len = file ? fread(text, 1, sizeof(text), file) : 0;
    int rc;

    if (!file || ferror(file) || len == sizeof(text)) {
        fprintf(stderr, "pcap_replay: %s cannot be read, or is larger than 2 MiB\n", path);
        rc = POL_E_INVALID;
    } else {
        rc = pol_compile(replay->ctx, (pol_str){text, len}, NULL, &replay->policy, &diags);
        for (size_t i = 0; rc < 0 && i < pol_diags_count(diags); i++)
            fprintf(stderr, "%s:%u: %.*s\n", path, pol_diags_at(diags, i)->line,
                    (int)pol_diags_at(diags, i)->text.len, pol_diags_at(diags, i)->text.ptr);
    }
    if (file)
        fclose(file);
    pol_diags_free(diags);
    return rc;
}

static int make_engine(struct replay *replay, const char *policy)
{
    pol_worker_options opts;
    int rc;

    if ((rc = pol_ctx_new(NULL, &replay->ctx)) < 0 || (rc = compile_file(replay, policy)) < 0 ||
        (rc = pol_grants_new(replay->ctx, NULL, &replay->grants)) < 0 ||
        (rc = pol_audit_new(replay->ctx, FINDINGS, &replay->audit)) < 0)
        return rc;
    pol_worker_options_init(&opts, sizeof(opts));
    opts.grants = replay->grants;
    opts.trust_all_resolvers = true; /* whoever answered there was the resolver */
    if ((rc = pol_worker_new(replay->ctx, &opts, &replay->worker)) < 0)
        return rc;
    return pol_worker_use(replay->worker, replay->policy, 1);
}

static int run(struct replay *replay)
{
    struct pcap_pkthdr *head;
    const uint8_t *octets;
    int rc;

    while ((rc = pcap_next_ex(replay->pcap, &head, &octets)) == 1)
        judge(replay, head, octets);
    if (rc == PCAP_ERROR) /* what was decided before stands */
        fprintf(stderr, "pcap_replay: %s\n", pcap_geterr(replay->pcap));
    while (pol_worker_flush(replay->worker, replay->now) > 0)
        collect(replay);
    collect(replay);
    pol_audit_find(replay->audit, NULL, print_finding, NULL);
    for (unsigned action = POL_DENY; action <= POL_ANSWER; action++)
        fprintf(stderr, "%-9s %" PRIu64 " packets\n", pol_action_word(action),
                replay->packets[action]);
    return rc == PCAP_ERROR ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct replay replay = {.pcap = NULL};
    int rc = -1;

    if (argc != 3) {
        fprintf(stderr, "usage: %s CAPTURE POLICY.json\n", argv[0]);
        return 2;
    }
    if (make_engine(&replay, argv[2]) == POL_OK && open_capture(&replay, argv[1]) == 0)
        rc = run(&replay);

    if (replay.pcap)
        pcap_close(replay.pcap);
    pol_audit_free(replay.audit);
    pol_worker_free(replay.worker);
    pol_grants_free(replay.grants);
    pol_policy_unref(replay.policy);
    pol_ctx_unref(replay.ctx);
    return rc < 0;
}
