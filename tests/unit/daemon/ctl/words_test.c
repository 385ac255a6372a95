/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/words.h"

#include <criterion/criterion.h>

static char buf[WORD_SIZE];

Test(words, known_numbers_have_names)
{
    cr_assert_str_eq(word_proto(6, buf), "tcp");
    cr_assert_str_eq(word_proto(58, buf), "icmpv6");
    cr_assert_str_eq(word_dns_type(28, buf), "AAAA");
    cr_assert_str_eq(word_dns_type(65, buf), "HTTPS");
    cr_assert_str_eq(word_dns_rcode(3, buf), "NXDOMAIN");
    cr_assert_str_eq(word_side(1), "inside");
}

Test(words, others_are_numbers)
{
    cr_assert_str_eq(word_proto(50, buf), "50");
    cr_assert_str_eq(word_dns_type(65534, buf), "TYPE65534");
    cr_assert_str_eq(word_dns_rcode(255, buf), "RCODE255");
    cr_assert_str_eq(word_side(9), "unknown");
}
