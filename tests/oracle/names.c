/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

const char *const name_texts[NAME_COUNT] = {
    "example.com",
    "www.example.com",
    "api.example.com",
    "a.b.example.com",
    "notexample.com",
    "example.com.evil.test",
    "example.net",
    "www.example.net",
    "cdn.example.net",
    "x.cdn.example.net",
    "example.org",
    "mail.example.org",
    "db-1.example.org",
    "db-2.example.org",
    "login.test",
    "a.login.test",
    "update.vendor.test",
    "vendor.test",
    "xn--bcher-kva.example",
    "_dmarc.example.com",
    "localhost",
    "single",
    "very.deep.tree.of.labels.example.net",
    "0.pool.ntp.example",
};

/* As a policy spells it, and where POSIX has another spelling, that. */
static const struct {
    const char *text, *posix;
} patterns[PATTERN_COUNT] = {
    {"^www\\.example\\.com$", NULL},
    {"^example\\.net$", NULL},
    {"^login\\.test$", NULL},
    {"^(?:.+\\.)?example\\.com$", "^(.+\\.)?example\\.com$"},
    {"^(?:.+\\.)?vendor\\.test$", "^(.+\\.)?vendor\\.test$"},
    {"(^|\\.)example\\.net$", NULL},
    {"(^|\\.)example\\.org$", NULL},
    {"^.+\\.example\\.org$", NULL},
    {"^.+\\.example\\.net$", NULL},
    {"^(?:www|api)\\.example\\.com$", "^(www|api)\\.example\\.com$"},
    {"^(?:a\\.login\\.test|login\\.test)$", "^(a\\.login\\.test|login\\.test)$"},
    {"^(?:.+\\.)?(?:example\\.org|vendor\\.test)$", "^(.+\\.)?(example\\.org|vendor\\.test)$"},
    {"(^|\\.)(cdn|mail)\\.example\\.(net|org)$", NULL},
    {".*", NULL},
    {"^.*$", NULL},
    {"^.+$", NULL},
    {"example\\.com", NULL},
    {"example.com", NULL},
    {"^api\\.", NULL},
    {"^db-[0-9]\\.example\\.org$", NULL},
    {"^[a-m]", NULL},
    {"test$", NULL},
    {"EXAMPLE\\.NET$", NULL},
    {"deep.*net", NULL},
    {"^[^.]+$", NULL},
    {"\\.example$", NULL},
    {"^_", NULL},
    {"^[a-z]{6}$", NULL},
    {"^(a|b|cdn)\\..*", NULL},
    {"l(o|a)", NULL},
};

static bool matches[PATTERN_COUNT][NAME_COUNT];

void names_init(void)
{
    for (int p = 0; p < PATTERN_COUNT; p++) {
        const char *text = patterns[p].posix ? patterns[p].posix : patterns[p].text;
        regex_t regex;

        if (regcomp(&regex, text, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0) {
            fprintf(stderr, "oracle: pattern %s\n", text);
            exit(2);
        }
        for (int n = 0; n < NAME_COUNT; n++)
            matches[p][n] = regexec(&regex, name_texts[n], 0, NULL, 0) == 0;
        regfree(&regex);
    }
}

const char *pattern_text(int pattern)
{
    return patterns[pattern].text;
}

bool pattern_matches(int pattern, int name)
{
    return matches[pattern][name];
}
