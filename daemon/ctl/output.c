/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
