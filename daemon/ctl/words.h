/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_WORDS_H
#define CTL_WORDS_H

#include <stdint.h>

#define WORD_SIZE 16 /* longest word and its NUL */

/* Numbers from packets as the words people use; each returns a static text or `buf`. */
const char *word_proto(uint8_t proto, char buf[WORD_SIZE]);     /* "tcp"; "50" for others */
const char *word_dns_type(uint16_t type, char buf[WORD_SIZE]);  /* "AAAA"; "TYPE99" (RFC 3597) */
const char *word_dns_rcode(uint8_t rcode, char buf[WORD_SIZE]); /* "NXDOMAIN"; "RCODE12" */
const char *word_side(uint8_t side);                            /* "inside" */

#endif
