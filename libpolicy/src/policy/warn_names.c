/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings about how names are written: dns_hostname, TLS names and HTTP hosts. */
#include "pattern/lint.h"
#include "policy/warn.h"

static const char loose_dot[] =
    "in \"%.*s\" a dot stands for any character; write \\. for a dot (\"\\\\.\" in JSON)";
static const char repeats[] =
    "in \"%.*s\" the * only repeats the \"%c\" before it; any text is .* and below a name is "
    "^.+\\.example\\.com$";
static const char plain_text[] =
    "\"%.*s\" is compared as it is, and its * stands for itself; write "
    "{\"regex\": \"^.+\\\\.example\\\\.com$\"} for the names below example.com";

static const char *foreign_advice(char foreign)
{
    switch (foreign) {
    case '.':
        return "names are matched without a dot at either end";
    case ':':
    case '/':
        return "write the name only, without scheme, port or path; dst_ports is for ports";
    case '*':
        return "write ^.+\\.example\\.com$ for the names below example.com";
    default:
        return "other octets than letters, digits, - and _ are written \\DDD in names";
    }
}

static void warn_pattern(struct warn *warn, pol_str text, uint32_t at, struct lint *ret_lint)
{
    lint_pattern(text, ret_lint);
    if (ret_lint->any_dot)
        diag_value(warn->diags, POL_DIAG_LOOSE_DOT, at, loose_dot, DIAG_ECHO(text));
    if (ret_lint->star)
        diag_value(warn->diags, POL_DIAG_WILDCARD, at, repeats, DIAG_ECHO(text),
                   ret_lint->repeated);
}

void warn_hostname_pattern(struct warn *warn, const struct pm_pattern *pattern)
{
    struct lint lint;

    warn_pattern(warn, pattern->text, pattern->at, &lint);
    if (lint.no_name)
        diag_value(warn->diags, POL_DIAG_NEVER_MATCHES, pattern->at,
                   "dns_hostname \"%.*s\" matches no name because of the \"%c\"; %s",
                   DIAG_ECHO(pattern->text), lint.foreign, foreign_advice(lint.foreign));
}

static void warn_regex(struct warn *warn, const struct pm_regex *regex)
{
    struct lint lint;

    if (regex->text.text.ptr)
        warn_pattern(warn, regex->text.text, regex->text.at, &lint);
}

static void warn_exact(struct warn *warn, const struct pm_texts *texts)
{
    for (uint32_t i = 0; i < texts->count; i++) {
        if (lint_is_wildcard(texts->items[i].text))
            diag_value(warn->diags, POL_DIAG_WILDCARD, texts->items[i].at, plain_text,
                       DIAG_ECHO(texts->items[i].text));
    }
}

/* A certificate may hold "*.example.com" as it is, so lists for it may, too. */
void warn_tls_names(struct warn *warn, const struct pp_step *step)
{
    const struct pm_tls *tls = warn_origin(warn, step)->match.tls;

    if (!tls)
        return;
    warn_regex(warn, &tls->sni.regex);
    warn_exact(warn, &tls->sni.exact);
    warn_regex(warn, &tls->server_san.regex);
    warn_regex(warn, &tls->server_cn.regex);
    if (tls->http) {
        warn_regex(warn, &tls->http->host.regex);
        warn_exact(warn, &tls->http->host.exact);
    }
}
