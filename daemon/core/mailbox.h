/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_MAILBOX_H
#define CORE_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A bounded queue of pointers from any number of threads to one. It owns nothing it carries. A
 * closed mailbox takes nothing more but still gives out what it holds.
 */
struct mailbox;

int mailbox_new(size_t capacity, struct mailbox **ret_mailbox); /* 0, or -ENOMEM */
void mailbox_free(struct mailbox *mailbox);

/* False when the mailbox is full or closed; the item stays with the caller. */
bool mailbox_post(struct mailbox *mailbox, void *item);

/* The oldest item; NULL when none came within the time, or mailbox_wake() was called meanwhile. */
void *mailbox_take(struct mailbox *mailbox, uint64_t timeout_ns);

void mailbox_wake(struct mailbox *mailbox);
void mailbox_close(struct mailbox *mailbox);

#endif
