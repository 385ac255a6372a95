/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/certname.h"

#include <criterion/criterion.h>

#define OCTETS(literal) ((pol_bytes){(const uint8_t *)literal, sizeof(literal) - 1})

static const struct {
    const char *why;
    pol_bytes value;
    const char *dns, *other; /* what it reads as; NULL: never matched */
} cases[] = {
    {"plain", OCTETS("db.example.com"), "db.example.com", "db.example.com"},
    {"upper case", OCTETS("DB.Example.COM"), "db.example.com", "db.example.com"},
    {"trailing dots", OCTETS("db.example.."), "db.example", "db.example"},
    {"wildcard", OCTETS("*.example.com"), "*.example.com", "*.example.com"},
    {"empty", OCTETS(""), NULL, NULL},
    {"dots", OCTETS("..."), NULL, NULL},
    {"NUL inside", OCTETS("db.example.com\0.evil.example"), NULL, NULL},
    {"NUL behind", OCTETS("db.example.com\0"), NULL, NULL},
    {"line feed", OCTETS("db.example.com\n"), NULL, NULL},
    {"DEL", OCTETS("a\177b"), NULL, NULL},
    {"blank", OCTETS("Example Root 1"), NULL, "example root 1"},
    {"UTF-8", OCTETS("b\303\274cher.example"), NULL, "b\303\274cher.example"},
};

Test(certname, reads_in_lower_case_without_trailing_dots)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int dns = 0; dns < 2; dns++) {
            const char *expected = dns ? cases[i].dns : cases[i].other;
            char text[CERTNAME_TEXT] = "untouched";
            uint8_t len = 0;

            cr_assert_eq(certname_text(cases[i].value, dns, text, &len), expected != NULL, "%s, %d",
                         cases[i].why, dns);
            if (!expected)
                continue;
            cr_expect_str_eq(text, expected);
            cr_expect_eq(len, strlen(expected));
        }
    }
}

Test(certname, a_name_has_at_most_255_octets)
{
    uint8_t value[256];
    char text[CERTNAME_TEXT];
    uint8_t len;

    memset(value, 'A', sizeof(value));
    cr_assert(certname_text((pol_bytes){value, 255}, true, text, &len));
    cr_expect_eq(len, 255);
    cr_expect_eq(text[255], '\0');
    cr_expect_not(certname_text((pol_bytes){value, 256}, true, text, &len));
}

static const struct {
    const char *text, *tight;
} subjects[] = {
    {"C=US, O=Example,  CN=x", "C=US,O=Example, CN=x"},
    {"OU=a + OU=b", "OU=a+OU=b"},
    {"OU=a +OU=b", "OU=a +OU=b"},
    {"OU=a+ OU=b", "OU=a+ OU=b"},
    {"O=Acme, Inc.", "O=Acme,Inc."},
    {"", ""},
    {", ", ","},
    {" + ", "+"},
    {" +", " +"},
    {",", ","},
};

Test(certname, blanks_behind_a_comma_and_around_a_plus_do_not_count)
{
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
        char text[64];
        size_t len;

        strcpy(text, subjects[i].text);
        len = certname_tighten((pol_str){text, strlen(text)}, text);
        text[len] = '\0';
        cr_expect_str_eq(text, subjects[i].tight);
    }
}
