// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fanout.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdint.h>
#include <sys/socket.h>

/* Younger than the kernel headers of Debian 12; older kernels take no notice of it. */
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

/* Offsets from the network header, whatever stands before it. */
#define NET(offset)           ((uint32_t)(SKF_NET_OFF + (offset)))
#define META(offset)          ((uint32_t)(SKF_AD_OFF + (offset)))

#define LOAD(size, offset)    BPF_STMT(BPF_LD | (size) | BPF_ABS, (offset))
#define LOAD_X(size, offset)  BPF_STMT(BPF_LD | (size) | BPF_IND, NET(offset))
#define IF_EQ(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define OP(operation, value)  BPF_STMT(BPF_ALU | (operation) | BPF_K, (value))
#define STORE(cell)           BPF_STMT(BPF_ST, (cell))
#define X_FROM(cell)          BPF_STMT(BPF_LDX | BPF_MEM, (cell))
#define X_IS(value)           BPF_STMT(BPF_LDX | BPF_IMM, (value))
#define A_TO_X                BPF_STMT(BPF_MISC | BPF_TAX, 0)
#define X_TO_A                BPF_STMT(BPF_MISC | BPF_TXA, 0)
#define GO(distance)          BPF_JUMP(BPF_JMP | BPF_JA, (distance), 0, 0)
#define XOR_X                 BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0)

enum { HASH = 1 }; /* memory cell of the hash; cell 0 has where the IP header begins */

/* XORs a word of the IP header into the hash: 5 instructions. X is the header's place. */
#define MIX_WORD(offset) LOAD_X(BPF_W, offset), X_FROM(HASH), XOR_X, STORE(HASH), X_FROM(0)
#define MIX_LENGTH       5
#define MIX_8_WORDS                                                                                \
    MIX_WORD(8), MIX_WORD(12), MIX_WORD(16), MIX_WORD(20), MIX_WORD(24), MIX_WORD(28),             \
        MIX_WORD(32), MIX_WORD(36)

enum {
    ETHER_IPV4 = 0x0800,
    ETHER_IPV6 = 0x86dd,
    ETHER_VLAN = 0x8100,
    ETHER_QINQ = 0x88a8,
    PROTO_ICMP = 1,
    PROTO_UDP = 17,
    PROTO_ICMPV6 = 58,
    DHCP_SERVER_PORT = 67,
    DHCP_CLIENT_PORT = 68
};

#define FIRST_WORKER   BPF_STMT(BPF_RET | BPF_K, 0)
#define IPV4_MULTICAST 0xe0000000 /* and above it the broadcast address */
#define FRAGMENT       0x3fff     /* more fragments, or an offset */
#define LATER_FRAGMENT 0x1fff

/*
 * The kernel has taken the outermost VLAN tag away; one more may stand before the IP header. cBPF
 * jumps forward only, so the parts stand in the order in which they are reached.
 *
 * What has no pair of addresses of its own goes to the first worker: the messages of one DHCP
 * exchange are sent to everyone or to a client, and who has joined a group is told to the routers
 * (RFC 3376 4.2.14). What one of them opens must be known where the next one comes in.
 */
static struct sock_filter program[] = {
    /* where does IP begin, and which one is it? */
    /*  0 */ LOAD(BPF_W, META(SKF_AD_PROTOCOL)),
    /*  1 */ IF_EQ(ETHER_VLAN, 1, 0),
    /*  2 */ IF_EQ(ETHER_QINQ, 0, 3),
    /*  3 */ LOAD(BPF_H, NET(2)), /* the inner EtherType, behind two octets of tag */
    /*  4 */ X_IS(4),
    /*  5 */ GO(1),
    /*  6 */ X_IS(0),
    /*  7 */ BPF_STMT(BPF_STX, 0),
    /*  8 */ IF_EQ(ETHER_IPV4, 2, 0),
    /*  9 */ IF_EQ(ETHER_IPV6, 44, 0),
    /* 10 */ FIRST_WORKER,

    /* IPv4: to everyone or a group, or DHCP in one piece */
    /* 11 */ LOAD_X(BPF_W, 16),
    /* 12 */ BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, IPV4_MULTICAST, 0, 1),
    /* 13 */ FIRST_WORKER,
    /* 14 */ LOAD_X(BPF_B, 9),
    /* 15 */ IF_EQ(PROTO_ICMP, 15, 0),
    /* 16 */ IF_EQ(PROTO_UDP, 0, 32),
    /* 17 */ LOAD_X(BPF_H, 6),
    /* 18 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FRAGMENT, 30, 0),
    /* 19 */ LOAD_X(BPF_B, 0),
    /* 20 */ OP(BPF_AND, 0x0f),
    /* 21 */ OP(BPF_LSH, 2),
    /* 22 */ BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
    /* 23 */ A_TO_X, /* the UDP header */
    /* 24 */ LOAD_X(BPF_H, 0),
    /* 25 */ IF_EQ(DHCP_SERVER_PORT, 4, 0),
    /* 26 */ IF_EQ(DHCP_CLIENT_PORT, 3, 0),
    /* 27 */ LOAD_X(BPF_H, 2),
    /* 28 */ IF_EQ(DHCP_SERVER_PORT, 1, 0),
    /* 29 */ IF_EQ(DHCP_CLIENT_PORT, 0, 17),
    /* 30 */ FIRST_WORKER,

    /* IPv4: of an ICMP error (RFC 792) in a first or only fragment, the quoted header */
    /* 31 */ LOAD_X(BPF_H, 6),
    /* 32 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, LATER_FRAGMENT, 16, 0),
    /* 33 */ LOAD_X(BPF_B, 0),
    /* 34 */ OP(BPF_AND, 0x0f),
    /* 35 */ OP(BPF_LSH, 2),
    /* 36 */ BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
    /* 37 */ A_TO_X, /* the ICMP header */
    /* 38 */ LOAD_X(BPF_B, 0),
    /* 39 */ IF_EQ(3, 4, 0),
    /* 40 */ IF_EQ(4, 3, 0),
    /* 41 */ IF_EQ(5, 2, 0),
    /* 42 */ IF_EQ(11, 1, 0),
    /* 43 */ IF_EQ(12, 0, 3),
    /* 44 */ X_TO_A,
    /* 45 */ OP(BPF_ADD, 8),
    /* 46 */ GO(1),
    /* 47 */ BPF_STMT(BPF_LD | BPF_MEM, 0),
    /* 48 */ A_TO_X,
    /* 49 */ LOAD_X(BPF_W, 12),
    /* 50 */ STORE(HASH),
    /* 51 */ LOAD_X(BPF_W, 16),
    /* 52 */ X_FROM(HASH),
    /* 53 */ GO(15 + 8 * MIX_LENGTH),

    /* IPv6: to a group; of an ICMPv6 error (RFC 4443 2.1: types below 128) the quoted header */
    /* 54 */ LOAD_X(BPF_B, 24),
    /* 55 */ IF_EQ(0xff, 0, 1),
    /* 56 */ FIRST_WORKER,
    /* 57 */ LOAD_X(BPF_B, 6),
    /* 58 */ IF_EQ(PROTO_ICMPV6, 0, 6),
    /* 59 */ LOAD_X(BPF_B, 40),
    /* 60 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 4, 0),
    /* 61 */ X_TO_A,
    /* 62 */ OP(BPF_ADD, 48),
    /* 63 */ STORE(0),
    /* 64 */ X_FROM(0),
    /* 65 */ BPF_STMT(BPF_LD | BPF_IMM, 0),
    /* 66 */ STORE(HASH),
    MIX_8_WORDS,
    X_FROM(HASH),
    BPF_STMT(BPF_LD | BPF_IMM, 0),

    /* both: A and X are combined; the high bits of a product depend on all of them */
    XOR_X,
    OP(BPF_MUL, 0x9e3779b1),
    OP(BPF_RSH, 16),
    BPF_STMT(BPF_RET | BPF_A, 0),
};

static int join_group(int fd, uint16_t id, uint16_t flags)
{
    uint32_t arg = id | (uint32_t)(PACKET_FANOUT_CBPF | flags) << 16;

    return setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &arg, sizeof(arg)) < 0 ? -errno : 0;
}

int fanout_join(const int *fds, size_t count, bool ignore_outgoing)
{
    struct sock_fprog code = {sizeof(program) / sizeof(program[0]), program};
    uint16_t flags = ignore_outgoing ? PACKET_FANOUT_FLAG_IGNORE_OUTGOING : 0;
    uint32_t id;
    socklen_t len = sizeof(id);
    int rc;

    rc = join_group(fds[0], 0, PACKET_FANOUT_FLAG_UNIQUEID | flags);
    if (rc < 0)
        return rc;
    if (getsockopt(fds[0], SOL_PACKET, PACKET_FANOUT, &id, &len) < 0)
        return -errno;

    for (size_t i = 1; i < count && rc == 0; i++)
        rc = join_group(fds[i], (uint16_t)id, flags);
    if (rc == 0 && setsockopt(fds[0], SOL_PACKET, PACKET_FANOUT_DATA, &code, sizeof(code)) < 0)
        rc = -errno;
    return rc;
}
