/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

/*
 * Text and octets written into the caller's buffer. What does not fit is counted but not written,
 * so one pass gives both the text and the length a second pass would need.
 */

#include <libpolicy/base.h>

struct buf {
    char *ptr; /* may be NULL when capacity is 0 */
    size_t capacity;
    size_t len; /* what was asked for; may exceed capacity */
};

static inline struct buf buf_of(char *ptr, size_t capacity)
{
    return (struct buf){ptr, capacity, 0};
}

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_char(struct buf *buf, char c);
void buf_str(struct buf *buf, pol_str text);
void buf_text(struct buf *buf, const char *text);
void buf_u64(struct buf *buf, uint64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* POL_OK and the length, or POL_E_NOSPACE and the length needed. */
int buf_finish(const struct buf *buf, size_t *ret_len);

#endif
