/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *grow(void *ptr, size_t size)
{
    void *grown = realloc(ptr, size ? size : 1);

    if (!grown) {
        fputs("scenario_runner: out of memory\n", stderr);
        exit(2);
    }
    return grown;
}

bool word_number(const char *text, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (*text == '\0')
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || number > max / 10)
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
    }
    *ret_number = number;
    return number <= max;
}

bool word_time(const char *text, pol_mono *ret_time)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}};
    char *end;
    double number = strtod(text, &end);

    if (end == text || number < 0 || number > 1e9)
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].name))
            continue;
        *ret_time = (pol_mono)(number * units[i].seconds * 1e9 + 0.5);
        return true;
    }
    return false;
}

bool word_is(const struct word *word, const char *text)
{
    return word && !word->key && !word->quoted && !strcmp(word->text, text);
}

int word_choice(const char *text, const char *choices)
{
    size_t len = strlen(text);

    for (int i = 0;; i++) {
        size_t choice = strcspn(choices, "|");

        if (choice == len && !strncmp(choices, text, len))
            return i;
        if (choices[choice] == '\0')
            return -1;
        choices += choice + 1;
    }
}

bool word_name(const char *text)
{
    size_t total = 0, label = 0;

    if (!strcmp(text, "."))
        return true;
    for (; *text; text++, total++) {
        if (*text == '.' && label == 0)
            return false;
        label = *text == '.' ? 0 : label + 1;
        if (*text == '\\' && strspn(text + 1, "0123456789") < 3)
            return false;
        if (*text == '\\')
            text += 3;
        if (label > 63)
            return false;
    }
    return total > 0 && total <= 253;
}

/* Finds the ":PORT" behind an address; the end of the text when there is none. */
static const char *find_port(const char *text)
{
    const char *colon = strchr(text, ':');

    if (*text == '[')
        return strchr(text, ']') ? strchr(text, ']') + 1 : text;
    return colon && !strchr(colon + 1, ':') ? colon : text + strlen(text);
}

bool word_endpoint(const char *text, struct endpoint *ret_endpoint)
{
    const char *port = find_port(text);
    size_t bracket = *text == '[', len;
    uint64_t number = 0;
    pol_addr addr;

    if ((size_t)(port - text) <= 2 * bracket)
        return false;
    len = (size_t)(port - text) - 2 * bracket;
    if (len >= sizeof(ret_endpoint->addr) ||
        pol_addr_parse((pol_str){text + bracket, len}, &addr) != POL_OK)
        return false;
    if (*port && (*port != ':' || !word_number(port + 1, UINT16_MAX, &number)))
        return false;
    *ret_endpoint = (struct endpoint){
        .family = addr.family, .port = (uint16_t)number, .has_port = *port == ':'};
    memcpy(ret_endpoint->addr, text + bracket, len);
    return true;
}

/* Puts a number where it belongs, by the width of its kind. */
static bool store_number(const char *text, enum word_kind kind, void *into)
{
    uint64_t max = kind == WORD_U8 ? UINT8_MAX : kind == WORD_U16 ? UINT16_MAX : UINT32_MAX, number;

    if (!word_number(text, max, &number))
        return false;
    if (kind == WORD_U8)
        *(uint8_t *)into = (uint8_t)number;
    else if (kind == WORD_U16)
        *(uint16_t *)into = (uint16_t)number;
    else if (kind == WORD_U32)
        *(uint32_t *)into = (uint32_t)number;
    else if (kind == WORD_SIZE)
        *(size_t *)into = (size_t)number;
    else
        *(int64_t *)into = (int64_t)number;
    return true;
}

static bool store(const struct word *word, const struct word_key *key, void *into)
{
    int choice;

    switch (key->kind) {
    case WORD_TEXT:
        *(const char **)into = word->text;
        return true;
    case WORD_TIME:
        return word_time(word->text, into);
    case WORD_BOOL:
        choice = word_choice(word->text, "no|yes");
        *(bool *)into = choice == 1;
        return choice >= 0;
    case WORD_CHOICE:
        choice = word_choice(word->text, key->choices);
        *(uint8_t *)into = (uint8_t)choice;
        return choice >= 0;
    default:
        return store_number(word->text, key->kind, into);
    }
}

enum word_taken word_take(const struct word *word, const struct word_key *keys, size_t count,
                          void *into)
{
    for (size_t i = 0; word->key && i < count; i++)
        if (!strcmp(word->key, keys[i].name))
            return store(word, &keys[i], (char *)into + keys[i].offset) ? WORD_TAKEN : WORD_BAD;
    return WORD_UNKNOWN;
}

struct args args_of(const struct script *script, const struct step *step)
{
    return (struct args){script, step, 1};
}

const struct word *args_peek(const struct args *args)
{
    return args->next < args->step->count ? &args->step->words[args->next] : NULL;
}

const struct word *args_next(struct args *args)
{
    const struct word *word = args_peek(args);

    args->next += word != NULL;
    return word;
}

const char *args_bare(struct args *args, const char *what)
{
    const struct word *word = args_next(args);

    if (word && !word->key)
        return word->text;
    script_error(args->script, args->step->line, "%s is missing", what);
    return NULL;
}

bool args_unknown(const struct args *args, const struct word *word)
{
    return script_error(args->script, args->step->line, "unknown word \"%s%s%s\" for %s",
                        word->key ? word->key : "", word->key ? "=" : "", word->text,
                        args->step->words[0].text);
}

bool args_wrong(const struct args *args, const struct word *word, const char *what)
{
    return script_error(args->script, args->step->line, "\"%s\" is no %s", word->text, what);
}

bool args_taken(const struct args *args, const struct word *word, enum word_taken taken)
{
    if (taken == WORD_UNKNOWN)
        return args_unknown(args, word);
    if (taken == WORD_BAD)
        return args_wrong(args, word, word->key);
    return true;
}
