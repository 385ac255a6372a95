/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads an IGMP message and checks what learning from it relies on: every group is a multicast
 * address, and there are no more changes than octets for them.
 */
#include "wire/groups.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct group_change change = {.joins = false};
    struct group_reader reader;
    size_t changes = 0;

    if (igmp_read((pol_bytes){data, size}, &reader) != POL_OK)
        return 0;
    require(size >= 4);
    while (group_next(&reader, &change)) {
        require(change.group.family == 4 && change.group.bytes[0] >> 4 == 0xe);
        require(++changes <= (size - 4) / 4);
    }
    require(changes <= 1 || data[0] == 0x22);
    require(!group_next(&reader, &change));
    return 0;
}
