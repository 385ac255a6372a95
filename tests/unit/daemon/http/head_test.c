// SPDX-License-Identifier: Apache-2.0
#include "http/head.h"

#include <string.h>

#include <criterion/criterion.h>

static const struct {
    const char *method, *target, *version;
    struct http_field fields[4];
    int status;
} cases[] = {
    {"GET", "/health", "1.1", {{"Host", "a"}}, 0},
    {"GET", "/health", "1.0", {{0}}, 0},
    {"PUT", "/api/v1/policy?x=//y", "1.1", {{"host", "a"}, {"content-length", "12"}}, 0},
    {"GET", "/health", "1.1", {{0}}, 400},
    {"GET", "/health", "2.0", {{"Host", "a"}}, 400},
    {"GET", "/health", "", {{"Host", "a"}}, 400},
    {"BREW", "/health", "1.1", {{"Host", "a"}}, 501},
    {"get", "/health", "1.1", {{"Host", "a"}}, 501},
    {"GET", "http://a/health", "1.1", {{"Host", "a"}}, 400},
    {"GET", "*", "1.1", {{"Host", "a"}}, 400},
    {"GET", "/a//b", "1.1", {{"Host", "a"}}, 400},
    {"GET", "////", "1.1", {{"Host", "a"}}, 400},
    {"GET", "/a%00b", "1.1", {{"Host", "a"}}, 400},
    {"GET", "/a\\b", "1.1", {{"Host", "a"}}, 400},
    {"GET", "/a\x80", "1.1", {{"Host", "a"}}, 400},
    {"GET", "/a\tb", "1.1", {{"Host", "a"}}, 400},
    {"PUT", "/p", "1.1", {{"Host", "a"}, {"Transfer-Encoding", "chunked"}}, 411},
    {"PUT",
     "/p",
     "1.1",
     {{"Host", "a"}, {"transfer-encoding", "chunked"}, {"Content-Length", "3"}},
     400},
    {"PUT", "/p", "1.1", {{"Host", "a"}, {"Content-Length", "3"}, {"Content-Length", "3"}}, 400},
    {"PUT", "/p", "1.1", {{"Host", "a"}, {"Content-Length", "+3"}}, 400},
    {"PUT", "/p", "1.1", {{"Host", "a"}, {"Content-Length", "3, 3"}}, 400},
    {"PUT", "/p", "1.1", {{"Host", "a"}, {"Content-Length", ""}}, 400},
    {"PUT", "/p", "1.1", {{"Host", "a"}, {"Content-Length", "9999999999999999999"}}, 400},
    {"GET", "/p", "1.1", {{"Host", "a"}, {"Host", "b"}}, 400},
    {"GET", "/p", "1.1", {{"Host", "a"}, {"Authorization", "x"}, {"authorization", "y"}}, 400},
};

Test(head, refuses_what_two_readers_could_read_differently)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_head head = {cases[i].method, cases[i].target, cases[i].version,
                                 cases[i].fields, 0};
        const char *reason = NULL;

        while (head.field_count < 4 && cases[i].fields[head.field_count].name)
            head.field_count++;
        cr_assert_eq(head_check(&head, &reason), cases[i].status, "case %zu: %s", i,
                     reason ? reason : "accepted");
        cr_assert_eq(reason != NULL, cases[i].status != 0);
    }
}

Test(head, long_targets_and_many_fields_are_refused)
{
    static char target[8194];
    static struct http_field fields[61];
    struct http_head head = {"GET", target, "1.1", fields, 1};
    const char *reason;

    memset(target, 'a', sizeof(target) - 1);
    target[0] = '/';
    for (size_t i = 0; i < 61; i++)
        fields[i] = (struct http_field){i ? "X" : "Host", "a"};
    cr_assert_eq(head_check(&head, &reason), 414);
    target[8192] = '\0';
    cr_assert_eq(head_check(&head, &reason), 0);
    head.field_count = 61;
    cr_assert_eq(head_check(&head, &reason), 431);
}
