/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of the input are patterns, the last one is a subject. Whatever the patterns are:
 *
 *   - what the checker refuses does not compile, and both say why in one line
 *   - what compiles holds nothing that is not regular, and refuses to be put next to such a thing
 *   - the engine finds what PCRE2 finds without our limits, or says that a limit was hit
 *   - a shape stands for the same names as the pattern it was read from
 *   - a set of patterns finds what its patterns find one by one
 *   - a search allocates nothing, and nothing is left when all is freed
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "fuzz.h"
#include "pattern/patterns.h"
#include "pattern/shape.h"
#include "pattern/syntax.h"
#include "wire/dnsname.h"

enum { PATTERNS = 8, PATTERN_BYTES = 1024, REGEXES = 4, MATCH_LIMIT = 1000 };

static pol_ctx *make_ctx(struct ledger *ledger)
{
    pol_ctx_options opts;

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.limits.regexes = REGEXES;
    opts.limits.regex_match = MATCH_LIMIT;
    return ledger_ctx(ledger, &opts.limits);
}

static void check_error(const char *error)
{
    size_t len = strnlen(error, REGEX_ERROR_TEXT);

    require(len > 0 && len < REGEX_ERROR_TEXT && !memchr(error, '\n', len));
}

static int try_compile(const pol_ctx *ctx, pol_str pattern, struct regex **ret_regex)
{
    char error[REGEX_ERROR_TEXT];
    int rc;

    memset(error, 'x', sizeof(error));
    rc = regex_compile(ctx, pattern, true, ret_regex, error);
    require(rc == POL_OK || rc == POL_E_FORMAT);
    if (rc < 0)
        check_error(error);
    return rc;
}

/* What PCRE2 itself makes of it, without our checker. */
static pcre2_code *plain_compile(pol_str pattern)
{
    uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_CASELESS |
                       PCRE2_NO_AUTO_CAPTURE;
    PCRE2_SIZE offset;
    int error;

    return pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, options, &error, &offset, NULL);
}

static int count_callout(pcre2_callout_enumerate_block *block, void *user)
{
    (void)block;
    ++*(unsigned *)user;
    return 0;
}

static uint32_t info_of(const pcre2_code *code, uint32_t what)
{
    uint32_t value = 0;

    require(pcre2_pattern_info(code, what, &value) == 0);
    return value;
}

/* Look-behind is asked for as its length; that of \b is one octet. */
static void check_regular(const pcre2_code *code)
{
    uint32_t allowed = PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_UNGREEDY | PCRE2_NO_AUTO_CAPTURE |
                       PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_ANCHORED;
    unsigned callouts = 0;

    require(pcre2_callout_enumerate(code, count_callout, &callouts) == 0 && callouts == 0);
    require(info_of(code, PCRE2_INFO_BACKREFMAX) == 0);
    require(info_of(code, PCRE2_INFO_HASBACKSLASHC) == 0);
    require(info_of(code, PCRE2_INFO_MAXLOOKBEHIND) <= 1);
    require((info_of(code, PCRE2_INFO_ALLOPTIONS) & ~allowed) == 0);
}

/* A pattern that compiles is whole: what stands beside it or in a group with it is read as it
 * would be alone, and these are refused alone. */
static void check_neighbours(const pol_ctx *ctx, pol_str pattern, unsigned pick)
{
    static const pol_str refused[] = {
        STR("(?=a)"), STR("(?!a)"),     STR("(?<=a)"),        STR("(?<!a)"), STR("(a)\\1"),
        STR("(?R)"),  STR("(?0)"),      STR("(?<n>a)\\k<n>"), STR("(?&n)"),  STR("(?C)"),
        STR("(?C1)"), STR("(*ACCEPT)"), STR("\\C"),           STR("\\K"),    STR("(?>a)"),
        STR("a++"),   STR("(?(1)a)"),   STR("\\g{1}"),        STR("(?P>n)"), STR("(?-1)"),
        STR("\\Qa"),  STR("(?x)a"),     STR("(?|a)"),         STR("(?^x)a"), STR("(*pla:a)"),
    };
    pol_str one = refused[pick % (sizeof(refused) / sizeof(*refused))];
    char text[PATTERN_BYTES + 64];
    struct regex *regex = NULL;
    size_t len = 0;

    if (pick & 0x100)
        text[len++] = '(';
    memcpy(text + len, pattern.ptr, pattern.len);
    len += pattern.len;
    if (pick & 0x200)
        text[len++] = '|';
    memcpy(text + len, one.ptr, one.len);
    len += one.len;
    if (pick & 0x100)
        text[len++] = ')';
    require(try_compile(ctx, (pol_str){text, len}, &regex) == POL_E_FORMAT);
    require(!regex);
}

static int plain_match(const pcre2_code *code, pol_str subject)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    int rc;

    require(data && context);
    pcre2_set_match_limit(context, MATCH_LIMIT);
    pcre2_set_depth_limit(context, MATCH_LIMIT);
    rc = pcre2_match(code, (PCRE2_SPTR)(subject.ptr ? subject.ptr : ""), subject.len, 0, 0, data,
                     context);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    return rc;
}

/* The memory of the scratch is smaller than what PCRE2 would take: only that may differ. */
static void check_search(enum regex_result result, const pcre2_code *code, pol_str subject)
{
    int rc = plain_match(code, subject);

    if (result == REGEX_YES)
        require(rc >= 0);
    else if (result == REGEX_NO)
        require(rc == PCRE2_ERROR_NOMATCH);
    else
        require(result == REGEX_EXCEPTION);
    require(result == REGEX_EXCEPTION || rc >= PCRE2_ERROR_NOMATCH);
}

static void check_pattern(const pol_ctx *ctx, const struct ledger *ledger, pol_str pattern,
                          pol_str subject, struct regex_scratch *scratch, unsigned pick)
{
    char error[REGEX_ERROR_TEXT];
    int checked = syntax_check(pattern, error);
    size_t bytes = ledger->bytes;
    struct regex *regex = NULL;
    pcre2_code *code;
    size_t calls;

    require(checked == POL_OK || checked == POL_E_FORMAT);
    if (checked < 0)
        check_error(error);
    (void)syntax_is_anchored(pattern);
    if (try_compile(ctx, pattern, &regex) < 0) {
        require(!regex && ledger->bytes == bytes);
        return;
    }

    require(checked == POL_OK && ledger->bytes > bytes);
    require(regex_memory(regex) >= ledger->bytes - bytes);
    code = plain_compile(pattern);
    require(code);
    check_regular(code);
    check_neighbours(ctx, pattern, pick);
    calls = ledger->calls;
    check_search(regex_search(regex, scratch, subject), code, subject);
    require(ledger->calls == calls);
    pcre2_code_free(code);
    regex_free(regex);
    require(ledger->bytes == bytes);
}

/* Whether the pattern alone matches: REGEX_EXCEPTION also when it cannot be used. */
static enum regex_result alone(const pol_ctx *ctx, pol_str pattern, pol_str name)
{
    struct patterns_input input = {pattern};
    enum regex_result result = REGEX_EXCEPTION;
    char error[REGEX_ERROR_TEXT];
    struct regex_scratch *scratch;
    struct patterns *patterns;
    uint32_t wrong, id;

    if (patterns_build(ctx, &input, 1, &patterns, &wrong, error) < 0)
        return result;
    require(regex_scratch_new(ctx, &scratch) == POL_OK);
    if (patterns_match(patterns, scratch, name, &id, 1) == 0)
        result = REGEX_NO;
    else if (!(id & PATTERN_EXCEPTION))
        result = REGEX_YES;
    regex_scratch_free(scratch);
    patterns_free(patterns);
    return result;
}

static void check_shape(const pol_ctx *ctx, pol_str pattern, pol_str name)
{
    struct shape shape;
    pcre2_code *code;
    int rc;

    if (!shape_of(pattern, &shape))
        return;
    require(shape.count <= SHAPE_ITEMS);
    code = plain_compile(pattern);
    require(code); /* a shape is a valid pattern */
    /* A dot inside a label separates nothing, though the text would say so. */
    if (!memchr(name.ptr, '\\', name.len)) {
        rc = plain_match(code, name);
        require(rc < PCRE2_ERROR_NOMATCH || (rc >= 0) == (alone(ctx, pattern, name) == REGEX_YES));
    }
    pcre2_code_free(code);
}

static void check_ids(const uint32_t *ids, size_t count, uint32_t patterns)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t id = ids[i] & ~PATTERN_EXCEPTION;

        require(id < patterns);
        require(i == 0 || (ids[i - 1] & ~PATTERN_EXCEPTION) < id);
    }
}

static void check_set(const pol_ctx *ctx, struct regex_scratch *scratch,
                      const struct patterns_input *inputs, uint32_t count, pol_str name)
{
    uint32_t wrong = POL_NONE, engine = 0, ids[PATTERNS + 1];
    char error[REGEX_ERROR_TEXT];
    struct patterns *patterns;
    size_t found, at = 0;
    int rc = patterns_build(ctx, inputs, count, &patterns, &wrong, error);

    require(rc == POL_OK || rc == POL_E_FORMAT || rc == POL_E_LIMIT);
    if (rc < 0) {
        require(wrong < count);
        if (rc == POL_E_FORMAT)
            check_error(error);
        return;
    }
    found = patterns_match(patterns, scratch, name, ids, PATTERNS);
    require(found <= count && patterns_count(patterns) == count);
    check_ids(ids, found, count);
    ids[found] = POL_NONE;
    for (uint32_t i = 0; i < count; i++) {
        enum regex_result result = alone(ctx, inputs[i].text, name);
        bool hit = (ids[at] & ~PATTERN_EXCEPTION) == i && at < found;

        engine += patterns_needs_engine(patterns, i);
        require(hit == (result != REGEX_NO));
        require(!hit || (ids[at] == i) == (result == REGEX_YES));
        at += hit;
    }
    require(engine <= REGEXES);
    patterns_free(patterns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = input_of(data, size);
    struct patterns_input inputs[PATTERNS];
    struct ledger ledger = {0, 0};
    struct regex_scratch *scratch;
    char name[DNSNAME_TEXT];
    uint32_t count = 0;
    uint8_t name_len;
    bool named;
    pol_str subject = input_line(&in);
    pol_ctx *ctx;

    while (cursor_left(&in) && count < PATTERNS) {
        inputs[count].text = subject;
        count += subject.len > 0 && subject.len <= PATTERN_BYTES;
        subject = input_line(&in);
    }
    ctx = make_ctx(&ledger);
    require(regex_scratch_new(ctx, &scratch) == POL_OK);
    named = dnsname_normalise(subject, name, &name_len) == POL_OK;
    for (uint32_t i = 0; i < count; i++) {
        check_pattern(ctx, &ledger, inputs[i].text, subject, scratch, (unsigned)size + i * 37);
        if (named)
            check_shape(ctx, inputs[i].text, (pol_str){name, name_len});
    }
    if (named)
        check_set(ctx, scratch, inputs, count, (pol_str){name, name_len});
    regex_scratch_free(scratch);
    pol_ctx_unref(ctx);
    require(ledger.bytes == 0);
    return 0;
}
