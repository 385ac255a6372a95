// SPDX-License-Identifier: Apache-2.0
#include "link/ethtool.h"

#include <criterion/criterion.h>

Test(ethtool, udp_super_frames_need_linux_6_2)
{
    cr_assert(ethtool_kernel_has_udp_segments("6.2.0"));
    cr_assert(ethtool_kernel_has_udp_segments("6.12.22+deb13-amd64"));
    cr_assert(ethtool_kernel_has_udp_segments("7.0-rc1"));
    cr_assert_not(ethtool_kernel_has_udp_segments("6.1.0-28-amd64"));
    cr_assert_not(ethtool_kernel_has_udp_segments("5.15.0"));
    cr_assert_not(ethtool_kernel_has_udp_segments("linux"));
}

Test(ethtool, an_interface_that_is_not_there_has_no_offloads)
{
    bool lro = true, lost = true;

    ethtool_look("nonexistent", true, &lro, &lost);
    cr_assert_not(lro);
    cr_assert_not(lost);
}
