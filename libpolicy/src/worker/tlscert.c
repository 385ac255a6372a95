/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's first octets of a TCP flow whose verdict or record depends on its certificate,
 * behind a complete ClientHello. They are forwarded while they are collected, except the segment
 * that completes the certificate: it is judged first. What the verdict was based on is kept until
 * the client has acknowledged it, as the ClientHello is until the server has.
 */
#include "worker/worker.h"

#include "wire/tls_server.h"

void certificate_forget(pol_worker *worker, struct flow *flow)
{
    stream_drop(&worker->flights, flow->reply_stream);
    flow->reply_stream = POL_NONE;
    flow->guarded &= (uint8_t)~GUARD_SERVER;
    /* Nobody looks at what is behind the ClientHello. */
    if (flow->tls == TLS_HELLO && flow->certificate == CERTIFICATE_UNKNOWN)
        flow->certificate = CERTIFICATE_MISSING;
}

void certificate_await(pol_worker *worker, uint32_t index)
{
    struct flow *flow = &worker->flows.flows[index];

    if (!certificate_awaited(flow)) {
        if (flow->certificate == CERTIFICATE_UNKNOWN)
            flow->certificate = CERTIFICATE_MISSING;
        return;
    }
    flow->client_left = HELLO_BYTES;
    flow->tls_deadline = mono_after(worker->now, worker->opts.tls_timeout);
    flow_schedule(&worker->flows, index, flow_deadline(worker, flow));
}

/* Flows whose verdict does not depend on it leave half of the collectors to those whose does. */
static bool may_collect(const pol_worker *worker, const struct flow *flow)
{
    return flow->watch >= WATCH_CHECK || worker->flights.used < worker->flights.count / 2;
}

/* What a collector has room for: behind a certificate, nobody cares. */
static pol_bytes fitting(const struct stream *stream, uint32_t seq, pol_bytes payload)
{
    uint32_t from = seq - stream->base;

    if (from < stream->capacity && payload.len > stream->capacity - from)
        payload.len = stream->capacity - from;
    return payload;
}

/* The verdict is there, and depends on what stands up to `len`. */
static void guard(pol_worker *worker, uint32_t index, size_t len)
{
    struct flow *flow = &worker->flows.flows[index];

    worker->flights.streams[flow->reply_stream].done = (uint32_t)len;
    flow->guarded |= GUARD_SERVER;
    flow->tls_deadline = mono_after(worker->now, worker->opts.tls_timeout);
    flow_schedule(&worker->flows, index, flow_deadline(worker, flow));
}

/* Strangers must not keep the worker busy with chains made for it. */
static bool may_verify(pol_worker *worker, uint32_t count)
{
    pol_mono since = worker->now - worker->signatures_at;
    pol_mono filled = POL_SECONDS * 2 * SIGNATURES_AT_ONCE / SIGNATURES_PER_SECOND;
    int64_t left = worker->signatures;

    left += (int64_t)((since < filled ? since : filled) * SIGNATURES_PER_SECOND / POL_SECONDS);
    if (left != worker->signatures)
        worker->signatures_at = worker->now;
    worker->signatures = left < SIGNATURES_AT_ONCE ? (int32_t)left : SIGNATURES_AT_ONCE;
    return left >= count;
}

/* What verifying has cost is known afterwards: the keys of a chain may be slow ones, and rules may
 * ask for several sets of anchors. What is owed is waited for. */
static void pay(pol_worker *worker, uint64_t effort)
{
    int64_t left = worker->signatures - (int64_t)effort;

    worker->signatures = left > -SIGNATURES_AT_ONCE ? (int32_t)left : -SIGNATURES_AT_ONCE;
}

static void learn(pol_worker *worker, uint32_t index, const struct tls_server *server)
{
    struct flow *flow = &worker->flows.flows[index];
    struct chains *chains = &worker->walker.chains;
    bool depends = flow->watch >= WATCH_CHECK;
    uint64_t effort = chains->effort;
    uint32_t place = POL_NONE;

    if (server->count == 0) {
        flow->certificate = CERTIFICATE_HIDDEN;
    } else {
        place = chains_keep(chains, (pol_bytes){worker->chain, server->chain_len});
        if (place == POL_NONE ||
            (!chains_answered(chains, place) && !may_verify(worker, server->count))) {
            judge_no_certificate(worker, index, POL_WHY_PENDING_FULL);
            return;
        }
        flow->certificate = CERTIFICATE_SEEN;
        flow->chain = place;
        flow->chain_version = chains->items[place].version;
    }
    if (depends)
        guard(worker, index, server->stream_len);
    judge_certificate(worker, index);
    pay(worker, chains->effort - effort);
}

/* Reads what is contiguous by now. */
static void read_flight(pol_worker *worker, uint32_t index, const struct stream *stream)
{
    struct tls_server server;

    switch (tls_server_read((pol_bytes){stream->data, stream->have}, worker->chain, &server)) {
    case TLS_SERVER_MORE:
        if (stream->have == stream->capacity)
            judge_no_certificate(worker, index, POL_WHY_CERTIFICATE_MISSING);
        break;
    case TLS_SERVER_REFUSED:
        break; /* the alert is for the client; nothing follows but the end */
    case TLS_SERVER_COMPLETE:
    case TLS_SERVER_HIDDEN:
        learn(worker, index, &server);
        break;
    default:
        judge_no_certificate(worker, index, POL_WHY_CERTIFICATE_MISSING);
        break;
    }
}

static void server_octets(pol_worker *worker, uint32_t index, const pol_packet *packet)
{
    struct flow *flow = &worker->flows.flows[index];
    uint32_t seq = packet->tcp_seq + (packet->tcp_flags & POL_TCP_SYN ? 1 : 0);
    struct stream *stream;

    if (flow->reply_stream == POL_NONE && may_collect(worker, flow))
        flow->reply_stream =
            take_stream(worker, &worker->flights, flow->syn_ack ? flow->peer_isn + 1 : seq);
    if (flow->reply_stream == POL_NONE) {
        judge_no_certificate(worker, index, POL_WHY_PENDING_FULL);
        return;
    }
    stream = &worker->flights.streams[flow->reply_stream];
    if (packet->tcp_flags & POL_TCP_URG ||
        stream_add(stream, seq, fitting(stream, seq, packet->payload)) != STREAM_OK)
        judge_no_certificate(worker, index, POL_WHY_CERTIFICATE_MISSING);
    else if (stream->have > 0)
        read_flight(worker, index, stream);
}

/* The client has nothing to say before it has seen the certificate but alerts, and early data of
 * TLS 1.3 (RFC 8446 2.3). What passes unjudged is bounded as a ClientHello is, and counted as it
 * comes: ends that understand each other could say ever new things at one place of the stream. */
static void client_octets(pol_worker *worker, uint32_t index, const pol_packet *packet)
{
    struct flow *flow = &worker->flows.flows[index];

    if (flow->watch < WATCH_CHECK)
        return;
    if (packet->payload.len > flow->client_left)
        judge_no_certificate(worker, index, POL_WHY_CERTIFICATE_MISSING);
    else
        flow->client_left -= (uint32_t)packet->payload.len;
}

void certificate_segment(pol_worker *worker, uint32_t index, const pol_packet *packet, bool reply)
{
    if (reply)
        server_octets(worker, index, packet);
    else
        client_octets(worker, index, packet);
}
