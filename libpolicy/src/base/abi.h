/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ABI_H
#define BASE_ABI_H

/*
 * Option structs begin with their size. A caller built against an older header hands in a shorter
 * struct (the rest keeps its default), one built against a newer header a longer struct, which is
 * fine as long as the part this library does not know is zero.
 */

#include <libpolicy/base.h>

/* The octets of a struct up to a field: the size of its first published form, if that field was the
 * last one then. */
#define ABI_UP_TO(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/* Copies the caller's struct over `own`, which already holds the defaults. given may be NULL.
 * minimum is the size of the first published form. POL_OK or POL_E_ABI. */
int abi_options(void *own, size_t own_size, const void *given, size_t minimum);

/* Sets the caller's struct to the defaults for as many octets as it has, and its size field; one
 * that has no room for that is left alone. */
void abi_defaults(void *given, size_t given_size, const void *defaults, size_t own_size);

#endif
