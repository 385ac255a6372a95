/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A text that grows. Running out of memory is remembered in `failed` and makes later additions do
 * nothing, so a writer checks once at its end instead of after every piece.
 */
struct text {
    char *ptr; /* NUL-terminated once anything was added; NULL before */
    size_t len;
    size_t capacity;
    bool failed;
};

void text_fini(struct text *text);
void text_clear(struct text *text);
bool text_reserve(struct text *text, size_t room); /* room for this many more octets and a NUL */
void text_add(struct text *text, const char *piece);
void text_add_bytes(struct text *text, const char *piece, size_t len);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_json(struct text *text, const char *piece); /* as a quoted JSON string */
void text_add_json_bytes(struct text *text, const char *piece, size_t len);

#endif
