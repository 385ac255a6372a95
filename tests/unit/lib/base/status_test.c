/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/policy.h>

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

Test(status, a_struct_has_the_size_the_header_gives_it)
{
    cr_expect_eq(pol_abi_size("pol_str"), sizeof(pol_str));
    cr_expect_eq(pol_abi_size("pol_verdict"), sizeof(pol_verdict));
    cr_expect_eq(pol_abi_size("pol_worker_options"), sizeof(pol_worker_options));
    cr_expect_eq(pol_abi_size("pol_counter_info"), sizeof(pol_counter_info));
}

Test(status, what_is_no_public_struct_has_no_size)
{
    cr_expect_eq(pol_abi_size("pol_worker"), 0);
    cr_expect_eq(pol_abi_size("pol_ver"), 0);
    cr_expect_eq(pol_abi_size("pol_verdicts"), 0);
    cr_expect_eq(pol_abi_size(""), 0);
    cr_expect_eq(pol_abi_size(NULL), 0);
}
