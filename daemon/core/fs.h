/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_FS_H
#define CORE_FS_H

#include <stddef.h>

/*
 * Reads a whole regular file. The process's own descriptors, /dev/stdin and /dev/fd/N, may be
 * pipes; a named pipe is refused, for its opening could wait for ever. The content is
 * NUL-terminated and the caller's to free().
 *
 * @return 0, -EFBIG when it is longer than `limit`, -ENOTSUP when it is no regular file, or another
 *         negative errno
 */
int fs_read_file(const char *path, size_t limit, char **ret_content, size_t *ret_len);

/* Makes a directory with mode 0700 and its missing parents; an existing one is fine. */
int fs_make_dir(const char *path);

/* Makes a fresh directory under $TMPDIR or /tmp; the path is the caller's to free(). */
int fs_make_temp_dir(char **ret_path);

/* Removes a directory and the files in it; directories inside are left, and so is their parent. */
void fs_remove_dir(const char *path);

/* directory/name, the caller's to free(); NULL when memory is short. */
char *fs_join(const char *directory, const char *name);

#endif
