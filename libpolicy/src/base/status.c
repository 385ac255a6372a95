/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/base.h>
#include <libpolicy/version.h>

const char *pol_status_name(int status)
{
    switch (status) {
    case POL_OK:
        return "POL_OK";
#define XX(name, value, text)                                                                      \
    case value:                                                                                    \
        return "POL_E_" #name;
        POL_STATUS_MAP(XX)
#undef XX
    default:
        return "POL_E_UNKNOWN";
    }
}

const char *pol_status_text(int status)
{
    switch (status) {
    case POL_OK:
        return "success";
#define XX(name, value, text)                                                                      \
    case value:                                                                                    \
        return text;
        POL_STATUS_MAP(XX)
#undef XX
    default:
        return "unknown status";
    }
}

const char *pol_version(void)
{
    return POL_VERSION_TEXT;
}
