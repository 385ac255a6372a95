// SPDX-License-Identifier: Apache-2.0
#include "dataplane/offload.h"

#include <criterion/criterion.h>

#include "frames.h"

enum { IP = 14, L4 = 34, TCP_PAYLOAD = 54, UDP_PAYLOAD = 42 };

static const struct {
    uint8_t proto;
    uint16_t port, segment;
    uint32_t from, at;
    bool honest;
} cases[] = {
    {6, 443, 0, 0, 0, true}, /* nothing is left to be done */
    {6, 443, 0, L4, L4 + 16, true},
    {6, 443, 1448, L4, L4 + 16, true},
    {6, 443, 0, L4, L4 + 2, false},          /* the port */
    {6, 443, 0, L4, IP + 18, false},         /* the destination */
    {6, 443, 0, L4 + 10, L4 + 16, false},    /* a header is taken to begin elsewhere */
    {6, 443, 0, L4, TCP_PAYLOAD + 4, false}, /* the ClientHello */
    {6, 443, 0, TCP_PAYLOAD, TCP_PAYLOAD + 16, false},
    {17, 4789, 0, L4, L4 + 6, true},
    {17, 4789, 0, UDP_PAYLOAD, UDP_PAYLOAD + 16, true}, /* of what is in a tunnel */
    {17, 4789, 1400, UDP_PAYLOAD, UDP_PAYLOAD + 16, false},
    {17, 53, 0, UDP_PAYLOAD, UDP_PAYLOAD + 16, false}, /* the name that is asked for */
    {17, 53, 0, L4, L4 + 6, true},
    {47, 0, 0, L4 + 24, L4 + 40, true},
    {47, 0, 0, IP, L4 + 40, false},
};

Test(offload, only_a_checksum_may_still_be_written)
{
    static const uint8_t payload[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct frame_spec spec = {.src = "192.0.2.10",
                                  .dst = "198.51.100.1",
                                  .proto = cases[i].proto,
                                  .src_port = 40000,
                                  .dst_port = cases[i].port,
                                  .tcp_flags = POL_TCP_ACK,
                                  .payload = {payload, sizeof(payload)}};
        struct frame frame = frame_build(&spec);
        pol_packet packet = frame_parse(&frame, POL_LINK_ETHERNET);
        struct port_frame received = {.octets = {frame.bytes, frame.len},
                                      .segment = cases[i].segment,
                                      .checksum_from = cases[i].from,
                                      .checksum_at = cases[i].at};

        cr_expect_eq(offload_is_honest(&received, &packet), cases[i].honest, "%zu", i);
    }
}
