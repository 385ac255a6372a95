/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCENARIO_WORDS_H
#define SCENARIO_WORDS_H

/* What words mean by themselves: numbers, times, addresses, and tables of key=value. */

#include <libpolicy/base.h>

#include "script.h"

/* realloc() that ends the program when there is no memory. */
void *grow(void *ptr, size_t size);

bool word_number(const char *text, uint64_t max, uint64_t *ret_number);
bool word_time(const char *text, pol_mono *ret_time);    /* 0s, 1.5s, 250ms, 10m, 2h */
bool word_is(const struct word *word, const char *text); /* a bare word with this text */
/* Which of "a|b|c" it is, or -1. */
int word_choice(const char *text, const char *choices);

/* A name that fits into a DNS message: labels of 1 to 63 octets, 253 in all. "\DDD" is one octet.
 */
bool word_name(const char *text);

/* An end of a packet. */
struct endpoint {
    char addr[POL_ADDR_TEXT];
    int family; /* 4 or 6 */
    uint16_t port;
    bool has_port;
};
bool word_endpoint(const char *text, struct endpoint *ret_endpoint);

enum word_kind {
    WORD_TEXT, /* const char * */
    WORD_U8,
    WORD_U16,
    WORD_U32,
    WORD_I64, /* a number up to 2^32 - 1; -1 stands for "not given" */
    WORD_SIZE,
    WORD_TIME,  /* pol_mono */
    WORD_BOOL,  /* yes or no */
    WORD_CHOICE /* uint8_t, the place in `choices` */
};

/* One key that a verb knows, and where its value goes. */
struct word_key {
    const char *name;
    enum word_kind kind;
    size_t offset;
    const char *choices;
};

enum word_taken {
    WORD_TAKEN,
    WORD_UNKNOWN, /* not in this table */
    WORD_BAD      /* in the table, with a value that makes no sense */
};

enum word_taken word_take(const struct word *word, const struct word_key *keys, size_t count,
                          void *into);

/* The arguments of a step, one after the other. */
struct args {
    const struct script *script;
    const struct step *step;
    size_t next;
};

struct args args_of(const struct script *script, const struct step *step);
/* The next word, or NULL. */
const struct word *args_next(struct args *args);
const struct word *args_peek(const struct args *args);
/* The next word must be bare; `what` is for the error. NULL when it is not. */
const char *args_bare(struct args *args, const char *what);
/* Says that a word is not understood; returns false. */
bool args_unknown(const struct args *args, const struct word *word);
bool args_wrong(const struct args *args, const struct word *word, const char *what);

/* As args_unknown() or args_wrong() where the word was not taken. */
bool args_taken(const struct args *args, const struct word *word, enum word_taken taken);

#endif
