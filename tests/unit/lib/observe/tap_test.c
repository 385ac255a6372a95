/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/tap.h>

#include <criterion/criterion.h>

#include "../base/counting_mem.h"
#include "sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct counting counting;
static pol_ctx *ctx;

static void setup(void)
{
    ctx = counting_ctx(&counting);
}

static void teardown(void)
{
    pol_ctx_unref(ctx);
    cr_assert_eq(counting.bytes, 0, "%zu octets were not given back", counting.bytes);
}

TestSuite(tap, .init = setup, .fini = teardown);

/* Filters as words, separated by blanks; NULL where the filter has none. */
static const struct {
    const char *src, *dst, *hostnames;
    const char *protos, *src_ports, *dst_ports;
    bool passes;
} cases[] = {
    {NULL, NULL, NULL, NULL, NULL, NULL, true},
    {"10.0.0.0/24", NULL, NULL, NULL, NULL, NULL, true},
    {"10.0.1.0/24", NULL, NULL, NULL, NULL, NULL, false},
    {"10.0.1.0/24 10.0.0.5", NULL, NULL, NULL, NULL, NULL, true},
    {"192.0.2.0/24", NULL, NULL, NULL, NULL, NULL, false},
    {NULL, "192.0.2.0/24", NULL, NULL, NULL, NULL, true},
    {NULL, "::/0", NULL, NULL, NULL, NULL, false},
    {"10.0.0.5", "192.0.2.2", NULL, NULL, NULL, NULL, false},
    {NULL, NULL, NULL, "6", NULL, NULL, true},
    {NULL, NULL, NULL, "17", NULL, NULL, false},
    {NULL, NULL, NULL, "17 6", NULL, NULL, true},
    {NULL, NULL, NULL, NULL, "40000-40000", NULL, true},
    {NULL, NULL, NULL, NULL, "1-39999 40001-65535", NULL, false},
    {NULL, NULL, NULL, NULL, NULL, "443-443", true},
    {NULL, NULL, NULL, NULL, NULL, "80-80 400-500", true},
    {NULL, NULL, NULL, NULL, NULL, "444-65535", false},
    {NULL, NULL, "example", NULL, NULL, NULL, true},
    {NULL, NULL, "^API\\.", NULL, NULL, NULL, true},
    {NULL, NULL, "^cdn\\.example$", NULL, NULL, NULL, true},
    {NULL, NULL, "nothing ^api", NULL, NULL, NULL, true},
    {NULL, NULL, "nothing", NULL, NULL, NULL, false},
    {"10.0.0.0/8", "192.0.2.1", "api", "6", "1-65535", "443-443", true},
    {"10.0.0.0/8", "192.0.2.1", "api", "6", "1-65535", "80-80", false},
};

/* A filter and what it borrows. */
struct filter {
    pol_tap_filter form;
    pol_prefix src[4], dst[4];
    pol_str hostnames[4];
    uint8_t protos[4];
    pol_port_range src_ports[4], dst_ports[4];
    char text[200]; /* hostnames point into it */
};

static size_t read_prefixes(const char *words, pol_prefix *prefixes)
{
    char word[64];
    size_t count = 0;

    for (int used; words && sscanf(words, "%63s%n", word, &used) == 1; words += used)
        cr_assert_eq(pol_prefix_parse(str_of(word), &prefixes[count++]), POL_OK);
    return count;
}

static size_t read_ports(const char *words, pol_port_range *ranges)
{
    unsigned first, last;
    size_t count = 0;

    for (int used; words && sscanf(words, "%u-%u%n", &first, &last, &used) == 2; words += used)
        ranges[count++] = (pol_port_range){(uint16_t)first, (uint16_t)last};
    return count;
}

static size_t read_protos(const char *words, uint8_t *protos)
{
    unsigned proto;
    size_t count = 0;

    for (int used; words && sscanf(words, "%u%n", &proto, &used) == 1; words += used)
        protos[count++] = (uint8_t)proto;
    return count;
}

static size_t read_hostnames(const char *words, char *text, size_t size, pol_str *hostnames)
{
    size_t count = 0;

    snprintf(text, size, "%s", words ? words : "");
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        hostnames[count++] = str_of(word);
    return count;
}

static pol_tap *tap_of(size_t row)
{
    struct filter filter = {0};
    pol_tap_filter *form = &filter.form;
    pol_tap *tap = NULL;

    pol_tap_filter_init(form, sizeof(*form));
    form->src = filter.src;
    form->src_count = read_prefixes(cases[row].src, filter.src);
    form->dst = filter.dst;
    form->dst_count = read_prefixes(cases[row].dst, filter.dst);
    form->hostnames = filter.hostnames;
    form->hostname_count =
        read_hostnames(cases[row].hostnames, filter.text, sizeof(filter.text), filter.hostnames);
    form->protos = filter.protos;
    form->proto_count = read_protos(cases[row].protos, filter.protos);
    form->src_ports = filter.src_ports;
    form->src_port_count = read_ports(cases[row].src_ports, filter.src_ports);
    form->dst_ports = filter.dst_ports;
    form->dst_port_count = read_ports(cases[row].dst_ports, filter.dst_ports);
    cr_assert_eq(pol_tap_new(ctx, form, &tap, NULL), POL_OK, "row %zu", row);
    memset(&filter, 0xee, sizeof(filter)); /* it was borrowed for the call only */
    return tap;
}

static pol_event named_event(void)
{
    pol_event event = sample_hello("192.0.2.1", "api.example");

    event.fqdn_len = sample_text(event.fqdn, sizeof(event.fqdn), "cdn.example");
    return event;
}

Test(tap, lists_are_ored_inside_and_anded_with_each_other)
{
    pol_event event = named_event();

    for (size_t i = 0; i < COUNT(cases); i++) {
        pol_tap *tap = tap_of(i);
        size_t before = counting.requests;

        cr_expect_eq(pol_tap_match(tap, &event), cases[i].passes, "row %zu", i);
        cr_expect_eq(counting.requests, before, "row %zu allocates", i);
        pol_tap_free(tap);
    }
}

Test(tap, an_event_without_a_name_never_passes_a_hostname_filter)
{
    static const pol_str anything[] = {{".*", 2}};
    pol_event event = sample_deny(6, "192.0.2.1", 443);
    pol_tap_filter filter;
    pol_tap *tap = NULL;

    pol_tap_filter_init(&filter, sizeof(filter));
    filter.hostnames = anything;
    filter.hostname_count = 1;
    cr_assert_eq(pol_tap_new(ctx, &filter, &tap, NULL), POL_OK);
    cr_expect_not(pol_tap_match(tap, &event));
    event = named_event();
    cr_expect(pol_tap_match(tap, &event));
    pol_tap_free(tap);
}

Test(tap, no_filter_lets_everything_pass)
{
    pol_event event = named_event();
    pol_tap *tap = NULL;

    cr_assert_eq(pol_tap_new(ctx, NULL, &tap, NULL), POL_OK);
    cr_expect(pol_tap_match(tap, &event));
    pol_tap_free(tap);
    pol_tap_free(NULL);
}

Test(tap, a_bad_pattern_is_named_by_its_place)
{
    static const pol_str patterns[] = {{"good", 4}, {"(bad", 4}, {"good", 4}};
    pol_tap_filter filter;
    pol_tap *tap = NULL;
    size_t index = 99;

    pol_tap_filter_init(&filter, sizeof(filter));
    filter.hostnames = patterns;
    filter.hostname_count = 3;
    cr_expect_eq(pol_tap_new(ctx, &filter, &tap, &index), POL_E_FORMAT);
    cr_expect_eq(index, 1);
    cr_expect_eq(pol_tap_new(ctx, &filter, &tap, NULL), POL_E_FORMAT);
    cr_expect_null(tap);
}

Test(tap, prefixes_that_are_none_are_refused)
{
    static const pol_prefix bad[] = {
        {{4, {10}}, 255}, {{6, {0xfe}}, 129}, {{0, {0}}, 0}, {{4, {10, 0, 0, 1}}, 8}};

    for (size_t i = 0; i < COUNT(bad); i++) {
        pol_tap_filter filter;
        pol_tap *tap = NULL;

        pol_tap_filter_init(&filter, sizeof(filter));
        filter.src = &bad[i];
        filter.src_count = 1;
        cr_expect_eq(pol_tap_new(ctx, &filter, &tap, NULL), POL_E_INVALID, "%zu", i);
        pol_tap_filter_init(&filter, sizeof(filter));
        filter.dst = &bad[i];
        filter.dst_count = 1;
        cr_expect_eq(pol_tap_new(ctx, &filter, &tap, NULL), POL_E_INVALID, "%zu", i);
        cr_expect_null(tap);
    }
}

Test(tap, a_filter_of_unknown_size_is_refused)
{
    pol_tap_filter filter;
    pol_tap *tap = NULL;

    pol_tap_filter_init(&filter, sizeof(filter));
    filter.size = 8;
    cr_expect_eq(pol_tap_new(ctx, &filter, &tap, NULL), POL_E_ABI);
    cr_expect_null(tap);
}
