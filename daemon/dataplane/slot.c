// SPDX-License-Identifier: Apache-2.0
#include "dataplane/slot.h"

#include <errno.h>
#include <stdlib.h>

struct slot_publication {
    pol_policy *policy;
    uint64_t generation;
};

static void publication_free(struct slot_publication *publication)
{
    if (!publication)
        return;

    pol_policy_unref(publication->policy);
    free(publication);
}

int slot_publish(struct slot *slot, pol_policy *policy, uint64_t generation)
{
    struct slot_publication *publication = malloc(sizeof(*publication));

    if (!publication)
        return -ENOMEM;

    publication->policy = pol_policy_ref(policy);
    publication->generation = generation;
    publication_free(atomic_exchange(&slot->waiting, publication));
    return 0;
}

bool slot_is_waiting(struct slot *slot)
{
    return atomic_load_explicit(&slot->waiting, memory_order_relaxed) != NULL;
}

bool slot_apply(struct slot *slot, pol_worker *worker)
{
    struct slot_publication *publication;

    publication = atomic_exchange(&slot->waiting, NULL);
    if (!publication)
        return false;

    if (pol_worker_use(worker, publication->policy, publication->generation) == POL_OK)
        atomic_store(&slot->applied, publication->generation);
    publication_free(publication);
    return true;
}

uint64_t slot_applied(struct slot *slot)
{
    return atomic_load(&slot->applied);
}

void slot_fini(struct slot *slot)
{
    publication_free(atomic_exchange(&slot->waiting, NULL));
}
