/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpolicy/packet.h>

/*
 * A capture file, pcap or pcapng, read frame by frame. What goes wrong is one line for people that
 * names the file, the packet, the cause and what to do; it needs no words around it.
 */
struct capture;

#define CAPTURE_ERROR_TEXT 512 /* room for the longest error and its NUL; longer paths are cut */

/* What to say after "N of M packets" when frames have less data than wire_len. */
#define CAPTURE_INCOMPLETE                                                                         \
    "were recorded incompletely, so names and TLS facts may be missing; record with -s 0"

struct capture_frame {
    pol_bytes data;    /* what was captured; valid until the next call with the same capture */
    uint32_t wire_len; /* octets the frame had on the wire; at least data.len */
    uint64_t time_ns;  /* since 1970-01-01 00:00 UTC */
    uint64_t number;   /* 1 for the first, as tshark and tcpdump count */
};

enum capture_status {
    CAPTURE_FRAME,
    CAPTURE_END,  /* the file is over, and whole */
    CAPTURE_ERROR /* it is cut off or damaged; the frames before stand, there are no more */
};

/*
 * Opens a file, or standard input for "-". False with a text in `reterr_text` when it cannot be
 * read, is no capture, or has a link type the library does not know.
 */
bool capture_open(const char *path, struct capture **ret_capture, char *reterr_text,
                  size_t capacity);
void capture_close(struct capture *capture);

/* After CAPTURE_END or CAPTURE_ERROR the same is returned again. */
enum capture_status capture_next(struct capture *capture, struct capture_frame *ret_frame,
                                 char *reterr_text, size_t capacity);

enum pol_link capture_link(const struct capture *capture);

/* For progress: octets of the file, 0 when that is not known (a pipe), and those read so far. */
uint64_t capture_size(const struct capture *capture);
uint64_t capture_position(const struct capture *capture);

#endif
