/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/groups.h"

#include <criterion/criterion.h>

#define OCTETS(literal) ((pol_bytes){(const uint8_t *)literal, sizeof(literal) - 1})
#define GROUP(last)     "\xff\5\0\0\0\0\0\0\0\0\0\0\0\0\0" last
#define SOURCE          "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"

enum { QUERY = 130, REPORT, DONE, REPORT_V2 = 143 };

/* As in igmp_test.c. */
static const struct {
    const char *why;
    uint8_t type;
    pol_bytes body;
    int rc;
    const char *changes;
} cases[] = {
    {"a query", QUERY, OCTETS(GROUP("\1")), POL_OK, ""},
    {"a report", REPORT, OCTETS(GROUP("\1")), POL_OK, "+1"},
    {"a done", DONE, OCTETS(GROUP("\2")), POL_OK, "-2"},
    {"a group cut short", REPORT, OCTETS("\xff\5"), POL_E_TRUNCATED, ""},
    {"no group at all", REPORT, OCTETS(SOURCE), POL_OK, ""},
    {"version 2, no record", REPORT_V2, OCTETS(""), POL_OK, ""},
    {"excluding nothing", REPORT_V2, OCTETS("\4\0\0\0" GROUP("\3")), POL_OK, "+3"},
    {"including nothing", REPORT_V2, OCTETS("\3\0\0\0" GROUP("\3")), POL_OK, "-3"},
    {"including one", REPORT_V2, OCTETS("\3\0\0\1" GROUP("\3") SOURCE), POL_OK, "+3"},
    {"a source less", REPORT_V2, OCTETS("\6\0\0\1" GROUP("\3") SOURCE), POL_OK, ""},
    {"several", REPORT_V2,
     OCTETS("\3\0\0\1" GROUP("\1") SOURCE "\4\1\0\0" GROUP("\2") "auxi\3\0\0\0" GROUP("\3")),
     POL_OK, "+1+2-3"},
    {"a record cut short", REPORT_V2, OCTETS("\4\0\0\0" GROUP("\1") "\4\0\0\0\xff\5"), POL_OK,
     "+1"},
    {"a group that is none", REPORT_V2, OCTETS("\4\0\0\0" SOURCE "\4\0\0\0" GROUP("\2")), POL_OK,
     "+2"},
    {"sources beyond the end", REPORT_V2,
     OCTETS("\4\0\0\0" GROUP("\1") "\4\0\xff\xff" GROUP("\2") SOURCE), POL_OK, "+1"},
};

Test(mld, reports_say_who_wants_what)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct group_reader reader = {.left = 0};
        struct group_change change;
        char changes[32] = "";
        size_t len = 0;

        cr_expect_eq(mld_read(cases[i].type, cases[i].body, &reader), cases[i].rc, "%s",
                     cases[i].why);
        while (len < 30 && group_next(&reader, &change)) {
            changes[len++] = change.joins ? '+' : '-';
            changes[len++] = (char)('0' + change.group.bytes[15]);
            cr_expect_eq(change.group.family, 6);
        }
        cr_expect_str_eq(changes, cases[i].changes, "%s: %s", cases[i].why, changes);
    }
}
