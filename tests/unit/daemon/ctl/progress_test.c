/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/progress.h"

#include <criterion/criterion.h>

static void expect(uint64_t packets, uint64_t position, uint64_t size, uint64_t elapsed_s,
                   const char *words)
{
    struct text out = {0};

    progress_words(&out, packets, position, size, elapsed_s * POL_SECONDS);
    cr_assert_str_eq(out.ptr, words);
    text_fini(&out);
}

Test(progress, file_shows_share_rate_and_time_left)
{
    expect(2000000, 250, 1000, 5, "2.0M packets, 25%, 400.0k packets/s, 15 s left");
}

Test(progress, pipe_shows_no_share)
{
    expect(1000, 12345, 0, 10, "1.0k packets, 100 packets/s");
}

Test(progress, nothing_is_divided_by_zero)
{
    struct text out = {0};

    progress_words(&out, 0, 0, 0, 0);
    cr_assert_eq(out.len, 0);
    expect(0, 0, 1000, 1, "0 packets, 0%, 0 packets/s");
}
