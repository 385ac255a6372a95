/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PARSED_H
#define PARSED_H

/*
 * What a writer produced, read back by a parser that is not ours.
 */

#include <cjson/cJSON.h>
#include <criterion/criterion.h>

#include <libpolicy/base.h>

#include <stdlib.h>

/* Text in a block of just its size, so that a read past its end is one past the heap. */
static inline cJSON *parsed(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    cJSON *root;

    memcpy(copy, text, len);
    root = cJSON_ParseWithLengthOpts(copy, len, NULL, 0);
    cr_assert_not_null(root, "not JSON: %.*s", (int)len, text);
    free(copy);
    return root;
}

static inline const cJSON *member(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    cr_assert_not_null(item, "no member \"%s\"", key);
    return item;
}

static inline void expect_text(const cJSON *object, const char *key, const char *expected)
{
    const cJSON *item = member(object, key);

    if (!expected) {
        cr_expect(cJSON_IsNull(item), "\"%s\" is not null", key);
        return;
    }
    cr_assert(cJSON_IsString(item), "\"%s\" is no string", key);
    cr_expect_str_eq(item->valuestring, expected, "\"%s\"", key);
}

/* expected below 0: null. */
static inline void expect_number(const cJSON *object, const char *key, double expected)
{
    const cJSON *item = member(object, key);

    if (expected < 0) {
        cr_expect(cJSON_IsNull(item), "\"%s\" is not null", key);
        return;
    }
    cr_assert(cJSON_IsNumber(item), "\"%s\" is no number", key);
    cr_expect_eq(item->valuedouble, expected, "\"%s\" is %g", key, item->valuedouble);
}

static inline void expect_bool(const cJSON *object, const char *key, bool expected)
{
    const cJSON *item = member(object, key);

    cr_assert(cJSON_IsBool(item), "\"%s\" is no boolean", key);
    cr_expect_eq((bool)cJSON_IsTrue(item), expected, "\"%s\"", key);
}

/* The keys of an object, in order. */
static inline void expect_keys(const cJSON *object, const char *const *keys, size_t count)
{
    const cJSON *item = object->child;

    for (size_t i = 0; i < count; i++, item = item->next) {
        cr_assert_not_null(item, "\"%s\" is missing", keys[i]);
        cr_assert_str_eq(item->string, keys[i]);
    }
    cr_expect_null(item, "\"%s\" is too much", item->string);
}

#endif
