/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_FANOUT_H
#define DATAPLANE_FANOUT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Lets packet sockets share an interface's frames (PACKET_FANOUT_CBPF). The program hashes the two
 * addresses alone, so that both directions and all fragments of a datagram meet, and for an ICMP
 * error those of the datagram it quotes. The kernel's own hash sends ICMP errors and first
 * fragments elsewhere (measured). The hash is the same everywhere: a flow has one number on both
 * interfaces. DHCP over IPv4, broadcast and multicast belong to no pair of addresses: the first
 * socket has them all.
 *
 * What the host sends is the group's choice: PACKET_IGNORE_OUTGOING of its sockets counts for
 * nothing, and kernels before 6.2 deliver it in any case.
 *
 * @return 0 or a negative errno
 */
int fanout_join(const int *fds, size_t count, bool ignore_outgoing);

#endif
