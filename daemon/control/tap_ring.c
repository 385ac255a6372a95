// SPDX-License-Identifier: Apache-2.0
#include "control/tap_ring.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Each text is preceded by its length. Both positions only grow; what lies between them is used. */
struct tap_ring {
    size_t capacity;
    size_t written, read;
    char octets[];
};

typedef uint32_t length;

int tap_ring_new(size_t capacity, struct tap_ring **ret_ring)
{
    struct tap_ring *ring = calloc(1, sizeof(*ring) + capacity);

    if (!ring)
        return -ENOMEM;

    ring->capacity = capacity;
    *ret_ring = ring;
    return 0;
}

void tap_ring_free(struct tap_ring *ring)
{
    free(ring);
}

/* How many octets lie in a row from this position on, of `len` wanted ones. */
static size_t in_a_row(const struct tap_ring *ring, size_t position, size_t len)
{
    size_t left = ring->capacity - position % ring->capacity;

    return len < left ? len : left;
}

static void write_octets(struct tap_ring *ring, const void *from, size_t len)
{
    size_t first = in_a_row(ring, ring->written, len);

    memcpy(ring->octets + ring->written % ring->capacity, from, first);
    memcpy(ring->octets, (const char *)from + first, len - first);
    ring->written += len;
}

static length read_length(struct tap_ring *ring)
{
    size_t first = in_a_row(ring, ring->read, sizeof(length));
    length len;

    memcpy(&len, ring->octets + ring->read % ring->capacity, first);
    memcpy((char *)&len + first, ring->octets, sizeof(len) - first);
    ring->read += sizeof(len);
    return len;
}

size_t tap_ring_put(struct tap_ring *ring, const char *text, size_t len)
{
    size_t needed = sizeof(length) + len, given_up = 0;
    length prefix = (length)len;

    if (needed > ring->capacity || len > UINT32_MAX)
        return 1;

    for (; ring->capacity - (ring->written - ring->read) < needed; given_up++)
        ring->read += read_length(ring);
    write_octets(ring, &prefix, sizeof(prefix));
    write_octets(ring, text, len);
    return given_up;
}

bool tap_ring_take(struct tap_ring *ring, struct text *out)
{
    size_t len, first;

    if (tap_ring_is_empty(ring))
        return false;

    len = read_length(ring);
    first = in_a_row(ring, ring->read, len);
    text_add_bytes(out, ring->octets + ring->read % ring->capacity, first);
    text_add_bytes(out, ring->octets, len - first);
    ring->read += len;
    return true;
}

bool tap_ring_is_empty(const struct tap_ring *ring)
{
    return ring->written == ring->read;
}
