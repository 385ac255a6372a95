/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include "base/slice.h"
#include "parsed.h"

static const char *const names[] = {"one", "two"};

static pol_ctx *ctx;
static pol_ready *ready;

static void setup(void)
{
    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    cr_assert_eq(pol_ready_new(ctx, names, 2, &ready), POL_OK);
}

static void teardown(void)
{
    pol_ready_free(ready);
    pol_ctx_unref(ctx);
}

TestSuite(json_ready, .init = setup, .fini = teardown);

static void expect_written(const char *expected)
{
    char text[1024];
    size_t len = 0;

    cr_assert_eq(pol_json_ready(ready, text, sizeof(text), &len), POL_OK);
    cr_expect(str_equal((pol_str){text, len}, str_of(expected)), "%.*s", (int)len, text);
    cJSON_Delete(parsed(text, len));
}

Test(json_ready, a_detail_explains_what_is_not_ok)
{
    pol_ready_set(ready, "one", true, NULL);
    pol_ready_set(ready, "two", false, "port \"eth1\" is down");
    expect_written("{\"ready\":false,\"checks\":["
                   "{\"name\":\"one\",\"ok\":true,\"detail\":null},"
                   "{\"name\":\"two\",\"ok\":false,\"detail\":\"port \\\"eth1\\\" is down\"}]}");
}

Test(json_ready, all_ok_is_ready)
{
    pol_ready_set(ready, "one", true, NULL);
    pol_ready_set(ready, "two", true, "capture finished");
    expect_written("{\"ready\":true,\"checks\":["
                   "{\"name\":\"one\",\"ok\":true,\"detail\":null},"
                   "{\"name\":\"two\",\"ok\":true,\"detail\":\"capture finished\"}]}");
}

Test(json_ready, advisory_checks_say_so)
{
    pol_ready_set(ready, "one", true, NULL);
    pol_ready_set(ready, "two", false, "no leader");
    pol_ready_advise(ready, "two", true);
    expect_written("{\"ready\":true,\"checks\":["
                   "{\"name\":\"one\",\"ok\":true,\"detail\":null},"
                   "{\"name\":\"two\",\"ok\":false,\"detail\":\"no leader\",\"advisory\":true}]}");
}
