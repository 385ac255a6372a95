/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

int events_init(struct events *events, const pol_mem *mem, uint32_t capacity)
{
    uint32_t size = 1;

    while (size < capacity)
        size *= 2;
    *events = (struct events){.mask = size - 1, .capacity = size, .kinds = UINT32_MAX};
    events->ring = mem_array(mem, size, sizeof(*events->ring));
    return events->ring ? POL_OK : POL_E_NOMEM;
}

void events_fini(struct events *events, const pol_mem *mem)
{
    mem_free(mem, events->ring, events->capacity * sizeof(*events->ring));
    *events = (struct events){0};
}

pol_event *events_place(struct events *events)
{
    pol_event *event;

    if (events_full(events))
        return NULL;
    event = &events->ring[events->head++ & events->mask];
    /* The names are long and always terminated by whoever fills them in. */
    memset(event, 0, offsetof(pol_event, name));
    event->name[0] = event->fqdn[0] = '\0';
    return event;
}

size_t events_drain(struct events *events, pol_event *ret_events, size_t capacity)
{
    size_t count = 0;

    while (count < capacity && events->tail != events->head)
        ret_events[count++] = events->ring[events->tail++ & events->mask];
    return count;
}
