/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy costs to compile, and what it weighs.
 *
 *   compile_bench [rules ...]
 *
 * Groups of 20 rules over one /24 each. "addresses": each rule has a destination and a port;
 * "hostnames": each has a name and a port, half of them one name and half a name and all below it;
 * "regexes": as hostnames, but each of the first 1000 needs the regex engine (the limit of a
 * document).
 *
 * The peer is cJSON_ParseWithLength() and cJSON_Delete() on the same text: pol_compile() reads the
 * document with cJSON too, so this part is in both. CPU time, the best of three rounds,
 * of two from 100 000 rules on. Peak is
 * what the context's allocator has given out at most, without what cJSON takes from libc.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <libpolicy/policy.h>

#include "clock.h"

enum { RULES_PER_GROUP = 20, REGEXES_MAX = 1000, RULES_MAX = 1000000, LARGE = 100000 };

enum form { ADDRESSES, HOSTNAMES, REGEXES, FORMS };

static const char *const form_names[FORMS] = {"addresses", "hostnames", "regexes"};

static size_t held, peak;

/* --- memory, counted ------------------------------------------------------------------------ */

static void *count(void *ptr, size_t old_size, size_t size)
{
    if (!ptr)
        errx(1, "out of memory");
    held += size - old_size;
    peak = held > peak ? held : peak;
    return ptr;
}

static void *mem_alloc(void *user, size_t size)
{
    (void)user;
    return count(malloc(size), 0, size);
}

static void *mem_resize(void *user, void *ptr, size_t old_size, size_t size)
{
    (void)user;
    return count(realloc(ptr, size), old_size, size);
}

static void mem_release(void *user, void *ptr, size_t size)
{
    (void)user;
    held -= size;
    free(ptr);
}

/* --- documents ------------------------------------------------------------------------------ */

static void write_rule(FILE *out, enum form form, uint32_t number)
{
    uint32_t r = number % RULES_PER_GROUP, group = number / RULES_PER_GROUP;

    fprintf(out, "%s{\"id\":\"r%" PRIu32 "\",\"action\":\"allow\",\"match\":{", r ? "," : "", r);
    if (form == ADDRESSES)
        fprintf(out, "\"dst_cidrs\":[\"198.%" PRIu32 ".%" PRIu32 ".0/24\"]", 18 + r % 2,
                (group * 7 + r) & 255);
    else if (form == REGEXES && number < REGEXES_MAX)
        fprintf(out, "\"dns_hostname\":\"^h[0-9]+-%" PRIu32 "\\\\.g%" PRIu32 "\\\\.example$\"", r,
                group);
    else
        fprintf(out, "\"dns_hostname\":\"^%sh%" PRIu32 "\\\\.g%" PRIu32 "\\\\.example$\"",
                r % 2 ? "(?:.+\\\\.)?" : "", r, group);
    fprintf(out, ",\"proto\":\"tcp\",\"dst_ports\":[%" PRIu32 "]}}", 400 + r);
}

static char *make_policy(enum form form, uint32_t rules, size_t *ret_len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_len);

    if (!out)
        errx(1, "out of memory");
    fprintf(out, "{\"default_policy\":\"deny\",\"source_groups\":[");
    for (uint32_t first = 0; first < rules; first += RULES_PER_GROUP) {
        uint32_t g = first / RULES_PER_GROUP;

        fprintf(out,
                "%s{\"id\":\"g%" PRIu32 "\",\"mode\":\"enforce\",\"sources\":{\"cidrs\":"
                "[\"10.%" PRIu32 ".%" PRIu32 ".0/24\"]},\"rules\":[",
                g ? "," : "", g, g >> 8 & 255, g & 255);
        for (uint32_t i = first; i < first + RULES_PER_GROUP && i < rules; i++)
            write_rule(out, form, i);
        fprintf(out, "]}");
    }
    fprintf(out, "]}");
    fclose(out);
    return text;
}

/* --- what is measured ----------------------------------------------------------------------- */

static double time_compile(pol_ctx *ctx, pol_str text, int rounds, size_t *ret_memory)
{
    uint64_t best = UINT64_MAX;

    for (int round = 0; round < rounds; round++) {
        uint64_t begin = thread_ns(), spent;
        pol_policy *policy;

        if (pol_compile(ctx, text, NULL, &policy, NULL) != POL_OK)
            errx(1, "the policy is rejected");
        spent = thread_ns() - begin;
        best = spent < best ? spent : best;
        *ret_memory = pol_policy_memory(policy);
        pol_policy_unref(policy);
    }
    return (double)best;
}

static double time_cjson(pol_str text, int rounds)
{
    uint64_t best = UINT64_MAX;

    for (int round = 0; round < rounds; round++) {
        uint64_t begin = thread_ns(), spent;
        cJSON *json = cJSON_ParseWithLength(text.ptr, text.len);

        if (!json)
            errx(1, "cJSON rejects the policy");
        cJSON_Delete(json);
        spent = thread_ns() - begin;
        best = spent < best ? spent : best;
    }
    return (double)best;
}

static void run(pol_ctx *ctx, enum form form, uint32_t rules)
{
    size_t len, memory, before = held;
    int rounds = rules < LARGE ? 3 : 2;
    char *text = make_policy(form, rules, &len);
    double ns, peer_ns = time_cjson((pol_str){text, len}, rounds);

    peak = held;
    ns = time_compile(ctx, (pol_str){text, len}, rounds, &memory);
    printf("{\"bench\":\"compile\",\"form\":\"%s\",\"rules\":%" PRIu32 ",\"ms\":%.2f,"
           "\"ns_per_rule\":%.0f,\"text_bytes_per_rule\":%.0f,\"bytes_per_rule\":%.0f,"
           "\"peak_bytes_per_rule\":%.0f,\"peer\":\"cJSON\",\"peer_ns_per_rule\":%.0f,"
           "\"ratio\":%.2f}\n",
           form_names[form], rules, ns / 1e6, ns / rules, (double)len / rules,
           (double)memory / rules, (double)(peak - before) / rules, peer_ns / rules, ns / peer_ns);
    fflush(stdout);
    free(text);
}

static void run_forms(pol_ctx *ctx, uint32_t rules)
{
    for (int form = 0; form < FORMS; form++)
        run(ctx, (enum form)form, rules);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {10, 1000, 10000, 100000};
    static const pol_mem mem = {NULL, mem_alloc, mem_resize, mem_release};
    pol_ctx_options options;
    pol_ctx *ctx;

    pol_ctx_options_init(&options, sizeof(options));
    options.mem = &mem;
    if (pol_ctx_new(&options, &ctx) != POL_OK)
        return 1;
    for (size_t i = 0; argc == 1 && i < sizeof(sizes) / sizeof(*sizes); i++)
        run_forms(ctx, sizes[i]);
    for (int i = 1; i < argc; i++) {
        long rules = strtol(argv[i], NULL, 10);

        if (rules < 1 || rules > RULES_MAX) {
            fprintf(stderr, "compile_bench: \"%s\" is no number of rules from 1 to %d\n", argv[i],
                    RULES_MAX);
            return 2;
        }
        run_forms(ctx, (uint32_t)rules);
    }
    pol_ctx_unref(ctx);
    return 0;
}
