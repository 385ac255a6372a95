/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include "codec/json_out.h"

int pol_json_ready(const pol_ready *ready, char *buf, size_t capacity, size_t *ret_len)
{
    struct json json = json_of(buf, capacity);
    pol_ready_line line;

    json_object(&json, NULL);
    json_bool(&json, "ready", pol_ready_ok(ready));
    json_array(&json, "checks");
    for (size_t i = 0; pol_ready_at(ready, i, &line); i++) {
        json_object(&json, NULL);
        json_str(&json, "name", line.name);
        json_bool(&json, "ok", line.ok);
        json_name(&json, "detail", line.detail);
        if (line.advisory)
            json_bool(&json, "advisory", true);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    return buf_finish(&json.out, ret_len);
}
