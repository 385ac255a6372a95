// SPDX-License-Identifier: Apache-2.0
#include "http/tap_query.h"

#include <string.h>

#include <criterion/criterion.h>

#include "control/tap_hub.h"

static pol_ctx *ctx;
static struct http_reply reply;

static void setup(void)
{
    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
}

static void teardown(void)
{
    text_fini(&reply.body);
    pol_ctx_unref(ctx);
}

TestSuite(tap_query, .init = setup, .fini = teardown);

/* 10.0.0.5:40000 to 203.0.113.9:443 over TCP, db.example.com. */
static pol_event sample(void)
{
    static const char name[] = "db.example.com";
    pol_event event = {.tuple = {.src = {4, {10, 0, 0, 5}}, .dst = {4, {203, 0, 113, 9}}}};

    event.tuple.src_port = 40000;
    event.tuple.dst_port = 443;
    event.tuple.proto = 6;
    event.fqdn_len = sizeof(name) - 1;
    memcpy(event.fqdn, name, sizeof(name));
    return event;
}

static const struct {
    const char *query;
    bool matches;
} filters[] = {
    {NULL, true},
    {"", true},
    {"unknown=1", true},
    {"src_cidr=10.0.0.0/24", true},
    {"src_cidr=10.0.0.5", true},
    {"src_cidr=10.0.1.0%2F24", false},
    {"src_cidr=192.0.2.1&src_cidr=10.0.0.0/8", true},
    {"src_cidr=10.0.0.0/8&dst_cidr=192.0.2.0/24", false},
    {"dst_cidr=2001:db8::/32", false},
    {"hostname=EXAMPLE", true},
    {"hostname=%5Edb%5C.", true},
    {"hostname=^www&hostname=com$", true},
    {"hostname=^example", false},
    {"proto=tcp", true},
    {"proto=TCP&proto=udp", true},
    {"proto=icmp", false},
    {"proto=58&proto=icmpv6", false},
    {"proto=udp&proto=any", true},
    {"proto=6", true},
    {"src_port=40000", true},
    {"src_port=1-39999", false},
    {"dst_port=80&dst_port=440-450", true},
    {"dst_port=443&src_port=1", false},
};

Test(tap_query, makes_the_filter_the_query_describes)
{
    pol_event event = sample();

    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        pol_tap *tap = NULL;
        uint32_t kinds = 0;

        cr_assert(tap_query_read(ctx, filters[i].query, &tap, &kinds, &reply), "%s: %s",
                  filters[i].query, reply.body.ptr);
        cr_assert_eq(pol_tap_match(tap, &event), filters[i].matches, "%s", filters[i].query);
        cr_assert_eq(kinds, TAP_FLOW);
        pol_tap_free(tap);
    }
}

Test(tap_query, kinds_are_named)
{
    pol_tap *tap = NULL;
    uint32_t kinds = 0;

    cr_assert(tap_query_read(ctx, "kind=deny&kind=DNS&kind=update", &tap, &kinds, &reply));
    cr_assert_eq(kinds, TAP_DENY | TAP_DNS | TAP_UPDATE);
    pol_tap_free(tap);
}

static const char *const refused[] = {
    "src_cidr=",
    "src_cidr=10.0.0.0/33",
    "dst_cidr=example.com",
    "proto=",
    "proto=256",
    "proto=-1",
    "proto=6x",
    "src_port=65536",
    "src_port=1-",
    "src_port=-1",
    "dst_port=9-8",
    "dst_port=1-2-3",
    "hostname=",
    "hostname=(",
    "hostname=(?%3Da)",
    "kind=",
    "kind=flow_end",
    "proto=99999999999999999999",
};

Test(tap_query, a_bad_value_is_refused_and_its_parameter_named)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        char start[64] = "{\"error\":\"";
        pol_tap *tap = NULL;
        uint32_t kinds;

        strncat(start, refused[i], strcspn(refused[i], "="));
        strcat(start, ": ");
        cr_assert_not(tap_query_read(ctx, refused[i], &tap, &kinds, &reply), "%s", refused[i]);
        cr_assert_eq(reply.status, 400);
        cr_assert(strncmp(reply.body.ptr, start, strlen(start)) == 0, "%s", reply.body.ptr);
    }
}

Test(tap_query, lists_and_values_have_a_limit)
{
    struct text query = {0};
    pol_tap *tap = NULL;
    uint32_t kinds;

    for (int i = 0; i < 64; i++)
        text_addf(&query, "&hostname=h%d", i);
    cr_assert(tap_query_read(ctx, query.ptr, &tap, &kinds, &reply));
    pol_tap_free(tap);
    text_add(&query, "&hostname=h");
    cr_assert_not(tap_query_read(ctx, query.ptr, &tap, &kinds, &reply));
    cr_assert(strstr(reply.body.ptr, "hostname: \\\"h\\\" is one value too many"), "%s",
              reply.body.ptr);

    text_clear(&query);
    text_add(&query, "hostname=");
    for (int i = 0; i < 1023; i++)
        text_add(&query, "a");
    cr_assert_not(tap_query_read(ctx, query.ptr, &tap, &kinds, &reply));
    cr_assert(strstr(reply.body.ptr, "is too long"), "%s", reply.body.ptr);
    text_fini(&query);
}
