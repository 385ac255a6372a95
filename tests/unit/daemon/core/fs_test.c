// SPDX-License-Identifier: Apache-2.0
#include "core/fs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <criterion/criterion.h>

static char *dir;

static void setup(void)
{
    cr_assert_eq(fs_make_temp_dir(&dir), 0);
}

static void teardown(void)
{
    fs_remove_dir(dir);
    free(dir);
}

TestSuite(fs, .init = setup, .fini = teardown);

static char *write_file(const char *name, const char *content)
{
    char *path = fs_join(dir, name);
    FILE *file = fopen(path, "w");

    fputs(content, file);
    fclose(file);
    return path;
}

Test(fs, a_file_is_read_whole_and_terminated)
{
    char *path = write_file("a", "hello"), *content = NULL;
    size_t len;

    cr_assert_eq(fs_read_file(path, 5, &content, &len), 0);
    cr_assert_eq(len, 5);
    cr_assert_str_eq(content, "hello");
    free(content);
    free(path);
}

Test(fs, an_empty_file_is_an_empty_text)
{
    char *path = write_file("a", ""), *content = NULL;
    size_t len = 9;

    cr_assert_eq(fs_read_file(path, 5, &content, &len), 0);
    cr_assert_eq(len, 0);
    cr_assert_str_eq(content, "");
    free(content);
    free(path);
}

Test(fs, a_file_beyond_the_limit_is_refused)
{
    char *path = write_file("a", "hello!"), *content = NULL;
    size_t len;

    cr_assert_eq(fs_read_file(path, 5, &content, &len), -EFBIG);
    cr_assert_eq(fs_read_file("/nonexistent/file", 5, &content, &len), -ENOENT);
    cr_assert_null(content);
    free(path);
}

Test(fs, directories_are_made_with_their_parents_and_kept_private)
{
    char *path = fs_join(dir, "one/two");
    struct stat st;

    cr_assert_eq(fs_make_dir(path), 0);
    cr_assert_eq(fs_make_dir(path), 0);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0700);
    fs_remove_dir(path);
    free(path);
    path = fs_join(dir, "one");
    fs_remove_dir(path);
    free(path);
}

Test(fs, a_file_in_the_way_is_told)
{
    char *path = write_file("a", "");

    cr_assert_eq(fs_make_dir(path), -ENOTDIR);
    free(path);
}
