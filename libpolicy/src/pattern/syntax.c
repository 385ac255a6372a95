/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/syntax.h"

#include <stdio.h>
#include <string.h>

#include "base/slice.h"

struct construct {
    const char *text; /* how it begins */
    const char *name;
    const char *advice;
};

static const char two_rules[] = "write two rules, one that allows and one that denies";
static const char spell_out[] = "spell the alternatives out";
static const char leave_out[] = "leave it out";

/* What may stand behind "(?", longest first where one begins another. */
static const struct construct groups[] = {
    {"<=", "look-behind", two_rules},        {"<!", "look-behind", two_rules},
    {"<*", "look-behind", two_rules},        {"=", "look-ahead", two_rules},
    {"!", "look-ahead", two_rules},          {"*", "look-ahead", two_rules},
    {"P=", "a back-reference", spell_out},   {"P>", "recursion", spell_out},
    {"&", "recursion", spell_out},           {"R", "recursion", spell_out},
    {"+", "recursion", spell_out},           {"(", "a conditional group", spell_out},
    {"C", "a callout", leave_out},           {"|", "a branch reset group", "use (?:...)"},
    {">", "an atomic group", "use (?:...)"},
};

/* What may stand behind a backslash. */
static const struct construct escapes[] = {
    {"g", "a back-reference", spell_out},
    {"k", "a back-reference", spell_out},
    {"K", "\\K", leave_out},
    {"C", "\\C", "use ."},
    {"G", "\\G", "use ^"},
    {"X", "\\X", "use ."},
    {"R", "\\R", "names hold no line breaks"},
    {"Q", "\\Q", "escape single characters with a backslash"},
    {"E", "\\E", leave_out},
    {"c", "\\c", "write the octet as \\xHH"},
};

static int refuse(char *error, size_t at, const char *name, const char *advice)
{
    snprintf(error, REGEX_ERROR_TEXT, "%s is not supported at offset %zu; %s", name, at, advice);
    return POL_E_FORMAT;
}

static bool begins(pol_str pattern, size_t at, const char *text)
{
    size_t len = strlen(text);

    return pattern.len - at >= len && memcmp(pattern.ptr + at, text, len) == 0;
}

static const struct construct *find(const struct construct *list, size_t count, pol_str pattern,
                                    size_t at)
{
    for (size_t i = 0; i < count; i++) {
        if (begins(pattern, at, list[i].text))
            return &list[i];
    }
    return NULL;
}

static int check_escape(pol_str pattern, size_t at, char *error)
{
    const struct construct *found;

    if (at + 1 >= pattern.len)
        return POL_OK;
    if (pattern.ptr[at + 1] >= '1' && pattern.ptr[at + 1] <= '9')
        return refuse(error, at, "a back-reference", spell_out);
    found = find(escapes, sizeof(escapes) / sizeof(*escapes), pattern, at + 1);
    return found ? refuse(error, at, found->name, found->advice) : POL_OK;
}

/* at is behind "(?" and the flags begin there; recursion by number looks like flags at first. */
static int check_flags(pol_str pattern, size_t at, size_t start, char *error)
{
    if (begins(pattern, at, "-") && at + 1 < pattern.len && pattern.ptr[at + 1] >= '0' &&
        pattern.ptr[at + 1] <= '9')
        return refuse(error, start, "recursion", spell_out);
    for (; at < pattern.len && strchr("imsxnUJ^-", pattern.ptr[at]); at++) {
        if (pattern.ptr[at] == 'x')
            return refuse(error, at, "the flag x", "write the pattern without blanks");
        if (pattern.ptr[at] == 'm')
            return refuse(error, at, "the flag m", "names and values are one line");
        if (pattern.ptr[at] == 'J')
            return refuse(error, at, "the flag J", leave_out);
    }
    return POL_OK;
}

static int check_group(pol_str pattern, size_t at, char *error)
{
    const struct construct *found;

    if (begins(pattern, at, "(*"))
        return refuse(error, at, "a verb (*...)", leave_out);
    if (!begins(pattern, at, "(?"))
        return POL_OK;
    found = find(groups, sizeof(groups) / sizeof(*groups), pattern, at + 2);
    if (found)
        return refuse(error, at, found->name, found->advice);
    if (at + 2 < pattern.len && pattern.ptr[at + 2] >= '0' && pattern.ptr[at + 2] <= '9')
        return refuse(error, at, "recursion", spell_out);
    return check_flags(pattern, at + 2, at, error);
}

/* Behind a POSIX class "[:name:]" that begins at `at`, or `at` if there is none. */
static size_t skip_posix(pol_str pattern, size_t at)
{
    size_t i = at + 2;

    if (!begins(pattern, at, "[:"))
        return at;
    while (i < pattern.len &&
           (pattern.ptr[i] == '^' || (pattern.ptr[i] >= 'a' && pattern.ptr[i] <= 'z')))
        i++;
    return begins(pattern, i, ":]") ? i + 2 : at;
}

/* at is on the "[" that opens a class; *ret_end is set behind its "]". */
static int check_class(pol_str pattern, size_t at, size_t *ret_end, char *error)
{
    size_t i = at + 1;
    size_t first;

    if (begins(pattern, i, "^"))
        i++;
    for (first = i; i < pattern.len; i++) {
        size_t behind = skip_posix(pattern, i);

        if (behind > i) {
            i = behind - 1;
        } else if (pattern.ptr[i] == '\\') {
            int rc = check_escape(pattern, i, error);

            if (rc < 0)
                return rc;
            i++;
        } else if (pattern.ptr[i] == ']' && i > first) {
            break;
        }
    }
    *ret_end = i + 1;
    return POL_OK;
}

/* "a++", "a*+" and "a?+" give nothing back, which a regular expression cannot say. */
static bool is_possessive(pol_str pattern, size_t at)
{
    return at > 0 && pattern.ptr[at] == '+' && strchr("+*?", pattern.ptr[at - 1]) &&
           !(at > 1 && pattern.ptr[at - 2] == '\\');
}

/* The engine refuses it anyway, but knows nothing of the wildcards that people write. */
static bool is_wildcard(pol_str pattern, size_t at)
{
    return pattern.ptr[at] == '*' && (at == 0 || (at == 1 && pattern.ptr[0] == '^'));
}

int syntax_check(pol_str pattern, char error[REGEX_ERROR_TEXT])
{
    size_t at = 0;

    while (at < pattern.len) {
        int rc = POL_OK;
        size_t next = at + 1;

        if (pattern.ptr[at] == '\\') {
            rc = check_escape(pattern, at, error);
            next = at + 2;
        } else if (begins(pattern, at, "(?#")) {
            while (next < pattern.len && pattern.ptr[next] != ')')
                next++;
        } else if (pattern.ptr[at] == '(') {
            rc = check_group(pattern, at, error);
        } else if (pattern.ptr[at] == '[') {
            rc = check_class(pattern, at, &next, error);
        } else if (is_wildcard(pattern, at)) {
            rc = refuse(error, at, "a * with nothing to repeat",
                        "any text is .* and all names below one are ^.+\\.example\\.com$");
        } else if (is_possessive(pattern, at)) {
            rc = refuse(error, at, "a possessive quantifier", "use a single quantifier");
        }
        if (rc < 0)
            return rc;
        at = next;
    }
    return POL_OK;
}

static bool starts_tied(pol_str branch)
{
    static const char *const starts[] = {"^", "\\A", "\\.", "[.]", "(^|\\.)", "(?:^|\\.)"};

    for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
        if (begins(branch, 0, starts[i]))
            return true;
    }
    return false;
}

static bool ends_tied(pol_str branch)
{
    static const char *const ends[] = {"$", "\\z", "\\Z"};

    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        size_t len = strlen(ends[i]);

        if (branch.len >= len && begins(branch, branch.len - len, ends[i]) &&
            !(branch.len > len && branch.ptr[branch.len - len - 1] == '\\'))
            return true;
    }
    return false;
}

bool syntax_is_anchored(pol_str pattern)
{
    char unused[REGEX_ERROR_TEXT];
    size_t start = 0, at = 0;
    unsigned depth = 0;

    if (begins(pattern, 0, "(?i)"))
        start = at = 4;
    while (at <= pattern.len) {
        pol_str branch = {pattern.ptr + start, at - start};
        size_t next = at + 1;

        if (at == pattern.len || (pattern.ptr[at] == '|' && depth == 0)) {
            if (!starts_tied(branch) || !ends_tied(branch))
                return false;
            start = next;
        } else if (pattern.ptr[at] == '\\') {
            next = at + 2 <= pattern.len ? at + 2 : pattern.len;
        } else if (pattern.ptr[at] == '[') {
            if (check_class(pattern, at, &next, unused) < 0 || next > pattern.len)
                next = pattern.len;
        } else if (pattern.ptr[at] == '(') {
            depth++;
        } else if (pattern.ptr[at] == ')' && depth) {
            depth--;
        }
        at = next;
    }
    return true;
}
