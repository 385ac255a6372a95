/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays files through a fuzz harness without libFuzzer. Names are printed before the run: after a crash the last
 * one is the culprit. Inputs lie in memory of exactly their size, so that AddressSanitizer sees the first octet
 * read past the end.
 *
 *     NAME_corpus FILE|DIRECTORY...
 */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned played;

static int play_file(const char *path, size_t size)
{
    uint8_t *data = NULL;
    FILE *file = NULL;
    int rc = -1;

    file = fopen(path, "rb");
    if (!file)
        goto out;

    data = malloc(size ? size : 1);
    if (!data)
        goto out;

    if (fread(data, 1, size, file) != size)
        goto out;

    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    played++;
    rc = 0;

out:
    if (rc < 0)
        perror(path);
    if (file)
        fclose(file);
    free(data);
    return rc;
}

static int play(const char *path)
{
    struct dirent **entries = NULL;
    struct stat st;
    char *inner;
    size_t length;
    int count, rc = 0;

    if (stat(path, &st) < 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return play_file(path, (size_t)st.st_size);

    count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        perror(path);
        return -1;
    }

    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && rc == 0) {
            length = strlen(path) + strlen(entries[i]->d_name) + 2;
            inner = malloc(length);
            if (inner) {
                snprintf(inner, length, "%s/%s", path, entries[i]->d_name);
                rc = play(inner);
            } else {
                rc = -1;
            }
            free(inner);
        }
        free(entries[i]);
    }
    free(entries);
    return rc;
}

int main(int argc, char **argv)
{
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);

    for (int i = 1; i < argc; i++) {
        if (play(argv[i]) < 0)
            return 1;
    }

    if (played == 0) {
        fprintf(stderr, "no input\n");
        return 1;
    }
    printf("%u passed, 0 failed\n", played);
    return 0;
}
