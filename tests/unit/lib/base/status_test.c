/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/base.h>
#include <libpolicy/version.h>

#include <criterion/criterion.h>

static const struct {
    int status;
    const char *name;
} names[] = {
    {POL_OK, "POL_OK"},
    {POL_E_NOMEM, "POL_E_NOMEM"},
    {POL_E_INVALID, "POL_E_INVALID"},
    {POL_E_ABI, "POL_E_ABI"},
    {POL_E_POLICY, "POL_E_POLICY"},
    {POL_E_FORMAT, "POL_E_FORMAT"},
    {POL_E_TRUNCATED, "POL_E_TRUNCATED"},
    {POL_E_NOSPACE, "POL_E_NOSPACE"},
    {POL_E_FULL, "POL_E_FULL"},
    {POL_E_LIMIT, "POL_E_LIMIT"},
    {POL_E_NOTFOUND, "POL_E_NOTFOUND"},
    {1, "POL_E_UNKNOWN"},
    {-1000, "POL_E_UNKNOWN"},
};

Test(status, every_code_has_its_name_and_a_text)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cr_expect_str_eq(pol_status_name(names[i].status), names[i].name);
        cr_expect_gt(strlen(pol_status_text(names[i].status)), 0);
    }
    cr_expect_str_eq(pol_status_text(-1000), "unknown status");
}

Test(status, the_version_is_that_of_the_header)
{
    cr_expect_str_eq(pol_version(), POL_VERSION_TEXT);
}
