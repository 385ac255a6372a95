/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MUTANT_H
#define MUTANT_H

/* The comparison that is broken in this run: POLICY_MUTANT of the environment; 0: none. */
extern int mutant_chosen;

static inline int mutant_is(int number)
{
    return __builtin_expect(mutant_chosen == number, 0);
}

#endif
