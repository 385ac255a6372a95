/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/policy.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    pol_addr addr;
    char text[POL_ADDR_TEXT];
    pol_str given = {"2001:DB8:0::1", 13};

    if (pol_addr_parse(given, &addr) < 0)
        return 1;
    pol_addr_format(&addr, text);
    puts(text);
    return strcmp(text, "2001:db8::1") != 0;
}
