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
    PROTO_ICMPV6 = 58
};

/*
 * The kernel has taken the outermost VLAN tag away; one more may stand before the IP header. cBPF
 * jumps forward only, so the parts stand in the order in which they are reached.
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
    /*  9 */ IF_EQ(ETHER_IPV6, 26, 0),
    /* 10 */ BPF_STMT(BPF_RET | BPF_K, 0), /* neither: the first worker */

    /* IPv4: of an ICMP error (RFC 792) in a first or only fragment, the quoted header */
    /* 11 */ LOAD_X(BPF_B, 9),
    /* 12 */ IF_EQ(PROTO_ICMP, 0, 18),
    /* 13 */ LOAD_X(BPF_H, 6),
    /* 14 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 16, 0),
    /* 15 */ LOAD_X(BPF_B, 0),
    /* 16 */ OP(BPF_AND, 0x0f),
    /* 17 */ OP(BPF_LSH, 2),
    /* 18 */ BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
    /* 19 */ A_TO_X, /* the ICMP header */
    /* 20 */ LOAD_X(BPF_B, 0),
    /* 21 */ IF_EQ(3, 4, 0),
    /* 22 */ IF_EQ(4, 3, 0),
    /* 23 */ IF_EQ(5, 2, 0),
    /* 24 */ IF_EQ(11, 1, 0),
    /* 25 */ IF_EQ(12, 0, 3),
    /* 26 */ X_TO_A,
    /* 27 */ OP(BPF_ADD, 8),
    /* 28 */ GO(1),
    /* 29 */ BPF_STMT(BPF_LD | BPF_MEM, 0),
    /* 30 */ A_TO_X,
    /* 31 */ LOAD_X(BPF_W, 12),
    /* 32 */ STORE(HASH),
    /* 33 */ LOAD_X(BPF_W, 16),
    /* 34 */ X_FROM(HASH),
    /* 35 */ GO(12 + 8 * MIX_LENGTH),

    /* IPv6: of an ICMPv6 error (RFC 4443 2.1: types below 128) the quoted header */
    /* 36 */ LOAD_X(BPF_B, 6),
    /* 37 */ IF_EQ(PROTO_ICMPV6, 0, 6),
    /* 38 */ LOAD_X(BPF_B, 40),
    /* 39 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 4, 0),
    /* 40 */ X_TO_A,
    /* 41 */ OP(BPF_ADD, 48),
    /* 42 */ STORE(0),
    /* 43 */ X_FROM(0),
    /* 44 */ BPF_STMT(BPF_LD | BPF_IMM, 0),
    /* 45 */ STORE(HASH),
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
