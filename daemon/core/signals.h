/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_SIGNALS_H
#define CORE_SIGNALS_H

#include <stdint.h>

enum signals_wish { SIGNALS_NONE, SIGNALS_STOP, SIGNALS_RELOAD };

/*
 * Blocks SIGTERM, SIGINT and SIGHUP for this thread and those it starts; SIGPIPE and SIGXFSZ are
 * ignored, so that writing fails instead. Call before any thread.
 */
void signals_block(void);

/* Waits for one of them: SIGNALS_NONE when the time is over. */
enum signals_wish signals_wait(uint64_t timeout_ns);

#endif
