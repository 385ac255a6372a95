/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCENARIO_FACTS_H
#define SCENARIO_FACTS_H

/*
 * What came of a step, as words: one that says it all ("allow"), flags, and key=value facts. A key
 * may have several values, such as one for each event. What a scenario expects is looked up here.
 */

#include "script.h"

struct fact {
    const char *key;
    char *value; /* NULL: the key can be expected here, but nothing came */
};

struct facts {
    const char *word; /* NULL: the step has no outcome of its own */
    const char *flags[16];
    size_t flag_count;
    struct fact *list;
    size_t count;
};

void facts_clear(struct facts *facts);
void facts_flag(struct facts *facts, const char *flag);
void facts_add(struct facts *facts, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The key can be expected, whether or not it gets a value. */
void facts_declare(struct facts *facts, const char *key);
/* Two texts with a comma between them, where the first may be empty. */
void facts_join(char *list, size_t capacity, const char *more);

/* Holds the step's expectations to the facts. False when one does not hold, or makes no sense; why
 * has been printed. */
bool facts_check(const struct facts *facts, const struct script *script, const struct step *step);
void facts_print(const struct facts *facts);
/* All of it as one line of JSON, to be compared with what another player says of the same step. */
void facts_trace(const struct facts *facts, const char *file, unsigned line);

#endif
