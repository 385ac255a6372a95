// SPDX-License-Identifier: Apache-2.0
#include "link/ethtool.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>

#define MOST_FEATURES 256 /* Linux has 60 or so */

static bool ask(int fd, const char *name, void *command)
{
    struct ifreq request = {.ifr_data = command};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

static bool has_lro(int fd, const char *name)
{
    struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};

    return ask(fd, name, &flags) && flags.data & ETH_FLAG_LRO;
}

static unsigned count_features(int fd, const char *name)
{
    enum { COUNT = sizeof(struct ethtool_sset_info) / sizeof(uint32_t) }; /* stands behind it */
    union {
        struct ethtool_sset_info info;
        uint32_t words[COUNT + 1];
    } question = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};

    if (!ask(fd, name, &question) || !question.info.sset_mask)
        return 0;
    return question.words[COUNT] > MOST_FEATURES ? 0 : question.words[COUNT];
}

/* The names of all features; the caller's to free(). */
static struct ethtool_gstrings *feature_names(int fd, const char *name, unsigned count)
{
    struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);

    if (!names)
        return NULL;

    *names = (struct ethtool_gstrings){
        .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = count};
    if (!ask(fd, name, names) || names->len != count) {
        free(names);
        return NULL;
    }
    return names;
}

/* The bits of all features; the caller's to free(). */
static struct ethtool_gfeatures *feature_bits(int fd, const char *name, unsigned count)
{
    unsigned blocks = (count + 31) / 32;
    struct ethtool_gfeatures *bits =
        calloc(1, sizeof(*bits) + blocks * sizeof(struct ethtool_get_features_block));

    if (!bits)
        return NULL;

    *bits = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = blocks};
    if (!ask(fd, name, bits)) {
        free(bits);
        return NULL;
    }
    return bits;
}

/* A veth hands over what its peer was given to send; both ends are usually set alike. */
static bool makes_udp_segments(const char *feature, bool is_veth)
{
    return strncmp(feature, "rx-udp-gro-forwarding", ETH_GSTRING_LEN) == 0 ||
           strncmp(feature, "rx-gro-list", ETH_GSTRING_LEN) == 0 ||
           (is_veth && strncmp(feature, "tx-udp-segmentation", ETH_GSTRING_LEN) == 0);
}

static bool may_get_udp_segments(int fd, const char *name, bool is_veth)
{
    unsigned count = count_features(fd, name);
    struct ethtool_gstrings *names = count ? feature_names(fd, name, count) : NULL;
    struct ethtool_gfeatures *bits = names ? feature_bits(fd, name, count) : NULL;
    bool found = false;

    for (unsigned i = 0; bits && i < count; i++) {
        const char *feature = (const char *)names->data + (size_t)i * ETH_GSTRING_LEN;

        if (bits->features[i / 32].active >> i % 32 & 1 && makes_udp_segments(feature, is_veth))
            found = true;
    }

    free(bits);
    free(names);
    return found;
}

bool ethtool_kernel_has_udp_segments(const char *release)
{
    unsigned major, minor;

    if (sscanf(release, "%u.%u", &major, &minor) != 2)
        return false;
    return major > 6 || (major == 6 && minor >= 2);
}

void ethtool_look(const char *name, bool is_veth, bool *ret_lro, bool *ret_udp_segments_lost)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct utsname kernel;

    *ret_lro = *ret_udp_segments_lost = false;
    if (fd < 0)
        return;

    *ret_lro = has_lro(fd, name);
    if (uname(&kernel) == 0 && !ethtool_kernel_has_udp_segments(kernel.release))
        *ret_udp_segments_lost = may_get_udp_segments(fd, name, is_veth);
    close(fd);
}
