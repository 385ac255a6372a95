/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that learns at run time that there is a libpolicy: opens it, finds every function of
 * the list, runs program.c through pointers, and closes it; several times, and no memory stays.
 *
 *   GLIBC_TUNABLES=glibc.malloc.tcache_count=0 dlopen LIBRARY FUNCTION...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <libpolicy/policy.h>
#include <malloc.h>

#define FUNCTIONS(XX)                                                                              \
    XX(pol_action_word)                                                                            \
    XX(pol_compile)                                                                                \
    XX(pol_ctx_new)                                                                                \
    XX(pol_ctx_unref)                                                                              \
    XX(pol_packet_parse)                                                                           \
    XX(pol_policy_unref)                                                                           \
    XX(pol_version)                                                                                \
    XX(pol_worker_decide)                                                                          \
    XX(pol_worker_free)                                                                            \
    XX(pol_worker_new)                                                                             \
    XX(pol_worker_options_init)                                                                    \
    XX(pol_worker_use)

#define XX(name) __typeof__(name) *at_##name;
static struct {
    FUNCTIONS(XX)
} lib;
#undef XX

#define pol_action_word         lib.at_pol_action_word
#define pol_compile             lib.at_pol_compile
#define pol_ctx_new             lib.at_pol_ctx_new
#define pol_ctx_unref           lib.at_pol_ctx_unref
#define pol_packet_parse        lib.at_pol_packet_parse
#define pol_policy_unref        lib.at_pol_policy_unref
#define pol_version             lib.at_pol_version
#define pol_worker_decide       lib.at_pol_worker_decide
#define pol_worker_free         lib.at_pol_worker_free
#define pol_worker_new          lib.at_pol_worker_new
#define pol_worker_options_init lib.at_pol_worker_options_init
#define pol_worker_use          lib.at_pol_worker_use
#define main                    example
#include "program.c"
#undef main

enum { ROUNDS = 3 };

static void *find(void *handle, const char *name)
{
    void *address = dlsym(handle, name);

    if (!address)
        printf("%s\n", dlerror());
    return address;
}

/* Octets in use. Exact only without the caches of malloc(): see main(). */
static size_t in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* What the loader itself allocates and keeps is not looked at. */
static int play(void *handle, char **names, int count)
{
    size_t before;

    for (int i = 0; i < count; i++)
        if (!find(handle, names[i]))
            return 1;
#define XX(name) lib.at_##name = (__typeof__(lib.at_##name))find(handle, #name);
    FUNCTIONS(XX)
#undef XX
    before = in_use();
    if (example() != 0)
        return 1;
    if (in_use() != before) {
        printf("%zd octets stay\n", (ssize_t)(in_use() - before));
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    mallopt(M_MXFAST, 0);
    printf("%s\n", argv[1]); /* stdio allocates its buffer now */
    for (int round = 0; round < ROUNDS; round++) {
        void *handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);

        if (!handle) {
            printf("%s\n", dlerror());
            return 1;
        }
        if (play(handle, argv + 2, argc - 2) != 0 || dlclose(handle) != 0)
            return 1;
        if (dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD)) {
            printf("the library does not go when it is closed\n");
            return 1;
        }
    }
    return 0;
}
