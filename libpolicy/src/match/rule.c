/* SPDX-License-Identifier: Apache-2.0 */
#include "match/rule.h"

#include "net/ipset.h"
#include "net/portset.h"
#include "net/proto.h"

static bool proto_holds(const struct pp_step *step, uint8_t proto)
{
    if (!step->any_proto)
        return proto == step->proto;

    /* "any" with ICMP types means ICMPv4: the numbers mean other things in ICMPv6. */
    return !step->icmp || proto == PROTO_ICMP;
}

static bool ports_hold(const struct portset *set, bool has_ports, uint16_t port)
{
    return !set || (has_ports && portset_has(set, port));
}

static bool icmp_holds(const struct pp_icmp *icmp, const struct classify_key *key)
{
    if (!icmp)
        return true;
    return key->is_icmp && (icmp->any_type || pp_octets_has(&icmp->types, key->icmp_type)) &&
           (icmp->any_code || pp_octets_has(&icmp->codes, key->icmp_code));
}

bool rule_selects(const struct pp_step *step, const struct classify_key *key)
{
    return proto_holds(step, key->proto) &&
           ports_hold(step->dst_ports, key->has_ports, key->dst_port) &&
           ports_hold(step->src_ports, key->has_ports, key->src_port) &&
           icmp_holds(step->icmp, key) && (!step->dst || ipset_has(step->dst, &key->dst));
}
