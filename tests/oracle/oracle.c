/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies and packets, judged by the library and by a linear evaluator. Stops at the first
 * difference and says how to see it again.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "args.h"
#include "world.h"

enum { BLOCKS = 100, THREADS_MAX = 64 }; /* blocks of worlds are what is counted as tests */

static struct {
    uint64_t cases, seed, worlds, first_world;
    uint32_t threads;
    bool progress;
    atomic_uint_least64_t next, done;
    atomic_bool failed;
    pthread_mutex_t printing;
} run = {.cases = 1000000, .seed = 1, .threads = 2, .printing = PTHREAD_MUTEX_INITIALIZER};

static int usage(int code)
{
    fputs("Usage: oracle [--cases N] [--seed S] [--threads K] [--world W]\n\n"
          "  --cases N    packets to judge, with all that follows from each (1000000)\n"
          "  --seed S     another run (1)\n"
          "  --threads K  (2); the worlds are the same with any number\n"
          "  --world W    only this one\n",
          code ? stderr : stdout);
    return code;
}

static bool read_option(const char *name, uint64_t value)
{
    if (strcmp(name, "--cases") == 0 && value >= 1) {
        run.cases = value;
    } else if (strcmp(name, "--seed") == 0) {
        run.seed = value;
    } else if (strcmp(name, "--threads") == 0 && value >= 1 && value <= THREADS_MAX) {
        run.threads = (uint32_t)value;
    } else if (strcmp(name, "--world") == 0) {
        run.first_world = value;
        run.worlds = value + 1;
    } else {
        return false;
    }
    return true;
}

static bool read_options(int argc, char **argv)
{
    uint64_t value;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!args_number(argv[i + 1], &value) || !read_option(argv[i], value))
            return false;
    }
    return argc % 2 == 1;
}

static uint64_t seed_of(uint64_t number)
{
    return run.seed * UINT64_C(0xd1342543de82ef95) + number * UINT64_C(0x2545f4914f6cdd1d);
}

static void fail(const struct world *world, uint64_t number)
{
    pthread_mutex_lock(&run.printing);
    if (!atomic_exchange(&run.failed, true)) {
        fputs(run.progress ? "\r\033[K" : "", stdout);
        printf("%s\nagain:  oracle --seed %" PRIu64 " --world %" PRIu64 "\n",
               world_difference(world), run.seed, number);
    }
    pthread_mutex_unlock(&run.printing);
}

static void show_progress(uint64_t done)
{
    uint64_t all = run.worlds - run.first_world;

    if (!run.progress || done % (all / 200 + 1))
        return;
    pthread_mutex_lock(&run.printing);
    printf("\r%" PRIu64 " of %" PRIu64 " cases", done * WORLD_CASES, all * WORLD_CASES);
    fflush(stdout);
    pthread_mutex_unlock(&run.printing);
}

static void *play_worlds(void *unused)
{
    struct world *world = world_new();

    (void)unused;
    while (!atomic_load(&run.failed)) {
        uint64_t number = atomic_fetch_add(&run.next, 1);

        if (number >= run.worlds)
            break;
        if (!world_play(world, seed_of(number), WORLD_CASES))
            fail(world, number);
        else
            show_progress(atomic_fetch_add(&run.done, 1) + 1);
    }
    world_free(world);
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[THREADS_MAX];
    uint32_t started = 0;

    atomic_store(&run.next, run.first_world);
    while (started + 1 < run.threads &&
           pthread_create(&threads[started], NULL, play_worlds, NULL) == 0)
        started++;
    play_worlds(NULL);
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

int main(int argc, char **argv)
{
    uint64_t blocks, passed;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(0);
    if (!read_options(argc, argv))
        return usage(2);
    if (run.worlds == 0)
        run.worlds = (run.cases + WORLD_CASES - 1) / WORLD_CASES;
    run.progress = isatty(STDOUT_FILENO);
    world_init();
    run_threads();
    fputs(run.progress ? "\r\033[K" : "", stdout);
    blocks = run.worlds - run.first_world < BLOCKS ? run.worlds - run.first_world : BLOCKS;
    passed = blocks * atomic_load(&run.done) / (run.worlds - run.first_world);
    printf("%" PRIu64 " passed, %d failed\n", passed, (int)atomic_load(&run.failed));
    return atomic_load(&run.failed) ? 1 : 0;
}
