// SPDX-License-Identifier: Apache-2.0
#include "http/tap_query.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/tap_hub.h"
#include "http/query.h"
#include "http/respond.h"

#define VALUES     64   /* of one parameter */
#define VALUE_SIZE 1024 /* octets of one value and its NUL */

/* A query on its way to a filter. */
struct asked {
    pol_prefix src[VALUES], dst[VALUES];
    size_t src_count, dst_count;
    char *hostnames[VALUES];
    size_t hostname_count;
    uint8_t protos[VALUES];
    size_t proto_count;
    bool any_proto;
    pol_port_range src_ports[VALUES], dst_ports[VALUES];
    size_t src_port_count, dst_port_count;
    uint32_t kinds; /* enum tap_kind */
};

static bool read_prefix(const char *value, pol_prefix *list, size_t *count)
{
    return pol_prefix_parse((pol_str){value, strlen(value)}, &list[(*count)++]) == POL_OK;
}

static const char *read_src(struct asked *asked, const char *value)
{
    return read_prefix(value, asked->src, &asked->src_count) ? NULL : "is no address or network";
}

static const char *read_dst(struct asked *asked, const char *value)
{
    return read_prefix(value, asked->dst, &asked->dst_count) ? NULL : "is no address or network";
}

/* Whether it is a regular expression is seen when the filter is made. */
static const char *read_hostname(struct asked *asked, const char *value)
{
    char *copy = *value ? strdup(value) : NULL;

    if (!copy)
        return *value ? "needs more memory than there is" : "is empty";

    asked->hostnames[asked->hostname_count++] = copy;
    return NULL;
}

/* Decimal digits alone, up to `most`. */
static bool read_number(const char *text, const char **ret_end, unsigned most, unsigned *ret_number)
{
    unsigned number = 0;
    const char *at = text;

    for (; isdigit((unsigned char)*at) && number <= most; at++)
        number = 10 * number + (unsigned)(*at - '0');
    *ret_end = at;
    *ret_number = number;
    return at > text && number <= most;
}

static const char *read_proto(struct asked *asked, const char *value)
{
    static const struct {
        const char *word;
        uint8_t number;
    } words[] = {{"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"icmpv6", 58}};
    const char *end;
    unsigned number;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(value, words[i].word) == 0) {
            asked->protos[asked->proto_count++] = words[i].number;
            return NULL;
        }
    }
    if (strcasecmp(value, "any") == 0) {
        asked->any_proto = true;
        return NULL;
    }
    if (!read_number(value, &end, 255, &number) || *end)
        return "is none of any, tcp, udp, icmp, icmpv6, 0 to 255";

    asked->protos[asked->proto_count++] = (uint8_t)number;
    return NULL;
}

static const char *read_ports(const char *value, pol_port_range *list, size_t *count)
{
    unsigned first, last;
    const char *end;
    bool good = read_number(value, &end, 65535, &first);

    last = first;
    if (good && *end == '-')
        good = read_number(end + 1, &end, 65535, &last);
    if (!good || *end || last < first)
        return "is no port from 0 to 65535, or range such as 8000-8999";

    list[(*count)++] = (pol_port_range){(uint16_t)first, (uint16_t)last};
    return NULL;
}

static const char *read_src_port(struct asked *asked, const char *value)
{
    return read_ports(value, asked->src_ports, &asked->src_port_count);
}

static const char *read_dst_port(struct asked *asked, const char *value)
{
    return read_ports(value, asked->dst_ports, &asked->dst_port_count);
}

static const char *read_kind(struct asked *asked, const char *value)
{
    static const struct {
        const char *word;
        enum tap_kind kind;
    } words[] = {{"flow", TAP_FLOW}, {"update", TAP_UPDATE}, {"deny", TAP_DENY}, {"dns", TAP_DNS}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(value, words[i].word) == 0) {
            asked->kinds |= words[i].kind;
            return NULL;
        }
    }
    return "is none of flow, update, deny, dns";
}

/* Each returns NULL, or what is wrong with the value. */
static const struct {
    const char *key;
    const char *(*read)(struct asked *asked, const char *value);
} parameters[] = {
    {"src_cidr", read_src},      {"dst_cidr", read_dst}, {"hostname", read_hostname},
    {"proto", read_proto},       {"kind", read_kind},    {"src_port", read_src_port},
    {"dst_port", read_dst_port},
};

#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

static bool take_pair(struct asked *asked, size_t *counts, const char *key, const char *value,
                      struct http_reply *reply)
{
    const char *wrong;
    size_t i = 0;

    while (i < PARAMETERS && strcmp(parameters[i].key, key) != 0)
        i++;
    if (i == PARAMETERS)
        return true;

    if (counts[i]++ == VALUES)
        wrong = "is one value too many";
    else if (strlen(value) == VALUE_SIZE - 1)
        wrong = "is too long";
    else
        wrong = parameters[i].read(asked, value);
    if (wrong)
        respond_error(reply, 400, "%s: \"%.200s\" %s", key, value, wrong);
    return !wrong;
}

static bool parse(const char *text, struct asked *asked, struct http_reply *reply)
{
    struct query query = {.rest = text};
    char key[64], value[VALUE_SIZE];
    size_t counts[PARAMETERS] = {0};

    while (query_next(&query, key, sizeof(key), value, sizeof(value)))
        if (!take_pair(asked, counts, key, value, reply))
            return false;
    return true;
}

static bool make_tap(pol_ctx *ctx, const struct asked *asked, pol_tap **ret_tap,
                     struct http_reply *reply)
{
    pol_str hostnames[VALUES];
    pol_tap_filter filter;
    size_t wrong = 0;
    int rc;

    for (size_t i = 0; i < asked->hostname_count; i++)
        hostnames[i] = (pol_str){asked->hostnames[i], strlen(asked->hostnames[i])};

    pol_tap_filter_init(&filter, sizeof(filter));
    filter.src = asked->src;
    filter.src_count = asked->src_count;
    filter.dst = asked->dst;
    filter.dst_count = asked->dst_count;
    filter.hostnames = hostnames;
    filter.hostname_count = asked->hostname_count;
    filter.protos = asked->protos;
    filter.proto_count = asked->any_proto ? 0 : asked->proto_count;
    filter.src_ports = asked->src_ports;
    filter.src_port_count = asked->src_port_count;
    filter.dst_ports = asked->dst_ports;
    filter.dst_port_count = asked->dst_port_count;
    rc = pol_tap_new(ctx, &filter, ret_tap, &wrong);
    if (rc == POL_E_FORMAT)
        respond_error(reply, 400, "hostname: \"%.200s\" is no regular expression that is allowed",
                      asked->hostnames[wrong]);
    else if (rc < 0)
        respond_error(reply, 503, "wiretap unavailable: %s", pol_status_text(rc));
    return rc == POL_OK;
}

bool tap_query_read(pol_ctx *ctx, const char *query, pol_tap **ret_tap, uint32_t *ret_kinds,
                    struct http_reply *reply)
{
    struct asked *asked = calloc(1, sizeof(*asked));
    bool good;

    if (!asked) {
        reply->body.failed = true;
        return false;
    }

    good = parse(query, asked, reply) && make_tap(ctx, asked, ret_tap, reply);
    if (good)
        *ret_kinds = asked->kinds ? asked->kinds : TAP_FLOW;
    for (size_t i = 0; i < asked->hostname_count; i++)
        free(asked->hostnames[i]);
    free(asked);
    return good;
}
