/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump in the wire between two TAP devices, with a rule per port in the place of a policy, so
 * that kernels can say what they make of our replies. reply_test.py starts it and ends it by
 * closing its standard input.
 *
 *     reply_bump INSIDE-FD OUTSIDE-FD
 *
 *     port 53   every query is answered by us, as blocked
 *     port 81   everything is rejected
 *     port 82   TCP opens; its first data from the inside is rejected, and reset towards the
 * outside others    forwarded; what is longer than 1300 octets from the inside is too big
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <libpolicy/policy.h>

enum { FRAME_MAX = 2048, LINK_MTU = 1300, TCP = 6, UDP = 17 };

static void send_frame(int fd, const uint8_t *bytes, size_t len)
{
    if (write(fd, bytes, len) != (ssize_t)len)
        perror("reply_bump: write");
}

static void reject(const pol_packet *packet, pol_bytes frame, int inside)
{
    uint8_t reply[POL_REPLY_MAX];
    size_t len;

    if (pol_reply_reject(packet, frame, POL_LINK_ETHERNET, reply, sizeof(reply), &len) == POL_OK)
        send_frame(inside, reply, len);
}

static void reset(const pol_packet *packet, pol_bytes frame, int outside)
{
    uint8_t reply[POL_REPLY_MAX];
    size_t len;

    if (pol_reply_reset(packet, frame, POL_LINK_ETHERNET, reply, sizeof(reply), &len) == POL_OK)
        send_frame(outside, reply, len);
}

static void too_big(const pol_packet *packet, pol_bytes frame, int inside)
{
    uint8_t reply[POL_REPLY_MAX];
    size_t len;

    if (pol_reply_too_big(packet, frame, POL_LINK_ETHERNET, LINK_MTU, reply, sizeof(reply), &len) ==
        POL_OK)
        send_frame(inside, reply, len);
}

static void answer(const pol_packet *packet, pol_bytes frame, int inside)
{
    uint8_t message[1232], reply[POL_REPLY_MAX];
    size_t len;

    if (pol_dns_refuse(packet->payload, POL_DNS_NXDOMAIN, message, sizeof(message), &len) ==
            POL_OK &&
        pol_reply_dns(packet, frame, POL_LINK_ETHERNET, (pol_bytes){message, len}, reply,
                      sizeof(reply), &len) == POL_OK)
        send_frame(inside, reply, len);
}

static void from_inside(pol_bytes frame, int inside, int outside)
{
    pol_packet packet;

    (void)pol_packet_parse(frame, POL_LINK_ETHERNET, (uint32_t)frame.len, &packet);
    if (packet.tuple.dst_port == 53 && packet.tuple.proto == UDP) {
        answer(&packet, frame, inside);
    } else if (packet.tuple.dst_port == 81) {
        reject(&packet, frame, inside);
    } else if (packet.tuple.dst_port == 82 && packet.tuple.proto == TCP && packet.payload.len > 0) {
        reject(&packet, frame, inside);
        reset(&packet, frame, outside);
    } else if (packet.ip_len > LINK_MTU) {
        too_big(&packet, frame, inside);
    } else {
        send_frame(outside, frame.ptr, frame.len);
    }
}

/* False at the end of the test. */
static bool turn(struct pollfd fds[3])
{
    uint8_t bytes[FRAME_MAX];
    ssize_t len;

    if (poll(fds, 3, -1) < 0 || fds[0].revents)
        return false;
    for (int i = 1; i < 3; i++) {
        if (!(fds[i].revents & POLLIN))
            continue;
        len = read(fds[i].fd, bytes, sizeof(bytes));
        if (len <= 0)
            return false;
        if (i == 1)
            from_inside((pol_bytes){bytes, (size_t)len}, fds[1].fd, fds[2].fd);
        else
            send_frame(fds[1].fd, bytes, (size_t)len);
    }
    return true;
}

int main(int argc, char **argv)
{
    struct pollfd fds[3] = {{.fd = 0, .events = POLLIN}};

    if (argc != 3) {
        fprintf(stderr, "usage: reply_bump INSIDE-FD OUTSIDE-FD\n");
        return 2;
    }
    for (int i = 1; i < 3; i++)
        fds[i] = (struct pollfd){.fd = atoi(argv[i]), .events = POLLIN};
    while (turn(fds))
        ;
    return 0;
}
