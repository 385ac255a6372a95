/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sizes of the public structs, for callers that cannot ask a compiler. Every struct that
 * crosses the interface is in this list; the Python binding's tests compare it with the headers.
 */
#include <libpolicy/policy.h>

#include <string.h>

/* clang-format off */
#define SIZED_TYPES(XX)                                                                            \
    XX(pol_str) XX(pol_bytes) XX(pol_addr) XX(pol_prefix)                                          \
    XX(pol_mem) XX(pol_limits) XX(pol_ctx_options)                                                 \
    XX(pol_diag) XX(pol_compile_options)                                                           \
    XX(pol_grants_options) XX(pol_grant) XX(pol_grants_stats)                                      \
    XX(pol_tuple) XX(pol_packet)                                                                   \
    XX(pol_verdict) XX(pol_event) XX(pol_idle) XX(pol_worker_options)                              \
    XX(pol_dns_query) XX(pol_dns_learned)                                                          \
    XX(pol_finding) XX(pol_audit_query) XX(pol_audit_stats)                                        \
    XX(pol_port_range) XX(pol_tap_filter)                                                          \
    XX(pol_ready_line) XX(pol_counter_info)                                                        \
    XX(pol_certificate)
/* clang-format on */

/* Names in place: a table of pointers would have to be relocated in every process. */
static const struct {
    char name[28];
    uint32_t size;
} sizes[] = {
#define XX(type) {#type, sizeof(type)},
    SIZED_TYPES(XX)
#undef XX
};

size_t pol_abi_size(const char *type)
{
    for (size_t i = 0; type && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (strcmp(sizes[i].name, type) == 0)
            return sizes[i].size;
    }
    return 0;
}
