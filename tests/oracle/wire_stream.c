/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS over TCP: every octet that was seen, from the first of each end. Messages are judged in the
 * order of the stream, and their octets may not be replaced by others before the other end has
 * acknowledged them.
 */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { TCP = 6, DNS_PORT = 53, PREFIX = 2, HEADER = 12, IS_ANSWER = 0x80 };

static struct wire_stream *stream_of(struct wire *wire, const struct wire_flow *flow, bool reply)
{
    for (uint32_t i = 0; i < wire->stream_count; i++) {
        if (wire->streams[i].flow == flow->number && wire->streams[i].reply == reply)
            return &wire->streams[i];
    }
    return NULL;
}

static void begin_stream(struct wire *wire, const struct wire_flow *flow, bool reply)
{
    struct wire_stream *stream = &wire->streams[wire->stream_count++];

    if (wire->stream_count > WIRE_STREAMS)
        abort();
    *stream = (struct wire_stream){.flow = flow->number, .reply = reply};
}

void wire_begin_streams(struct wire *wire, const struct wire_flow *flow)
{
    begin_stream(wire, flow, false);
    begin_stream(wire, flow, true);
}

void wire_end_streams(struct wire *wire, const struct wire_flow *flow)
{
    for (uint32_t i = wire->stream_count; i-- > 0;) {
        if (wire->streams[i].flow == flow->number)
            wire->streams[i] = wire->streams[--wire->stream_count];
    }
}

/* --- how long it may take ------------------------------------------------------------------- */

static bool is_under_way(const struct wire_stream *stream)
{
    for (uint32_t i = stream->acked; i < WIRE_OCTETS; i++) {
        if (stream->seen[i])
            return true;
    }
    return false;
}

pol_mono wire_late(const struct wire *wire, const struct wire_flow *flow)
{
    pol_mono due = POL_NEVER;

    for (uint32_t i = 0; i < wire->stream_count && flow->dns && !flow->denied; i++) {
        const struct wire_stream *stream = &wire->streams[i];

        if (stream->flow == flow->number && is_under_way(stream) &&
            stream->since + wire->times.octets < due)
            due = stream->since + wire->times.octets;
    }
    return due;
}

/* --- messages ------------------------------------------------------------------------------- */

static const struct wire_message *meaning(const struct wire *wire, const uint8_t *octets,
                                          uint32_t len)
{
    for (uint32_t i = 0; i < wire->book->count; i++) {
        const struct wire_phrase *phrase = &wire->book->phrases[i];

        if (phrase->len == len && memcmp(phrase->octets, octets, len) == 0)
            return &phrase->message;
    }
    return NULL;
}

/* Octets in a row that are not judged. */
static uint32_t unread(const struct wire_stream *stream)
{
    uint32_t end = stream->judged;

    while (end < WIRE_OCTETS && stream->seen[end])
        end++;
    return end - stream->judged;
}

/* What is no DNS is found out with its header: a query or an answer, and one question. */
static bool may_be_dns(const struct wire_stream *stream)
{
    const uint8_t *header = stream->octets + stream->judged + PREFIX;

    return !(header[2] & IS_ANSWER) == !stream->reply && header[4] == 0 && header[5] == 1;
}

static void judge_message(struct wire *wire, struct wire_flow *flow, bool reply,
                          const struct wire_message *message)
{
    if (reply)
        wire_tcp_answer(wire, flow, message);
    else
        wire_tcp_query(wire, flow, message);
}

/* The next message if it is whole, or so much of it that it can be none. False: more has to come.
 */
static bool next_message(struct wire *wire, struct wire_flow *flow, struct wire_stream *stream)
{
    const uint8_t *octets = stream->octets + stream->judged;
    const struct wire_message *message = NULL;
    uint32_t have = unread(stream), len;

    if (have < PREFIX)
        return false;
    len = (uint32_t)octets[0] << 8 | octets[1];
    if (len >= HEADER) {
        if (have < PREFIX + len && (have < PREFIX + HEADER || may_be_dns(stream)))
            return false;
        if (have >= PREFIX + len)
            message = meaning(wire, octets + PREFIX, len);
    }
    stream->judged += PREFIX + len;
    judge_message(wire, flow, stream->reply, message);
    return true;
}

/* --- segments ------------------------------------------------------------------------------- */

static uint32_t first_octet(const struct wire_flow *flow, bool reply)
{
    return (reply ? flow->peer_isn : flow->isn) + 1;
}

/* Modulo 2^32 (RFC 9293 3.4); what was not judged waits. */
static void acknowledge(struct wire *wire, const struct wire_flow *flow, const pol_packet *packet,
                        bool reply)
{
    struct wire_stream *stream = stream_of(wire, flow, !reply);
    int32_t more = (int32_t)(packet->tcp_ack - first_octet(flow, !reply) - stream->acked);
    uint32_t left = stream->judged - stream->acked;

    if (!(packet->tcp_flags & POL_TCP_ACK) || more <= 0 || left == 0)
        return;
    stream->acked += (uint32_t)more < left ? (uint32_t)more : left;
    stream->since = wire->now;
}

/* False: they are not where they can be read, or contradict what was seen. */
static bool put_octets(struct wire_stream *stream, int32_t from, pol_bytes payload)
{
    for (size_t i = 0; i < payload.len; i++) {
        int64_t place = (int64_t)from + (int64_t)i;

        if (place < (int64_t)stream->acked)
            continue;
        if (place >= WIRE_OCTETS ||
            (stream->seen[place] && stream->octets[place] != payload.ptr[i]))
            return false;
        stream->seen[place] = true;
        stream->octets[place] = payload.ptr[i];
    }
    return true;
}

/* An end speaks from behind its SYN on; a keep-alive repeats the octet before. */
static bool is_in_place(const struct wire_flow *flow, const pol_packet *packet, bool reply,
                        int32_t from)
{
    if (packet->tcp_flags & POL_TCP_URG || (reply && !flow->syn_ack))
        return false;
    return from >= 0 || (from == -1 && packet->payload.len == 1);
}

/* What a resolver says is never sent on unread. */
static void cannot_read(struct wire *wire, struct wire_flow *flow, bool reply)
{
    if (reply)
        wire_deny_dns(wire, flow, POL_WHY_MALFORMED, POL_NONE, POL_NONE);
    else
        wire_no_query(wire, flow);
}

static void take_octets(struct wire *wire, struct wire_flow *flow, const pol_packet *packet,
                        bool reply)
{
    struct wire_stream *stream = stream_of(wire, flow, reply);
    uint32_t seq = packet->tcp_seq + (packet->tcp_flags & POL_TCP_SYN ? 1 : 0);
    int32_t from = (int32_t)(seq - first_octet(flow, reply));

    if (!is_under_way(stream))
        stream->since = wire->now;
    if (!is_in_place(flow, packet, reply, from) || !put_octets(stream, from, packet->payload)) {
        cannot_read(wire, flow, reply);
        return;
    }
    while (flow->dns && !flow->denied && next_message(wire, flow, stream_of(wire, flow, reply)))
        continue;
}

void wire_read(struct wire *wire, struct wire_flow *flow, const pol_packet *packet, bool reply)
{
    acknowledge(wire, flow, packet, reply);
    if (packet->payload.len)
        take_octets(wire, flow, packet, reply);
}

static bool is_syn(const pol_packet *packet)
{
    return (packet->tcp_flags & (POL_TCP_SYN | POL_TCP_ACK)) == POL_TCP_SYN;
}

bool wire_opens_dns(const struct wire *wire, const pol_packet *packet)
{
    return packet->tuple.proto == TCP && packet->tuple.dst_port == DNS_PORT && is_syn(packet) &&
           wire_trusts(wire, &packet->tuple.dst) &&
           linear_has_names(wire->list, wire_asker(wire, &packet->tuple.src));
}
