// SPDX-License-Identifier: Apache-2.0
#include "http/query.h"

#include <ctype.h>
#include <string.h>

static int digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

static void decode(const char *from, size_t len, char *ret, size_t capacity)
{
    size_t out = 0;

    for (size_t i = 0; i < len && out + 1 < capacity; i++) {
        if (from[i] == '%' && i + 2 < len && isxdigit((unsigned char)from[i + 1]) &&
            isxdigit((unsigned char)from[i + 2])) {
            ret[out++] = (char)(digit(from[i + 1]) << 4 | digit(from[i + 2]));
            i += 2;
        } else {
            ret[out++] = (char)(from[i] == '+' ? ' ' : from[i]);
        }
    }
    ret[out] = '\0';
}

bool query_next(struct query *query, char *ret_key, size_t key_capacity, char *ret_value,
                size_t value_capacity)
{
    size_t len, key_len;
    const char *pair;

    while (query->rest && *query->rest == '&')
        query->rest++;
    if (!query->rest || !*query->rest)
        return false;

    pair = query->rest;
    len = strcspn(pair, "&");
    key_len = strcspn(pair, "=&");
    decode(pair, key_len, ret_key, key_capacity);
    decode(pair + key_len + (key_len < len), len - key_len - (key_len < len), ret_value,
           value_capacity);
    query->rest += len;
    return true;
}
