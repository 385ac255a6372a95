/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_BASE_H
#define LIBPOLICY_BASE_H

/*
 * The words every other header uses: status codes, time, borrowed slices, addresses.
 *
 * Rules that hold everywhere and are not repeated:
 *  - ports and all other numbers are in host byte order; address bytes are in network order
 *  - functions return POL_OK (0) or a negative enum pol_status, unless they say otherwise
 *  - outputs come last; ret_x is written on success only, reterr_x on failure only, unless they say
 *    otherwise
 *  - a pointer is not NULL unless its comment says that it may be; a list of length 0, or a buffer
 *    of capacity 0, may be
 *  - T **ret_t means the caller owns the result and releases it with the function named there;
 *    a returned pointer is borrowed from the object it was asked of
 *  - every _free and _unref accepts NULL; what an object needs of others it keeps alive itself, so
 *    they may be released in any order
 *  - callbacks return: they neither jump out nor throw, and they call no function on the object that
 *    calls them
 *  - option structs begin with their size and are prepared with their _init function, which fills
 *    in the defaults; a newer library accepts an older, shorter struct
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Stands before every function that the library exports. */
#if defined(__GNUC__)
#define POL_API __attribute__((visibility("default")))
#else
#define POL_API
#endif

/** Nanoseconds on one monotonic clock of the caller's choosing, which may begin anywhere below
 *  POL_NEVER; the library never reads a clock. A value smaller than the last one an object has seen
 *  is treated as that last one. Durations are of this type too: POL_NEVER has no end, and what would
 *  run out behind the end of the clock does not run out. */
typedef uint64_t pol_mono;

/** Milliseconds since 1970-01-01 00:00 UTC. */
typedef uint64_t pol_wall;

#define POL_NEVER   UINT64_MAX                /* "no such moment" in pol_mono and pol_wall */
#define POL_NONE    UINT32_MAX                /* "no such index" */
#define POL_SECONDS UINT64_C(1000000000)      /* nanoseconds in a second, for pol_mono */

/** Borrowed text: valid for the call unless a function says longer. No NUL is promised. */
typedef struct pol_str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;      /* octets */
} pol_str;

/** Borrowed octets, as pol_str. */
typedef struct pol_bytes {
    const uint8_t *ptr; /* may be NULL when len is 0 */
    size_t len;         /* octets */
} pol_bytes;

/** An IP address. Compare with memcmp(): unused bytes are always zero. */
typedef struct pol_addr {
    uint8_t family;    /* 4 or 6; 0 means "none" */
    uint8_t bytes[16]; /* network order; family 4 uses bytes[0..3], the rest is zero */
} pol_addr;

/** A network in CIDR form (RFC 4632, RFC 4291 2.3); bits behind the prefix are zero. */
typedef struct pol_prefix {
    pol_addr addr; /* the first address; its family is that of the prefix */
    uint8_t len;   /* 0..32 or 0..128 */
} pol_prefix;

/** XX(name, value, text): the one list of status codes. */
#define POL_STATUS_MAP(XX)                                                                         \
    XX(NOMEM, -1, "out of memory")                                                                 \
    XX(INVALID, -2, "argument outside its documented range")                                       \
    XX(ABI, -3, "options struct has a size this library cannot accept")                            \
    XX(POLICY, -4, "policy rejected; see the diagnostics")                                         \
    XX(FORMAT, -5, "bytes are not well-formed")                                                    \
    XX(TRUNCATED, -6, "more bytes are needed")                                                     \
    XX(NOSPACE, -7, "caller's buffer is too small; needed length returned")                        \
    XX(FULL, -8, "fixed capacity reached")                                                         \
    XX(LIMIT, -9, "a configured limit was exceeded")                                               \
    XX(NOTFOUND, -10, "no such entry")

/** What functions return. Errors are negative. */
enum pol_status {
    POL_OK = 0, /* it worked */
#define XX(name, value, text) POL_E_##name = value,
    POL_STATUS_MAP(XX)
#undef XX
};

/**
 * The name of a status code, such as "POL_E_NOMEM"; "POL_E_UNKNOWN" for a number that is none.
 * Static storage, never NULL.
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API const char *pol_status_name(int status);

/**
 * A short English text for a status code; "unknown status" for a number that is none. Static
 * storage, never NULL.
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API const char *pol_status_text(int status);

#define POL_NAME_MAX    255 /* octets of a DNS name in text form, without NUL */
#define POL_ADDR_TEXT   46  /* longest address text and its NUL */
#define POL_PREFIX_TEXT 50  /* the same with "/128" */

/**
 * Reads an address: dotted quad without leading zeros, or IPv6 text (RFC 4291 2.2). An IPv4-mapped
 * IPv6 address ("::ffff:a.b.c.d") is returned as the IPv4 address it means. No blanks, no zone.
 *
 * @return POL_OK, POL_E_FORMAT
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API int pol_addr_parse(pol_str text, pol_addr *ret_addr);

/**
 * Writes an address in the form of RFC 5952, with a terminating NUL.
 *
 * @param buf       at least POL_ADDR_TEXT octets; receives "none" for family 0
 * @return the length without the NUL
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API size_t pol_addr_format(const pol_addr *addr, char buf[POL_ADDR_TEXT]);

/**
 * Reads "address" or "address/length"; a bare address is a prefix of full length. Bits behind the
 * prefix may be set in the text and are cleared in the result.
 *
 * @return POL_OK, POL_E_FORMAT (not an address), POL_E_INVALID (prefix length out of range)
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API int pol_prefix_parse(pol_str text, pol_prefix *ret_prefix);

#ifdef __cplusplus
}
#endif

#endif
