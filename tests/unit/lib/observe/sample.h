/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAMPLE_H
#define SAMPLE_H

/*
 * Events made by hand.
 */

#include <libpolicy/audit.h>

#include <stdio.h>
#include <string.h>

#include "base/slice.h"

static inline pol_addr sample_addr(const char *text)
{
    pol_addr addr = {0};

    pol_addr_parse(str_of(text), &addr);
    return addr;
}

static inline uint8_t sample_text(char *field, size_t size, const char *text)
{
    snprintf(field, size, "%s", text);
    return (uint8_t)strlen(field);
}

/* A denied packet from 10.0.0.5:40000, of no group and no rule. */
static inline pol_event sample_deny(uint8_t proto, const char *dst, uint16_t dst_port)
{
    pol_event event = {.kind = POL_EV_DENY};

    event.tuple = (pol_tuple){
        .src = sample_addr("10.0.0.5"),
        .dst = sample_addr(dst),
        .src_port = 40000,
        .dst_port = dst_port,
        .proto = proto,
    };
    event.verdict.reason = POL_WHY_POLICY_DEFAULT;
    event.verdict.group = POL_NONE;
    event.verdict.rule = POL_NONE;
    return event;
}

static inline pol_event sample_query(const char *name, uint16_t qtype)
{
    pol_event event = sample_deny(17, "192.0.2.53", 53);

    event.kind = POL_EV_DNS;
    event.verdict.action = POL_ANSWER;
    event.verdict.raw_action = POL_DENY;
    event.verdict.reason = POL_WHY_DNS_NO_RULE;
    event.qtype = qtype;
    event.qclass = 1;
    event.rcode = 255;
    event.name_len = sample_text(event.name, sizeof(event.name), name);
    return event;
}

static inline pol_event sample_hello(const char *dst, const char *sni)
{
    pol_event event = sample_deny(6, dst, 443);

    event.name_len = sample_text(event.name, sizeof(event.name), sni);
    return event;
}

#endif
