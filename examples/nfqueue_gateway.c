// SPDX-License-Identifier: Apache-2.0
/*
 * A firewall in a router: the kernel routes, iptables asks, libpolicy decides. One thread.
 *
 *   cc -o nfqueue_gateway nfqueue_gateway.c \
 *       $(pkg-config --cflags --libs libpolicy libnetfilter_queue libmnl)
 *   ./nfqueue_gateway --inside lan0 policy.json 0 192.0.2.53
 *   iptables -A FORWARD -j NFQUEUE --queue-num 0
 *   ip6tables -A FORWARD -j NFQUEUE --queue-num 0
 *
 * Begin at main(), at the end; on_packet() is the way of a packet. The engine and what is printed
 * are those of afpacket_bridge.c.
 *
 * Both rules come before ip_forward is switched on, and without --queue-bypass: then a gateway
 * without this program forwards nothing. What the router itself sends and receives is not asked
 * for; INPUT and OUTPUT rules do that.
 *
 * To use more processors: --queue-balance 0:3 in the rules, which keeps a flow on one queue, and a
 * thread with a worker of its own for each queue. All workers share one pol_grants, so that a name
 * one has learned is known to all. What a product also has, and policyd does: a limit on the rate
 * of refusals (RFC 4443 2.4 f), and replacing the policy while it runs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include <libpolicy/policy.h>

#define BUFFER_BYTES (32 << 20) /* of the queue's socket */

enum { RESOLVERS_MAX = 16, BURST = 64, QUEUE_PACKETS = 4096 };
enum { PACKET_MAX = 0xffff, MESSAGE_MAX = 1232, REPLY_MAX = MESSAGE_MAX + 128 };

struct gateway {
    pol_ctx *ctx;
    pol_policy *policy;
    pol_grants *grants;
    pol_worker *worker;
    struct mnl_socket *netlink;
    uint32_t queue;
    uint32_t inside;                       /* index of the interface */
    int raw4, raw6;                        /* for refusals */
    pol_mono now;                          /* of the burst under way */
    uint64_t forwarded, dropped, refusals; /* packets; refusals: sent by us */
};

static volatile sig_atomic_t ending;

/* --- The engine ----------------------------------------------------------------------------- */

static int load_policy(struct gateway *gateway, const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t capacity = 0;
    ssize_t len = file ? getdelim(&text, &capacity, '\0', file) : -1; /* JSON holds no NUL */
    pol_diags *diags = NULL;
    int rc = POL_E_NOTFOUND;

    if (len < 0)
        fprintf(stderr, "%s: %s\n", path, file && feof(file) ? "is empty" : strerror(errno));
    else
        rc =
            pol_compile(gateway->ctx, (pol_str){text, (size_t)len}, NULL, &gateway->policy, &diags);

    for (size_t i = 0; i < pol_diags_count(diags); i++) {
        const pol_diag *diag = pol_diags_at(diags, i);

        fprintf(stderr, "%s:%" PRIu32 ":%" PRIu32 ": %s: %.*s\n", path, diag->line, diag->column,
                diag->severity == POL_DIAG_ERROR ? "error" : "warning", (int)diag->text.len,
                diag->text.ptr);
    }
    pol_diags_free(diags);
    free(text);
    if (file)
        fclose(file);
    return rc;
}

static int make_engine(struct gateway *gateway, const char *path, const pol_addr *resolvers,
                       size_t resolver_count)
{
    pol_ctx_options ctx_options;
    pol_worker_options options;
    int rc;

    pol_ctx_options_init(&ctx_options, sizeof(ctx_options));
    if (getrandom(ctx_options.hash_seed, sizeof(ctx_options.hash_seed), 0) < 0)
        return POL_E_INVALID;
    rc = pol_ctx_new(&ctx_options, &gateway->ctx);
    if (rc == POL_OK)
        rc = load_policy(gateway, path);
    if (rc == POL_OK)
        rc = pol_grants_new(gateway->ctx, NULL, &gateway->grants);
    if (rc != POL_OK)
        return rc;

    pol_worker_options_init(&options, sizeof(options));
    options.grants = gateway->grants;
    options.trusted_resolvers = resolvers; /* only their answers open addresses */
    options.trusted_resolver_count = resolver_count;
    options.reject_inside = true; /* tell clients, so that they need not wait for a timeout */
    rc = pol_worker_new(gateway->ctx, &options, &gateway->worker);
    if (rc == POL_OK)
        rc = pol_worker_use(gateway->worker, gateway->policy, 1);
    if (rc == POL_OK)
        pol_worker_report(gateway->worker, 1U << POL_EV_DENY | 1U << POL_EV_DNS);
    return rc;
}

/* --- One packet ----------------------------------------------------------------------------- */

/* A reply begins with its IP header: it says where to. It passes OUTPUT, not FORWARD again. */
static void reply(struct gateway *gateway, int status, const uint8_t *octets, size_t len)
{
    struct sockaddr_in to4 = {.sin_family = AF_INET};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
    ssize_t sent;

    if (status != POL_OK)
        return;

    if (octets[0] >> 4 == 4) {
        memcpy(&to4.sin_addr, octets + 16, sizeof(to4.sin_addr));
        sent = sendto(gateway->raw4, octets, len, 0, (struct sockaddr *)&to4, sizeof(to4));
    } else {
        memcpy(&to6.sin6_addr, octets + 24, sizeof(to6.sin6_addr));
        sent = sendto(gateway->raw6, octets, len, 0, (struct sockaddr *)&to6, sizeof(to6));
    }
    gateway->refusals += sent >= 0;
}

static void refuse(struct gateway *gateway, const pol_packet *packet, pol_bytes octets,
                   const pol_verdict *verdict)
{
    bool cut = verdict->flags & POL_V_CUT && packet->tuple.proto == IPPROTO_TCP;
    uint8_t buf[REPLY_MAX], message[MESSAGE_MAX];
    size_t len = 0, message_len;
    int rc;

    if (verdict->action == POL_ANSWER) { /* a name that may not be known does not exist */
        rc = pol_dns_refuse(packet->payload, POL_DNS_NXDOMAIN, message, sizeof(message),
                            &message_len);
        if (rc == POL_OK)
            rc = pol_reply_dns(packet, octets, POL_LINK_RAW_IP, (pol_bytes){message, message_len},
                               buf, sizeof(buf), &len);
        reply(gateway, rc, buf, len);
        return;
    }

    if (verdict->action != POL_DENY || cut) { /* POL_INTERCEPT too: nothing here takes the flow */
        rc = pol_reply_reject(packet, octets, POL_LINK_RAW_IP, buf, sizeof(buf), &len);
        reply(gateway, rc, buf, len);
    }
    if (cut) { /* the flow was open, so the other end has to hear of it too */
        rc = pol_reply_reset(packet, octets, POL_LINK_RAW_IP, buf, sizeof(buf), &len);
        reply(gateway, rc, buf, len);
    }
}

static uint32_t number(struct nlattr *attribute, uint32_t absent)
{
    return attribute ? ntohl(mnl_attr_get_u32(attribute)) : absent;
}

static int judge(struct gateway *gateway, struct nlattr **attributes)
{
    pol_bytes octets = {mnl_attr_get_payload(attributes[NFQA_PAYLOAD]),
                        mnl_attr_get_payload_len(attributes[NFQA_PAYLOAD])};
    bool inside = number(attributes[NFQA_IFINDEX_INDEV], 0) == gateway->inside;
    pol_packet packet;
    pol_verdict verdict;

    pol_packet_parse(octets, POL_LINK_RAW_IP,
                     number(attributes[NFQA_CAP_LEN], (uint32_t)octets.len), &packet);
    packet.side = inside ? POL_SIDE_INSIDE : POL_SIDE_OUTSIDE;
    /* A super-frame. The queue does not say into what lengths it will be cut: the shortest are
     * assumed, so that no second DNS query hides behind the one that is judged. */
    if (number(attributes[NFQA_SKB_INFO], 0) & NFQA_SKB_GSO)
        packet.segment_len = 1;

    switch (pol_worker_decide(gateway->worker, &packet, gateway->now, &verdict)) {
    case POL_ALLOW:
    case POL_PENDING: /* not decided yet; what decides it is still to come */
        gateway->forwarded++;
        return NF_ACCEPT;
    default:
        gateway->dropped++;
        refuse(gateway, &packet, octets, &verdict);
        return NF_DROP;
    }
}

static int on_packet(const struct nlmsghdr *message, void *user)
{
    struct gateway *gateway = user;
    struct nlattr *attributes[NFQA_MAX + 1] = {NULL};
    const struct nfqnl_msg_packet_hdr *packet;
    _Alignas(struct nlmsghdr) char room[128];
    struct nlmsghdr *verdict;

    if (nfq_nlmsg_parse(message, attributes) < 0 || !attributes[NFQA_PACKET_HDR])
        return MNL_CB_OK;

    packet = mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]);
    verdict = nfq_nlmsg_put(room, NFQNL_MSG_VERDICT, gateway->queue);
    nfq_nlmsg_verdict_put(verdict, (int)ntohl(packet->packet_id),
                          attributes[NFQA_PAYLOAD] ? judge(gateway, attributes) : NF_DROP);
    mnl_socket_sendto(gateway->netlink, verdict, verdict->nlmsg_len);
    return MNL_CB_OK;
}

/* --- The queue ------------------------------------------------------------------------------ */

static pol_mono monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (pol_mono)now.tv_sec * POL_SECONDS + (pol_mono)now.tv_nsec;
}

/* MNL_CB_OK: packets were judged; MNL_CB_STOP: an acknowledgement; MNL_CB_ERROR: see errno. */
static int receive(struct gateway *gateway, int flags)
{
    static _Alignas(struct nlmsghdr) char buf[PACKET_MAX + 8192];
    ssize_t len = recv(mnl_socket_get_fd(gateway->netlink), buf, sizeof(buf), flags);

    gateway->now = monotonic();
    return len < 0 ? MNL_CB_ERROR : mnl_cb_run(buf, (size_t)len, 0, 0, on_packet, gateway);
}

static int configure(struct gateway *gateway, struct nlmsghdr *request)
{
    int rc;

    request->nlmsg_flags |= NLM_F_ACK;
    if (mnl_socket_sendto(gateway->netlink, request, request->nlmsg_len) < 0)
        return -1;
    while ((rc = receive(gateway, 0)) == MNL_CB_OK)
        ; /* packets may come before the acknowledgement */
    return rc;
}

static int open_queue(struct gateway *gateway)
{
    _Alignas(struct nlmsghdr) char room[512];
    struct nlmsghdr *request;
    int fd, size = BUFFER_BYTES, on = 1;

    gateway->netlink = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    if (!gateway->netlink || mnl_socket_bind(gateway->netlink, 0, MNL_SOCKET_AUTOPID) < 0)
        return -1;

    request = nfq_nlmsg_put(room, NFQNL_MSG_CONFIG, gateway->queue);
    nfq_nlmsg_cfg_put_cmd(request, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
    if (configure(gateway, request) < 0)
        return -1;

    /* Whole packets, super-frames as they are; when the queue is full, drop and do not forward. */
    request = nfq_nlmsg_put(room, NFQNL_MSG_CONFIG, gateway->queue);
    nfq_nlmsg_cfg_put_params(request, NFQNL_COPY_PACKET, PACKET_MAX);
    nfq_nlmsg_cfg_put_qmaxlen(request, QUEUE_PACKETS);
    mnl_attr_put_u32(request, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
    mnl_attr_put_u32(request, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
    if (configure(gateway, request) < 0)
        return -1;

    fd = mnl_socket_get_fd(gateway->netlink);
    mnl_socket_setsockopt(gateway->netlink, NETLINK_NO_ENOBUFS, &on, sizeof(on));
    return setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

static int open_sockets(struct gateway *gateway)
{
    if (open_queue(gateway) < 0)
        return -1;
    gateway->raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    gateway->raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    return gateway->raw4 < 0 || gateway->raw6 < 0 ? -1 : 0;
}

/* --- What happened -------------------------------------------------------------------------- */

/* Who reads these lines must keep up: packets wait. policyd gives events to another thread. */
static void print_denials(struct gateway *gateway)
{
    static const pol_str node = {"nfqueue_gateway", 15};
    static pol_event events[BURST];
    static char json[32768];
    size_t count, len;

    while ((count = pol_worker_drain(gateway->worker, events, BURST)) > 0)
        for (size_t i = 0; i < count; i++)
            if ((events[i].kind == POL_EV_DENY || events[i].verdict.action != POL_ALLOW) &&
                pol_json_event(&events[i], gateway->policy, node, (pol_wall)time(NULL) * 1000, json,
                               sizeof(json), &len) == POL_OK)
                printf("%.*s\n", (int)len, json);
}

static void print_counters(const struct gateway *gateway)
{
    static char json[32768];
    pol_counters *counters;
    size_t len;

    if (pol_counters_new(gateway->ctx, &counters) != POL_OK)
        return;
    pol_counters_add(counters, gateway->worker);
    pol_counters_add_grants(counters, gateway->grants);
    if (pol_json_stats(counters, json, sizeof(json), &len) == POL_OK)
        printf("{\"forwarded\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"refusals\":%" PRIu64
               ",%.*s}\n",
               gateway->forwarded, gateway->dropped, gateway->refusals, (int)len, json);
    pol_counters_free(counters);
}

/* --- The program ---------------------------------------------------------------------------- */

static void run(struct gateway *gateway)
{
    struct pollfd ready = {.fd = mnl_socket_get_fd(gateway->netlink), .events = POLLIN};

    while (!ending) {
        pol_mono now = monotonic(), deadline = pol_worker_deadline(gateway->worker);
        pol_mono left = deadline > now ? deadline - now : 0;

        poll(&ready, 1, left < POL_SECONDS ? (int)(left / 1000000) + 1 : 1000);
        /* An error is that of a verdict on a packet that is gone, or that nothing waits. */
        for (int i = 0; i < BURST && receive(gateway, MSG_DONTWAIT) == MNL_CB_OK; i++)
            ;
        if (left == 0)
            pol_worker_tick(gateway->worker, now, BURST);
        print_denials(gateway);
    }
}

static void end(int signal_number)
{
    ending = signal_number;
}

static int usage(FILE *to, int code)
{
    fputs(
        "Usage: nfqueue_gateway --inside IF POLICY.json QUEUE [RESOLVER...]\n\n"
        "Judges what \"iptables -A FORWARD -j NFQUEUE --queue-num QUEUE\" hands over. IF: where "
        "the\n"
        "clients are. RESOLVER: addresses of the DNS servers whose answers open the addresses of\n"
        "names. Prints denials and, after Ctrl-C, the counters as lines of JSON.\n",
        to);
    return code;
}

static int wrong(const char *what, const char *value, const char *why)
{
    fprintf(stderr, "nfqueue_gateway: %s \"%s\": %s\n", what, value, why);
    return -1;
}

static int read_arguments(int argc, char **argv, struct gateway *gateway, pol_addr *ret_resolvers)
{
    char *rest;
    unsigned long queue = strtoul(argv[4], &rest, 10);

    gateway->inside = if_nametoindex(argv[2]);
    if (gateway->inside == 0)
        return wrong("interface", argv[2], strerror(errno));
    if (rest == argv[4] || *rest || queue > 65535)
        return wrong("queue", argv[4], "is no number from 0 to 65535");
    gateway->queue = (uint32_t)queue;
    for (int i = 5; i < argc; i++)
        if (pol_addr_parse((pol_str){argv[i], strlen(argv[i])}, ret_resolvers++) != POL_OK)
            return wrong("resolver", argv[i], "is no IP address");
    return 0;
}

int main(int argc, char **argv)
{
    struct gateway gateway = {.raw4 = -1, .raw6 = -1};
    pol_addr resolvers[RESOLVERS_MAX];
    int rc;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (argc < 5 || argc > 5 + RESOLVERS_MAX || strcmp(argv[1], "--inside") != 0)
        return usage(stderr, 2);
    if (read_arguments(argc, argv, &gateway, resolvers) < 0)
        return 2;

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGINT, end);
    signal(SIGTERM, end);

    rc = make_engine(&gateway, argv[3], resolvers, (size_t)argc - 5);
    if (rc != POL_OK) {
        fprintf(stderr, "nfqueue_gateway: %s\n", pol_status_text(rc));
    } else if ((rc = open_sockets(&gateway)) < 0) {
        wrong("queue", argv[4],
              errno == EPERM ? "CAP_NET_ADMIN and CAP_NET_RAW are needed, and that none else has it"
                             : strerror(errno));
    } else {
        fprintf(stderr, "nfqueue_gateway: judging queue %s\n", argv[4]);
        run(&gateway);
        print_counters(&gateway);
    }

    if (gateway.raw4 >= 0)
        close(gateway.raw4);
    if (gateway.raw6 >= 0)
        close(gateway.raw6);
    if (gateway.netlink)
        mnl_socket_close(gateway.netlink);
    pol_worker_free(gateway.worker);
    pol_grants_free(gateway.grants);
    pol_policy_unref(gateway.policy);
    pol_ctx_unref(gateway.ctx);
    return rc == POL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
