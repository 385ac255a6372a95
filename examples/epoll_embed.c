/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine inside somebody else's event loop: three descriptors and epoll, one thread.
 *
 *   epoll_embed SOCKET POLICY.json
 *
 * SOCKET is a Unix datagram socket. Each datagram is an IP packet from inside, the answer one line:
 * "allow office web rule". A timer wakes the loop when the engine has something to end and never
 * otherwise; SIGHUP reads the policy again (a bad one changes nothing), SIGTERM ends it all.
 */
#include <libpolicy/policy.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct host {
    pol_ctx *ctx;
    pol_worker *worker;
    const char *policy_path;
    unsigned generation;
    int epoll, packets, timer, signals;
    bool ending;
};

/* The one place that reads a clock. */
static pol_mono now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (pol_mono)ts.tv_sec * POL_SECONDS + (pol_mono)ts.tv_nsec;
}

static int load(struct host *host)
{
    static char text[2 << 20];
    FILE *file = fopen(host->policy_path, "rb");
    size_t len = file ? fread(text, 1, sizeof(text), file) : sizeof(text);
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;
    size_t shown = 0;
    int rc = POL_E_LIMIT;

    if (len < sizeof(text))
        rc = pol_compile(host->ctx, (pol_str){text, len}, NULL, &policy, &diags);
    if (rc == POL_OK)
        rc = pol_worker_use(host->worker, policy, ++host->generation);
    printf("generation %u: %s\n", host->generation, file ? pol_status_text(rc) : strerror(errno));
    for (const pol_diag *d; (d = pol_diags_at(diags, shown)) != NULL; shown++)
        printf("%s:%u: %.*s\n", host->policy_path, d->line, (int)d->text.len, d->text.ptr);
    if (file)
        fclose(file);
    pol_diags_free(diags);
    pol_policy_unref(policy); /* the worker holds its own reference */
    return rc;
}

static void on_packet(struct host *host)
{
    uint8_t octets[65535];
    char line[1100];
    struct sockaddr_un from;
    socklen_t from_len = sizeof(from);
    ssize_t len = recvfrom(host->packets, octets, sizeof(octets), 0, (void *)&from, &from_len);
    pol_policy *policy = pol_worker_policy(host->worker, NULL);
    pol_packet packet;
    pol_verdict verdict;
    pol_str group, rule;

    if (len < 0)
        return;
    pol_packet_parse((pol_bytes){octets, (size_t)len}, POL_LINK_RAW_IP, (uint32_t)len, &packet);
    packet.side = POL_SIDE_INSIDE;
    pol_worker_decide(host->worker, &packet, now(), &verdict);
    group = pol_policy_group_id(policy, verdict.group);
    rule = pol_policy_rule_id(policy, verdict.rule);
    len = snprintf(line, sizeof(line), "%s %.*s %.*s %s", pol_action_word(verdict.action),
                   (int)group.len, group.ptr, rule.len ? (int)rule.len : 1,
                   rule.len ? rule.ptr : "-", pol_reason_word(verdict.reason));
    sendto(host->packets, line, (size_t)len, MSG_DONTWAIT, (void *)&from, from_len);
}

/* What happened: a product hands these to pol_audit_add() and its log. */
static void on_events(struct host *host)
{
    static pol_event events[64];
    size_t count;

    while ((count = pol_worker_drain(host->worker, events, 64)) > 0)
        for (size_t i = 0; i < count; i++)
            if (events[i].kind == POL_EV_FLOW_END)
                printf("flow %llu ended\n", (unsigned long long)events[i].verdict.flow);
}

/* Sets the timer to the next deadline, or off. */
static void arm(struct host *host)
{
    pol_mono at = pol_worker_deadline(host->worker);
    struct itimerspec when = {.it_value = {0, 0}};

    if (at != POL_NEVER)
        when.it_value = (struct timespec){(time_t)(at / POL_SECONDS), (long)(at % POL_SECONDS)};
    timerfd_settime(host->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_timer(struct host *host)
{
    uint64_t times;

    if (read(host->timer, &times, sizeof(times)) > 0)
        pol_worker_tick(host->worker, now(), 1024);
}

static void on_signal(struct host *host)
{
    struct signalfd_siginfo info;

    if (read(host->signals, &info, sizeof(info)) != sizeof(info))
        return;
    host->ending = info.ssi_signo != SIGHUP;
    if (!host->ending)
        load(host);
}

static void loop(struct host *host)
{
    struct epoll_event ready[3];

    while (!host->ending) {
        int count = epoll_wait(host->epoll, ready, 3, -1);

        for (int i = 0; i < count; i++)
            ((void (*[])(struct host *)){on_packet, on_timer, on_signal})[ready[i].data.u32](host);
        on_events(host);
        arm(host);
    }
    while (pol_worker_flush(host->worker, now()) > 0)
        on_events(host);
    on_events(host);
}

static int open_descriptors(struct host *host, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    sigset_t set;
    int fds[3];

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    host->epoll = epoll_create1(EPOLL_CLOEXEC);
    fds[0] = host->packets = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    fds[1] = host->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    fds[2] = host->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    for (uint32_t i = 0; i < 3; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

        if (fds[i] < 0 || epoll_ctl(host->epoll, EPOLL_CTL_ADD, fds[i], &event) < 0)
            return -1;
    }
    return bind(host->packets, (void *)&address, sizeof(address));
}

int main(int argc, char **argv)
{
    struct host host = {.policy_path = argc == 3 ? argv[2] : NULL};
    pol_ctx_options opts;
    int rc = -1;

    if (argc != 3 || strlen(argv[1]) > 107)
        return fprintf(stderr, "usage: %s SOCKET POLICY.json\n", argv[0]), 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pol_ctx_options_init(&opts, sizeof(opts));
    if (getrandom(opts.hash_seed, sizeof(opts.hash_seed), 0) != sizeof(opts.hash_seed) ||
        pol_ctx_new(&opts, &host.ctx) < 0 || pol_worker_new(host.ctx, NULL, &host.worker) < 0)
        goto out;
    if (open_descriptors(&host, argv[1]) < 0)
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
    else if ((rc = load(&host)) == POL_OK)
        loop(&host);

out:
    pol_worker_free(host.worker);
    pol_ctx_unref(host.ctx);
    return rc < 0; /* the descriptors end with the process; the path is the caller's to remove */
}
