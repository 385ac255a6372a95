// SPDX-License-Identifier: Apache-2.0
#include "ctl/tap_line.h"

#include <string.h>

#include <criterion/criterion.h>

static struct text out;

static void teardown(void)
{
    text_fini(&out);
}

TestSuite(tap_line, .fini = teardown);

static const struct {
    const char *name, *data, *line;
} lines[] = {
    {"flow",
     "{\"flow_id\":\"f\",\"src_ip\":\"10.0.0.5\",\"dst_ip\":\"203.0.113.9\",\"src_port\":40000,"
     "\"dst_port\":443,\"proto\":6,\"packets_in\":3,\"packets_out\":4,\"last_seen\":1770000000,"
     "\"hostname\":\"db.example.com\",\"verdict\":\"allow\",\"raw_verdict\":\"allow\","
     "\"group\":\"web\",\"rule\":\"r1\",\"reason\":\"rule\",\"sni\":null}",
     "02:40:00 flow        tcp    10.0.0.5:40000         203.0.113.9:443        allow    "
     "db.example.com               web/r1                   4/3 rule\n"},
    {"flow_end",
     "{\"flow_id\":\"f\",\"src_ip\":\"2001:db8::5\",\"dst_ip\":\"2001:db8::9\",\"src_port\":7,"
     "\"dst_port\":0,\"proto\":58,\"packets_in\":0,\"packets_out\":1,\"last_seen\":0,"
     "\"hostname\":\"a.example\",\"verdict\":\"allow\",\"raw_verdict\":\"deny\","
     "\"group\":\"default\",\"rule\":null,\"sni\":\"b.example\",\"end\":\"idle_timeout\"}",
     "00:00:00 flow_end    icmpv6 [2001:db8::5]:7        [2001:db8::9]:0        audit    "
     "b.example                    default                  1/0 idle_timeout\n"},
    {"deny",
     "{\"flow_id\":\"f\",\"proto\":200,\"verdict\":\"deny\",\"raw_verdict\":\"deny\","
     "\"hostname\":\"\\u001b[2Jx\",\"packets_out\":\"7\",\"src_port\":-1}",
     "00:00:00 deny        200    :0                     :0                     deny     "
     "?[2Jx                        -                        0/0 \n"},
};

Test(tap_line, shows_an_event_in_columns)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        text_clear(&out);
        cr_assert(tap_line(&out, lines[i].name, lines[i].data, false));
        cr_assert_str_eq(out.ptr, lines[i].line, "%zu: %s", i, out.ptr);
    }
}

Test(tap_line, columns_stand_under_their_names)
{
    size_t head;

    tap_line_head(&out);
    head = (size_t)(strstr(out.ptr, "DESTINATION") - out.ptr);
    text_clear(&out);
    tap_line(&out, lines[0].name, lines[0].data, false);
    cr_assert_eq(strstr(out.ptr, "203.0.113.9") - out.ptr, head);
}

Test(tap_line, what_is_no_event_adds_nothing)
{
    static const char *const others[] = {"", "{", "[]", "7", "{}", "{\"flow_id\":7}"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_assert_not(tap_line(&out, "flow", others[i], false));
    cr_assert_eq(out.len, 0);
}

Test(tap_line, colours_do_not_move_the_columns)
{
    size_t plain;

    cr_assert(tap_line(&out, lines[0].name, lines[0].data, false));
    plain = out.len;
    cr_assert(tap_line(&out, lines[0].name, lines[0].data, true));
    for (char *code = out.ptr; (code = strchr(code, '\033'));)
        memmove(code, strchr(code, 'm') + 1, strlen(strchr(code, 'm')));
    cr_assert_eq(strlen(out.ptr + plain), plain);
    cr_assert_gt(out.len, 2 * plain);
}
