/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCENARIO_PAYLOAD_H
#define SCENARIO_PAYLOAD_H

/* The octets a packet carries, and the words for them. */

#include "words.h"

enum { PAYLOAD_BYTES = 131072 };

struct payload {
    size_t len;
    uint8_t bytes[PAYLOAD_BYTES];
};

struct payload_words {
    const char *hello, *hex, *flight;
    size_t zeros, pad;
    uint8_t version;
    uint32_t records;
    bool ech;
};

enum word_taken payload_take(const struct word *word, struct payload_words *words);
/* Appends what the words say. False when it makes no sense or does not fit. */
bool payload_fill(struct payload *payload, const struct payload_words *words);
bool payload_add(struct payload *payload, const void *octets, size_t len);
bool payload_add_hex(struct payload *payload, const char *hex);
/* Keeps the octets "FROM..TO". */
bool payload_cut(struct payload *payload, const char *part);

#endif
