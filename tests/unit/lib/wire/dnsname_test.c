/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dnsname.h"

#include <criterion/criterion.h>

#define OCTETS(literal) ((pol_bytes){(const uint8_t *)literal, sizeof(literal) - 1})
#define HEADER          "hhhhhhhhhhhh" /* 12 octets before the first name of a message */

/* Reads the name at `offset` of a message and returns the status; `text` is emptied on failure. */
static int read_at(pol_bytes message, size_t offset, char text[DNSNAME_TEXT], size_t *ret_end)
{
    struct cursor in = cursor_of((pol_bytes){message.ptr + offset, message.len - offset});
    uint8_t len = 0;
    int rc;

    text[0] = '\0';
    rc = dnsname_read(message, &in, text, &len);
    cr_assert_eq(strlen(text), len);
    *ret_end = (size_t)(in.at - message.ptr);
    return rc;
}

static struct dnsname name_of(const char *text)
{
    struct dnsname name;

    cr_assert_eq(dnsname_parse(str_of(text), &name), POL_OK, "%s", text);
    return name;
}

/* `count` labels of one octet each. */
static size_t tiny_labels(uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memcpy(out + 2 * i, "\1a", 2);
    out[2 * count] = 0;
    return 2 * count + 1;
}

static const struct {
    const char *why;
    pol_bytes message;
    size_t offset, end;
    int status;
    const char *text;
} read_cases[] = {
    {"root", OCTETS(HEADER "\0"), 12, 13, POL_OK, "."},
    {"lower case", OCTETS(HEADER "\3WwW\7eXample\3COM\0"), 12, 29, POL_OK, "www.example.com"},
    {"underscore, hyphen, digits", OCTETS(HEADER "\5_8443\3a-b\0"), 12, 23, POL_OK, "_8443.a-b"},
    {"dot inside a label", OCTETS(HEADER "\3a.b\1c\0"), 12, 19, POL_OK, "a\\.b.c"},
    {"other octets", OCTETS(HEADER "\4\0 \377\\\0"), 12, 18, POL_OK, "\\000\\032\\255\\092"},
    {"asterisk", OCTETS(HEADER "\1*\1b\0"), 12, 17, POL_OK, "\\042.b"},
    {"pointer", OCTETS(HEADER "\1b\0\1a\300\14"), 15, 19, POL_OK, "a.b"},
    {"pointer to pointer", OCTETS(HEADER "\1b\0\300\14\300\17"), 17, 19, POL_OK, "b"},
    {"pointer into the middle of a name", OCTETS(HEADER "\1a\1b\0\300\16"), 17, 19, POL_OK, "b"},
    {"pointer to itself", OCTETS(HEADER "\300\14"), 12, 12, POL_E_FORMAT, ""},
    {"pointer forward", OCTETS(HEADER "\300\16\1a\0"), 12, 12, POL_E_FORMAT, ""},
    {"pointer back to a label before it", OCTETS(HEADER "\1a\300\14"), 12, 12, POL_E_FORMAT, ""},
    {"two pointers in a loop", OCTETS(HEADER "\1a\300\20\1b\300\14"), 16, 16, POL_E_FORMAT, ""},
    {"pointer into the header", OCTETS("\1a\0hhhhhhhhh\300\0"), 12, 12, POL_E_FORMAT, ""},
    {"pointer beyond the end", OCTETS(HEADER "\377\377"), 12, 12, POL_E_FORMAT, ""},
    {"half a pointer", OCTETS(HEADER "\300"), 12, 12, POL_E_TRUNCATED, ""},
    {"label type 01", OCTETS(HEADER "\101a\0"), 12, 12, POL_E_FORMAT, ""},
    {"label type 10", OCTETS(HEADER "\201a\0"), 12, 12, POL_E_FORMAT, ""},
    {"cut in a label", OCTETS(HEADER "\3ab"), 12, 12, POL_E_TRUNCATED, ""},
    {"cut before the root", OCTETS(HEADER "\2ab"), 12, 12, POL_E_TRUNCATED, ""},
    {"nothing", OCTETS(HEADER), 12, 12, POL_E_TRUNCATED, ""},
};

Test(dnsname, reads_wire_names_and_refuses_broken_ones)
{
    for (size_t i = 0; i < sizeof(read_cases) / sizeof(read_cases[0]); i++) {
        char text[DNSNAME_TEXT];
        size_t end;
        int rc = read_at(read_cases[i].message, read_cases[i].offset, text, &end);

        cr_expect_eq(rc, read_cases[i].status, "%s: %d", read_cases[i].why, rc);
        cr_expect_str_eq(text, read_cases[i].text, "%s: %s", read_cases[i].why, text);
        cr_expect_eq(end, read_cases[i].end, "%s: end %zu", read_cases[i].why, end);
    }
}

Test(dnsname, accepts_127_labels_and_no_more)
{
    uint8_t message[300] = {0};
    char text[DNSNAME_TEXT];
    size_t end, len = 12 + tiny_labels(message + 12, 127);

    cr_expect_eq(len, 12 + 255);
    cr_expect_eq(read_at((pol_bytes){message, len}, 12, text, &end), POL_OK);
    cr_expect_eq(strlen(text), 253);

    len = 12 + tiny_labels(message + 12, 128);
    cr_expect_eq(read_at((pol_bytes){message, len}, 12, text, &end), POL_E_FORMAT);
}

Test(dnsname, length_limit_counts_what_pointers_add)
{
    uint8_t message[400] = {0};
    char text[DNSNAME_TEXT];
    size_t end, at = 12 + tiny_labels(message + 12, 126);

    memcpy(message + at, "\1b\300\14", 4);
    cr_expect_eq(read_at((pol_bytes){message, at + 4}, at, text, &end), POL_OK);
    memcpy(message + at, "\2bb\300\14", 5);
    cr_expect_eq(read_at((pol_bytes){message, at + 5}, at, text, &end), POL_E_FORMAT);
}

Test(dnsname, a_long_run_of_pointers_to_pointers_is_refused)
{
    uint8_t message[4096] = {0};
    char text[DNSNAME_TEXT];
    size_t end;

    /* a root name at 12, then pointers, each to the one before it */
    for (size_t at = 13, to = 12; at + 2 <= sizeof(message); to = at, at += 2) {
        message[at] = (uint8_t)(0xc0 | to >> 8);
        message[at + 1] = (uint8_t)to;
    }
    cr_expect_eq(read_at((pol_bytes){message, sizeof(message)}, 13 + 2 * 126, text, &end), POL_OK);
    cr_expect_eq(read_at((pol_bytes){message, sizeof(message)}, 13 + 2 * 127, text, &end),
                 POL_E_FORMAT);
}

Test(dnsname, text_above_255_octets_is_a_limit_error_and_the_cursor_moves_on)
{
    uint8_t message[200] = {[12] = 63};
    char text[DNSNAME_TEXT];
    size_t end;

    message[76] = 1;
    message[77] = 'a';
    cr_expect_eq(read_at((pol_bytes){message, 79}, 12, text, &end), POL_OK);
    cr_expect_eq(strlen(text), 63 * 4 + 2);
    message[76] = 3;
    memcpy(message + 77, "abc", 4);
    cr_expect_eq(read_at((pol_bytes){message, 81}, 12, text, &end), POL_E_LIMIT);
    cr_expect_eq(end, 81);
    cr_expect_str_empty(text);
}

Test(dnsname, without_a_message_no_pointer_is_followed)
{
    static const uint8_t octets[] = HEADER "\1a\0\300\14";
    struct cursor in = cursor_of((pol_bytes){octets + 15, 2});
    struct dnsname name;

    cr_expect_eq(dnsname_wire_read((pol_bytes){NULL, 0}, &in, &name), POL_E_FORMAT);
}

static const struct {
    pol_bytes octets;
    int status;
    size_t used;
} skip_cases[] = {
    {OCTETS("\0x"), POL_OK, 1},          {OCTETS("\1a\0x"), POL_OK, 3},
    {OCTETS("\1a\300\0x"), POL_OK, 4},   {OCTETS("\300\377x"), POL_OK, 2},
    {OCTETS("\1a"), POL_E_TRUNCATED, 0}, {OCTETS("\300"), POL_E_TRUNCATED, 0},
    {OCTETS("\100"), POL_E_FORMAT, 0},   {OCTETS("\200"), POL_E_FORMAT, 0},
    {OCTETS(""), POL_E_TRUNCATED, 0},
};

Test(dnsname, skip_moves_behind_a_name)
{
    for (size_t i = 0; i < sizeof(skip_cases) / sizeof(skip_cases[0]); i++) {
        struct cursor in = cursor_of(skip_cases[i].octets);
        int rc = dnsname_skip(&in);

        cr_expect_eq(rc, skip_cases[i].status, "case %zu: %d", i, rc);
        if (rc == POL_OK)
            cr_expect_eq((size_t)(in.at - skip_cases[i].octets.ptr), skip_cases[i].used);
    }
}

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz12345678901"

static const struct {
    pol_str in;
    int status;
    const char *text;
} normalise_cases[] = {
    {STR("example.com"), POL_OK, "example.com"},
    {STR("ExAmple.COM"), POL_OK, "example.com"},
    {STR("example.com."), POL_OK, "example.com"},
    {STR("example.com..."), POL_OK, "example.com"},
    {STR("."), POL_OK, "."},
    {STR("192.0.2.1"), POL_OK, "192.0.2.1"},
    {STR("a b"), POL_OK, "a\\032b"},
    {STR("a\\032B"), POL_OK, "a\\032b"},
    {STR("\\065"), POL_OK, "a"},
    {STR("\\A"), POL_OK, "a"},
    {STR("a\\.b.c"), POL_OK, "a\\.b.c"},
    {STR("a\\046b.c"), POL_OK, "a\\.b.c"},
    {STR("a\\."), POL_OK, "a\\."},
    {STR("a\\.."), POL_OK, "a\\."},
    {STR("a\\\\."), POL_OK, "a\\092"},
    {STR("*.example.com"), POL_OK, "\\042.example.com"},
    {STR("b\303\274cher.example"), POL_OK, "b\\195\\188cher.example"},
    {STR("nul\0.example"), POL_OK, "nul\\000.example"},
    {STR(L63 ".example"), POL_OK, L63 ".example"},
    {STR("1" L63 ".example"), POL_E_FORMAT, ""},
    {STR(L63 "." L63 "." L63 "." L63), POL_E_FORMAT, ""},
    {STR(""), POL_E_FORMAT, ""},
    {STR(".."), POL_E_FORMAT, ""},
    {STR(".example.com"), POL_E_FORMAT, ""},
    {STR("a..b"), POL_E_FORMAT, ""},
    {STR("a\\"), POL_E_FORMAT, ""},
    {STR("a\\25"), POL_E_FORMAT, ""},
    {STR("a\\2x5"), POL_E_FORMAT, ""},
    {STR("a\\256"), POL_E_FORMAT, ""},
};

Test(dnsname, every_spelling_normalises_to_one)
{
    for (size_t i = 0; i < sizeof(normalise_cases) / sizeof(normalise_cases[0]); i++) {
        char text[DNSNAME_TEXT] = "";
        uint8_t len = 0;
        int rc = dnsname_normalise(normalise_cases[i].in, text, &len);

        cr_expect_eq(rc, normalise_cases[i].status, "%s: %d", normalise_cases[i].in.ptr, rc);
        cr_expect_str_eq(text, normalise_cases[i].text);
        cr_expect_eq(len, strlen(normalise_cases[i].text));
    }
}

Test(dnsname, every_octet_survives_text_and_back)
{
    for (unsigned c = 0; c < 256; c++) {
        struct dnsname name = {.len = 3, .octets = {1, (uint8_t)c, 0}}, back;
        char text[DNSNAME_TEXT];
        uint8_t len;

        if (c >= 'A' && c <= 'Z')
            continue;
        cr_assert_eq(dnsname_text(&name, text, &len), POL_OK);
        cr_assert_eq(dnsname_parse((pol_str){text, len}, &back), POL_OK, "%s", text);
        cr_expect(dnsname_equal(&name, &back), "%u became %s", c, text);
    }
}

Test(dnsname, escapes_can_exceed_the_text_limit)
{
    char text[DNSNAME_TEXT];
    char spaces[64];
    uint8_t len;

    memset(spaces, ' ', sizeof(spaces));
    spaces[62] = '.';
    cr_expect_eq(dnsname_normalise((pol_str){spaces, 62}, text, &len), POL_OK);
    memset(spaces, ' ', sizeof(spaces));
    spaces[1] = '.';
    cr_expect_eq(dnsname_normalise((pol_str){spaces, 64}, text, &len), POL_OK);
    cr_expect_eq(len, 253);
}

static const struct {
    const char *name, *owner, *target, *result; /* result NULL: not below the owner */
} substitute_cases[] = {
    {"a.old.example", "old.example", "new.test", "a.new.test"},
    {"a.b.old.example", "old.example", "new.test", "a.b.new.test"},
    {"a.old.example", "old.example", ".", "a"},
    {"a.old.example", ".", "x", "a.old.example.x"},
    {"old.example", "old.example", "new.test", NULL},
    {"bold.example", "old.example", "new.test", NULL},
    {"a.other.example", "old.example", "new.test", NULL},
    {"example", "old.example", "new.test", NULL},
    {".", ".", "new.test", NULL},
    /* the owner's octets inside a label are no suffix: RFC 6672 3.2 */
    {"x\\003old\\007example.test", "old.example", "new.test", NULL},
};

Test(dnsname, substitutes_a_suffix_at_a_label_boundary_only)
{
    for (size_t i = 0; i < sizeof(substitute_cases) / sizeof(substitute_cases[0]); i++) {
        struct dnsname name = name_of(substitute_cases[i].name);
        struct dnsname owner = name_of(substitute_cases[i].owner);
        struct dnsname target = name_of(substitute_cases[i].target), expected, result;
        int rc = dnsname_substitute(&name, &owner, &target, &result);

        cr_expect_eq(rc, substitute_cases[i].result ? POL_OK : POL_E_NOTFOUND, "case %zu", i);
        if (rc < 0 || !substitute_cases[i].result)
            continue;
        expected = name_of(substitute_cases[i].result);
        cr_expect(dnsname_equal(&result, &expected), "case %zu", i);
    }
}

Test(dnsname, substitution_that_makes_a_name_too_long_is_refused)
{
    struct dnsname name = name_of(L63 "." L63 "." L63 ".old");
    struct dnsname owner = name_of("old"), result;
    struct dnsname fits = name_of("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffffff");
    struct dnsname too_long = name_of(L63);

    cr_expect_eq(dnsname_substitute(&name, &owner, &fits, &result), POL_OK);
    cr_expect_eq(result.len, 255);
    cr_expect_eq(dnsname_substitute(&name, &owner, &too_long, &result), POL_E_FORMAT);
}
