/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structs without a size that callers make room for never change their size or their offsets: a
 * newer library could not tell that a caller is older. It is enough that this file compiles; on
 * machines with pointers of 64 bits. Of the structs beside the packet path the size is told here,
 * and the baseline knows the offsets.
 */
#include <libpolicy/policy.h>

#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " has another size")
#define AT(type, field, offset)                                                                    \
    _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")

_Static_assert(sizeof(void *) == 8, "the numbers here are those of 64 bits");

SIZE(pol_str, 16);
AT(pol_str, ptr, 0);
AT(pol_str, len, 8);

SIZE(pol_bytes, 16);
AT(pol_bytes, ptr, 0);
AT(pol_bytes, len, 8);

SIZE(pol_addr, 17);
AT(pol_addr, family, 0);
AT(pol_addr, bytes, 1);

SIZE(pol_prefix, 18);
AT(pol_prefix, addr, 0);
AT(pol_prefix, len, 17);

SIZE(pol_tuple, 40);
AT(pol_tuple, src, 0);
AT(pol_tuple, dst, 17);
AT(pol_tuple, src_port, 34);
AT(pol_tuple, dst_port, 36);
AT(pol_tuple, proto, 38);

SIZE(pol_packet, 160);
AT(pol_packet, tuple, 0);
AT(pol_packet, kind, 40);
AT(pol_packet, side, 41);
AT(pol_packet, hop_limit, 42);
AT(pol_packet, tcp_flags, 43);
AT(pol_packet, icmp_type, 44);
AT(pol_packet, icmp_code, 45);
AT(pol_packet, vlan_count, 46);
AT(pol_packet, frag_more, 47);
AT(pol_packet, vlan, 48);
AT(pol_packet, ether_type, 52);
AT(pol_packet, frag_offset, 54);
AT(pol_packet, frag_len, 56);
AT(pol_packet, l4_offset, 58);
AT(pol_packet, segment_len, 60);
AT(pol_packet, marks, 64);
AT(pol_packet, frag_id, 68);
AT(pol_packet, tcp_seq, 72);
AT(pol_packet, tcp_ack, 76);
AT(pol_packet, wire_len, 80);
AT(pol_packet, ip_len, 84);
AT(pol_packet, payload, 88);
AT(pol_packet, inner, 104);
AT(pol_packet, reserved, 144);

SIZE(pol_verdict, 64);
AT(pol_verdict, action, 0);
AT(pol_verdict, raw_action, 1);
AT(pol_verdict, side, 2);
AT(pol_verdict, reserved0, 3);
AT(pol_verdict, reason, 4);
AT(pol_verdict, reserved1, 6);
AT(pol_verdict, flags, 8);
AT(pol_verdict, group, 12);
AT(pol_verdict, rule, 16);
AT(pol_verdict, group_key, 24);
AT(pol_verdict, generation, 32);
AT(pol_verdict, flow, 40);
AT(pol_verdict, reserved, 48);

SIZE(pol_event, 1000);
AT(pol_event, kind, 0);
AT(pol_event, end, 1);
AT(pol_event, icmp_type, 2);
AT(pol_event, icmp_code, 3);
AT(pol_event, name_len, 4);
AT(pol_event, fqdn_len, 5);
AT(pol_event, vlan, 6);
AT(pol_event, tuple, 8);
AT(pol_event, verdict, 48);
AT(pol_event, names_key, 112);
AT(pol_event, at, 120);
AT(pol_event, first, 128);
AT(pol_event, last, 136);
AT(pol_event, packets_out, 144);
AT(pol_event, packets_in, 152);
AT(pol_event, bytes_out, 160);
AT(pol_event, bytes_in, 168);
AT(pol_event, qtype, 176);
AT(pol_event, qclass, 178);
AT(pol_event, rcode, 180);
AT(pol_event, answer_count, 181);
AT(pol_event, learned, 182);
AT(pol_event, reserved, 184);
AT(pol_event, answers, 216);
AT(pol_event, name, 488);
AT(pol_event, fqdn, 744);

SIZE(pol_mem, 32);
SIZE(pol_idle, 64);
SIZE(pol_grant, 344);
SIZE(pol_grants_stats, 96);
SIZE(pol_dns_query, 432);
SIZE(pol_dns_learned, 32);
SIZE(pol_finding, 3192);
SIZE(pol_audit_stats, 56);
SIZE(pol_port_range, 4);
SIZE(pol_ready_line, 56);
SIZE(pol_certificate, 33888);
