/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_INTERN_H
#define POLICY_INTERN_H

/*
 * Numbers distinct texts from 0 in the order in which they come. The same text in another scope is
 * another entry. Texts are borrowed.
 */

#include <libpolicy/context.h>

struct intern_entry {
    uint64_t hash;
    pol_str text;
    uint32_t scope;
};

struct intern {
    const pol_ctx *ctx;
    struct intern_entry *entries;
    size_t count, capacity;
    uint32_t *slots; /* entry + 1; 0 is free */
    size_t slot_count;
};

void intern_init(struct intern *intern, const pol_ctx *ctx);
void intern_fini(struct intern *intern);

/* 1 when the text is new, 0 when it was there, POL_E_NOMEM. */
int intern_add(struct intern *intern, uint32_t scope, pol_str text, uint32_t *ret_index);

#endif
