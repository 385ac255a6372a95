/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOW_STREAM_H
#define FLOW_STREAM_H

/*
 * The beginning of one direction of a TCP connection, put in order: octets are kept at their place
 * behind the stream's base sequence number, with a short list of pieces that have arrived beyond
 * the first gap. An octet that arrives twice must be the same both times: the first copy may have
 * been forwarded already, and judging the second would judge what the receiver never sees.
 *
 * Streams come from a pool of equal buffers, taken at creation.
 */

#include <libpolicy/context.h>

enum { STREAM_PIECES = 8 };

struct stream_piece {
    uint32_t from, to; /* offsets; to is exclusive */
};

struct stream {
    uint32_t base; /* sequence number of data[0] */
    uint32_t have; /* contiguous octets from the base */
    uint32_t done; /* of them, judged: kept until acknowledged, so that no other copy passes */
    uint32_t capacity;
    pol_mono since;       /* for the owner: from when on its octets wait */
    uint32_t piece_count; /* beyond `have`, ascending, never touching */
    struct stream_piece pieces[STREAM_PIECES];
    uint8_t *data;
    uint32_t next_free;
};

enum stream_result {
    STREAM_OK,
    STREAM_FULL,    /* beyond the buffer, or too many gaps */
    STREAM_CONFLICT /* octets seen before arrived with another value */
};

struct stream_pool {
    struct stream *streams;
    uint8_t *data;
    uint32_t count, free, used;
    uint32_t capacity; /* of each stream */
};

int stream_pool_init(struct stream_pool *pool, const pol_mem *mem, uint32_t count,
                     uint32_t capacity);
void stream_pool_fini(struct stream_pool *pool, const pol_mem *mem);

/* An empty stream beginning at `base`; POL_NONE when all are in use. */
uint32_t stream_take(struct stream_pool *pool, uint32_t base);
void stream_drop(struct stream_pool *pool, uint32_t index);

/* Adds the octets at sequence number `seq`. Octets before the base have been consumed and are
 * skipped. On FULL and CONFLICT the stream is unchanged. */
enum stream_result stream_add(struct stream *stream, uint32_t seq, pol_bytes bytes);

/* Whether octets at `seq` differ from those the stream holds there. */
bool stream_differs(const struct stream *stream, uint32_t seq, pol_bytes bytes);

/* Removes the first `len` contiguous octets. */
void stream_consume(struct stream *stream, uint32_t len);

#endif
