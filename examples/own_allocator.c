/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory from an allocator of the program's own, with a budget; and the proof that deciding takes
 * none: once policy and tables are there, a hundred thousand packets change nothing.
 *
 *   own_allocator [BUDGET_KIB]     a small budget shows how running out looks: a status, no crash
 */
#include <libpolicy/policy.h>

#include <stdio.h>
#include <stdlib.h>

enum { PACKETS = 100000 };

static const char document[] =
    "{ \"default_policy\": \"deny\", \"source_groups\": [ { \"id\": \"all\", \"mode\": \"enforce\","
    "    \"sources\": { \"cidrs\": [\"10.0.0.0/8\"] },"
    "    \"rules\": [ { \"id\": \"web\", \"action\": \"allow\","
    "      \"match\": { \"proto\": \"tcp\", \"dst_ports\": [443] } } ] } ] }";

/* Sizes come back with every release, so counting needs no header in front of each block. */
struct account {
    size_t budget, held, peak;
    unsigned long calls;
};

static bool charge(struct account *account, size_t more)
{
    account->calls++;
    if (more > account->budget - account->held)
        return false;
    account->held += more;
    if (account->held > account->peak)
        account->peak = account->held;
    return true;
}

static void *take(void *user, size_t size)
{
    void *ptr;

    if (!charge(user, size))
        return NULL;
    ptr = malloc(size);
    if (!ptr)
        ((struct account *)user)->held -= size;
    return ptr;
}

static void *change(void *user, void *old, size_t old_size, size_t new_size)
{
    struct account *account = user;
    void *ptr;

    if (new_size > old_size && !charge(account, new_size - old_size))
        return NULL;
    ptr = realloc(old, new_size);
    if (new_size < old_size)
        account->held -= old_size - new_size;
    else if (!ptr)
        account->held -= new_size - old_size;
    return ptr;
}

static void give_back(void *user, void *ptr, size_t size)
{
    struct account *account = user;

    account->calls++;
    account->held -= size;
    free(ptr);
}

/* Returns the number allowed. More packets than flows: the table is full soon, and stays full. */
static unsigned traffic(pol_worker *worker)
{
    pol_packet packet = {.kind = POL_PKT_IP,
                         .side = POL_SIDE_INSIDE,
                         .hop_limit = 64,
                         .tcp_flags = POL_TCP_SYN,
                         .ip_len = 40,
                         .wire_len = 54};
    pol_verdict verdict;
    unsigned allowed = 0;

    packet.tuple = (pol_tuple){{4, {10}}, {4, {192, 0, 2, 1}}, 40000, 0, 6};
    for (uint32_t i = 0; i < PACKETS; i++) {
        packet.tuple.src.bytes[1] = (uint8_t)(i >> 16);
        packet.tuple.src.bytes[2] = (uint8_t)(i >> 8);
        packet.tuple.src.bytes[3] = (uint8_t)i;
        packet.tuple.dst_port = i % 3 ? 443 : 25;
        allowed +=
            pol_worker_decide(worker, &packet, i * POL_SECONDS / 1000, &verdict) == POL_ALLOW;
    }
    return allowed;
}

static int run(struct account *account, pol_ctx *ctx)
{
    pol_policy *policy = NULL;
    pol_worker *worker = NULL;
    unsigned long before;
    unsigned allowed;
    int rc;

    rc = pol_compile(ctx, (pol_str){document, sizeof(document) - 1}, NULL, &policy, NULL);
    if (rc < 0)
        goto out;
    rc = pol_worker_new(ctx, NULL, &worker);
    if (rc < 0)
        goto out;
    rc = pol_worker_use(worker, policy, 1);
    if (rc < 0)
        goto out;

    printf("ready:    %zu KiB held after %lu calls\n", account->held >> 10, account->calls);
    before = account->calls;
    allowed = traffic(worker);
    printf("traffic:  %d packets, %u allowed, %lu calls of the allocator\n", PACKETS, allowed,
           account->calls - before);
    if (account->calls != before)
        rc = POL_E_INVALID;

out:
    pol_worker_free(worker);
    pol_policy_unref(policy);
    return rc;
}

int main(int argc, char **argv)
{
    struct account account = {.budget = argc > 1 ? (size_t)atol(argv[1]) << 10 : SIZE_MAX};
    pol_mem mem = {&account, take, change, give_back};
    pol_ctx_options opts;
    pol_ctx *ctx = NULL;
    int rc;

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.mem = &mem;
    rc = pol_ctx_new(&opts, &ctx);
    if (rc == POL_OK)
        rc = run(&account, ctx);
    pol_ctx_unref(ctx);
    if (rc < 0)
        printf("%s\n", pol_status_text(rc));
    printf("the end:  %zu octets held, %zu KiB at most\n", account.held, account.peak >> 10);
    return rc < 0 || account.held != 0;
}
