/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/*
 * Traffic for the dataplane bench, one sub-command each. All print one JSON object at their end.
 *
 *   flood    UDP frames of 64 octets (with the FCS a wire would add) through a packet socket, so
 * that the sender's own stack is not what is measured; many flows, paced or as fast as it can echo
 * answers every UDP datagram, until SIGTERM ping     round trips to `echo`, one at a time accept
 * takes TCP connections, until SIGTERM connect  opens TCP connections and resets them at once, many
 * at a time, source ports in turn
 */

#define BATCH       32
#define FRAME_LEN   60
#define SAMPLES_MAX (1u << 20)
#define PARALLEL    64

struct options {
    const char *name;
    struct in_addr from;
    struct in_addr to;
    uint8_t mac[6]; /* of `to` */
    unsigned port;
    unsigned flows;
    unsigned sources; /* addresses from `from` on, for connect */
    unsigned interval_us;
    double rate; /* frames a second; 0: as fast as it can */
    double seconds;
};

static struct options options = {
    .port = 9, .flows = 1024, .sources = 1, .interval_us = 200, .seconds = 2};

static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static int64_t end_of_run(void)
{
    return clock_ns(CLOCK_MONOTONIC) + (int64_t)(options.seconds * 1e9);
}

static struct sockaddr_in address_of(struct in_addr ip, unsigned port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = ip};
}

/* --- flood ------------------------------------------------------------------------------------ */

static uint16_t ip_checksum(const uint8_t *header)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < 20; i += 2)
        sum += (uint32_t)(header[i] << 8 | header[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);

    return (uint16_t)~sum;
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* RFC 768: a UDP checksum of zero means none, so only the port differs between flows. */
static void write_frame(uint8_t *frame, const uint8_t *own_mac)
{
    uint8_t *ip = frame + ETH_HLEN;

    memset(frame, 0, FRAME_LEN);
    memcpy(frame, options.mac, 6);
    memcpy(frame + 6, own_mac, 6);
    put16(frame + 12, ETH_P_IP);
    ip[0] = 0x45;
    put16(ip + 2, FRAME_LEN - ETH_HLEN);
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    memcpy(ip + 12, &options.from, 4);
    memcpy(ip + 16, &options.to, 4);
    put16(ip + 10, ip_checksum(ip));
    put16(ip + 22, options.port);
    put16(ip + 24, FRAME_LEN - ETH_HLEN - 20);
}

static int open_packet(uint8_t *ret_mac)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll address = {.sll_family = AF_PACKET};
    struct ifreq request = {0};
    int on = 1;

    if (fd < 0)
        err(1, "socket");
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", options.name);
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        err(1, "%s", options.name);
    memcpy(ret_mac, request.ifr_hwaddr.sa_data, 6);
    address.sll_ifindex = (int)if_nametoindex(options.name);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        err(1, "bind");
    if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0)
        err(1, "PACKET_QDISC_BYPASS");

    return fd;
}

/* Sleeps until the frame of number `sent` is due. Bursts of BATCH; 50 µs of timer slack would
 * double the gaps at 500k frames a second. */
static void pace(int64_t begin, uint64_t sent)
{
    int64_t due = begin + (int64_t)((double)sent * 1e9 / options.rate);
    struct timespec until = {due / 1000000000, due % 1000000000};

    while (!stopping && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

static void flood(void)
{
    static uint8_t frames[BATCH][FRAME_LEN];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    uint64_t offered = 0;
    uint64_t sent = 0;
    unsigned flow = 0;
    uint8_t own_mac[6];
    int fd = open_packet(own_mac);
    int64_t begin = clock_ns(CLOCK_MONOTONIC);
    int64_t end = end_of_run();

    prctl(PR_SET_TIMERSLACK, 1);
    for (unsigned i = 0; i < BATCH; i++) {
        write_frame(frames[i], own_mac);
        parts[i] = (struct iovec){frames[i], FRAME_LEN};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }

    while (!stopping && clock_ns(CLOCK_MONOTONIC) < end) {
        int rc;

        for (unsigned i = 0; i < BATCH; i++) {
            put16(frames[i] + ETH_HLEN + 20, 1024 + flow);
            flow = flow + 1 < options.flows ? flow + 1 : 0;
        }
        rc = sendmmsg(fd, messages, BATCH, 0);
        sent += rc > 0 ? (unsigned)rc : 0;
        offered += BATCH;
        if (options.rate > 0)
            pace(begin, offered);
    }

    printf("{\"sent\":%llu,\"seconds\":%.6f,\"cpu_ns\":%lld}\n", (unsigned long long)sent,
           (double)(clock_ns(CLOCK_MONOTONIC) - begin) / 1e9,
           (long long)clock_ns(CLOCK_THREAD_CPUTIME_ID));
    close(fd);
}

/* --- round trips ------------------------------------------------------------------------------ */

static int udp_socket(struct in_addr ip, unsigned port)
{
    struct sockaddr_in own = address_of(ip, port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
        err(1, "udp socket");

    return fd;
}

static void echo(void)
{
    int fd = udp_socket(options.from, options.port);
    uint64_t answered = 0;

    printf("ready\n");
    fflush(stdout);
    while (!stopping) {
        struct sockaddr_in peer;
        socklen_t peer_len = sizeof(peer);
        uint8_t data[2048];
        ssize_t len = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &peer_len);

        if (len >= 0 && sendto(fd, data, (size_t)len, 0, (struct sockaddr *)&peer, peer_len) >= 0)
            answered++;
    }
    printf("{\"answered\":%llu}\n", (unsigned long long)answered);
    close(fd);
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static double at_share(const uint32_t *sorted, unsigned count, double share)
{
    return count > 0 ? sorted[(unsigned)((count - 1) * share)] / 1e3 : 0;
}

/* @return nanoseconds; 0 when no answer came within 50 ms */
static uint32_t round_trip(int fd, uint64_t number)
{
    int64_t begin = clock_ns(CLOCK_MONOTONIC);
    uint64_t answer = 0;

    if (send(fd, &number, sizeof(number), 0) < 0)
        return 0;
    while (answer != number) {
        struct pollfd waiting = {fd, POLLIN, 0};

        if (poll(&waiting, 1, 50) <= 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
            return 0;
    }

    return (uint32_t)(clock_ns(CLOCK_MONOTONIC) - begin);
}

static void ping(void)
{
    static uint32_t samples[SAMPLES_MAX];
    struct sockaddr_in peer = address_of(options.to, options.port);
    struct timespec pause = {0, (long)options.interval_us * 1000};
    int fd = udp_socket(options.from, 0);
    int64_t end = end_of_run();
    unsigned count = 0;
    unsigned lost = 0;

    if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0)
        err(1, "connect");
    prctl(PR_SET_TIMERSLACK, 1);
    while (!stopping && count < SAMPLES_MAX && clock_ns(CLOCK_MONOTONIC) < end) {
        uint32_t ns = round_trip(fd, (uint64_t)count + lost + 1);

        if (ns > 0)
            samples[count++] = ns;
        else
            lost++;
        if (options.interval_us > 0)
            nanosleep(&pause, NULL);
    }

    qsort(samples, count, sizeof(*samples), by_size);
    printf("{\"count\":%u,\"lost\":%u,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n", count,
           lost, at_share(samples, count, 0.5), at_share(samples, count, 0.99),
           at_share(samples, count, 1));
    close(fd);
}

/* --- connections ------------------------------------------------------------------------------ */

static void accept_all(void)
{
    struct sockaddr_in own = address_of(options.from, options.port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t accepted = 0;
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(fd, 4096) < 0)
        err(1, "listen");
    printf("ready\n");
    fflush(stdout);
    while (!stopping) {
        int taken = accept(fd, NULL, NULL);

        if (taken >= 0) {
            accepted++;
            close(taken);
        }
    }
    printf("{\"accepted\":%llu}\n", (unsigned long long)accepted);
    close(fd);
}

static uint64_t started;

/* Source ports 1024 to 65535 of each source address in turn; closed with a reset, so that none
 * waits in TIME_WAIT and the peer's socket is gone too. */
static int next_source(void)
{
    uint64_t n = started++;
    uint32_t shift = (uint32_t)(n / 64512 % options.sources);
    struct in_addr ip = {htonl(ntohl(options.from.s_addr) + shift)};
    struct sockaddr_in own = address_of(ip, 1024 + (unsigned)(n % 64512));
    struct linger reset = {1, 0};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (fd < 0)
        err(1, "socket");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0) {
        close(fd);
        return -1;
    }

    return fd;
}

static void start_one(int poller)
{
    struct sockaddr_in peer = address_of(options.to, options.port);
    struct epoll_event event = {.events = EPOLLOUT};
    int fd = -1;

    while (fd < 0)
        fd = next_source();
    if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0 && errno != EINPROGRESS)
        err(1, "connect");
    event.data.fd = fd;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
        err(1, "epoll_ctl");
}

static bool connected(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

static void connect_all(void)
{
    int poller = epoll_create1(0);
    int64_t begin = clock_ns(CLOCK_MONOTONIC);
    int64_t end = end_of_run();
    uint64_t done = 0;
    uint64_t failed = 0;

    for (unsigned i = 0; i < PARALLEL; i++)
        start_one(poller);
    while (!stopping && clock_ns(CLOCK_MONOTONIC) < end) {
        struct epoll_event events[PARALLEL];
        int count = epoll_wait(poller, events, PARALLEL, 100);

        for (int i = 0; i < count; i++) {
            if (connected(events[i].data.fd))
                done++;
            else
                failed++;
            close(events[i].data.fd);
            start_one(poller);
        }
    }
    printf("{\"connected\":%llu,\"failed\":%llu,\"seconds\":%.6f}\n", (unsigned long long)done,
           (unsigned long long)failed, (double)(clock_ns(CLOCK_MONOTONIC) - begin) / 1e9);
    close(poller);
}

/* --- outside ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(void);
} commands[] = {
    {"flood", flood},       {"echo", echo},           {"ping", ping},
    {"accept", accept_all}, {"connect", connect_all},
};

static void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s flood --interface IF --mac MAC --from IP --to IP [--flows N] [--rate N]\n"
            "       %s echo|accept --from IP --port N\n"
            "       %s ping --from IP --to IP --port N [--interval MICROSECONDS]\n"
            "       %s connect --from IP --to IP --port N [--sources N]\n"
            "       all: [--seconds S]\n",
            program, program, program, program);
    exit(2);
}

static void read_option(int letter, const char *program)
{
    bool good = true;

    switch (letter) {
    case 'i':
        options.name = optarg;
        break;
    case 'm':
        good = sscanf(optarg, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &options.mac[0], &options.mac[1],
                      &options.mac[2], &options.mac[3], &options.mac[4], &options.mac[5]) == 6;
        break;
    case 'f':
        good = inet_pton(AF_INET, optarg, &options.from) == 1;
        break;
    case 't':
        good = inet_pton(AF_INET, optarg, &options.to) == 1;
        break;
    case 'p':
        options.port = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'n':
        options.flows = (unsigned)strtoul(optarg, NULL, 10);
        good = options.flows > 0 && options.flows <= 64512;
        break;
    case 'a':
        options.sources = (unsigned)strtoul(optarg, NULL, 10);
        good = options.sources > 0;
        break;
    case 'I':
        options.interval_us = (unsigned)strtoul(optarg, NULL, 10);
        good = options.interval_us < 1000000;
        break;
    case 'r':
        options.rate = strtod(optarg, NULL);
        break;
    case 's':
        options.seconds = strtod(optarg, NULL);
        break;
    default:
        good = false;
    }
    if (!good)
        usage(program);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"interface", required_argument, NULL, 'i'},
        {"mac", required_argument, NULL, 'm'},
        {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 't'},
        {"port", required_argument, NULL, 'p'},
        {"flows", required_argument, NULL, 'n'},
        {"sources", required_argument, NULL, 'a'},
        {"interval", required_argument, NULL, 'I'},
        {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {0},
    };
    struct sigaction action = {.sa_handler = stop};
    int letter;

    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1)
        read_option(letter, argv[0]);
    if (argc - optind != 1)
        usage(argv[0]);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    for (unsigned i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(argv[optind], commands[i].name) == 0) {
            commands[i].run();
            return 0;
        }
    }
    usage(argv[0]);
}
