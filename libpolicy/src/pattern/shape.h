/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PATTERN_SHAPE_H
#define PATTERN_SHAPE_H

/*
 * Recognises patterns that are a finite list of names and suffixes, such as ^a\.b$,
 * ^(?:.+\.)?b\.c$ or (^|\.)(b|c)\.d$. A pattern is expanded into all the plain sequences it stands
 * for (groups multiplied out); it has a shape if each of them is a name or a suffix behind a dot.
 */

#include <libpolicy/base.h>

/* Where in a name the literal must stand: what is before it. Or-ed. */
enum shape_place {
    SHAPE_WHOLE = 1,      /* nothing: it is the name */
    SHAPE_BEHIND_DOT = 2, /* a dot, and anything before the dot */
    SHAPE_BELOW = 4,      /* a dot, and something before the dot */
    SHAPE_EVERY = 8,      /* the literal is empty: every name */
    SHAPE_NOT_EMPTY = 16  /* the literal is empty: every name of at least one octet */
};

struct shape_item {
    uint8_t place;   /* enum shape_place */
    pol_str literal; /* lower case */
};

#define SHAPE_ITEMS 128
#define SHAPE_BYTES 4096

struct shape {
    size_t count;
    struct shape_item items[SHAPE_ITEMS];
    char bytes[SHAPE_BYTES]; /* the literals */
};

/* False when the pattern needs the regex engine, also when it is no valid pattern. */
bool shape_of(pol_str pattern, struct shape *ret_shape);

#endif
