// SPDX-License-Identifier: Apache-2.0
#include "core/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"

#define LINE_CAPACITY 2048

static _Atomic(int) log_threshold = LOG_LEVEL_INFO;

static struct {
    pthread_mutex_t lock;
    uint64_t second; /* the second `lines` was counted in */
    unsigned lines;
    unsigned held_back;
} budget = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_set_level(enum log_level level)
{
    atomic_store(&log_threshold, (int)level);
}

/* Returns whether a line may leave now, and how many were held back before it. */
static int take_turn(unsigned *ret_held_back)
{
    uint64_t second = clock_mono() / 1000000000;
    int mine;

    pthread_mutex_lock(&budget.lock);
    if (second != budget.second) {
        budget.second = second;
        budget.lines = 0;
    }
    mine = budget.lines < LOG_LINES_PER_SECOND;
    *ret_held_back = mine ? budget.held_back : 0;
    if (mine) {
        budget.lines++;
        budget.held_back = 0;
    } else {
        budget.held_back++;
    }
    pthread_mutex_unlock(&budget.lock);
    return mine;
}

static size_t escape(const char *message, char *line, size_t capacity)
{
    size_t len = 0;

    for (const char *c = message; *c && len + 5 < capacity; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            len += (size_t)snprintf(line + len, capacity - len, "\\x%02x", (unsigned char)*c);
        else
            line[len++] = *c;
    }
    return len;
}

static void write_line(enum log_level level, const char *message)
{
    static const struct {
        const char *journal, *word;
    } marks[] = {
        [LOG_LEVEL_ERROR] = {"<3>", "error: "},
        [LOG_LEVEL_WARN] = {"<4>", "warning: "},
        [LOG_LEVEL_INFO] = {"<6>", ""},
        [LOG_LEVEL_DEBUG] = {"<7>", "debug: "},
    };
    char line[LINE_CAPACITY];
    size_t len;
    ssize_t written;

    len = (size_t)snprintf(line, sizeof(line), "%spolicyd: %s",
                           getenv("JOURNAL_STREAM") ? marks[level].journal : "", marks[level].word);
    len += escape(message, line + len, sizeof(line) - len - 1);
    line[len++] = '\n';

    /* One write per line keeps lines of several threads whole. Nobody can be told if it fails. */
    written = write(STDERR_FILENO, line, len);
    (void)written;
}

void log_line(enum log_level level, const char *format, ...)
{
    char message[LINE_CAPACITY / 2];
    unsigned held_back;
    va_list args;

    if ((int)level > atomic_load(&log_threshold) || !take_turn(&held_back))
        return;

    if (held_back) {
        snprintf(message, sizeof(message), "%u messages were held back", held_back);
        write_line(LOG_LEVEL_WARN, message);
    }

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    write_line(level, message);
}
