/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

enum { STEP_WORDS = 96 };

/* Where reading stands. */
struct reader {
    struct script *script;
    char *at;      /* the rest of the text */
    char *line_at; /* the rest of script->lines */
    unsigned line;
    pol_mono now;   /* of t= */
    pol_mono clock; /* of this line: now, or what clock= says */
};

bool script_error(const struct script *script, unsigned line, const char *format, ...)
{
    va_list args;

    printf("%s:%u: ", script->path, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    return false;
}

static char *load(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t len = 0, got;

    if (!file)
        return NULL;
    do {
        text = grow(text, len + 65536 + 2);
        got = fread(text + len, 1, 65536, file);
        len += got;
    } while (got > 0);
    fclose(file);
    if (len && text[len - 1] != '\n')
        text[len++] = '\n';
    text[len] = '\0';
    return text;
}

/* Takes one line off both copies; NULL at the end. */
static char *next_line(struct reader *in, const char **ret_source)
{
    char *line = in->at, *end = strchr(line, '\n');

    if (*line == '\0')
        return NULL;
    *ret_source = in->line_at;
    in->line++;
    if (end) {
        in->line_at[end - line] = '\0';
        in->line_at += end - line + 1;
        *end = '\0';
        in->at = end + 1;
    } else {
        in->at = line + strlen(line);
    }
    return line;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c | 0x20) : NULL;

    return found ? (int)(found - digits) : -1;
}

/* The octet behind a backslash; moves *at past it. -1 when there is none. */
static int unescape(const char **at)
{
    static const char names[] = "rnt\"\\", octets[] = "\r\n\t\"\\";
    const char *found;
    int high, low;

    if (**at == 'x') {
        high = hex_digit((*at)[1]);
        low = high < 0 ? -1 : hex_digit((*at)[2]);
        *at += 3;
        return low < 0 ? -1 : high << 4 | low;
    }
    found = **at ? strchr(names, **at) : NULL;
    *at += 1;
    return found ? octets[found - names] : -1;
}

/* Takes "text" off the line, in place. NULL when it does not end. */
static char *take_quoted(char *at, struct word *word)
{
    const char *in = at + 1;
    char *out = at;
    int octet;

    word->text = at;
    word->quoted = true;
    while (*in != '"') {
        if (*in == '\0')
            return NULL;
        if (*in != '\\') {
            *out++ = *in++;
            continue;
        }
        in++;
        octet = unescape(&in);
        if (octet < 0)
            return NULL;
        *out++ = (char)octet;
    }
    *out = '\0';
    word->len = (size_t)(out - at);
    return at + (in - at) + 1;
}

static char *take_plain(char *at, struct word *word)
{
    size_t len = strcspn(at, " \t");

    word->text = at;
    word->len = len;
    at += len;
    if (*at)
        *at++ = '\0';
    return at;
}

static char *take_word(char *at, struct word *word)
{
    size_t key = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");

    *word = (struct word){NULL, NULL, 0, false};
    if (key && at[key] == '=') {
        word->key = at;
        at[key] = '\0';
        at += key + 1;
    }
    return *at == '"' ? take_quoted(at, word) : take_plain(at, word);
}

/* Cuts a line into words. */
static bool cut_line(struct reader *in, char *line, struct word *words, size_t *ret_count)
{
    size_t count = 0;

    for (;;) {
        line += strspn(line, " \t");
        if (*line == '\0' || *line == '#')
            break;
        if (count == STEP_WORDS)
            return script_error(in->script, in->line, "more than %d words", STEP_WORDS);
        line = take_word(line, &words[count++]);
        if (!line)
            return script_error(in->script, in->line, "a quoted text that does not end");
    }
    *ret_count = count;
    return true;
}

/* The document behind <<END: every line until one that says END. */
static bool take_document(struct reader *in, const char *end, struct step *step)
{
    const char *source;
    char *line, *begin = in->at;

    for (;;) {
        line = next_line(in, &source);
        if (!line)
            return script_error(in->script, step->line, "no line \"%s\" ends the document", end);
        if (!strcmp(line, end))
            break;
        line[strlen(line)] = '\n';
    }
    step->document = (pol_str){begin, (size_t)(line - begin)};
    *line = '\0';
    return true;
}

/* Takes KEY=TIME off the front. Without it, and on an error, *ret_time stays as it is. */
static bool take_time(struct reader *in, const char *key, struct word **words, size_t *count,
                      pol_mono *ret_time)
{
    if (!*count || !(*words)->key || strcmp((*words)->key, key))
        return true;
    if (!word_time((*words)->text, ret_time))
        return script_error(in->script, in->line, "\"%s\" is no time", (*words)->text);
    *words += 1;
    *count -= 1;
    return true;
}

/* Only what clock= says may be earlier than before, and for one step. */
static bool take_times(struct reader *in, struct word **words, size_t *count)
{
    pol_mono before = in->now;

    if (!take_time(in, "t", words, count, &in->now))
        return false;
    if (in->now < before)
        return script_error(in->script, in->line, "time goes back");
    in->clock = in->now;
    return take_time(in, "clock", words, count, &in->clock);
}

static size_t find_expect(const struct word *words, size_t count)
{
    size_t i = 0;

    while (i < count && (words[i].key || words[i].quoted || strcmp(words[i].text, "expect")))
        i++;
    return i;
}

static struct step *add_step(struct script *script)
{
    script->steps = grow(script->steps, (script->count + 1) * sizeof(*script->steps));
    script->steps[script->count] = (struct step){.line = 0};
    return &script->steps[script->count++];
}

/* Keeps the words of a step, without "expect" itself. */
static void keep_words(struct step *step, const struct word *words, size_t count)
{
    size_t expect = find_expect(words, count);

    step->count = expect;
    step->expected = expect < count ? count - expect - 1 : 0;
    step->words = grow(NULL, (step->count + step->expected) * sizeof(*words));
    memcpy(step->words, words, step->count * sizeof(*words));
    memcpy(step->words + step->count, words + count - step->expected,
           step->expected * sizeof(*words));
}

static bool take_step(struct reader *in, char *line, const char *source)
{
    struct word cut[STEP_WORDS], *words = cut;
    struct step *step;
    size_t count = 0;

    if (!cut_line(in, line, cut, &count) || !take_times(in, &words, &count))
        return false;
    if (count == 0 && in->clock == in->now)
        return true;
    step = add_step(in->script);
    step->line = in->line;
    step->at = in->clock;
    step->source = source;
    keep_words(step, words, count);
    if (find_expect(words, count) + 1 == count)
        return script_error(in->script, in->line, "nothing is written behind \"expect\"");
    for (size_t i = 0; i < step->count; i++)
        if (!step->words[i].key && !strncmp(step->words[i].text, "<<", 2))
            return take_document(in, step->words[i].text + 2, step);
    return true;
}

/* The title and the paragraphs that are proved. */
static bool take_head(struct reader *in)
{
    struct script *script = in->script;
    const char *source;
    char *line = next_line(in, &source), *proves;
    size_t len;

    if (!line || strncmp(line, "# ", 2))
        return script_error(script, 1, "the first line is not \"# \" and a title");
    script->title = source + 2;
    proves = in->at;
    while (!strncmp(in->at, "# decisions ", 12) || !strncmp(in->at, "# semantics ", 12)) {
        line = next_line(in, &source);
        line[strlen(line)] = '\n';
    }
    len = (size_t)(in->at - proves);
    if (len == 0)
        return script_error(script, 2, "no line names a paragraph that is proved");
    proves[len - 1] = '\0';
    script->proves = proves;
    return true;
}

bool script_read(const char *path, struct script *ret_script)
{
    struct script *script = ret_script;
    struct reader in = {.script = script};
    const char *source;
    char *line;

    *script = (struct script){.path = path};
    script->text = load(path);
    if (!script->text)
        return script_error(script, 0, "cannot be read");
    script->lines = grow(NULL, strlen(script->text) + 1);
    strcpy(script->lines, script->text);
    in.at = script->text;
    in.line_at = script->lines;
    if (!take_head(&in))
        return false;
    while ((line = next_line(&in, &source)))
        if (!take_step(&in, line, source))
            return false;
    return true;
}

void script_free(struct script *script)
{
    for (size_t i = 0; i < script->count; i++)
        free(script->steps[i].words);
    free(script->steps);
    free(script->text);
    free(script->lines);
}
