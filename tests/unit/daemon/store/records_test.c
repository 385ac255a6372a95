// SPDX-License-Identifier: Apache-2.0
#include "store/records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "core/fs.h"
#include "core/signals.h"

static char *dir;
static struct store *store;
static struct text error;

static void reopen(void)
{
    store_close(store);
    store = NULL;
    cr_assert_eq(store_open(dir, &store, &error), 0, "%s", error.ptr);
}

static void setup(void)
{
    cr_assert_eq(fs_make_temp_dir(&dir), 0);
    reopen();
}

static void teardown(void)
{
    store_close(store);
    text_fini(&error);
    fs_remove_dir(dir);
    free(dir);
}

TestSuite(records, .init = setup, .fini = teardown);

static uint64_t add(const char *document, uint64_t above)
{
    uint64_t generation = 0;

    cr_assert_eq(store_policy_add(store, document, strlen(document), above, &generation), 0);
    return generation;
}

static void expect_active(const char *document, uint64_t generation)
{
    struct store_policy policy = {0};

    cr_assert_eq(store_policy_active(store, &policy), 0);
    cr_assert_str_eq(policy.document, document);
    cr_assert_eq(policy.generation, generation);
    free(policy.document);
}

Test(records, an_empty_store_has_no_policy)
{
    struct store_policy policy;

    cr_assert_eq(store_policy_active(store, &policy), -ENOENT);
}

Test(records, a_policy_counts_once_it_is_active)
{
    uint64_t first = add("one", 0), second;

    cr_assert_eq(store_policy_activate(store, first), 0);
    second = add("two", first);
    expect_active("one", first);
    cr_assert_eq(store_policy_activate(store, second), 0);
    reopen();
    expect_active("two", second);
}

Test(records, a_crash_before_active_leaves_the_old_policy)
{
    uint64_t first = add("one", 0);

    cr_assert_eq(store_policy_activate(store, first), 0);
    add("two", first);
    reopen();
    expect_active("one", first);
}

Test(records, generations_are_never_used_twice)
{
    uint64_t first = add("one", 0), second = add("two", 0);

    cr_assert_gt(second, first);
    reopen();
    cr_assert_gt(add("three", 0), second, "the rows are gone, their numbers are not");
    cr_assert_eq(add("four", 100), 101);
}

Test(records, going_back_keeps_the_old_policy_under_a_new_number)
{
    uint64_t first = add("one", 0), second;

    cr_assert_eq(store_policy_activate(store, first), 0);
    second = add("two", first);
    cr_assert_eq(store_policy_drop(store, second, second + 1), 0);
    reopen();
    expect_active("one", second + 1);
    cr_assert_gt(add("three", second + 1), second + 1);
}

Test(records, a_directory_belongs_to_one_process)
{
    struct store *other = NULL;

    cr_assert_eq(store_open(dir, &other, &error), -EWOULDBLOCK);
    cr_assert(strstr(error.ptr, "in use by another policyd"));
    cr_assert_null(other);
}

Test(records, the_node_keeps_its_name)
{
    char id[64];

    snprintf(id, sizeof(id), "%s", store_node_id(store));
    cr_assert_eq(strlen(id), 36);
    cr_assert_eq(id[14], '4');
    reopen();
    cr_assert_str_eq(store_node_id(store), id);
}

Test(records, tokens_are_replaced_by_name)
{
    struct store_token one = {.hash = {1}, .admin = true}, two = {.hash = {2}}, tokens[4];
    size_t count = 0;

    cr_assert_eq(store_token_put(store, "admin", &one), 0);
    cr_assert_eq(store_token_put(store, "reader", &two), 0);
    one.hash[0] = 3;
    cr_assert_eq(store_token_put(store, "admin", &one), 0);
    reopen();
    cr_assert_eq(store_tokens(store, tokens, 4, &count), 0);
    cr_assert_eq(count, 2);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(tokens[i].hash[0], tokens[i].admin ? 3 : 2);
}

static pol_finding found;
static int found_count;

static void remember(void *user, const pol_finding *finding)
{
    (void)user;
    found = *finding;
    found_count++;
}

static void put(const pol_finding *finding)
{
    cr_assert_eq(store_observed_begin(store), 0);
    cr_assert_eq(store_finding_put(store, finding), 0);
    cr_assert_eq(store_observed_commit(store), 0);
}

Test(records, findings_come_back_as_they_went)
{
    pol_finding finding = {
        .type = POL_FIND_TLS_DENY,
        .proto = 6,
        .audit = 1,
        .name_count = 2,
        .dst_port = 443,
        .reason = POL_WHY_SNI_MISMATCH,
        .dst = {4, {203, 0, 113, 9}},
        .generation = 5,
        .count = 17,
        .src = {6, {0x20, 0x01, 0x0d, 0xb8}},
        .first_seen = 1770000000123,
        .last_seen = 1770000100456,
        .group = "web",
        .rule = "r1",
        .name = "a.example",
        .fqdn = "b.example",
        .names = {"b.example", "c.example"},
    };

    put(&finding);
    finding.count = 18;
    put(&finding);
    reopen();
    cr_assert_eq(store_findings(store, remember, NULL), 0);
    cr_assert_eq(found_count, 1);
    cr_assert(memcmp(&found, &finding, sizeof(found)) == 0);
}

Test(records, an_evicted_finding_goes)
{
    pol_finding finding = {
        .type = POL_FIND_DNS_DENY, .count = 1, .group = "g", .name = "x.example"};

    put(&finding);
    finding.count = 0;
    put(&finding);
    cr_assert_eq(store_findings(store, remember, NULL), 0);
    cr_assert_eq(found_count, 0);
}

static pol_grant granted;
static int granted_count;

static void keep(void *user, const pol_grant *grant)
{
    (void)user;
    granted = *grant;
    granted_count++;
}

Test(records, grants_come_back_until_they_expire)
{
    pol_grant grant = {
        .group_key = UINT64_C(0xfedcba9876543210),
        .addr = {4, {192, 0, 2, 7}},
        .kind = POL_GRANT_OBSERVED,
        .two_way = 1,
        .name_len = 9,
        .ttl = 300,
        .learned = 1,
        .answered = 2,
        .used = 3,
        .expires = POL_NEVER,
        .name = "a.example",
    };

    cr_assert_eq(store_grant_put(store, &grant), 0);
    grant.expires = 1000;
    cr_assert_eq(store_grant_put(store, &grant), 0);
    reopen();
    cr_assert_eq(store_grants(store, keep, NULL), 0);
    cr_assert_eq(granted_count, 1);
    cr_assert(memcmp(&granted, &grant, sizeof(grant)) == 0);
    cr_assert_eq(store_grants_expire(store, 1001), 0);
    cr_assert_eq(store_grants(store, keep, NULL), 0);
    cr_assert_eq(granted_count, 1);
}

static void damage(const char *name)
{
    char *path = fs_join(dir, name);
    FILE *file = fopen(path, "r+");

    for (int i = 0; i < 4000; i++)
        fputc('x', file);
    fclose(file);
    free(path);
}

Test(records, damaged_findings_are_put_aside_and_do_not_stop_the_node)
{
    uint64_t first = add("one", 0);

    cr_assert_eq(store_policy_activate(store, first), 0);
    store_close(store);
    store = NULL;
    damage("observed.db");
    reopen();
    expect_active("one", first);
}

Test(records, a_damaged_policy_database_stops_the_start_with_a_reason)
{
    store_close(store);
    store = NULL;
    damage("state.db");
    cr_assert_eq(store_open(dir, &store, &error), -EUCLEAN);
    cr_assert(strstr(error.ptr, "state.db: the file is damaged; restore a backup"));
}

static void limit_files(rlim_t size)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size == RLIM_INFINITY ? limit.rlim_max : size;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(records, a_full_disk_fails_a_policy_and_nothing_else)
{
    uint64_t first = add("one", 0), second = 0;

    signals_block();
    cr_assert_eq(store_policy_activate(store, first), 0);
    limit_files(1024);
    cr_assert_lt(store_policy_add(store, "two", 3, first, &second), 0);
    limit_files(RLIM_INFINITY);
    expect_active("one", first);
    second = add("two", first);
    cr_assert_eq(store_policy_activate(store, second), 0);
    reopen();
    expect_active("two", second);
}

Test(records, a_commit_that_fails_undoes_the_findings_and_can_be_tried_again)
{
    pol_finding finding = {
        .type = POL_FIND_DNS_DENY, .count = 1, .group = "g", .name = "x.example"};

    signals_block();
    limit_files(1024);
    cr_assert_eq(store_observed_begin(store), 0);
    cr_assert_eq(store_finding_put(store, &finding), 0);
    cr_assert_lt(store_observed_commit(store), 0);
    limit_files(RLIM_INFINITY);
    cr_assert_eq(store_findings(store, remember, NULL), 0);
    cr_assert_eq(found_count, 0);
    put(&finding);
    cr_assert_eq(store_findings(store, remember, NULL), 0);
    cr_assert_eq(found_count, 1);
}

static void drop_file(const char *name)
{
    char *path = fs_join(dir, name);

    cr_assert_eq(unlink(path), 0);
    free(path);
}

Test(records, a_policy_is_refused_when_its_file_is_gone)
{
    uint64_t first = add("one", 0), second = 0;

    drop_file("state.db");
    cr_assert_eq(store_policy_activate(store, first), -ESTALE);
    cr_assert_eq(store_policy_add(store, "two", 3, first, &second), -ESTALE);
}

Test(records, a_policy_is_refused_when_another_process_could_take_the_directory)
{
    uint64_t first = add("one", 0);

    drop_file("lock");
    cr_assert_eq(store_policy_activate(store, first), -ESTALE);
}

Test(records, a_start_that_fails_names_the_file_and_the_reason)
{
    char *path = fs_join(dir, "observed.db");

    store_close(store);
    store = NULL;
    drop_file("observed.db");
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_expect_eq(store_open(dir, &store, &error), -EACCES);
    cr_expect(strstr(error.ptr, "observed.db: unable to open database file"), "%s", error.ptr);
    cr_expect_eq(rmdir(path), 0);
    free(path);
}
