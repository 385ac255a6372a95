/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MONO_H
#define BASE_MONO_H

#include <libpolicy/base.h>

/* A moment so much later; never, where there is no such moment. A caller that wants no limit says
 * POL_NEVER for a duration. */
static inline pol_mono mono_after(pol_mono moment, pol_mono duration)
{
    return duration < POL_NEVER - moment ? moment + duration : POL_NEVER;
}

#endif
