// SPDX-License-Identifier: Apache-2.0
#include "core/yaml_print.h"

#include <string.h>

#include <criterion/criterion.h>

static struct text yaml;

static void teardown(void)
{
    text_fini(&yaml);
}

TestSuite(yaml_print, .fini = teardown);

static bool print(const char *json)
{
    text_clear(&yaml);
    return yaml_print_json(json, strlen(json), &yaml);
}

Test(yaml_print, documents_come_out_in_block_style)
{
    cr_assert(print("{\"default_policy\":\"deny\",\"source_groups\":[{\"id\":\"web\",\"priority\":"
                    "null,\"ports\":[\"443\",80],\"sources\":{\"ips\":[]}}]}"));
    cr_assert_str_eq(yaml.ptr, "default_policy: \"deny\"\n"
                               "source_groups:\n"
                               "- id: \"web\"\n"
                               "  priority: null\n"
                               "  ports:\n"
                               "  - \"443\"\n"
                               "  - 80\n"
                               "  sources:\n"
                               "    ips: []\n");
}

Test(yaml_print, texts_stay_texts)
{
    cr_assert(print("[\"no\",\"null\",\"1e3\",\"a: b\",\"^(.+\\\\.)?x\\\\.y$\",\"\"]"));
    cr_assert_str_eq(yaml.ptr, "- \"no\"\n- \"null\"\n- \"1e3\"\n- \"a: b\"\n"
                               "- \"^(.+\\\\.)?x\\\\.y$\"\n- \"\"\n");
}

Test(yaml_print, what_is_no_json_is_refused)
{
    cr_assert_not(print("{\"a\":"));
    cr_assert_not(print("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["));
}
