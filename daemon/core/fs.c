// SPDX-License-Identifier: Apache-2.0
#include "core/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"

static int read_all(int fd, size_t limit, struct text *text)
{
    char piece[16384];
    ssize_t got;

    while ((got = read(fd, piece, sizeof(piece))) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if ((size_t)got > limit - text->len)
            return -EFBIG;
        text_add_bytes(text, piece, (size_t)got);
    }

    text_add(text, "");
    return text->failed ? -ENOMEM : 0;
}

/* What is open already, as in "--policy <(make-policy)" and for /dev/stdin. */
static bool is_descriptor(const char *path)
{
    return strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0;
}

/* Never waits for the other end of a named pipe. */
static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    int rc = 0;

    if (fd < 0)
        return -errno;

    if (fstat(fd, &st) < 0)
        rc = -errno;
    else if (S_ISDIR(st.st_mode))
        rc = -EISDIR;
    else if (!S_ISREG(st.st_mode) && !is_descriptor(path))
        rc = -ENOTSUP;
    else if (fcntl(fd, F_SETFL, O_RDONLY) < 0)
        rc = -errno;

    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

int fs_read_file(const char *path, size_t limit, char **ret_content, size_t *ret_len)
{
    struct text text = {0};
    int fd = open_file(path);
    int rc;

    if (fd < 0)
        return fd;

    rc = read_all(fd, limit, &text);
    if (rc < 0)
        goto out;

    *ret_content = text.ptr;
    *ret_len = text.len;
    text = (struct text){0};

out:
    text_fini(&text);
    close(fd);
    return rc;
}

static int make_one(const char *path)
{
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int fs_make_dir(const char *path)
{
    char *part = strdup(path);
    int rc = 0;

    if (!part)
        return -ENOMEM;

    for (char *slash = strchr(part + 1, '/'); slash && rc == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        rc = make_one(part);
        *slash = '/';
    }
    if (rc == 0)
        rc = make_one(part);

    free(part);
    return rc;
}

int fs_make_temp_dir(char **ret_path)
{
    const char *base = getenv("TMPDIR");
    char *path = fs_join(base && *base ? base : "/tmp", "policyd.XXXXXX");

    if (!path)
        return -ENOMEM;

    if (!mkdtemp(path)) {
        int rc = -errno;

        free(path);
        return rc;
    }

    *ret_path = path;
    return 0;
}

void fs_remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir)
        return;

    while ((entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(path);
}

char *fs_join(const char *directory, const char *name)
{
    struct text text = {0};

    text_addf(&text, "%s/%s", directory, name);
    return text.ptr;
}
