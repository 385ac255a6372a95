// SPDX-License-Identifier: Apache-2.0
#include "control/publish.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct published {
    pol_policy *policy;
    uint64_t generation;
};

struct publish {
    pthread_mutex_t lock;   /* of the list: the control thread writes it, others read its end */
    struct published *list; /* oldest first; the last one was sent last */
    size_t count, capacity;
    pol_policy *accepted; /* under the lock too */
    struct worker_loop *const *loops;
    size_t loop_count;
};

int publish_new(struct worker_loop *const *loops, size_t loop_count, struct publish **ret_publish)
{
    struct publish *publish = calloc(1, sizeof(*publish));

    if (!publish)
        return -ENOMEM;

    pthread_mutex_init(&publish->lock, NULL);
    publish->loops = loops;
    publish->loop_count = loop_count;
    *ret_publish = publish;
    return 0;
}

void publish_free(struct publish *publish)
{
    if (!publish)
        return;

    for (size_t i = 0; i < publish->count; i++)
        pol_policy_unref(publish->list[i].policy);
    free(publish->list);
    pol_policy_unref(publish->accepted);
    pthread_mutex_destroy(&publish->lock);
    free(publish);
}

static int reserve(struct publish *publish)
{
    size_t capacity = publish->capacity ? publish->capacity * 2 : 4;
    struct published *list;

    if (publish->count < publish->capacity)
        return 0;

    list = realloc(publish->list, capacity * sizeof(*list));
    if (!list)
        return -ENOMEM;

    publish->list = list;
    publish->capacity = capacity;
    return 0;
}

static int add(struct publish *publish, pol_policy *policy, uint64_t generation)
{
    int rc;

    pthread_mutex_lock(&publish->lock);
    rc = reserve(publish);
    if (rc == 0)
        publish->list[publish->count++] = (struct published){pol_policy_ref(policy), generation};
    if (rc == 0 && !publish->accepted)
        publish->accepted = pol_policy_ref(policy);
    pthread_mutex_unlock(&publish->lock);
    return rc;
}

int publish_send(struct publish *publish, pol_policy *policy, uint64_t generation)
{
    int rc;

    rc = add(publish, policy, generation);
    for (size_t i = 0; rc == 0 && i < publish->loop_count; i++) {
        rc = slot_publish(worker_loop_slot(publish->loops[i]), policy, generation);
        worker_loop_wake(publish->loops[i]);
    }
    return rc;
}

bool publish_applied(struct publish *publish, uint64_t *ret_oldest)
{
    uint64_t newest, oldest;

    pthread_mutex_lock(&publish->lock);
    newest = publish->count ? publish->list[publish->count - 1].generation : 0;
    pthread_mutex_unlock(&publish->lock);

    oldest = newest;
    for (size_t i = 0; i < publish->loop_count; i++) {
        uint64_t applied = slot_applied(worker_loop_slot(publish->loops[i]));

        oldest = applied < oldest ? applied : oldest;
    }
    *ret_oldest = oldest;
    return oldest == newest;
}

pol_policy *publish_current(struct publish *publish, uint64_t *ret_generation)
{
    struct published current;

    pthread_mutex_lock(&publish->lock);
    current = publish->list[publish->count - 1];
    pol_policy_ref(current.policy);
    pthread_mutex_unlock(&publish->lock);

    *ret_generation = current.generation;
    return current.policy;
}

void publish_accept(struct publish *publish, pol_policy *policy)
{
    pol_policy *before;

    pthread_mutex_lock(&publish->lock);
    before = publish->accepted;
    publish->accepted = pol_policy_ref(policy);
    pthread_mutex_unlock(&publish->lock);

    pol_policy_unref(before);
}

pol_policy *publish_accepted(struct publish *publish)
{
    pol_policy *accepted;

    pthread_mutex_lock(&publish->lock);
    accepted = pol_policy_ref(publish->accepted);
    pthread_mutex_unlock(&publish->lock);
    return accepted;
}

const pol_policy *publish_find(const struct publish *publish, uint64_t generation)
{
    for (size_t i = publish->count; i > 0; i--)
        if (publish->list[i - 1].generation == generation)
            return publish->list[i - 1].policy;
    return NULL;
}

void publish_forget(struct publish *publish, uint64_t before)
{
    size_t old = 0;

    while (old + 1 < publish->count && publish->list[old].generation < before)
        pol_policy_unref(publish->list[old++].policy);
    if (old == 0)
        return;

    pthread_mutex_lock(&publish->lock);
    publish->count -= old;
    memmove(publish->list, publish->list + old, publish->count * sizeof(*publish->list));
    pthread_mutex_unlock(&publish->lock);
}
