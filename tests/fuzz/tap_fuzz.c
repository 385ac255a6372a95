/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wiretap filter whose lists come from the input, and events judged by it and by a plain
 * evaluation of what tap.h says. Hostnames are patterns of any content; what they match is another
 * harness's question, so here they are asked of the regex engine directly.
 */
#include <libpolicy/tap.h>

#include "fuzz.h"
#include "pattern/regex.h"

enum { LIST = 4 };

struct lists {
    pol_prefix src[LIST], dst[LIST];
    pol_str hostnames[LIST];
    uint8_t protos[LIST];
    pol_port_range src_ports[LIST], dst_ports[LIST];
    struct regex *regexes[LIST];
};

static pol_prefix read_prefix(struct cursor *in)
{
    pol_prefix prefix = {.addr = input_addr(in)};
    unsigned len = cursor_u8(in) % (prefix.addr.family == 4 ? 33 : 129);

    prefix.len = (uint8_t)len;
    for (unsigned bit = len; bit < 128; bit++)
        prefix.addr.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    return prefix;
}

static void read_filter(struct cursor *in, struct lists *lists, pol_tap_filter *filter)
{
    pol_tap_filter_init(filter, sizeof(*filter));
    filter->src = lists->src;
    filter->dst = lists->dst;
    filter->hostnames = lists->hostnames;
    filter->protos = lists->protos;
    filter->src_ports = lists->src_ports;
    filter->dst_ports = lists->dst_ports;
    for (unsigned i = cursor_u8(in) % (LIST + 1); i > 0; i--)
        lists->src[filter->src_count++] = read_prefix(in);
    for (unsigned i = cursor_u8(in) % (LIST + 1); i > 0; i--)
        lists->dst[filter->dst_count++] = read_prefix(in);
    for (unsigned i = cursor_u8(in) % (LIST + 1); i > 0; i--)
        lists->protos[filter->proto_count++] = cursor_u8(in);
    for (unsigned i = cursor_u8(in) % (LIST + 1); i > 0; i--)
        lists->src_ports[filter->src_port_count++] = (pol_port_range){cursor_u8(in), cursor_u8(in)};
    for (unsigned i = cursor_u8(in) % (LIST + 1); i > 0; i--)
        lists->dst_ports[filter->dst_port_count++] =
            (pol_port_range){cursor_u16(in), cursor_u16(in)};
    for (unsigned i = cursor_u8(in) % (LIST + 1); i > 0; i--)
        lists->hostnames[filter->hostname_count++] = input_text(in);
}

static void read_event(struct cursor *in, pol_event *event)
{
    memset(event, 0, sizeof(*event));
    event->tuple.src = input_addr(in);
    event->tuple.dst = input_addr(in);
    event->tuple.proto = cursor_u8(in);
    event->tuple.src_port = cursor_u8(in);
    event->tuple.dst_port = cursor_u16(in);
    event->name_len = input_name(in, event->name);
    event->fqdn_len = input_name(in, event->fqdn);
}

/* --- the plain evaluation -------------------------------------------------------------------- */

static bool in_prefix(const pol_prefix *prefix, const pol_addr *addr)
{
    if (prefix->addr.family != addr->family)
        return false;
    for (unsigned bit = 0; bit < prefix->len; bit++) {
        unsigned differ = prefix->addr.bytes[bit / 8] ^ addr->bytes[bit / 8];

        if (differ & 0x80u >> bit % 8)
            return false;
    }
    return true;
}

static bool any_prefix(const pol_prefix *list, size_t count, const pol_addr *addr)
{
    bool any = count == 0;

    for (size_t i = 0; i < count; i++)
        any |= in_prefix(&list[i], addr);
    return any;
}

static bool any_port(const pol_port_range *list, size_t count, uint16_t port)
{
    bool any = count == 0;

    for (size_t i = 0; i < count; i++)
        any |= list[i].first <= port && port <= list[i].last;
    return any;
}

static bool any_name(const struct lists *lists, size_t count, const pol_event *event,
                     struct regex_scratch *scratch)
{
    pol_str texts[] = {{event->name, event->name_len}, {event->fqdn, event->fqdn_len}};
    bool any = count == 0;

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < 2; j++)
            any |= texts[j].len && regex_search(lists->regexes[i], scratch, texts[j]) == REGEX_YES;
    }
    return any;
}

static bool passes(const pol_tap_filter *filter, const struct lists *lists, const pol_event *event,
                   struct regex_scratch *scratch)
{
    bool proto = filter->proto_count == 0;

    for (size_t i = 0; i < filter->proto_count; i++)
        proto |= filter->protos[i] == event->tuple.proto;
    return proto && any_prefix(filter->src, filter->src_count, &event->tuple.src) &&
           any_prefix(filter->dst, filter->dst_count, &event->tuple.dst) &&
           any_port(filter->src_ports, filter->src_port_count, event->tuple.src_port) &&
           any_port(filter->dst_ports, filter->dst_port_count, event->tuple.dst_port) &&
           any_name(lists, filter->hostname_count, event, scratch);
}

/* How many of the hostnames are patterns that may be used: all, or those before a bad one. */
static size_t compile_names(const pol_ctx *ctx, struct lists *lists, size_t count)
{
    char error[REGEX_ERROR_TEXT];
    size_t good = 0;

    while (good < count &&
           regex_compile(ctx, lists->hostnames[good], true, &lists->regexes[good], error) == POL_OK)
        good++;
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = input_of(data, size);
    struct lists lists = {.protos = {0}};
    struct ledger ledger = {0, 0};
    struct regex_scratch *scratch;
    pol_tap_filter filter;
    pol_tap *tap = NULL;
    pol_event event;
    size_t wrong = 0, good;
    pol_ctx *ctx = ledger_ctx(&ledger, NULL);
    int rc;

    read_filter(&in, &lists, &filter);
    good = compile_names(ctx, &lists, filter.hostname_count);
    require(regex_scratch_new(ctx, &scratch) == POL_OK);
    rc = pol_tap_new(ctx, &filter, &tap, &wrong);
    require(rc == (good == filter.hostname_count ? POL_OK : POL_E_FORMAT));
    require(rc == POL_OK || wrong == good);
    for (unsigned i = 0; rc == POL_OK && i < 64 && cursor_left(&in); i++) {
        size_t calls = ledger.calls;

        read_event(&in, &event);
        require(pol_tap_match(tap, &event) == passes(&filter, &lists, &event, scratch));
        require(ledger.calls == calls);
    }
    pol_tap_free(tap);
    for (size_t i = 0; i < good; i++)
        regex_free(lists.regexes[i]);
    regex_scratch_free(scratch);
    pol_ctx_unref(ctx);
    require(ledger.bytes == 0);
    return 0;
}
