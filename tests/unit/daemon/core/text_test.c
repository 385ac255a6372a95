// SPDX-License-Identifier: Apache-2.0
#include "core/text.h"

#include <stdint.h>
#include <string.h>

#include <criterion/criterion.h>

static struct text text;

static void teardown(void)
{
    text_fini(&text);
}

TestSuite(text, .fini = teardown);

Test(text, grows_and_stays_terminated)
{
    for (int i = 0; i < 1000; i++)
        text_addf(&text, "%03d,", i);
    cr_assert_eq(text.len, 4000);
    cr_assert_eq(strlen(text.ptr), 4000);
    cr_assert(strncmp(text.ptr + 3992, "998,999,", 8) == 0);
}

Test(text, failure_is_remembered)
{
    text_add(&text, "a");
    text_reserve(&text, SIZE_MAX);
    text_add(&text, "b");
    cr_assert(text.failed);
    cr_assert_str_eq(text.ptr, "a");
}

static const struct {
    const char *raw, *json;
} strings[] = {
    {"", "\"\""},
    {"a\"b\\c\n", "\"a\\\"b\\\\c\\n\""},
    {"\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\""},
    {"\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
    {"\xff", "\"\\ufffd\""},
    {"\xc0\xaf", "\"\\ufffd\\ufffd\""},            /* an overlong slash */
    {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* a surrogate */
    {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
    {"\xc2\x85\xe2\x80\xa8\xef\xbb\xbf", "\"\\u0085\\u2028\\ufeff\""},
    {"a\xe2\x82", "\"a\\ufffd\\ufffd\""},
};

Test(text, json_strings_are_escaped_and_always_utf8)
{
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        text_clear(&text);
        text_add_json(&text, strings[i].raw);
        cr_assert_str_eq(text.ptr, strings[i].json, "case %zu gave %s", i, text.ptr);
    }
}
