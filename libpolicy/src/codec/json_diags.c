/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include "base/slice.h"
#include "codec/json_out.h"

/* "unknown_key": the name of the code in lower case. */
static void write_code_name(struct json *json, uint32_t code)
{
    const char *name = "other";
    char lower[32];
    size_t len;

    switch (code) {
#define XX(word, number, what)                                                                     \
    case number:                                                                                   \
        name = #word;                                                                              \
        break;
        POL_DIAG_MAP(XX)
#undef XX
    default:
        break;
    }
    for (len = 0; name[len] && len < sizeof(lower); len++)
        lower[len] = ascii_lower(name[len]);
    json_str(json, "name", (pol_str){lower, len});
}

static void write_diag(struct json *json, const pol_diag *diag)
{
    json_object(json, NULL);
    json_text(json, "severity", diag->severity == POL_DIAG_ERROR ? "error" : "warning");
    json_u64(json, "code", diag->code);
    write_code_name(json, diag->code);
    json_str(json, "path", diag->path);
    json_u64(json, "line", diag->line);
    json_u64(json, "column", diag->column);
    json_str(json, "text", diag->text);
    json_object_end(json);
}

static const pol_diag *first_error(const pol_diags *diags)
{
    const pol_diag *diag;

    for (size_t i = 0; (diag = pol_diags_at(diags, i)) != NULL; i++) {
        if (diag->severity == POL_DIAG_ERROR)
            return diag;
    }
    return NULL;
}

/* "<first> (and N more)" */
static void write_summary(struct json *json, const pol_diags *diags)
{
    const pol_diag *first = first_error(diags);
    size_t errors = pol_diags_errors(diags);
    char more[32];
    struct buf rest = buf_of(more, sizeof(more));

    if (errors > 1)
        buf_printf(&rest, " (and %zu more)", errors - 1);
    json_str_begin(json, "error");
    if (first)
        json_str_part(json, first->text);
    json_str_part(json, (pol_str){more, rest.len});
    json_str_end(json);
}

int pol_json_errors(const pol_diags *diags, char *buf, size_t capacity, size_t *ret_len)
{
    struct json json = json_of(buf, capacity);
    const pol_diag *diag;

    json_object(&json, NULL);
    write_summary(&json, diags);
    json_array(&json, "errors");
    for (size_t i = 0; (diag = pol_diags_at(diags, i)) != NULL; i++) {
        if (diag->severity == POL_DIAG_ERROR)
            write_diag(&json, diag);
    }
    json_array_end(&json);
    json_object_end(&json);
    return buf_finish(&json.out, ret_len);
}

int pol_json_diags(const pol_diags *diags, char *buf, size_t capacity, size_t *ret_len)
{
    struct json json = json_of(buf, capacity);
    const pol_diag *diag;

    json_array(&json, NULL);
    for (size_t i = 0; (diag = pol_diags_at(diags, i)) != NULL; i++)
        write_diag(&json, diag);
    json_array_end(&json);
    return buf_finish(&json.out, ret_len);
}
