// SPDX-License-Identifier: Apache-2.0
#include "link/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#define GROUPS                                                                                     \
    (RTMGRP_LINK | RTMGRP_TC | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |       \
     RTMGRP_IPV6_ROUTE)

/* A router with a full table may get news faster than they are read; the next round goes on. */
#define MOST_READS 4096

struct link_watch {
    struct mnl_socket *socket;
};

int link_watch_open(struct link_watch **ret_watch)
{
    struct link_watch *watch = calloc(1, sizeof(*watch));
    int rc = 0;

    if (!watch)
        return -ENOMEM;

    watch->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!watch->socket || mnl_socket_bind(watch->socket, GROUPS, MNL_SOCKET_AUTOPID) < 0)
        rc = -errno;

    if (rc == 0)
        *ret_watch = watch;
    else
        link_watch_close(watch);
    return rc;
}

void link_watch_close(struct link_watch *watch)
{
    if (watch && watch->socket)
        mnl_socket_close(watch->socket);
    free(watch);
}

int link_watch_fd(const struct link_watch *watch)
{
    return mnl_socket_get_fd(watch->socket);
}

/* What the news say is not read, so lost ones (ENOBUFS) and cut ones do not matter. */
void link_watch_clear(struct link_watch *watch)
{
    char octet;

    for (int i = 0; i < MOST_READS; i++) {
        if (recv(link_watch_fd(watch), &octet, sizeof(octet), MSG_DONTWAIT) < 0 &&
            errno != ENOBUFS && errno != EINTR)
            return;
    }
}
