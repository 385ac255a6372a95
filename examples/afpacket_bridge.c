// SPDX-License-Identifier: Apache-2.0
/*
 * A transparent firewall between two interfaces: libpolicy, two packet sockets, one thread.
 *
 *   cc -o afpacket_bridge afpacket_bridge.c $(pkg-config --cflags --libs libpolicy)
 *   ./afpacket_bridge policy.json lan0 wan0 192.0.2.53
 *
 * Begin at main(), at the end; serve() is the way of a frame.
 *
 * The host must be kept out. A packet socket is a tap: the kernel gets every frame as well, and
 * would answer and route what a policy denied. Before the start, for each of the two interfaces:
 *
 *   tc qdisc add dev IF clsact
 *   tc filter add dev IF ingress pref 1 bpf da bytecode '1,6 0 0 2'    # drop; taps come before it
 *   sysctl -w net.ipv6.conf.IF.disable_ipv6=1
 *   ip link set dev IF arp off up
 *
 * No address, route or bridge belongs on them, and both need the same MTU. This is policyd's guard:
 * "policyctl port show IF" says whether it is complete, "policyctl port release IF" undoes it. It
 * stays when this program ends: the wire is closed then, not open.
 *
 * What policyd does besides (daemon/dataplane, daemon/link): it sets that guard itself and watches
 * it, reads from rings in batches, uses several workers with a fanout program of its own, answers
 * frames that are too long for the other side, limits the rate of its refusals (RFC 4443 2.4 f),
 * outlives an interface that goes away, and replaces the policy while it runs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
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

#include <libpolicy/policy.h>

#define BUFFER_BYTES (32 << 20) /* of a socket: frames are up to 64 KiB long and come in bursts */

enum { INSIDE, OUTSIDE, SIDES };
enum { RESOLVERS_MAX = 16, BURST = 64, TAG_LEN = 4, ADDRESSES_LEN = 2 * ETH_ALEN };
enum { FRAME_MAX = 65536 + 256, MESSAGE_MAX = 1232, REPLY_MAX = MESSAGE_MAX + 128 };

/* A frame, and what its sender left to the network card: checksum and segmentation. */
struct frame {
    struct virtio_net_hdr offload;
    pol_bytes octets;
    uint8_t room[TAG_LEN + FRAME_MAX]; /* octets are in here, behind the place for a VLAN tag */
};

struct bridge {
    pol_ctx *ctx;
    pol_policy *policy;
    pol_grants *grants;
    pol_worker *worker;
    int sockets[SIDES];
    uint64_t forwarded, dropped, refusals; /* frames; refusals: sent by us */
    uint64_t lost;                         /* frames that the kernel would not give or take */
    struct frame frame;
};

static volatile sig_atomic_t ending;

/* --- The engine ----------------------------------------------------------------------------- */

static int load_policy(struct bridge *bridge, const char *path)
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
        rc = pol_compile(bridge->ctx, (pol_str){text, (size_t)len}, NULL, &bridge->policy, &diags);

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

static int make_engine(struct bridge *bridge, const char *path, const pol_addr *resolvers,
                       size_t resolver_count)
{
    pol_ctx_options ctx_options;
    pol_worker_options options;
    int rc;

    pol_ctx_options_init(&ctx_options, sizeof(ctx_options));
    if (getrandom(ctx_options.hash_seed, sizeof(ctx_options.hash_seed), 0) < 0)
        return POL_E_INVALID;
    rc = pol_ctx_new(&ctx_options, &bridge->ctx);
    if (rc == POL_OK)
        rc = load_policy(bridge, path);
    if (rc == POL_OK)
        rc = pol_grants_new(bridge->ctx, NULL, &bridge->grants);
    if (rc != POL_OK)
        return rc;

    pol_worker_options_init(&options, sizeof(options));
    options.grants = bridge->grants;
    options.trusted_resolvers = resolvers; /* only their answers open addresses */
    options.trusted_resolver_count = resolver_count;
    options.reject_inside = true; /* tell clients, so that they need not wait for a timeout */
    rc = pol_worker_new(bridge->ctx, &options, &bridge->worker);
    if (rc == POL_OK)
        rc = pol_worker_use(bridge->worker, bridge->policy, 1);
    if (rc == POL_OK)
        pol_worker_report(bridge->worker, 1U << POL_EV_DENY | 1U << POL_EV_DNS);
    return rc;
}

/* --- The sockets ---------------------------------------------------------------------------- */

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value));
}

static int open_socket(const char *name)
{
    int index = (int)if_nametoindex(name);
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
    struct packet_mreq promiscuous = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
    int fd = -1;

    /* Protocol 0: nothing is received before bind(), so nothing from another interface. */
    if (index == 0 || (fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0 ||
        set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) < 0 || /* or we would hear ourselves */
        set(fd, SOL_PACKET, PACKET_VNET_HDR, 1) < 0 ||        /* offloads cross as they are */
        set(fd, SOL_PACKET, PACKET_AUXDATA, 1) < 0 ||         /* VLAN tags come beside the frame */
        set(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) < 0 ||
        set(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) < 0) {
        fprintf(stderr, "afpacket_bridge: %s: %s%s\n", name, strerror(errno),
                errno == EPERM ? "; CAP_NET_RAW and CAP_NET_ADMIN are needed" : "");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* --- One frame ------------------------------------------------------------------------------ */

/* The kernel took the outermost tag away; offsets into the frame grow when it comes back. */
static void put_tag_back(struct frame *frame, const struct tpacket_auxdata *aux)
{
    bool known = aux->tp_status & TP_STATUS_VLAN_TPID_VALID;
    uint16_t tag[2] = {htons(known ? aux->tp_vlan_tpid : ETH_P_8021Q), htons(aux->tp_vlan_tci)};

    memmove(frame->room, frame->octets.ptr, ADDRESSES_LEN);
    memcpy(frame->room + ADDRESSES_LEN, tag, sizeof(tag));
    frame->octets = (pol_bytes){frame->room, frame->octets.len + TAG_LEN};
    if (frame->offload.hdr_len)
        frame->offload.hdr_len += TAG_LEN;
    if (frame->offload.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        frame->offload.csum_start += TAG_LEN;
}

/* 1: a frame; 0: none waits; -1: one that cannot be forwarded whole. */
static int receive(int fd, struct frame *frame)
{
    struct iovec parts[] = {{&frame->offload, sizeof(frame->offload)},
                            {frame->room + TAG_LEN, FRAME_MAX}};
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t len = recvmsg(fd, &message, 0);
    struct cmsghdr *beside = len < 0 ? NULL : CMSG_FIRSTHDR(&message);
    struct tpacket_auxdata aux;

    if (len < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (message.msg_flags & MSG_TRUNC || (size_t)len < sizeof(frame->offload) + ETH_HLEN || !beside)
        return -1;

    frame->octets = (pol_bytes){parts[1].iov_base, (size_t)len - sizeof(frame->offload)};
    memcpy(&aux, CMSG_DATA(beside), sizeof(aux));
    if (aux.tp_status & TP_STATUS_VLAN_VALID)
        put_tag_back(frame, &aux);
    return 1;
}

static void transmit(struct bridge *bridge, int side, struct virtio_net_hdr offload,
                     pol_bytes octets, uint64_t *counter)
{
    struct iovec parts[] = {{&offload, sizeof(offload)}, {(void *)octets.ptr, octets.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    *(sendmsg(bridge->sockets[side], &message, 0) < 0 ? &bridge->lost : counter) += 1;
}

/* A reply's checksums are finished: its offload header is empty. */
static void reply(struct bridge *bridge, int side, int status, const uint8_t *octets, size_t len)
{
    if (status == POL_OK)
        transmit(bridge, side, (struct virtio_net_hdr){0}, (pol_bytes){octets, len},
                 &bridge->refusals);
}

static void refuse(struct bridge *bridge, int side, const pol_packet *packet,
                   const pol_verdict *verdict)
{
    bool cut = verdict->flags & POL_V_CUT && packet->tuple.proto == IPPROTO_TCP;
    pol_bytes frame = bridge->frame.octets;
    uint8_t buf[REPLY_MAX], message[MESSAGE_MAX];
    size_t len = 0, message_len;
    int rc;

    if (verdict->action == POL_ANSWER) { /* a name that may not be known does not exist */
        rc = pol_dns_refuse(packet->payload, POL_DNS_NXDOMAIN, message, sizeof(message),
                            &message_len);
        if (rc == POL_OK)
            rc = pol_reply_dns(packet, frame, POL_LINK_ETHERNET, (pol_bytes){message, message_len},
                               buf, sizeof(buf), &len);
        reply(bridge, side, rc, buf, len);
        return;
    }

    if (verdict->action != POL_DENY || cut) { /* POL_INTERCEPT too: nothing here takes the flow */
        rc = pol_reply_reject(packet, frame, POL_LINK_ETHERNET, buf, sizeof(buf), &len);
        reply(bridge, side, rc, buf, len);
    }
    if (cut) { /* the flow was open, so the other end has to hear of it too */
        rc = pol_reply_reset(packet, frame, POL_LINK_ETHERNET, buf, sizeof(buf), &len);
        reply(bridge, !side, rc, buf, len);
    }
}

/* --- What happened -------------------------------------------------------------------------- */

/* Who reads these lines must keep up: the wire waits. policyd gives events to another thread. */
static void print_denials(struct bridge *bridge)
{
    static const pol_str node = {"afpacket_bridge", 15};
    static pol_event events[BURST];
    static char json[32768];
    size_t count, len;

    while ((count = pol_worker_drain(bridge->worker, events, BURST)) > 0)
        for (size_t i = 0; i < count; i++)
            if ((events[i].kind == POL_EV_DENY || events[i].verdict.action != POL_ALLOW) &&
                pol_json_event(&events[i], bridge->policy, node, (pol_wall)time(NULL) * 1000, json,
                               sizeof(json), &len) == POL_OK)
                printf("%.*s\n", (int)len, json);
}

static void print_counters(const struct bridge *bridge)
{
    static char json[32768];
    pol_counters *counters;
    size_t len;

    if (pol_counters_new(bridge->ctx, &counters) != POL_OK)
        return;
    pol_counters_add(counters, bridge->worker);
    pol_counters_add_grants(counters, bridge->grants);
    if (pol_json_stats(counters, json, sizeof(json), &len) == POL_OK)
        printf("{\"forwarded\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"refusals\":%" PRIu64
               ",\"lost\":%" PRIu64 ",%.*s}\n",
               bridge->forwarded, bridge->dropped, bridge->refusals, bridge->lost, (int)len, json);
    pol_counters_free(counters);
}

/* --- The program ---------------------------------------------------------------------------- */

static pol_mono monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (pol_mono)now.tv_sec * POL_SECONDS + (pol_mono)now.tv_nsec;
}

static void serve(struct bridge *bridge, int side)
{
    struct frame *frame = &bridge->frame;
    pol_mono now = monotonic();
    pol_packet packet;
    pol_verdict verdict;
    int got;

    /* At most a burst, so that the other side has its turn. */
    for (int i = 0; i < BURST && (got = receive(bridge->sockets[side], frame)) != 0; i++) {
        if (got < 0) {
            bridge->lost++;
            continue;
        }

        pol_packet_parse(frame->octets, POL_LINK_ETHERNET, (uint32_t)frame->octets.len, &packet);
        packet.side = side == INSIDE ? POL_SIDE_INSIDE : POL_SIDE_OUTSIDE;
        if (frame->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE)
            packet.segment_len = frame->offload.gso_size; /* it will be cut up behind us */

        switch (pol_worker_decide(bridge->worker, &packet, now, &verdict)) {
        case POL_ALLOW:
        case POL_PENDING: /* not decided yet; what decides it is still to come */
            transmit(bridge, !side, frame->offload, frame->octets, &bridge->forwarded);
            break;
        default:
            bridge->dropped++;
            refuse(bridge, side, &packet, &verdict);
        }
    }
}

static void run(struct bridge *bridge)
{
    struct pollfd ready[] = {{.fd = bridge->sockets[INSIDE], .events = POLLIN},
                             {.fd = bridge->sockets[OUTSIDE], .events = POLLIN}};

    while (!ending) {
        pol_mono now = monotonic(), deadline = pol_worker_deadline(bridge->worker);
        pol_mono left = deadline > now ? deadline - now : 0;

        poll(ready, SIDES, left < POL_SECONDS ? (int)(left / 1000000) + 1 : 1000);
        serve(bridge, INSIDE);
        serve(bridge, OUTSIDE);
        if (left == 0)
            pol_worker_tick(bridge->worker, now, BURST);
        print_denials(bridge);
    }
}

static void end(int number)
{
    ending = number;
}

static int usage(FILE *to, int code)
{
    fputs("Usage: afpacket_bridge POLICY.json INSIDE OUTSIDE [RESOLVER...]\n\n"
          "Forwards between two interfaces what the policy allows. RESOLVER: addresses of the DNS\n"
          "servers whose answers open the addresses of names. Prints denials and, after Ctrl-C,\n"
          "the counters as lines of JSON. First shut the host's kernel out of both interfaces:\n"
          "the top of afpacket_bridge.c says how.\n",
          to);
    return code;
}

int main(int argc, char **argv)
{
    struct bridge bridge = {.sockets = {-1, -1}};
    pol_addr resolvers[RESOLVERS_MAX];
    size_t count = 0;
    int rc;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (argc < 4 || argc > 4 + RESOLVERS_MAX || argv[1][0] == '-')
        return usage(stderr, 2);
    for (int i = 4; i < argc; i++)
        if (pol_addr_parse((pol_str){argv[i], strlen(argv[i])}, &resolvers[count++]) != POL_OK) {
            fprintf(stderr, "afpacket_bridge: resolver \"%s\" is no IP address\n", argv[i]);
            return 2;
        }

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGINT, end);
    signal(SIGTERM, end);

    rc = make_engine(&bridge, argv[1], resolvers, count);
    if (rc != POL_OK)
        fprintf(stderr, "afpacket_bridge: %s\n", pol_status_text(rc));
    for (int side = 0; rc == POL_OK && side < SIDES; side++)
        if ((bridge.sockets[side] = open_socket(argv[2 + side])) < 0)
            rc = -1;
    if (rc == POL_OK) {
        fprintf(stderr, "afpacket_bridge: %s and %s are joined\n", argv[2], argv[3]);
        run(&bridge);
        print_counters(&bridge);
    }

    for (int side = 0; side < SIDES; side++)
        if (bridge.sockets[side] >= 0)
            close(bridge.sockets[side]);
    pol_worker_free(bridge.worker);
    pol_grants_free(bridge.grants);
    pol_policy_unref(bridge.policy);
    pol_ctx_unref(bridge.ctx);
    return rc == POL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
