/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/json_out.h"

#include "base/slice.h"
#include "parsed.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char text[4096];

static pol_str done(const struct json *json)
{
    size_t len = 0;

    cr_assert_eq(buf_finish(&json->out, &len), POL_OK);
    return (pol_str){text, len};
}

static void expect_written(const struct json *json, const char *expected)
{
    pol_str written = done(json);

    cr_expect(str_equal(written, str_of(expected)), "%.*s", (int)written.len, written.ptr);
}

Test(json_out, values_are_separated_by_commas_at_every_level)
{
    struct json json = json_of(text, sizeof(text));

    json_object(&json, NULL);
    json_array(&json, "empty");
    json_array_end(&json);
    json_array(&json, "list");
    json_u64(&json, NULL, 1);
    json_object(&json, NULL);
    json_object_end(&json);
    json_bool(&json, NULL, false);
    json_array_end(&json);
    json_null(&json, "none");
    json_bool(&json, "yes", true);
    json_object_end(&json);
    expect_written(&json, "{\"empty\":[],\"list\":[1,{},false],\"none\":null,\"yes\":true}");
}

Test(json_out, members_without_braces_are_joined_too)
{
    struct json json = json_of(text, sizeof(text));

    json_u64(&json, "a", 1);
    json_u64(&json, "b", 2);
    expect_written(&json, "\"a\":1,\"b\":2");
}

Test(json_out, numbers_keep_64_bits)
{
    struct json json = json_of(text, sizeof(text));

    json_u64(&json, NULL, UINT64_MAX);
    expect_written(&json, "18446744073709551615");
}

static const struct {
    uint64_t millionths;
    const char *expected;
} ratios[] = {
    {0, "0"},       {1, "0.000001"},  {200, "0.0002"},        {500000, "0.5"}, {999999, "0.999999"},
    {1000000, "1"}, {1500000, "1.5"}, {12000010, "12.00001"},
};

Test(json_out, ratios_are_decimal_fractions_in_any_locale)
{
    for (size_t i = 0; i < COUNT(ratios); i++) {
        struct json json = json_of(text, sizeof(text));

        json_ratio(&json, NULL, ratios[i].millionths);
        expect_written(&json, ratios[i].expected);
    }
}

static const struct {
    const char *given;
    size_t len;
    const char *expected;
} strings[] = {
    {"", 0, "\"\""},
    {"plain", 5, "\"plain\""},
    {"a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
    {"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
    {"\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\""},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""},
    /* Every octet that begins nothing, or nothing whole, becomes U+FFFD. */
    {"\x80", 1, "\"\xef\xbf\xbd\""},
    {"a\xffz", 3, "\"a\xef\xbf\xbdz\""},
    {"\xc3", 1, "\"\xef\xbf\xbd\""},
    {"\xc3z", 2, "\"\xef\xbf\xbdz\""},
    {"\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},                                 /* overlong */
    {"\xe0\x80\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
    {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},                 /* surrogate */
    {"\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* too high */
    {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10,
     "\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\""}, /* the last ones allowed */
};

Test(json_out, strings_are_escaped_and_made_utf8)
{
    for (size_t i = 0; i < COUNT(strings); i++) {
        struct json json = json_of(text, sizeof(text));
        pol_str written;

        json_str(&json, NULL, (pol_str){strings[i].given, strings[i].len});
        written = done(&json);
        cr_expect(str_equal(written, str_of(strings[i].expected)), "row %zu: %.*s", i,
                  (int)written.len, written.ptr);
    }
}

Test(json_out, every_octet_survives_the_way_through_a_parser)
{
    for (int octet = 1; octet < 0x80; octet++) {
        struct json json = json_of(text, sizeof(text));
        char one = (char)octet;
        cJSON *root;

        json_str(&json, NULL, (pol_str){&one, 1});
        root = parsed(text, done(&json).len);
        cr_expect_eq(root->valuestring[0], one, "octet %d", octet);
        cJSON_Delete(root);
    }
}

Test(json_out, absent_values_are_null)
{
    static const pol_addr none;
    struct json json = json_of(text, sizeof(text));

    json_array(&json, NULL);
    json_text(&json, NULL, NULL);
    json_name(&json, NULL, (pol_str){NULL, 0});
    json_addr(&json, NULL, &none);
    json_str(&json, NULL, (pol_str){NULL, 0});
    json_array_end(&json);
    expect_written(&json, "[null,null,null,\"\"]");
}

Test(json_out, too_small_a_buffer_gives_the_length_needed)
{
    for (size_t capacity = 0; capacity < 12; capacity++) {
        char *small = malloc(capacity ? capacity : 1);
        struct json json = json_of(small, capacity);
        size_t len = 0;

        json_str(&json, "k", STR("\n\xff!"));
        cr_expect_eq(buf_finish(&json.out, &len), POL_E_NOSPACE);
        cr_expect_eq(len, 12);
        free(small);
    }
}
