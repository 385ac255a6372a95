/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include <string.h>

#include "base/slice.h"
#include "codec/json_out.h"
#include "observe/counters.h"

static void write_head(struct buf *out, const pol_counter_info *info)
{
    buf_text(out, "# HELP ");
    buf_text(out, info->name);
    buf_char(out, ' ');
    buf_text(out, info->help);
    buf_text(out, "\n# TYPE ");
    buf_text(out, info->name);
    buf_text(out, info->is_gauge ? " gauge\n" : " counter\n");
}

/* A label value: backslash, quote and line feed are escaped, all else is written as it is. */
static void write_label(struct buf *out, pol_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '\n') {
            buf_text(out, "\\n");
            continue;
        }
        if (c == '\\' || c == '"')
            buf_char(out, '\\');
        buf_char(out, c);
    }
}

/* group is empty for a value without one. */
static void write_sample(struct buf *out, size_t row, pol_str group, uint64_t value)
{
    const pol_counter_info *info = pol_counter_describe(row);

    buf_text(out, info->name);
    if (info->labels[0] || group.len) {
        buf_char(out, '{');
        buf_text(out, info->labels);
        if (group.len) {
            buf_text(out, info->labels[0] ? ",source_group=\"" : "source_group=\"");
            write_label(out, group);
            buf_char(out, '"');
        }
        buf_char(out, '}');
    }
    buf_char(out, ' ');
    if (counter_kind(row) == KIND_RATIO)
        ratio_write(out, value);
    else
        buf_u64(out, value);
    buf_char(out, '\n');
}

/* Returns how many samples were written. */
static size_t write_row(struct buf *out, const pol_counters *counters, size_t row)
{
    size_t written = 0;

    if (!pol_counter_describe(row)->by_group) {
        write_sample(out, row, (pol_str){NULL, 0}, counters_row(counters, row));
        return 1;
    }
    for (unsigned slot = 0; slot < SUM_SLOTS; slot++) {
        uint64_t value = counters_row_group(counters, row, slot);

        if (!value)
            continue;
        write_sample(out, row, counters_group(counters, slot), value);
        written++;
    }
    return written;
}

/* Rows of one name stand together. One without any sample gets a zero, so that a query for the name
 * finds it before the first event. */
static size_t write_family(struct buf *out, const pol_counters *counters, size_t first)
{
    const pol_counter_info *info = pol_counter_describe(first);
    const pol_counter_info *next = info;
    size_t written = 0;
    size_t row;

    write_head(out, info);
    for (row = first; next && strcmp(next->name, info->name) == 0;
         next = pol_counter_describe(++row))
        written += write_row(out, counters, row);
    if (!written)
        write_sample(out, first, counters_group(counters, SUM_DEFAULT), 0);
    return row;
}

int pol_metrics_text(const pol_counters *counters, char *buf, size_t capacity, size_t *ret_len)
{
    struct buf out = buf_of(buf, capacity);
    size_t row = 0;

    while (row < pol_counter_count())
        row = write_family(&out, counters, row);
    return buf_finish(&out, ret_len);
}
