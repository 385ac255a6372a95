/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/groups.h"

enum mld_type { REPORT = 131, DONE = 132, REPORT_V2 = 143 };

int mld_read(uint8_t type, pol_bytes body, struct group_reader *ret_reader)
{
    struct group_reader reader = {.in = cursor_of(body), .family = 6};

    if (type == REPORT || type == DONE) {
        if (body.len < 16)
            return POL_E_TRUNCATED;
        reader.left = 1;
        reader.joins = type == REPORT;
    } else if (type == REPORT_V2) {
        reader.left = UINT32_MAX;
        reader.records = true;
    }
    *ret_reader = reader;
    return POL_OK;
}
