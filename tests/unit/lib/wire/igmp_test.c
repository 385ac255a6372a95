/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/groups.h"

#include <criterion/criterion.h>

#define OCTETS(literal) ((pol_bytes){(const uint8_t *)literal, sizeof(literal) - 1})
#define HEAD(type)      type "\0\0\0"

/* What a message says, as "+" or "-" and the last octet of each group. */
static const struct {
    const char *why;
    pol_bytes message;
    int rc;
    const char *changes;
} cases[] = {
    {"nothing", OCTETS(""), POL_E_TRUNCATED, ""},
    {"a type alone", OCTETS("\x16\0"), POL_E_TRUNCATED, ""},
    {"a query", OCTETS("\x11\0\0\0\xef\1\1\1"), POL_OK, ""},
    {"version 1", OCTETS(HEAD("\x12") "\xef\1\1\5"), POL_OK, "+5"},
    {"version 2", OCTETS(HEAD("\x16") "\xef\1\1\6"), POL_OK, "+6"},
    {"a leave", OCTETS(HEAD("\x17") "\xef\1\1\7"), POL_OK, "-7"},
    {"a group cut short", OCTETS(HEAD("\x16") "\xef\1\1"), POL_E_TRUNCATED, ""},
    {"no group at all", OCTETS(HEAD("\x16") "\x0a\1\1\1"), POL_OK, ""},
    {"version 3 cut short", OCTETS(HEAD("\x22") "\0\0\0"), POL_E_TRUNCATED, ""},
    {"version 3, no record", OCTETS(HEAD("\x22") "\0\0\0\0\4\0\0\0\xef\1\1\1"), POL_OK, ""},
    {"excluding nothing", OCTETS(HEAD("\x22") "\0\0\0\1\4\0\0\0\xef\1\1\1"), POL_OK, "+1"},
    {"is excluding", OCTETS(HEAD("\x22") "\0\0\0\1\2\0\0\0\xef\1\1\1"), POL_OK, "+1"},
    {"including nothing", OCTETS(HEAD("\x22") "\0\0\0\1\3\0\0\0\xef\1\1\1"), POL_OK, "-1"},
    {"including one", OCTETS(HEAD("\x22") "\0\0\0\1\3\0\0\1\xef\1\1\1\xc0\0\2\1"), POL_OK, "+1"},
    {"is including one", OCTETS(HEAD("\x22") "\0\0\0\1\1\0\0\1\xef\1\1\1\xc0\0\2\1"), POL_OK, "+1"},
    {"a source more", OCTETS(HEAD("\x22") "\0\0\0\1\5\0\0\1\xef\1\1\1\xc0\0\2\1"), POL_OK, "+1"},
    {"a source less", OCTETS(HEAD("\x22") "\0\0\0\1\6\0\0\1\xef\1\1\1\xc0\0\2\1"), POL_OK, ""},
    {"an unknown record and a known one",
     OCTETS(HEAD("\x22") "\0\0\0\2\x63\1\0\0\xef\1\1\1xxxx\4\0\0\0\xef\1\1\2"), POL_OK, "+2"},
    {"join and leave", OCTETS(HEAD("\x22") "\0\0\0\2\4\0\0\0\xef\1\1\1\3\0\0\0\xef\1\1\2"), POL_OK,
     "+1-2"},
    {"behind the last record", OCTETS(HEAD("\x22") "\0\0\0\1\4\0\0\0\xef\1\1\1\4\0\0\0\xef\1\1\2"),
     POL_OK, "+1"},
    {"sources beyond the end",
     OCTETS(HEAD("\x22") "\0\0\0\2\4\0\0\0\xef\1\1\1\4\0\xff\xff\xef\1\1\2"), POL_OK, "+1"},
    {"auxiliary data beyond the end", OCTETS(HEAD("\x22") "\0\0\0\1\4\1\0\0\xef\1\1\1"), POL_OK,
     ""},
    {"a record cut short", OCTETS(HEAD("\x22") "\0\0\0\2\4\0\0\0\xef\1\1\1\4\0\0\0\xef\1"), POL_OK,
     "+1"},
    {"a group that is none", OCTETS(HEAD("\x22") "\0\0\0\2\4\0\0\0\x0a\1\1\1\4\0\0\0\xef\1\1\2"),
     POL_OK, "+2"},
    {"more sources, and none", OCTETS(HEAD("\x22") "\0\0\0\1\5\0\0\0\xef\1\1\1"), POL_OK, ""},
    {"another protocol", OCTETS("\x14\0\0\0"), POL_OK, ""},
};

Test(igmp, reports_say_who_wants_what)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct group_reader reader = {.left = 0};
        struct group_change change;
        char changes[32] = "";
        size_t len = 0;

        cr_expect_eq(igmp_read(cases[i].message, &reader), cases[i].rc, "%s", cases[i].why);
        while (len < 30 && group_next(&reader, &change)) {
            changes[len++] = change.joins ? '+' : '-';
            changes[len++] = (char)('0' + change.group.bytes[3]);
            cr_expect_eq(change.group.family, 4);
        }
        cr_expect_str_eq(changes, cases[i].changes, "%s: %s", cases[i].why, changes);
    }
}
