/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads an MLD message, whose type is the first octet, and checks what learning from it relies on:
 * every group is a multicast address, and there are no more changes than octets for them.
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

    if (size == 0 || mld_read(data[0], (pol_bytes){data + 1, size - 1}, &reader) != POL_OK)
        return 0;
    while (group_next(&reader, &change)) {
        require(change.group.family == 6 && change.group.bytes[0] == 0xff);
        require(++changes <= (size - 1) / 16);
    }
    require(changes <= 1 || data[0] == 143);
    require(!group_next(&reader, &change));
    return 0;
}
