/* SPDX-License-Identifier: Apache-2.0 */
#include "facts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

/* Every first word there is, and every flag: anything else is a mistake of the scenario. */
static const char outcomes[] = "allow|deny|reject|pending|intercept|answer|servfail|accepted|"
                               "rejected|live|held|gone|found|none";
static const char flags[] = "opened|known|rejudged|watched|audit|side_inferred|reply|related|named|"
                            "sni_seen|sni_mismatch";

void facts_clear(struct facts *facts)
{
    for (size_t i = 0; i < facts->count; i++)
        free(facts->list[i].value);
    free(facts->list);
    *facts = (struct facts){.word = NULL};
}

void facts_flag(struct facts *facts, const char *flag)
{
    facts->flags[facts->flag_count++] = flag;
}

static struct fact *add(struct facts *facts, const char *key)
{
    facts->list = grow(facts->list, (facts->count + 1) * sizeof(*facts->list));
    facts->list[facts->count] = (struct fact){key, NULL};
    return &facts->list[facts->count++];
}

void facts_declare(struct facts *facts, const char *key)
{
    (void)add(facts, key);
}

void facts_add(struct facts *facts, const char *key, const char *format, ...)
{
    struct fact *fact = add(facts, key);
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    fact->value = grow(NULL, (size_t)len + 1);
    va_start(args, format);
    (void)vsnprintf(fact->value, (size_t)len + 1, format, args);
    va_end(args);
}

void facts_join(char *list, size_t capacity, const char *more)
{
    size_t len = strlen(list);

    (void)snprintf(list + len, capacity - len, "%s%s", len ? "," : "", more);
}

static bool has_flag(const struct facts *facts, const char *flag)
{
    for (size_t i = 0; i < facts->flag_count; i++)
        if (!strcmp(facts->flags[i], flag))
            return true;
    return false;
}

/* A diagnostic is expected by how it begins, a text by a part of it, all else exactly. */
static bool value_fits(const struct word *expected, const char *value)
{
    if (word_choice(expected->key, "error|warning") >= 0)
        return !strncmp(value, expected->text, strlen(expected->text));
    if (word_choice(expected->key, "text|json") >= 0)
        return strstr(value, expected->text) != NULL;
    return !strcmp(value, expected->text);
}

enum holding { HOLDS, FAILS, SENSELESS };

static enum holding key_holds(const struct facts *facts, const struct word *expected)
{
    enum holding holding = SENSELESS;

    for (size_t i = 0; i < facts->count; i++) {
        if (strcmp(facts->list[i].key, expected->key))
            continue;
        if (facts->list[i].value && value_fits(expected, facts->list[i].value))
            return HOLDS;
        holding = FAILS;
    }
    return holding;
}

static enum holding word_holds(const struct facts *facts, const struct word *expected)
{
    bool absent = *expected->text == '!';
    const char *text = expected->text + absent;

    if (expected->key)
        return key_holds(facts, expected);
    if (word_choice(text, flags) >= 0)
        return has_flag(facts, text) != absent ? HOLDS : FAILS;
    if (absent || !facts->word || word_choice(text, outcomes) < 0)
        return SENSELESS;
    return !strcmp(facts->word, text) ? HOLDS : FAILS;
}

static void print_word(const struct word *word)
{
    printf(" %s%s%s", word->key ? word->key : "", word->key ? "=" : "", word->text);
}

void facts_print(const struct facts *facts)
{
    if (facts->word)
        printf(" %s", facts->word);
    for (size_t i = 0; i < facts->flag_count; i++)
        printf(" %s", facts->flags[i]);
    for (size_t i = 0; i < facts->count; i++)
        if (facts->list[i].value && strcmp(facts->list[i].key, "json"))
            printf(" %s=%s", facts->list[i].key, facts->list[i].value);
    putchar('\n');
}

/* Text in JSON. Names and ids are UTF-8 already. */
static void print_json(const char *text)
{
    if (!text) {
        printf("null");
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20)
            printf("\\u%04x", (unsigned)*text);
        else
            printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    putchar('"');
}

void facts_trace(const struct facts *facts, const char *file, unsigned line)
{
    const char *comma = "";

    printf("{\"file\":");
    print_json(file);
    printf(",\"line\":%u,\"word\":", line);
    print_json(facts->word);
    printf(",\"flags\":[");
    for (size_t i = 0; i < facts->flag_count; i++)
        printf("%s\"%s\"", i ? "," : "", facts->flags[i]);
    printf("],\"facts\":[");
    for (size_t i = 0; i < facts->count; i++) {
        if (!facts->list[i].value)
            continue;
        printf("%s[\"%s\",", comma, facts->list[i].key);
        print_json(facts->list[i].value);
        putchar(']');
        comma = ",";
    }
    puts("]}");
}

bool facts_check(const struct facts *facts, const struct script *script, const struct step *step)
{
    const struct word *expected = step->words + step->count;
    unsigned failed = 0;

    for (size_t i = 0; i < step->expected; i++) {
        enum holding holding = word_holds(facts, &expected[i]);

        if (holding == HOLDS)
            continue;
        if (failed++ == 0)
            script_error(script, step->line, "%s", step->source);
        printf(holding == FAILS ? "    expected" : "    cannot be expected here");
        print_word(&expected[i]);
        putchar('\n');
    }
    if (failed) {
        printf("    came");
        facts_print(facts);
    }
    return failed == 0;
}
