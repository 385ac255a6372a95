/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/groups.h"

enum igmp_type { REPORT_V1 = 0x12, REPORT_V2 = 0x16, LEAVE = 0x17, REPORT_V3 = 0x22 };

int igmp_read(pol_bytes message, struct group_reader *ret_reader)
{
    struct group_reader reader = {.in = cursor_of(message), .family = 4};
    uint8_t type = cursor_u8(&reader.in);

    cursor_skip(&reader.in, 3); /* response time, checksum */
    switch (type) {
    case REPORT_V1:
    case REPORT_V2:
    case LEAVE:
        reader.left = 1;
        reader.joins = type != LEAVE;
        break;
    case REPORT_V3:
        cursor_skip(&reader.in, 2);
        reader.left = cursor_u16(&reader.in);
        reader.records = true;
        break;
    default:
        break;
    }
    if (reader.in.failed || cursor_left(&reader.in) < 4 * (size_t)(reader.left && !reader.records))
        return POL_E_TRUNCATED;
    *ret_reader = reader;
    return POL_OK;
}
