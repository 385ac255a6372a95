/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdint.h>

/* The daemon's only view of the system's clocks. Everything else is told the time. */
uint64_t clock_mono(void); /* nanoseconds, never backwards */
uint64_t clock_wall(void); /* milliseconds since 1970-01-01 UTC */

/*
 * Nanoseconds since 1970 as the system had it when the process first asked, and never set since:
 * steady as clock_mono(), and what the store kept of an earlier process can be compared with it.
 */
uint64_t clock_steady(void);

#endif
