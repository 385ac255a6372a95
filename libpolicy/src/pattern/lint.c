/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a pattern as a row of tokens and looks at each with its neighbours. Nothing is said of what
 * could be meant: of a dot in front of a quantifier, of characters in a class, or of what stands in
 * a group or an alternative and need not be there.
 */
#include "pattern/lint.h"

#include <string.h>

enum kind { NOTHING, LABEL, DOT, OTHER_LITERAL, ANY, CLASS, OPEN, CLOSE, BAR, TIE };

struct token {
    uint8_t kind;    /* enum kind */
    char octet;      /* of a literal */
    char quantifier; /* ? * + or {; NUL without one */
};

struct reader {
    const char *at, *end;
};

static bool is_label(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static enum kind kind_of_literal(char c)
{
    if (c == '.')
        return DOT;
    return is_label(c) ? LABEL : OTHER_LITERAL;
}

static struct token literal(char c)
{
    return (struct token){.kind = (uint8_t)kind_of_literal(c), .octet = c};
}

/* Behind a backslash, letters and digits have a meaning of their own. */
static struct token read_escape(struct reader *in)
{
    char c = in->at < in->end ? *in->at++ : '\\';

    if (c != '-' && c != '_' && is_label(c))
        return (struct token){.kind = strchr("AzZbB", c) ? TIE : CLASS};
    return literal(c);
}

/* The first octet is a member even if it is the bracket that closes. */
static struct token read_class(struct reader *in)
{
    const char *first = in->at;

    while (in->at < in->end && (*in->at != ']' || in->at == first)) {
        if (*in->at == '[' && in->at + 1 < in->end && in->at[1] == ':') {
            const char *close = memchr(in->at, ']', (size_t)(in->end - in->at));

            in->at = close ? close : in->at;
        }
        in->at += *in->at == '\\' && in->at + 1 < in->end ? 2 : 1;
        if (in->at == first + 1 && *first == '^')
            first++;
    }
    in->at += in->at < in->end;
    return (struct token){.kind = CLASS};
}

/* "(?:", "(?i)" and names of groups are no text. */
static struct token read_open(struct reader *in)
{
    if (in->at == in->end || *in->at != '?')
        return (struct token){.kind = OPEN};
    while (in->at < in->end && !strchr(":>)", *in->at))
        in->at++;
    if (in->at < in->end && *in->at++ == ')')
        return (struct token){.kind = NOTHING};
    return (struct token){.kind = OPEN};
}

static struct token read_token(struct reader *in)
{
    char c = *in->at++;

    switch (c) {
    case '\\':
        return read_escape(in);
    case '[':
        return read_class(in);
    case '(':
        return read_open(in);
    case ')':
        return (struct token){.kind = CLOSE};
    case '|':
        return (struct token){.kind = BAR};
    case '.':
        return (struct token){.kind = ANY};
    case '^':
    case '$':
        return (struct token){.kind = TIE, .octet = c};
    default:
        return literal(c);
    }
}

static char read_quantifier(struct reader *in)
{
    char c = in->at < in->end ? *in->at : '\0';

    if (!c || !strchr("?*+{", c))
        return '\0';
    in->at++;
    if (c == '{') {
        while (in->at < in->end && in->at[-1] != '}')
            in->at++;
    }
    if (in->at < in->end && *in->at == '?')
        in->at++;
    return c;
}

static bool next_token(struct reader *in, struct token *ret_token)
{
    do {
        if (in->at == in->end)
            return false;
        *ret_token = read_token(in);
        ret_token->quantifier = read_quantifier(in);
    } while (ret_token->kind == NOTHING);
    return true;
}

/* What the text of a name may end with, as far as the token says. */
static bool is_text(const struct token *token)
{
    return token->kind == LABEL || token->kind == CLASS || token->kind == CLOSE ||
           (token->kind == ANY && token->quantifier);
}

static void look_at_three(const struct token *before, const struct token *token,
                          const struct token *behind, struct lint *lint)
{
    if (token->kind == ANY && !token->quantifier && is_text(before) && behind->kind == LABEL)
        lint->any_dot = true;
    /* Digits are left out: 0* is what somebody may mean. */
    if (token->quantifier == '*' && (token->kind == DOT || token->kind == LABEL) &&
        !(token->octet >= '0' && token->octet <= '9')) {
        lint->star = true;
        lint->repeated = token->octet;
    }
}

/* Only for a token that every match goes through. */
static void look_for_foreign(const struct token *before, const struct token *token,
                             const struct token *behind, struct lint *lint)
{
    bool at_begin = before->kind == TIE && before->octet == '^';
    bool at_end =
        behind->kind == TIE && behind->octet == '$' && before->kind == LABEL && !before->quantifier;

    if (token->quantifier && token->quantifier != '+')
        return;
    /* A backslash begins the text form of an octet, \DDD. */
    if ((token->kind == OTHER_LITERAL && token->octet != '\\' && (uint8_t)token->octet < 0x80) ||
        (token->kind == DOT && (at_begin || at_end))) {
        lint->no_name = true;
        lint->foreign = token->octet;
    }
}

static bool has_alternatives(pol_str pattern)
{
    struct reader in = {pattern.ptr, pattern.ptr + pattern.len};
    struct token token;

    while (next_token(&in, &token)) {
        if (token.kind == BAR)
            return true;
    }
    return false;
}

void lint_pattern(pol_str pattern, struct lint *ret_lint)
{
    struct reader in = {pattern.ptr, pattern.ptr + pattern.len};
    struct token before = {NOTHING, 0, 0}, token, behind;
    bool alternatives = has_alternatives(pattern), more;
    unsigned depth = 0;

    *ret_lint = (struct lint){false, false, 0, false, 0};
    if (!next_token(&in, &token))
        return;
    do {
        more = next_token(&in, &behind);
        if (!more)
            behind = (struct token){NOTHING, 0, 0};
        depth += token.kind == OPEN;
        depth -= token.kind == CLOSE && depth;
        look_at_three(&before, &token, &behind, ret_lint);
        if (!alternatives && depth == 0)
            look_for_foreign(&before, &token, &behind, ret_lint);
        before = token;
        token = behind;
    } while (more);
}

bool lint_is_wildcard(pol_str exact)
{
    return exact.len && memchr(exact.ptr, '*', exact.len);
}
