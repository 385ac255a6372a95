/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_ARGS_H
#define ORACLE_ARGS_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool args_number(const char *text, uint64_t *ret)
{
    char *end;

    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

/* Options of the programs that have only these; true to go on. */
static inline bool args_read(int argc, char **argv, uint64_t *cases, uint64_t *seed)
{
    bool good = argc % 2 == 1;

    for (int i = 1; good && i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--cases") == 0)
            good = args_number(argv[i + 1], cases);
        else if (strcmp(argv[i], "--seed") == 0)
            good = args_number(argv[i + 1], seed);
        else
            good = false;
    }
    if (!good)
        fprintf(stderr, "Usage: %s [--cases N] [--seed S]\n", argv[0]);
    return good;
}

/* The last line, and the exit code. Blocks of worlds are what is counted as tests. */
static inline int args_result(uint64_t done, uint64_t all)
{
    uint64_t blocks = all < 100 ? all : 100;

    printf("%" PRIu64 " passed, %d failed\n", done < all ? blocks * done / all : blocks,
           done < all);
    return done < all;
}

#endif
