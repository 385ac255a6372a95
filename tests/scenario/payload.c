/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <stdio.h>
#include <string.h>

#include "flight.h"
#include "hello.h"

enum { MAX_HELLO = 60000 };

#define PAYLOAD(name) offsetof(struct payload_words, name)

static const struct word_key payload_keys[] = {
    {"hello", WORD_TEXT, PAYLOAD(hello), NULL},        {"hex", WORD_TEXT, PAYLOAD(hex), NULL},
    {"zeros", WORD_SIZE, PAYLOAD(zeros), NULL},        {"pad", WORD_SIZE, PAYLOAD(pad), NULL},
    {"records", WORD_U32, PAYLOAD(records), NULL},     {"ech", WORD_BOOL, PAYLOAD(ech), NULL},
    {"tls", WORD_CHOICE, PAYLOAD(version), "1.3|1.2"}, {"flight", WORD_TEXT, PAYLOAD(flight), NULL},
};

bool payload_add(struct payload *payload, const void *octets, size_t len)
{
    if (len > sizeof(payload->bytes) - payload->len)
        return false;
    if (len)
        memcpy(payload->bytes + payload->len, octets, len);
    payload->len += len;
    return true;
}

bool payload_add_hex(struct payload *payload, const char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (; hex[0] && hex[1]; hex += 2) {
        const char *high = strchr(digits, hex[0]), *low = strchr(digits, hex[1]);
        uint8_t octet;

        if (!high || !low)
            return false;
        octet = (uint8_t)((high - digits) << 4 | (low - digits));
        if (!payload_add(payload, &octet, 1))
            return false;
    }
    return hex[0] == '\0';
}

static bool add_zeros(struct payload *payload, size_t len)
{
    if (len > sizeof(payload->bytes) - payload->len)
        return false;
    memset(payload->bytes + payload->len, 0, len);
    payload->len += len;
    return true;
}

static bool add_hello(struct payload *payload, const struct payload_words *words)
{
    static struct hello hello;
    struct hello_options options = {
        .sni = strcmp(words->hello, "-") ? words->hello : NULL,
        .tls13 = words->version == 0,
        .ech = words->ech,
        .message_len = words->pad,
        .records = words->records,
    };

    if (words->pad > MAX_HELLO)
        return false;
    hello_build(&hello, &options);
    return payload_add(payload, hello.bytes, hello.len);
}

static bool add_flight(struct payload *payload, const char *name)
{
    static struct flight flight;
    char file[64];

    snprintf(file, sizeof(file), "%s.flight", name);
    return flight_read(&flight, file) && payload_add(payload, flight.bytes, flight.len);
}

bool payload_fill(struct payload *payload, const struct payload_words *words)
{
    return (!words->hex || payload_add_hex(payload, words->hex)) &&
           add_zeros(payload, words->zeros) && (!words->hello || add_hello(payload, words)) &&
           (!words->flight || add_flight(payload, words->flight));
}

enum word_taken payload_take(const struct word *word, struct payload_words *words)
{
    return word_take(word, payload_keys, sizeof(payload_keys) / sizeof(payload_keys[0]), words);
}

bool payload_cut(struct payload *payload, const char *part)
{
    const char *dots = strstr(part, "..");
    size_t digits = dots ? (size_t)(dots - part) : 0;
    uint64_t from, to = payload->len;
    char number[16] = "";

    if (digits == 0 || digits >= sizeof(number))
        return false;
    memcpy(number, part, digits);
    if (!word_number(number, payload->len, &from) ||
        (dots[2] && !word_number(dots + 2, payload->len, &to)) || to < from)
        return false;
    memmove(payload->bytes, payload->bytes + from, to - from);
    payload->len = to - from;
    return true;
}
