/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/groups.h"

/* RFC 3376 4.2.12, RFC 3810 5.2.12. A filter that includes no source is no membership. */
enum record_type {
    IS_INCLUDE = 1,
    IS_EXCLUDE,
    TO_INCLUDE,
    TO_EXCLUDE,
    ALLOW_SOURCES,
    BLOCK_SOURCES
};

static bool read_address(struct group_reader *reader, pol_addr *ret_addr)
{
    pol_bytes octets = cursor_take(&reader->in, reader->family == 4 ? 4 : 16);

    if (reader->in.failed)
        return false;
    *ret_addr = (pol_addr){.family = reader->family};
    memcpy(ret_addr->bytes, octets.ptr, octets.len);
    return true;
}

static bool is_group(const pol_addr *addr)
{
    return addr->family == 4 ? addr->bytes[0] >> 4 == 0xe : addr->bytes[0] == 0xff;
}

/* False for a record that neither begins nor ends a membership. */
static bool means_change(uint8_t type, unsigned sources, bool *ret_joins)
{
    switch (type) {
    case IS_INCLUDE:
    case TO_INCLUDE:
        *ret_joins = sources > 0;
        return true;
    case IS_EXCLUDE:
    case TO_EXCLUDE:
        *ret_joins = true;
        return true;
    case ALLOW_SOURCES:
        *ret_joins = true;
        return sources > 0;
    default:
        return false;
    }
}

/* RFC 3376 4.2.4, RFC 3810 5.2.4. True: `ret_change` is there. */
static bool read_record(struct group_reader *reader, struct group_change *ret_change)
{
    struct cursor *in = &reader->in;
    uint8_t type = cursor_u8(in);
    size_t auxiliary = cursor_u8(in) * 4u;
    uint16_t sources = cursor_u16(in);

    if (!read_address(reader, &ret_change->group))
        return false;
    cursor_skip(in, (size_t)sources * (reader->family == 4 ? 4 : 16));
    cursor_skip(in, auxiliary);
    return !in->failed && means_change(type, sources, &ret_change->joins) &&
           is_group(&ret_change->group);
}

static bool read_bare(struct group_reader *reader, struct group_change *ret_change)
{
    ret_change->joins = reader->joins;
    return read_address(reader, &ret_change->group) && is_group(&ret_change->group);
}

bool group_next(struct group_reader *reader, struct group_change *ret_change)
{
    while (reader->left > 0 && !reader->in.failed && cursor_left(&reader->in) > 0) {
        struct group_change change = {0};

        reader->left--;
        if (reader->records ? read_record(reader, &change) : read_bare(reader, &change)) {
            *ret_change = change;
            return true;
        }
    }
    return false;
}
