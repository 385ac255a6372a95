/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/stream.h"

#include <string.h>

#include "base/mem.h"

int stream_pool_init(struct stream_pool *pool, const pol_mem *mem, uint32_t count,
                     uint32_t capacity)
{
    *pool = (struct stream_pool){.count = count, .capacity = capacity, .free = POL_NONE};
    if (count == 0)
        return POL_OK;
    pool->streams = mem_array(mem, count, sizeof(*pool->streams));
    pool->data = mem_array(mem, count, capacity);
    if (!pool->streams || !pool->data) {
        stream_pool_fini(pool, mem);
        return POL_E_NOMEM;
    }
    for (uint32_t i = count; i-- > 0;) {
        pool->streams[i].data = pool->data + (size_t)i * capacity;
        pool->streams[i].capacity = capacity;
        pool->streams[i].next_free = pool->free;
        pool->free = i;
    }
    return POL_OK;
}

void stream_pool_fini(struct stream_pool *pool, const pol_mem *mem)
{
    mem_free(mem, pool->streams, pool->count * sizeof(*pool->streams));
    mem_free(mem, pool->data, (size_t)pool->count * pool->capacity);
    *pool = (struct stream_pool){.free = POL_NONE};
}

uint32_t stream_take(struct stream_pool *pool, uint32_t base)
{
    uint32_t index = pool->free;
    struct stream *stream;

    if (index == POL_NONE)
        return POL_NONE;
    stream = &pool->streams[index];
    pool->free = stream->next_free;
    pool->used++;
    stream->base = base;
    stream->have = 0;
    stream->done = 0;
    stream->piece_count = 0;
    return index;
}

void stream_drop(struct stream_pool *pool, uint32_t index)
{
    if (index == POL_NONE)
        return;
    pool->streams[index].next_free = pool->free;
    pool->free = index;
    pool->used--;
}

static bool same_where_seen(const struct stream *stream, uint32_t from, uint32_t to,
                            const uint8_t *bytes, const struct stream_piece *seen)
{
    uint32_t first = from > seen->from ? from : seen->from;
    uint32_t last = to < seen->to ? to : seen->to;

    return first >= last || memcmp(stream->data + first, bytes + (first - from), last - first) == 0;
}

static bool conflicts(const struct stream *stream, uint32_t from, uint32_t to, const uint8_t *bytes)
{
    const struct stream_piece prefix = {0, stream->have};

    if (!same_where_seen(stream, from, to, bytes, &prefix))
        return true;
    for (uint32_t i = 0; i < stream->piece_count; i++) {
        if (!same_where_seen(stream, from, to, bytes, &stream->pieces[i]))
            return true;
    }
    return false;
}

/* Moves pieces that now touch the prefix into it. */
static void absorb(struct stream *stream)
{
    uint32_t done = 0;

    while (done < stream->piece_count && stream->pieces[done].from <= stream->have) {
        if (stream->pieces[done].to > stream->have)
            stream->have = stream->pieces[done].to;
        done++;
    }
    stream->piece_count -= done;
    memmove(stream->pieces, stream->pieces + done, stream->piece_count * sizeof(*stream->pieces));
}

/* Merges [from, to) into the list; false when the list is full. */
static bool add_piece(struct stream *stream, uint32_t from, uint32_t to)
{
    struct stream_piece merged = {from, to};
    uint32_t first = 0, last;

    while (first < stream->piece_count && stream->pieces[first].to < from)
        first++;
    for (last = first; last < stream->piece_count && stream->pieces[last].from <= to; last++) {
        if (stream->pieces[last].from < merged.from)
            merged.from = stream->pieces[last].from;
        if (stream->pieces[last].to > merged.to)
            merged.to = stream->pieces[last].to;
    }
    if (first == last && stream->piece_count == STREAM_PIECES)
        return false;
    memmove(stream->pieces + first + 1, stream->pieces + last,
            (stream->piece_count - last) * sizeof(*stream->pieces));
    stream->pieces[first] = merged;
    stream->piece_count = stream->piece_count - (last - first) + 1;
    return true;
}

/* Cuts off what lies before the base. False when nothing is left. */
static bool cut_old(const struct stream *stream, uint32_t seq, pol_bytes *bytes, uint32_t *ret_from)
{
    int32_t offset = (int32_t)(seq - stream->base); /* RFC 9293 3.4: modulo 2^32 */
    size_t old = offset < 0 ? (size_t) - (int64_t)offset : 0;

    if (old >= bytes->len)
        return false;
    bytes->ptr += old;
    bytes->len -= old;
    *ret_from = offset < 0 ? 0 : (uint32_t)offset;
    return true;
}

bool stream_differs(const struct stream *stream, uint32_t seq, pol_bytes bytes)
{
    uint32_t from;

    if (!cut_old(stream, seq, &bytes, &from) || from >= stream->capacity)
        return false;
    if (bytes.len > stream->capacity - from)
        bytes.len = stream->capacity - from;
    return conflicts(stream, from, from + (uint32_t)bytes.len, bytes.ptr);
}

enum stream_result stream_add(struct stream *stream, uint32_t seq, pol_bytes bytes)
{
    uint32_t from, to;

    if (!cut_old(stream, seq, &bytes, &from))
        return STREAM_OK;
    if ((size_t)from + bytes.len > stream->capacity)
        return STREAM_FULL;
    to = from + (uint32_t)bytes.len;
    if (conflicts(stream, from, to, bytes.ptr))
        return STREAM_CONFLICT;
    if (from > stream->have && !add_piece(stream, from, to))
        return STREAM_FULL;
    memcpy(stream->data + from, bytes.ptr, bytes.len);
    if (from <= stream->have) {
        if (to > stream->have)
            stream->have = to;
        absorb(stream);
    }
    return STREAM_OK;
}

void stream_consume(struct stream *stream, uint32_t len)
{
    uint32_t kept = stream->have;

    if (stream->piece_count)
        kept = stream->pieces[stream->piece_count - 1].to;
    memmove(stream->data, stream->data + len, kept - len);
    stream->base += len;
    stream->have -= len;
    stream->done -= len < stream->done ? len : stream->done;
    for (uint32_t i = 0; i < stream->piece_count; i++) {
        stream->pieces[i].from -= len;
        stream->pieces[i].to -= len;
    }
}
