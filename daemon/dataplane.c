// SPDX-License-Identifier: Apache-2.0
#include "dataplane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/thread.h"
#include "dataplane/port_inline.h"
#include "dataplane/port_live.h"
#include "dataplane/port_monitor.h"

#define EVENT_CAPACITY 4096
#define LEAST_SLOTS    256
#define ANCHORS_LIMIT  (8u << 20)

/* What the start waits with: opening a pipe takes as long as its writer likes. */
#define LOOK_NS UINT64_C(50000000)
#define LOOKS   20 /* until it is told */

static int fail(struct text *error, int rc, const char *what)
{
    if (error->len == 0)
        text_addf(error, "%s: %s\n", what, strerror(-rc));
    return rc;
}

static bool is_inline(const struct config *config)
{
    return config->value.dataplane.inline_pair.count != 0;
}

static bool is_libpcap(const struct config *config)
{
    return config->value.dataplane.monitor &&
           config->value.dataplane.monitor_driver == CONFIG_MONITOR_LIBPCAP;
}

/* A device of libpcap alone, which cannot go away. */
static bool is_pseudo_device(const struct config *config)
{
    return is_libpcap(config) && strcmp(config->value.dataplane.monitor, "any") == 0;
}

/* --- a capture's port ----------------------------------------------------------------------- */

struct opening {
    struct thread thread;
    struct port_pcap_options options;
    struct port *port;
    struct text error;
    int rc;
};

static void *open_port(void *arg)
{
    struct opening *opening = arg;

    opening->rc = port_pcap_open(&opening->options, &opening->port, &opening->error);
    return NULL;
}

/* False when policyd is to stop: the thread still waits for the capture. */
static bool wait_for_capture(struct opening *opening)
{
    enum signals_wish wish;

    for (int looks = 1; !thread_join_within(&opening->thread, LOOK_NS); looks++) {
        if (looks == LOOKS)
            log_info("%s: waiting for the capture to begin", opening->options.path);
        while ((wish = signals_wait(0)) != SIGNALS_NONE) {
            if (wish == SIGNALS_STOP)
                return false;
            log_warn("the capture has not begun; send SIGHUP again when policyd listens");
        }
    }
    return true;
}

/*
 * In a thread of its own, so that signals are heard meanwhile. After -ECANCELED that thread goes on
 * waiting and keeps what it was given.
 */
static int open_capture(const struct config *config, struct port **ret_port, struct text *error)
{
    struct opening *opening = calloc(1, sizeof(*opening));
    int rc;

    if (!opening)
        return fail(error, -ENOMEM, "capture");

    opening->options =
        (struct port_pcap_options){.path = config->value.dataplane.capture,
                                   .paced = config->value.dataplane.pace == CONFIG_PACE_REAL,
                                   .loop = config->value.dataplane.loop};
    rc = thread_start(&opening->thread, "open-capture", open_port, opening);
    if (rc < 0) {
        free(opening);
        return fail(error, rc, "capture");
    }
    if (!wait_for_capture(opening))
        return -ECANCELED;

    rc = opening->rc;
    if (rc < 0)
        text_addf(error, "%s\n", opening->error.ptr ? opening->error.ptr : strerror(-rc));
    *ret_port = opening->port;
    text_fini(&opening->error);
    free(opening);
    return rc;
}

static int make_port(const struct config *config, struct port **ret_port, struct text *error)
{
    int rc;

    if (is_inline(config))
        return port_inline_new(ret_port);
    if (config->value.dataplane.capture)
        return open_capture(config, ret_port, error);
    if (!is_libpcap(config))
        return port_monitor_new(ret_port);

    rc = port_live_open(config->value.dataplane.monitor, ret_port, error);
    if (rc < 0)
        text_add(error, "\n");
    return rc;
}

/* --- workers -------------------------------------------------------------------------------- */

/* The texts were checked when the configuration was read. */
static pol_addr *read_addresses(const struct config_list *list)
{
    pol_addr *addrs = calloc(list->count + 1, sizeof(*addrs));

    for (size_t i = 0; addrs && i < list->count; i++)
        pol_addr_parse((pol_str){list->items[i], strlen(list->items[i])}, &addrs[i]);
    return addrs;
}

static pol_prefix *read_prefixes(const struct config_list *list)
{
    pol_prefix *prefixes = calloc(list->count + 1, sizeof(*prefixes));

    for (size_t i = 0; prefixes && i < list->count; i++)
        pol_prefix_parse((pol_str){list->items[i], strlen(list->items[i])}, &prefixes[i]);
    return prefixes;
}

static bool read_sockaddr(const struct sockaddr *address, pol_addr *ret_addr)
{
    char text[INET6_ADDRSTRLEN];
    const void *octets = NULL;

    if (address && address->sa_family == AF_INET)
        octets = &((const struct sockaddr_in *)address)->sin_addr;
    if (address && address->sa_family == AF_INET6)
        octets = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (!octets || !inet_ntop(address->sa_family, octets, text, sizeof(text)))
        return false;
    return pol_addr_parse((pol_str){text, strlen(text)}, ret_addr) == POL_OK;
}

/* This host's own addresses: no DNS answer shall open them. */
static pol_addr *read_own_addresses(size_t *ret_count)
{
    struct ifaddrs *list = NULL;
    pol_addr *addrs;
    size_t most = 1;

    *ret_count = 0;
    if (getifaddrs(&list) < 0)
        list = NULL;
    for (const struct ifaddrs *at = list; at; at = at->ifa_next)
        most++;
    addrs = calloc(most, sizeof(*addrs));
    for (const struct ifaddrs *at = list; addrs && at; at = at->ifa_next)
        *ret_count += read_sockaddr(at->ifa_addr, &addrs[*ret_count]);
    if (list)
        freeifaddrs(list);
    return addrs;
}

static void set_control(const struct config *config, uint8_t ret_control[])
{
    static const uint8_t policies[] = {[CONFIG_CONTROL_PASS] = POL_CONTROL_PASS,
                                       [CONFIG_CONTROL_DROP] = POL_CONTROL_DROP,
                                       [CONFIG_CONTROL_JUDGE] = POL_CONTROL_JUDGE};

    ret_control[POL_CONTROL_ARP] = policies[config->value.dataplane.control.arp];
    ret_control[POL_CONTROL_NDP] = policies[config->value.dataplane.control.ndp];
    ret_control[POL_CONTROL_GROUPS] = policies[config->value.dataplane.control.groups];
    ret_control[POL_CONTROL_DHCP] = policies[config->value.dataplane.control.dhcp];
    ret_control[POL_CONTROL_DHCPV6] = policies[config->value.dataplane.control.dhcpv6];
    ret_control[POL_CONTROL_EAPOL] = policies[config->value.dataplane.control.eapol];
    ret_control[POL_CONTROL_LLDP] = policies[config->value.dataplane.control.lldp];
    ret_control[POL_CONTROL_STP] = policies[config->value.dataplane.control.stp];
    ret_control[POL_CONTROL_MULTICAST] = policies[config->value.dataplane.control.multicast];
    ret_control[POL_CONTROL_OTHER] = policies[config->value.dataplane.control.other];
}

static void set_worker_options(const struct config *config, pol_worker_options *options)
{
    static const uint8_t sni_checks[] = {[CONFIG_SNI_OFF] = POL_SNI_OFF,
                                         [CONFIG_SNI_LOG] = POL_SNI_LOG,
                                         [CONFIG_SNI_ENFORCE] = POL_SNI_ENFORCE};
    static const uint8_t midstreams[] = {[CONFIG_MIDSTREAM_JUDGE] = POL_MIDSTREAM_JUDGE,
                                         [CONFIG_MIDSTREAM_DENY] = POL_MIDSTREAM_DENY};

    options->flow_capacity = (uint32_t)config->value.dataplane.flow_table_capacity;
    options->pending_capacity = (uint32_t)config->value.dataplane.max_pending_tls_flows;
    options->idle.udp_two_way = config->value.dataplane.idle_timeout_secs * POL_SECONDS;
    options->sni_check = sni_checks[config->value.dataplane.sni_check];
    options->midstream = midstreams[config->value.dataplane.midstream];
    options->report_interval = POL_SECONDS;
    options->reject_inside =
        is_inline(config) && config->value.dataplane.deny == CONFIG_DENY_REJECT;
    options->admit_outside = config->value.dataplane.admit_outside;
    options->trust_all_resolvers =
        !is_inline(config) && config->value.dns.trusted_resolvers.count == 0;
    set_control(config, options->control);
}

/* The file of a system that has none is no mistake: certificate rules deny then. */
static int read_anchors(const struct config *config, char **ret_pem, size_t *ret_len,
                        struct text *error)
{
    const char *path = config->value.tls.trust_anchors;
    int rc = fs_read_file(path, ANCHORS_LIMIT, ret_pem, ret_len);

    if (rc == 0)
        return 0;
    if (config_is_set(config, config_find("tls.trust_anchors"))) {
        text_addf(error, "tls.trust_anchors: %s: %s\n", path, strerror(-rc));
        return rc;
    }
    log_warn("%s: %s; rules that ask for a server's certificate deny, unless they bring "
             "trust_anchors_pem; install ca-certificates or set tls.trust_anchors",
             path, strerror(-rc));
    return 0;
}

static int make_worker(const struct dataplane_options *options, pol_str anchors,
                       pol_worker **ret_worker)
{
    const struct config *config = options->config;
    pol_addr *trusted = read_addresses(&config->value.dns.trusted_resolvers);
    pol_addr *asking = read_addresses(&config->value.dns.inside_resolvers);
    pol_prefix *inside = read_prefixes(&config->value.dataplane.inside);
    pol_worker_options worker;
    size_t own_count;
    pol_addr *own = read_own_addresses(&own_count);
    int rc = -ENOMEM;

    if (!trusted || !asking || !inside || !own)
        goto out;

    pol_worker_options_init(&worker, sizeof(worker));
    set_worker_options(config, &worker);
    worker.grants = options->grants;
    worker.trust_anchors_pem = anchors;
    worker.inside = inside;
    worker.inside_count = config->value.dataplane.inside.count;
    worker.trusted_resolvers = trusted;
    worker.trusted_resolver_count = config->value.dns.trusted_resolvers.count;
    worker.inside_resolvers = asking;
    worker.inside_resolver_count = config->value.dns.inside_resolvers.count;
    worker.own = own;
    worker.own_count = own_count;
    if (pol_worker_new(options->ctx, &worker, ret_worker) == POL_OK)
        rc = 0;

out:
    free(trusted);
    free(asking);
    free(inside);
    free(own);
    return rc;
}

static int make_loop(const struct dataplane_options *options, pol_str anchors,
                     struct worker_loop **ret_loop, struct text *error)
{
    const struct config *config = options->config;
    struct worker_loop_options loop = {
        .event_capacity = EVENT_CAPACITY,
        .refuse = config->value.dataplane.deny == CONFIG_DENY_REJECT,
        .spin_ns = config->value.dataplane.spin_usecs * 1000,
        .on_start = config->value.dataplane.capture ? options->on_start : NULL,
        .on_events = options->on_events,
        .user = options->user,
    };
    int rc;

    rc = make_port(config, &loop.port, error);
    if (rc < 0)
        return rc;

    rc = make_worker(options, anchors, &loop.worker);
    if (rc == 0)
        rc = worker_loop_new(&loop, ret_loop);
    if (rc < 0) {
        pol_worker_free(loop.worker);
        port_close(loop.port);
    }
    return rc;
}

int dataplane_make(const struct dataplane_options *options, struct dataplane *ret_dataplane,
                   struct text *ret_error)
{
    size_t count = options->config->value.runtime.workers;
    struct dataplane made = {.loops = calloc(count, sizeof(*made.loops))};
    int rc = made.loops ? 0 : -ENOMEM;
    char *pem = NULL;
    size_t len = 0;

    if (rc == 0)
        rc = read_anchors(options->config, &pem, &len, ret_error);
    while (rc == 0 && made.loop_count < count) {
        rc = make_loop(options, (pol_str){pem, len}, &made.loops[made.loop_count], ret_error);
        made.loop_count += rc == 0;
    }
    free(pem);
    if (rc < 0) {
        dataplane_free(&made);
        return rc == -ECANCELED ? rc : fail(ret_error, rc, "worker");
    }

    *ret_dataplane = made;
    return 0;
}

/* --- interfaces and threads ----------------------------------------------------------------- */

/* Workers share the memory as they share the frames, but a burst can come to one of them alone. */
static uint32_t slots_of(const struct config *config, size_t workers)
{
    uint64_t all = config->value.dataplane.ring_slots, share = all / workers;

    if (share < LEAST_SLOTS)
        share = all < LEAST_SLOTS ? all : LEAST_SLOTS;
    return (uint32_t)share;
}

int dataplane_attach(struct dataplane *dataplane, const struct config *config,
                     struct text *ret_error)
{
    const struct config_list *pair = &config->value.dataplane.inline_pair;
    struct port *ports[dataplane->loop_count];
    struct attach_options options = {
        .names = {pair->count ? pair->items[0] : config->value.dataplane.monitor,
                  pair->count ? pair->items[1] : NULL},
        .ports = ports,
        .port_count = is_libpcap(config) ? 0 : dataplane->loop_count, /* it attaches itself */
        .ring_slots = slots_of(config, dataplane->loop_count),
        .bypass_qdisc = config->value.dataplane.qdisc_bypass,
        .signal_loss = config->value.dataplane.link_loss == CONFIG_LINK_LOSS_SIGNAL,
    };

    if (config->value.dataplane.capture || is_pseudo_device(config))
        return 0;

    for (size_t i = 0; i < options.port_count; i++)
        ports[i] = worker_loop_port(dataplane->loops[i]);
    return attach_new(&options, &dataplane->attach, ret_error);
}

int dataplane_start(struct dataplane *dataplane)
{
    char name[32]; /* the kernel keeps 15 characters */
    int rc = dataplane->attach ? attach_start(dataplane->attach) : 0;

    for (size_t i = 0; i < dataplane->loop_count && rc == 0; i++) {
        snprintf(name, sizeof(name), "worker-%zu", i);
        rc = worker_loop_start(dataplane->loops[i], name);
    }
    return rc;
}

bool dataplane_stop(struct dataplane *dataplane, uint64_t timeout_ns)
{
    bool clean = true;

    if (dataplane->attach)
        attach_stop(dataplane->attach);
    for (size_t i = 0; i < dataplane->loop_count; i++)
        clean &= worker_loop_stop(dataplane->loops[i], timeout_ns);
    return clean;
}

void dataplane_free(struct dataplane *dataplane)
{
    attach_free(dataplane->attach);
    for (size_t i = 0; i < dataplane->loop_count; i++)
        worker_loop_free(dataplane->loops[i]);
    free(dataplane->loops);
    *dataplane = (struct dataplane){0};
}
