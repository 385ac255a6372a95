// SPDX-License-Identifier: Apache-2.0
#include "core/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    bool woken;
    bool closed;
    size_t capacity;
    size_t first; /* oldest item */
    size_t count;
    void *items[];
};

int mailbox_new(size_t capacity, struct mailbox **ret_mailbox)
{
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox) + capacity * sizeof(void *));
    pthread_condattr_t monotonic;

    if (!mailbox)
        return -ENOMEM;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&mailbox->arrived, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->capacity = capacity;
    *ret_mailbox = mailbox;
    return 0;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox)
        return;

    pthread_cond_destroy(&mailbox->arrived);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

bool mailbox_post(struct mailbox *mailbox, void *item)
{
    bool taken;

    pthread_mutex_lock(&mailbox->lock);
    taken = !mailbox->closed && mailbox->count < mailbox->capacity;
    if (taken)
        mailbox->items[(mailbox->first + mailbox->count++) % mailbox->capacity] = item;
    pthread_cond_signal(&mailbox->arrived);
    pthread_mutex_unlock(&mailbox->lock);
    return taken;
}

static struct timespec deadline_after(uint64_t timeout_ns)
{
    uint64_t at = clock_mono() + timeout_ns;

    return (struct timespec){.tv_sec = (time_t)(at / 1000000000),
                             .tv_nsec = (long)(at % 1000000000)};
}

void *mailbox_take(struct mailbox *mailbox, uint64_t timeout_ns)
{
    struct timespec deadline = deadline_after(timeout_ns);
    void *item = NULL;
    int rc = 0;

    pthread_mutex_lock(&mailbox->lock);
    while (mailbox->count == 0 && !mailbox->woken && !mailbox->closed && rc == 0)
        rc = pthread_cond_timedwait(&mailbox->arrived, &mailbox->lock, &deadline);

    mailbox->woken = false;
    if (mailbox->count > 0) {
        item = mailbox->items[mailbox->first];
        mailbox->first = (mailbox->first + 1) % mailbox->capacity;
        mailbox->count--;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return item;
}

void mailbox_wake(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->woken = true;
    pthread_cond_signal(&mailbox->arrived);
    pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_close(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->closed = true;
    pthread_cond_signal(&mailbox->arrived);
    pthread_mutex_unlock(&mailbox->lock);
}
