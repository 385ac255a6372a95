/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_REPLY_H
#define LIBPOLICY_REPLY_H

/*
 * Frames of our own: what a bump in the wire sends when it does not forward. The reply borrows the
 * addresses of the frame it answers, link layer and VLAN tags included, so the wire needs no
 * address of its own.
 *
 *   POL_REJECT  pol_reply_reject() towards the sender; when a known TCP flow was denied
 *               (POL_V_KNOWN), pol_reply_reset() towards the other end as well
 *   POL_ANSWER  pol_dns_refuse(), then pol_reply_dns() towards the sender
 *   too long    pol_reply_too_big() towards the sender
 *
 * What all of them share:
 *
 * A reply has TTL or hop limit 64, IPv4 has DF and no identification (RFC 6864 4.1), and there are
 * no IP options or extension headers. It is not padded to the shortest Ethernet frame, which is the
 * driver's work.
 *
 * Checksums are written in full (RFC 1071), never for the hardware to finish. The frame that is
 * answered may have unfinished ones, may be longer than any MTU (a super-frame), and may be cut
 * short by the capture; what an ICMP error quotes of it is quoted as it came.
 *
 * POL_E_INVALID, and nothing is written, where there is nobody to answer or nobody to answer as:
 * no IP, a malformed packet, a later fragment; a source or destination that is no single host
 * (0/8, 127/8, 224/3; "::", "::1", ff00::/8: RFC 1122 3.2.2, RFC 4443 2.4 e) or, on Ethernet, no
 * single station (group bit, all zero); a link type other than Ethernet and raw IP; a packet that
 * is not of that frame. RFC 4443 2.4 e.3 would permit "packet too big" about a multicast
 * destination, but such an error cannot come from the group's address (RFC 4291 2.7), and ours has
 * no other.
 *
 * POL_E_NOSPACE, and nothing is written but *ret_len, the length needed, when that is more than
 * the capacity.
 *
 *   packet   what pol_packet_parse() made of frame
 *   frame    the frame that is not forwarded; does not overlap buf
 *   link     its link type
 *   ret_len  octets written
 *
 * Thread class: any thread. Allocates nothing.
 */

#include <libpolicy/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Octets that are enough for any reply but that to a DNS query: link header with four tags, and an
 *  ICMPv6 error of the minimum MTU (RFC 4443 2.4 c). */
#define POL_REPLY_MAX 1320

/**
 * Writes the refusal of a packet, addressed to its sender, from the far end's address:
 *
 *   TCP    RST as RFC 9293 3.10.7.1 builds it for a closed port: with the sequence number that was
 *          acknowledged, or else acknowledging the whole segment
 *   other  ICMP 3/13 (RFC 1812 5.2.7.1) or ICMPv6 1/1 (RFC 4443 3.1), quoting as much of the
 *          datagram as fits 576 (RFC 1812 4.3.2.3) or 1280 octets
 *
 * @return POL_OK
 *         POL_E_INVALID  as above; a RST; ICMP that is no query (RFC 1122 3.2.2, RFC 4443 2.4 e)
 *         POL_E_NOSPACE
 */
POL_API int pol_reply_reject(const pol_packet *packet, pol_bytes frame, enum pol_link link,
                             uint8_t *buf, size_t capacity, size_t *ret_len);

/**
 * Writes a RST in the direction in which the denied TCP segment was going, so that the far end
 * closes too (RFC 9293 3.5.2: sequence number that of the segment, ACK as the segment had it). A
 * far end that expects another number answers with a challenge ACK (RFC 5961 3.2); denied in its
 * turn, that draws from pol_reply_reject() the RST that fits.
 *
 * @return POL_OK
 *         POL_E_INVALID  as above; no TCP; a SYN without ACK: the far end knows of nothing
 *         POL_E_NOSPACE
 */
POL_API int pol_reply_reset(const pol_packet *packet, pol_bytes frame, enum pol_link link,
                            uint8_t *buf, size_t capacity, size_t *ret_len);

/**
 * Writes "packet too big" to the sender: ICMPv6 2/0 (RFC 4443 3.2), or ICMP 3/4 with the MTU
 * (RFC 1191 4) when the packet must not be fragmented.
 *
 * @param mtu  octets of an IP datagram that fit the next link; at least 68, IPv6: 1280
 *
 * @return POL_OK
 *         POL_E_INVALID  as above; ICMP that is no query; IPv4 without DF; a smaller @p mtu, or one
 *                        that the datagram fits
 *         POL_E_NOSPACE
 */
POL_API int pol_reply_too_big(const pol_packet *packet, pol_bytes frame, enum pol_link link,
                              uint32_t mtu, uint8_t *buf, size_t capacity, size_t *ret_len);

/**
 * Writes the frame that carries @p message as the UDP answer to the query in @p frame, from the
 * resolver's address and port. A message longer than the query's sender can take is the caller's
 * to avoid; the frame is never fragmented.
 *
 * @return POL_OK
 *         POL_E_INVALID  as above; no UDP, or any fragment; source port 0, which wants no answer
 *                        (RFC 768); a message above 65 507 octets
 *         POL_E_NOSPACE  the message needs at most 78 octets besides its own
 */
POL_API int pol_reply_dns(const pol_packet *packet, pol_bytes frame, enum pol_link link,
                          pol_bytes message, uint8_t *buf, size_t capacity, size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
