// SPDX-License-Identifier: Apache-2.0
#include "http/query.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static const struct {
    const char *query, *pairs; /* "key=value;" each */
} cases[] = {
    {NULL, ""},
    {"", ""},
    {"&&", ""},
    {"a=1", "a=1;"},
    {"a=1&a=2&b", "a=1;a=2;b=;"},
    {"a=b=c", "a=b=c;"},
    {"=x&y=", "=x;y=;"},
    {"n=%41%20%2fz+y", "n=A /z y;"},
    {"n=%", "n=%;"},
    {"n=%4&m=%zz", "n=%4;m=%zz;"},
    {"%6b=v", "k=v;"},
    {"long=0123456789012345678901234567890123", "long=0123456789012345678901234567890;"},
};

Test(query, pairs_come_one_by_one_decoded)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct query query = {.rest = cases[i].query};
        char key[32], value[32], pairs[256] = "";
        size_t len = 0;

        while (query_next(&query, key, sizeof(key), value, sizeof(value)))
            len += (size_t)snprintf(pairs + len, sizeof(pairs) - len, "%s=%s;", key, value);
        cr_assert_str_eq(pairs, cases[i].pairs);
    }
}
