// SPDX-License-Identifier: Apache-2.0
#include "http/api.h"

#include <stddef.h>

#include <libpolicy/json.h>
#include <libpolicy/version.h>

#include "core/json.h"

static bool add_up(struct api *api, pol_counters **ret_counters)
{
    if (pol_counters_new(api->ctx, ret_counters) != POL_OK)
        return false;

    for (size_t i = 0; i < api->loop_count; i++)
        pol_counters_add(*ret_counters, worker_loop_worker(api->loops[i]));
    pol_counters_add_grants(*ret_counters, api->grants);
    return true;
}

static int write_stats(const void *object, char *buf, size_t capacity, size_t *ret_len)
{
    return pol_json_stats(object, buf, capacity, ret_len);
}

static int write_metrics(const void *object, char *buf, size_t capacity, size_t *ret_len)
{
    return pol_metrics_text(object, buf, capacity, ret_len);
}

static void append(struct api *api, json_writer write, struct text *out)
{
    pol_counters *counters = NULL;

    if (add_up(api, &counters))
        json_append(out, write, counters);
    else
        out->failed = true;
    pol_counters_free(counters);
}

/* A node on its own: no lease, no cluster, and so a cluster of one without a leader. */
void api_stats(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    (void)request;
    text_add(&reply->body, "{");
    append(api, write_stats, &reply->body);
    text_add(&reply->body,
             ",\"dhcp\":{\"lease_active\":false,\"lease_expiry_epoch\":0},"
             "\"cluster\":{\"is_leader\":false,\"current_term\":0,\"last_log_index\":0,"
             "\"last_applied\":0,\"node_count\":1,\"follower_count\":0,\"followers_caught_up\":0,"
             "\"nodes\":[]}}");
}

/* Of a node on its own: what dashboards of a cluster or of a leased address expect to find. */
static const struct {
    const char *name, *help;
} still[] = {
    {"dhcp_lease_active", "Whether the data plane has a leased address."},
    {"dhcp_lease_expiry_epoch", "When the lease ends, in seconds since 1970; 0 without one."},
    {"raft_is_leader", "Whether this node leads a cluster."},
    {"raft_current_term", "Term of the cluster; 0 without one."},
    {"raft_last_log_index", "Newest entry of the cluster's log; 0 without one."},
    {"raft_last_applied", "Newest entry applied here; 0 without a cluster."},
};

static void add_metric(struct text *out, const char *type, const char *name, const char *help,
                       uint64_t value)
{
    text_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name,
              (unsigned long long)value);
}

static void add_gauge(struct text *out, const char *name, const char *help, uint64_t value)
{
    add_metric(out, "gauge", name, help, value);
}

static void add_wiretap(struct api *api, struct text *out)
{
    struct tap_hub_stats stats;

    tap_hub_stats(api->tap, &stats);
    add_gauge(out, "policyd_performance_mode",
              "Whether findings and live flows are available (1) or nothing of them is collected.",
              performance_is_enabled(api->performance));
    add_gauge(out, "policyd_wiretap_streams", "Streams of live flows that are open.",
              stats.streams);
    add_metric(out, "counter", "policyd_wiretap_events_total",
               "Events that were to be sent, counted for each stream that wanted them.",
               stats.events);
    add_metric(out, "counter", "policyd_wiretap_dropped_total",
               "Of these, events given up since their reader or its filter was too slow.",
               stats.dropped);
    add_metric(out, "counter", "policyd_wiretap_refused_total",
               "Streams refused since wiretap.max_streams were open.", stats.refused);
}

/* One series a worker: a worker that drops while the others do not is a hash that leans. */
static void add_port_counter(struct api *api, const char *name, const char *help, size_t offset,
                             struct text *out)
{
    text_addf(out, "# HELP policyd_port_%s_total %s.\n# TYPE policyd_port_%s_total counter\n", name,
              help, name);
    for (size_t i = 0; i < api->loop_count; i++) {
        const char *counters = (const char *)worker_loop_port_counters(api->loops[i]);
        const _Atomic(uint64_t) *counter = (const _Atomic(uint64_t) *)(counters + offset);

        text_addf(out, "policyd_port_%s_total{worker=\"%zu\"} %llu\n", name, i,
                  (unsigned long long)atomic_load_explicit(counter, memory_order_relaxed));
    }
}

static void add_port_counters(struct api *api, struct text *out)
{
#define XX(name, help)                                                                             \
    add_port_counter(api, #name, help, offsetof(struct port_counters, name), out);
    PORT_COUNTERS(XX)
#undef XX
}

void api_metrics(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    uint64_t generation;

    (void)request;
    reply->type = "text/plain; version=0.0.4";
    append(api, write_metrics, &reply->body);
    http_metrics_print(api->metrics, &reply->body);
    add_port_counters(api, &reply->body);

    pol_policy_unref(publish_current(api->publish, &generation));
    add_gauge(&reply->body, "policyd_policy_published_generation",
              "Generation handed to the workers last.", generation);
    add_wiretap(api, &reply->body);
    for (size_t i = 0; i < sizeof(still) / sizeof(still[0]); i++)
        add_gauge(&reply->body, still[i].name, still[i].help, 0);
    text_addf(&reply->body,
              "# HELP policyd_build_info The version that runs.\n"
              "# TYPE policyd_build_info gauge\npolicyd_build_info{version=\"%s\"} 1\n",
              pol_version());
}
