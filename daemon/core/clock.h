/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdint.h>

/* The daemon's only view of the system's clocks. Everything else is told the time. */
uint64_t clock_mono(void); /* nanoseconds, never backwards */
uint64_t clock_wall(void); /* milliseconds since 1970-01-01 UTC */

#endif
