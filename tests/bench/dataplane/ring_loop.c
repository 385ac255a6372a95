/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/*
 * The floor of an inline dataplane: frames go from one packet ring to the other interface and back,
 * and nobody looks at them. What policyd costs above this is policy.
 *
 * One thread, two packet sockets. The receive ring is TPACKET_V2, so a frame is there as soon as
 * the kernel wrote it; with PACKET_VNET_HDR a slot holds a super-frame of 64 KiB with its checksum
 * and segmentation state in front. Ways to send: `mmsg` hands the slots themselves to sendmmsg(2),
 * `sendto` one by one, `ring` copies them to a send ring and kicks it once per burst.
 *
 * Prints "ready" when it forwards, and one JSON object at SIGTERM or SIGINT.
 */

#define BURST_MAX 256
#define BLOCK_LEN (1u << 20)
#define VNET_LEN  sizeof(struct virtio_net_hdr)
/* TPACKET2_HDRLEN without the address behind it; the macro mixes signs. */
#define TX_OFFSET                                                                                  \
    ((sizeof(struct tpacket2_hdr) + TPACKET_ALIGNMENT - 1) / TPACKET_ALIGNMENT * TPACKET_ALIGNMENT)

enum tx { TX_MMSG, TX_SENDTO, TX_RING };

static const char *const tx_names[] = {"mmsg", "sendto", "ring"};

struct options {
    const char *names[2];
    enum tx tx;
    unsigned slots;
    unsigned slot_len; /* octets from slot to slot */
    unsigned burst;    /* slots taken from a ring at a time */
    unsigned reserve;  /* octets kept free in front of a frame */
    unsigned ahead;    /* slots fetched into the cache before they are looked at */
    unsigned spin_us;  /* looked at the rings this long before sleeping */
    unsigned send_buffer;
    bool vnet;
    bool bypass;
};

struct slots {
    void **at;
    unsigned next;
};

struct port {
    int fd;
    void *map;
    size_t map_len;
    struct slots rx;
    struct slots tx; /* TX_RING only */
    uint64_t received;
    uint64_t sent;
    uint64_t refused; /* by the kernel when sending, or no free slot in the send ring */
    uint64_t cut;     /* did not fit a slot */
};

static struct options options = {
    .tx = TX_MMSG,
    .slots = 1024,
    .slot_len = 66 * 1024,
    .burst = 64,
    .spin_us = 0,
    .send_buffer = 16u << 20,
    .vnet = true,
    .bypass = true,
};

static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static void set(int fd, int level, int name, int value, const char *what)
{
    if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
        err(1, "%s", what);
}

/* --- opening --------------------------------------------------------------------------------- */

static unsigned slots_per_block(void)
{
    return BLOCK_LEN / options.slot_len;
}

static struct tpacket_req request(void)
{
    unsigned blocks = (options.slots + slots_per_block() - 1) / slots_per_block();

    return (struct tpacket_req){
        .tp_block_size = BLOCK_LEN,
        .tp_block_nr = blocks,
        .tp_frame_size = options.slot_len,
        .tp_frame_nr = blocks * slots_per_block(),
    };
}

static void find_slots(struct slots *slots, uint8_t *ring)
{
    slots->at = calloc(options.slots, sizeof(*slots->at));
    if (!slots->at)
        err(1, "slots");

    for (unsigned i = 0; i < options.slots; i++)
        slots->at[i] = ring + (size_t)(i / slots_per_block()) * BLOCK_LEN +
                       (size_t)(i % slots_per_block()) * options.slot_len;
}

static void open_rings(struct port *port)
{
    struct tpacket_req req = request();
    size_t ring_len = (size_t)req.tp_block_nr * BLOCK_LEN;
    bool both = options.tx == TX_RING;

    /* The kernel goes round all slots of the blocks, so we must too. */
    options.slots = req.tp_frame_nr;

    if (setsockopt(port->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
        err(1, "PACKET_RX_RING");
    if (both && setsockopt(port->fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof(req)) < 0)
        err(1, "PACKET_TX_RING");

    port->map_len = both ? 2 * ring_len : ring_len;
    port->map =
        mmap(NULL, port->map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, port->fd, 0);
    if (port->map == MAP_FAILED)
        err(1, "mmap");

    find_slots(&port->rx, port->map);
    if (both)
        find_slots(&port->tx, (uint8_t *)port->map + ring_len);
}

static void join(struct port *port, const char *name)
{
    struct packet_mreq member = {.mr_type = PACKET_MR_PROMISC};
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

    member.mr_ifindex = address.sll_ifindex = (int)if_nametoindex(name);
    if (address.sll_ifindex == 0)
        err(1, "%s", name);
    if (bind(port->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        err(1, "bind");
    if (setsockopt(port->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &member, sizeof(member)) < 0)
        err(1, "PACKET_ADD_MEMBERSHIP");
}

static void open_port(struct port *port, const char *name)
{
    port->fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (port->fd < 0)
        err(1, "socket");

    set(port->fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2, "PACKET_VERSION");
    set(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
    set(port->fd, SOL_PACKET, PACKET_VNET_HDR, options.vnet, "PACKET_VNET_HDR");
    set(port->fd, SOL_PACKET, PACKET_RESERVE, (int)options.reserve, "PACKET_RESERVE");
    set(port->fd, SOL_PACKET, PACKET_QDISC_BYPASS, options.bypass, "PACKET_QDISC_BYPASS");
    /* A frame that the kernel finds malformed is skipped; the send ring would stop at it. */
    set(port->fd, SOL_PACKET, PACKET_LOSS, 1, "PACKET_LOSS");
    /* The default holds three super-frames; what is above is refused with EAGAIN. */
    set(port->fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)options.send_buffer, "SO_SNDBUFFORCE");
    open_rings(port);
    join(port, name);
}

/* --- forwarding ------------------------------------------------------------------------------ */

static uint32_t status_of(const struct tpacket2_hdr *slot)
{
    return __atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE);
}

static void give_back(struct tpacket2_hdr *slot, uint32_t status)
{
    __atomic_store_n(&slot->tp_status, status, __ATOMIC_RELEASE);
}

static struct tpacket2_hdr *slot_at(const struct slots *slots, unsigned ahead)
{
    unsigned i = slots->next + ahead;

    return slots->at[i < options.slots ? i : i - options.slots];
}

static void advance(struct slots *slots, unsigned count)
{
    slots->next += count;
    if (slots->next >= options.slots)
        slots->next -= options.slots;
}

static struct iovec content(struct tpacket2_hdr *slot)
{
    size_t head = options.vnet ? VNET_LEN : 0;

    return (struct iovec){(uint8_t *)slot + slot->tp_mac - head, slot->tp_snaplen + head};
}

/* The other core wrote the slot: its status, and where a small frame lies. */
static void fetch(const struct tpacket2_hdr *slot)
{
    __builtin_prefetch(slot);
    __builtin_prefetch((const uint8_t *)slot + 64);
    __builtin_prefetch((const uint8_t *)slot + 128);
}

static unsigned gather(struct port *port, struct iovec *ret_frames, unsigned *ret_taken)
{
    unsigned count = 0;
    unsigned taken;

    for (taken = 0; taken < options.burst; taken++) {
        struct tpacket2_hdr *slot = slot_at(&port->rx, taken);

        if (options.ahead > 0)
            fetch(slot_at(&port->rx, taken + options.ahead));
        if (!(status_of(slot) & TP_STATUS_USER))
            break;
        if (slot->tp_snaplen < slot->tp_len)
            port->cut++;
        else
            ret_frames[count++] = content(slot);
    }

    *ret_taken = taken;

    return count;
}

static void release(struct port *port, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        give_back(slot_at(&port->rx, i), TP_STATUS_KERNEL);
    advance(&port->rx, count);
    port->received += count;
}

static void send_mmsg(struct port *to, struct iovec *frames, unsigned count)
{
    static struct mmsghdr messages[BURST_MAX];

    for (unsigned i = 0; i < count; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &frames[i], .msg_iovlen = 1};

    for (unsigned done = 0; done < count;) {
        int sent = sendmmsg(to->fd, messages + done, count - done, MSG_DONTWAIT);

        if (sent > 0) {
            to->sent += (unsigned)sent;
            done += (unsigned)sent;
        } else {
            to->refused++;
            done++;
        }
    }
}

static void send_each(struct port *to, const struct iovec *frames, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (send(to->fd, frames[i].iov_base, frames[i].iov_len, MSG_DONTWAIT) >= 0)
            to->sent++;
        else
            to->refused++;
    }
}

static void send_ring(struct port *to, const struct iovec *frames, unsigned count)
{
    unsigned filled;

    for (filled = 0; filled < count; filled++) {
        struct tpacket2_hdr *slot = slot_at(&to->tx, filled);

        if (status_of(slot) != TP_STATUS_AVAILABLE)
            break;
        memcpy((uint8_t *)slot + TX_OFFSET, frames[filled].iov_base, frames[filled].iov_len);
        slot->tp_len = (uint32_t)frames[filled].iov_len;
        give_back(slot, TP_STATUS_SEND_REQUEST);
    }

    advance(&to->tx, filled);
    to->sent += filled;
    to->refused += count - filled;
    (void)send(to->fd, NULL, 0, MSG_DONTWAIT);
}

/* @return slots taken */
static unsigned forward(struct port *from, struct port *to)
{
    struct iovec frames[BURST_MAX];
    unsigned taken;
    unsigned count = gather(from, frames, &taken);

    if (count > 0 && options.tx == TX_MMSG)
        send_mmsg(to, frames, count);
    else if (count > 0 && options.tx == TX_SENDTO)
        send_each(to, frames, count);
    else if (count > 0)
        send_ring(to, frames, count);
    release(from, taken);

    return taken;
}

static void wait_for_frames(const struct port *ports)
{
    struct pollfd fds[] = {{ports[0].fd, POLLIN, 0}, {ports[1].fd, POLLIN, 0}};

    (void)poll(fds, 2, -1);
}

static void run(struct port *ports)
{
    int64_t idle_since = 0;

    while (!stopping) {
        unsigned taken = forward(&ports[0], &ports[1]) + forward(&ports[1], &ports[0]);

        if (taken > 0) {
            idle_since = 0;
            continue;
        }
        if (options.spin_us > 0) {
            int64_t now = clock_ns(CLOCK_MONOTONIC);

            if (idle_since == 0)
                idle_since = now;
            if (now - idle_since < (int64_t)options.spin_us * 1000)
                continue;
            idle_since = 0;
        }
        wait_for_frames(ports);
    }
}

/* --- outside ---------------------------------------------------------------------------------- */

static void report_port(const char *key, const struct port *port)
{
    struct tpacket_stats kernel = {0};
    socklen_t len = sizeof(kernel);

    (void)getsockopt(port->fd, SOL_PACKET, PACKET_STATISTICS, &kernel, &len);
    printf("\"%s\":{\"received\":%llu,\"sent\":%llu,\"refused\":%llu,\"cut\":%llu,"
           "\"ring_full\":%u},",
           key, (unsigned long long)port->received, (unsigned long long)port->sent,
           (unsigned long long)port->refused, (unsigned long long)port->cut, kernel.tp_drops);
}

static void report(const struct port *ports)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    printf("{");
    report_port("inside", &ports[0]);
    report_port("outside", &ports[1]);
    printf("\"slots\":%u,\"cpu_ns\":%lld,\"rss_kib\":%ld}\n", options.slots,
           (long long)clock_ns(CLOCK_THREAD_CPUTIME_ID), usage.ru_maxrss);
}

static void usage(const char *program)
{
    fprintf(
        stderr,
        "usage: %s [--tx mmsg|sendto|ring] [--slots N] [--slot-len OCTETS] [--burst N]\n"
        "          [--reserve OCTETS] [--ahead N] [--spin MICROSECONDS] [--send-buffer OCTETS]\n"
        "          [--no-vnet] [--no-bypass] INSIDE OUTSIDE\n",
        program);
    exit(2);
}

static enum tx tx_of(const char *word, const char *program)
{
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(word, tx_names[i]) == 0)
            return (enum tx)i;
    usage(program);

    return TX_MMSG;
}

static unsigned *number_of(int letter)
{
    switch (letter) {
    case 'n':
        return &options.slots;
    case 'l':
        return &options.slot_len;
    case 'b':
        return &options.burst;
    case 'r':
        return &options.reserve;
    case 'a':
        return &options.ahead;
    case 's':
        return &options.spin_us;
    case 'S':
        return &options.send_buffer;
    default:
        return NULL;
    }
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"tx", required_argument, NULL, 't'},
        {"slots", required_argument, NULL, 'n'},
        {"slot-len", required_argument, NULL, 'l'},
        {"burst", required_argument, NULL, 'b'},
        {"reserve", required_argument, NULL, 'r'},
        {"spin", required_argument, NULL, 's'},
        {"ahead", required_argument, NULL, 'a'},
        {"send-buffer", required_argument, NULL, 'S'},
        {"no-vnet", no_argument, NULL, 'v'},
        {"no-bypass", no_argument, NULL, 'q'},
        {0},
    };
    int letter;

    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        unsigned *number = number_of(letter);

        if (number)
            *number = (unsigned)strtoul(optarg, NULL, 10);
        else if (letter == 't')
            options.tx = tx_of(optarg, argv[0]);
        else if (letter == 'v')
            options.vnet = false;
        else if (letter == 'q')
            options.bypass = false;
        else
            usage(argv[0]);
    }

    if (argc - optind != 2 || options.burst == 0 || options.burst > BURST_MAX ||
        options.slot_len < 128 || options.slot_len > BLOCK_LEN ||
        options.slots < options.burst + options.ahead)
        usage(argv[0]);
    options.names[0] = argv[optind];
    options.names[1] = argv[optind + 1];
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = stop};
    struct port ports[2] = {0};

    read_options(argc, argv);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    for (unsigned i = 0; i < 2; i++)
        open_port(&ports[i], options.names[i]);

    printf("ready\n");
    fflush(stdout);
    run(ports);
    report(ports);
    for (unsigned i = 0; i < 2; i++) {
        munmap(ports[i].map, ports[i].map_len);
        close(ports[i].fd);
        free(ports[i].rx.at);
        free(ports[i].tx.at);
    }

    return 0;
}
