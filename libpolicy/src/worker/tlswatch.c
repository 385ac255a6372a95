/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's first octets of a TCP flow. Most ClientHellos are whole in the first segment and are
 * read where they are; only one that is cut takes a collector. Everything is forwarded while it is
 * collected, except the segment that completes the hello: it is judged first.
 */
#include "worker/worker.h"

#include <string.h>

#include "wire/tls_hello.h"

void hello_forget(pol_worker *worker, struct flow *flow)
{
    stream_drop(&worker->hellos, flow->stream);
    flow->stream = POL_NONE;
    flow->guarded &= (uint8_t)~GUARD_CLIENT;
}

void tls_forget(pol_worker *worker, struct flow *flow)
{
    if (flow->is_dns)
        return; /* its streams are of the other pool */
    hello_forget(worker, flow);
    certificate_forget(worker, flow);
}

void tls_guard(pol_worker *worker, uint32_t index)
{
    struct flow *flow = &worker->flows.flows[index];

    if ((flow->state != FLOW_ALLOWED && flow->state != FLOW_PENDING) || flow->stream == POL_NONE) {
        hello_forget(worker, flow);
        return;
    }
    flow->guarded |= GUARD_CLIENT;
    flow->tls_deadline = mono_after(worker->now, worker->opts.tls_timeout);
    flow_schedule(&worker->flows, index, flow_deadline(worker, flow));
}

static bool acknowledges(const pol_packet *packet, const struct stream *stream, uint32_t len)
{
    return packet->tcp_flags & POL_TCP_ACK &&
           (int32_t)(packet->tcp_ack - (stream->base + len)) >= 0;
}

/* An octet before the window, to see whether the other end still answers (RFC 9293 3.8.4). */
static bool is_keep_alive(uint32_t seq, size_t len, uint32_t base)
{
    return len <= 1 && seq + 1 == base;
}

/* Whether a segment brings other octets than the `len` that were judged, some before them, or makes
 * some of them urgent: a receiver takes an urgent octet out of the stream, even if the segment that
 * announced it carried none. */
static bool brings_others(const pol_packet *packet, const struct stream *stream, uint32_t len)
{
    uint32_t seq = packet->tcp_seq + (packet->tcp_flags & POL_TCP_SYN ? 1 : 0);

    if (packet->tcp_flags & POL_TCP_URG && (int32_t)(seq - (stream->base + len)) < 0)
        return true;
    if (packet->payload.len == 0 || is_keep_alive(seq, packet->payload.len, stream->base))
        return false;
    return (int32_t)(seq - stream->base) < 0 || stream_differs(stream, seq, packet->payload);
}

static void guard_over(struct flow *flow)
{
    if (!flow->guarded && flow->state != FLOW_PENDING)
        flow->tls_deadline = POL_NEVER;
}

/* The ClientHello that a verdict was based on. False: another came in its place. */
static bool guard_hello(pol_worker *worker, uint32_t index, const pol_packet *packet, bool reply)
{
    struct flow *flow = &worker->flows.flows[index];
    const struct stream *stream = &worker->hellos.streams[flow->stream];

    if (!reply && brings_others(packet, stream, stream->have)) {
        judge_incomplete(worker, index, POL_WHY_TLS_INCOMPLETE);
        return false;
    }
    if (reply && acknowledges(packet, stream, stream->have)) {
        hello_forget(worker, flow);
        guard_over(flow);
    }
    return true;
}

/* The server's messages, the other way round. */
static bool guard_flight(pol_worker *worker, uint32_t index, const pol_packet *packet, bool reply)
{
    struct flow *flow = &worker->flows.flows[index];
    const struct stream *stream = &worker->flights.streams[flow->reply_stream];

    if (reply && brings_others(packet, stream, stream->done)) {
        judge_no_certificate(worker, index, POL_WHY_CERTIFICATE_MISSING);
        return false;
    }
    if (!reply && acknowledges(packet, stream, stream->done)) {
        certificate_forget(worker, flow);
        guard_over(flow);
    }
    return true;
}

static void begin_deadline(pol_worker *worker, uint32_t index)
{
    struct flow *flow = &worker->flows.flows[index];

    if (flow->tls_deadline != POL_NEVER)
        return;
    flow->tls_deadline = mono_after(worker->now, worker->opts.tls_timeout);
    flow_schedule(&worker->flows, index, flow_deadline(worker, flow));
}

static void keep_name(pol_worker *worker, uint32_t index, const struct tls_hello *hello)
{
    struct flow *flow = &worker->flows.flows[index];

    flow->tls = TLS_HELLO;
    flow->name_len = hello->sni_len;
    memcpy(worker->flows.names[index], hello->sni, hello->sni_len);
    if (hello->sni_len)
        flow->verdict_flags |= POL_V_SNI_SEEN;
}

static void learn(pol_worker *worker, uint32_t index, enum tls_hello_verdict verdict,
                  const struct tls_hello *hello)
{
    switch (verdict) {
    case TLS_HELLO_COMPLETE:
        keep_name(worker, index, hello);
        judge_facts(worker, index);
        break;
    case TLS_HELLO_NOT_TLS:
        worker->flows.flows[index].tls = TLS_NOT;
        judge_facts(worker, index);
        break;
    case TLS_HELLO_MALFORMED:
        judge_incomplete(worker, index, POL_WHY_TLS_INCOMPLETE);
        break;
    case TLS_HELLO_MORE:
        break;
    }
}

/* Flows whose verdict does not depend on it leave half of the collectors to those whose does. */
static bool may_collect(const pol_worker *worker, const struct flow *flow)
{
    return flow->watch >= WATCH_CHECK || worker->hellos.used < worker->hellos.count / 2;
}

/* What a collector has room for. No hello is longer, and what follows one is nobody's concern. */
static pol_bytes fitting(const struct stream *stream, uint32_t seq, pol_bytes payload)
{
    uint32_t from = seq - stream->base;

    if (from < stream->capacity && payload.len > stream->capacity - from)
        payload.len = stream->capacity - from;
    return payload;
}

/* Puts the segment in order and reads what is contiguous by now. */
static void collect(pol_worker *worker, uint32_t index, uint32_t base, uint32_t seq,
                    pol_bytes payload)
{
    struct flow *flow = &worker->flows.flows[index];
    struct stream *stream;
    struct tls_hello *hello = &worker->hello;
    enum tls_hello_verdict verdict;

    if (flow->stream == POL_NONE && may_collect(worker, flow))
        flow->stream = take_stream(worker, &worker->hellos, base);
    if (flow->stream == POL_NONE) {
        judge_incomplete(worker, index, POL_WHY_PENDING_FULL);
        return;
    }
    stream = &worker->hellos.streams[flow->stream];
    if (stream_add(stream, seq, fitting(stream, seq, payload)) != STREAM_OK) {
        judge_incomplete(worker, index, POL_WHY_TLS_INCOMPLETE);
        return;
    }
    if (stream->have == 0)
        return;
    verdict = tls_hello_read((pol_bytes){stream->data, stream->have}, hello);
    if (verdict == TLS_HELLO_MORE && stream->have == stream->capacity)
        verdict = TLS_HELLO_MALFORMED;
    learn(worker, index, verdict, hello);
}

static void client_octets(pol_worker *worker, uint32_t index, const pol_packet *packet)
{
    struct flow *flow = &worker->flows.flows[index];
    uint32_t seq = packet->tcp_seq + (packet->tcp_flags & POL_TCP_SYN ? 1 : 0);
    uint32_t base = flow->has_isn ? flow->isn + 1 : seq;
    enum tls_hello_verdict verdict = TLS_HELLO_MORE;
    struct tls_hello *hello = &worker->hello;

    if (flow->stream != POL_NONE)
        base = worker->hellos.streams[flow->stream].base;
    if (is_keep_alive(seq, packet->payload.len, base) && !(packet->tcp_flags & POL_TCP_URG))
        return;
    /* Nothing may pass unread: no octet before the first, no urgent data beside the stream. */
    if ((int32_t)(seq - base) < 0 || packet->tcp_flags & POL_TCP_URG) {
        judge_incomplete(worker, index, POL_WHY_TLS_INCOMPLETE);
        return;
    }
    begin_deadline(worker, index);
    if (flow->stream == POL_NONE && seq == base && flow->watch < WATCH_CHECK)
        verdict = tls_hello_read(packet->payload, hello);
    if (verdict == TLS_HELLO_MORE)
        collect(worker, index, base, seq, packet->payload);
    else
        learn(worker, index, verdict, hello);
    if (flow->tls == TLS_HELLO)
        certificate_await(worker, index);
}

static bool is_reply_keep_alive(const struct flow *flow, const pol_packet *packet)
{
    return flow->syn_ack &&
           (int32_t)(packet->tcp_seq + (uint32_t)packet->payload.len - (flow->peer_isn + 1)) <= 0;
}

/* Whether a segment matters to who reads along. In the direction that is put together, the
 * announcement of urgent data does, too. */
static bool is_read(const struct flow *flow, const pol_packet *packet, bool reply)
{
    if (packet->tcp_flags & POL_TCP_URG && reply == certificate_awaited(flow))
        return true;
    return packet->payload.len && !(reply && is_reply_keep_alive(flow, packet));
}

/* What comes next of a flow whose ClientHello is not there yet. */
static void hello_segment(pol_worker *worker, uint32_t index, const pol_packet *packet, bool reply)
{
    struct flow *flow = &worker->flows.flows[index];

    if (!reply) {
        client_octets(worker, index, packet);
        return;
    }
    /* A server that speaks first does not speak TLS. */
    flow->tls = TLS_NOT;
    judge_facts(worker, index);
    if (flow->guarded)
        (void)guard_hello(worker, index, packet, true);
}

void tls_segment(pol_worker *worker, uint32_t index, const pol_packet *packet, bool reply)
{
    struct flow *flow = &worker->flows.flows[index];

    if (flow->guarded & GUARD_CLIENT && !guard_hello(worker, index, packet, reply))
        return;
    if (flow->guarded & GUARD_SERVER && !guard_flight(worker, index, packet, reply))
        return;
    if (flow->watch == WATCH_NONE || !is_read(flow, packet, reply))
        return;
    if (certificate_awaited(flow))
        certificate_segment(worker, index, packet, reply);
    else if (flow->tls == TLS_UNKNOWN)
        hello_segment(worker, index, packet, reply);
}
