/* SPDX-License-Identifier: Apache-2.0 */
#include "mutant.h"

#include <stdlib.h>

int mutant_chosen;

__attribute__((constructor)) static void mutant_choose(void)
{
    const char *text = getenv("POLICY_MUTANT");

    mutant_chosen = text ? atoi(text) : 0;
}
