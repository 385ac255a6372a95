/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int output_format(struct args *args, const char *value, unsigned allowed,
                  enum output_format *ret_format)
{
    static const char *const words[] = {"table", "json", "jsonl"};
    const char *choices[4] = {0};
    int count = 0;

    for (int i = 0; i < 3; i++) {
        if (!(allowed & 1u << i))
            continue;
        if (strcmp(value, words[i]) == 0) {
            *ret_format = (enum output_format)(1u << i);
            return 0;
        }
        choices[count++] = words[i];
    }
    return args_choice(args, "--output", value, choices) < 0 ? ARGS_ERROR : 0;
}

bool output_write(struct text *text)
{
    if (text->failed) {
        fputs("policyctl: out of memory\n", stderr);
        return false;
    }

    if ((text->len && fwrite(text->ptr, 1, text->len, stdout) != text->len) ||
        fflush(stdout) == EOF) {
        fprintf(stderr, "policyctl: cannot write the output: %s\n", strerror(errno));
        return false;
    }

    text_clear(text);
    return true;
}
