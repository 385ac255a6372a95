/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CODEC_JSON_OUT_H
#define CODEC_JSON_OUT_H

/*
 * Writes JSON (RFC 8259) into a struct buf. Commas are the writer's business; braces that do not
 * match are the caller's mistake. `key` is NULL inside arrays and at the top, and is written as it
 * stands: keys are literals of ours.
 *
 * Text may hold anything: control characters are escaped, octets that are no UTF-8 become U+FFFD.
 */

#include "base/buf.h"

struct json {
    struct buf out;
    bool comma; /* the next value needs one before it */
};

static inline struct json json_of(char *ptr, size_t capacity)
{
    return (struct json){buf_of(ptr, capacity), false};
}

void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array(struct json *json, const char *key);
void json_array_end(struct json *json);

void json_str(struct json *json, const char *key, pol_str text);
void json_text(struct json *json, const char *key, const char *text);     /* NULL: null */
void json_name(struct json *json, const char *key, pol_str text);         /* empty: null */
void json_addr(struct json *json, const char *key, const pol_addr *addr); /* family 0: null */
/* A string in parts. */
void json_str_begin(struct json *json, const char *key);
void json_str_part(struct json *json, pol_str text);
void json_str_end(struct json *json);

void json_u64(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
void json_ratio(struct json *json, const char *key, uint64_t millionths);

/* A share such as "0", "0.0002" or "1", for JSON and for metrics. */
void ratio_write(struct buf *out, uint64_t millionths);

#endif
