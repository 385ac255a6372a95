/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LINK_ETHTOOL_H
#define LINK_ETHTOOL_H

#include <stdbool.h>

/* Fills in what only ethtool's ioctl tells. An interface without ethtool has neither. */
void ethtool_look(const char *name, bool is_veth, bool *ret_lro, bool *ret_udp_segments_lost);

/* Whether a kernel release, as in "6.1.0-28-amd64", can hand UDP super-frames to a packet socket:
 * 6.2 and later. What is no release cannot. */
bool ethtool_kernel_has_udp_segments(const char *release);

#endif
