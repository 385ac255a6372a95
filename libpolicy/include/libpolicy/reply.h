/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_REPLY_H
#define LIBPOLICY_REPLY_H

/*
 * Frames of our own: what a bump in the wire sends when it does not forward. The reply borrows the
 * addresses of the frame it answers, link layer and VLAN tags included, so the wire needs no address
 * of its own.
 *
 *   POL_REJECT  pol_reply_reject() towards the sender; when a known TCP flow was denied
 *               (POL_V_KNOWN), pol_reply_reset() towards the other end as well
 *   POL_ANSWER  pol_dns_refuse(), then pol_reply_dns() towards the sender
 *   too long    pol_reply_too_big() towards the sender
 *
 * All of these write checksums in full (RFC 1071), never for the hardware to finish.
 */

#include <libpolicy/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Octets that are enough for any reply but that to a DNS query: link header with two tags, an IPv6
 *  header and an ICMPv6 error of the minimum MTU (RFC 4443 2.4 c). */
#define POL_REPLY_MAX 1320

/**
 * Writes the refusal of a packet, addressed to its sender:
 *   TCP      RST as RFC 9293 3.10.7.1 builds it for a closed port, from the far end
 *   other    ICMP 3/13 (RFC 1812 5.2.7.1) or ICMPv6 1/1 (RFC 4443 3.1), from the far end's address
 *
 * Nothing is written, with POL_E_INVALID, where a reply is forbidden: to a RST, an ICMP error, a
 * later fragment, a malformed packet, a broadcast, multicast or unspecified address on either layer
 * (RFC 1122 3.2.2, RFC 4443 2.4 e).
 *
 * @param packet  what pol_packet_parse() made of @p frame
 * @param frame   the frame that is not forwarded
 * @param link    its link type; Ethernet and raw IP
 *
 * @return POL_OK, POL_E_INVALID, POL_E_NOSPACE
 *
 * Thread class: any thread. Allocates nothing. The same holds for all functions here.
 */
POL_API int pol_reply_reject(const pol_packet *packet, pol_bytes frame, enum pol_link link,
                             uint8_t *buf, size_t capacity, size_t *ret_len);

/**
 * Writes a RST in the direction in which the denied TCP segment was going, so that the far end
 * closes too (RFC 9293 3.5.2: sequence number that of the segment, ACK as the segment had it).
 *
 * @return POL_OK, POL_E_INVALID (no TCP, or a SYN without ACK: the far end knows of nothing),
 *         POL_E_NOSPACE
 */
POL_API int pol_reply_reset(const pol_packet *packet, pol_bytes frame, enum pol_link link,
                            uint8_t *buf, size_t capacity, size_t *ret_len);

/**
 * Writes "packet too big" to the sender: ICMPv6 2/0 (RFC 4443 3.2), or ICMP 3/4 with the MTU
 * (RFC 1191 4) when the packet must not be fragmented.
 *
 * @param mtu  octets of an IP datagram that fit the next link
 *
 * @return POL_OK, POL_E_INVALID (as above, and IPv4 without DF), POL_E_NOSPACE
 */
POL_API int pol_reply_too_big(const pol_packet *packet, pol_bytes frame, enum pol_link link,
                              uint32_t mtu, uint8_t *buf, size_t capacity, size_t *ret_len);

/**
 * Writes the frame that carries @p message as the UDP answer to the query in @p frame, from the
 * resolver's address and port. A message longer than the query's sender can take is the caller's
 * to avoid; the frame is never fragmented.
 *
 * @return POL_OK, POL_E_INVALID (not UDP, or a fragment), POL_E_NOSPACE
 */
POL_API int pol_reply_dns(const pol_packet *packet, pol_bytes frame, enum pol_link link,
                          pol_bytes message, uint8_t *buf, size_t capacity, size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
