/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chains.h"

#include <criterion/criterion.h>

#include "../base/counting_mem.h"
#include "base/mem.h"
#include "flight.h"
#include "wire/tls_server.h"

#define Y2026 UINT64_C(1780272000000)

static struct chains chains;
static struct arena arena;
static struct x509_anchors ours, rogues, none;

static void setup(void)
{
    static struct flight pem;

    cr_assert_eq(chains_init(&chains, &mem_libc, 2), POL_OK);
    arena_init(&arena, &mem_libc);
    flight_load(&pem, "ca.pem");
    x509_anchors_build(&arena, (pol_str){(char *)pem.bytes, pem.len}, &ours);
    flight_load(&pem, "rogue.pem");
    x509_anchors_build(&arena, (pol_str){(char *)pem.bytes, pem.len}, &rogues);
}

static void teardown(void)
{
    chains_fini(&chains, &mem_libc);
    arena_fini(&arena);
}

TestSuite(chains, .init = setup, .fini = teardown);

static uint32_t keep(const char *name)
{
    static struct flight flight;
    static uint8_t list[TLS_FLIGHT_MAX];
    struct tls_server server;

    flight_load(&flight, name);
    cr_assert_eq(tls_server_read((pol_bytes){flight.bytes, flight.len}, list, &server),
                 TLS_SERVER_COMPLETE);
    return chains_keep(&chains, (pol_bytes){list, server.chain_len});
}

Test(chains, one_chain_has_one_place)
{
    uint32_t place = keep("ecdsa.flight");

    cr_expect_eq(keep("records.flight"), place, "the same certificates in other records");
    cr_expect_eq(chains.items[place].version, 1);
    cr_expect_neq(keep("direct.flight"), place);
}

Test(chains, the_one_unused_for_longest_makes_room)
{
    uint32_t first = keep("ecdsa.flight"), second = keep("direct.flight");

    keep("ecdsa.flight");
    cr_expect_eq(keep("many.flight"), second);
    cr_expect(chains_has(&chains, first, 1));
    cr_expect_not(chains_has(&chains, second, 1));
    cr_expect(chains_has(&chains, second, 2));
    cr_expect_not(chains_has(&chains, second, 0));
    cr_expect_not(chains_has(&chains, POL_NONE, 1));
}

Test(chains, a_chain_is_verified_once_for_each_set_of_anchors)
{
    uint32_t place = keep("direct.flight");

    for (int i = 0; i < 3; i++) {
        cr_expect(chains_verified(&chains, place, &ours, Y2026));
        cr_expect_not(chains_verified(&chains, place, &rogues, Y2026));
        cr_expect_not(chains_verified(&chains, place, &none, Y2026));
    }
    cr_expect_eq(chains.verifications, 5, "a refusal is believed the second time");
    cr_expect_eq(chains.effort, 5, "one signature; four looks for an anchor that is not there");
    cr_expect(chains_answered(&chains, place));
    for (uint64_t key = 1; key <= CHAIN_ANSWERS; key++)
        cr_expect_not(chains_verified(&chains, place, &(struct x509_anchors){.key = key}, Y2026));
    cr_expect(chains_verified(&chains, place, &ours, Y2026), "asked again when forgotten");
    cr_expect_eq(chains.verifications, 6 + CHAIN_ANSWERS);
    cr_expect_not(chains_answered(&chains, place), "it may have to be verified at any time");
}

Test(chains, the_answer_counts_while_all_certificates_are_valid)
{
    uint32_t place = keep("expired.flight");

    cr_expect_not(chains_verified(&chains, place, &ours, Y2026));
    place = keep("direct.flight");
    cr_expect(chains_verified(&chains, place, &ours, UINT64_C(1704067200000)));
    cr_expect_not(chains_verified(&chains, place, &ours, UINT64_C(1704067199999)));
    cr_expect(chains_verified(&chains, place, &ours, UINT64_C(2335219200999)));
    cr_expect_not(chains_verified(&chains, place, &ours, UINT64_C(2335219201000)));
    cr_expect_not(chains_verified(&chains, place, &ours, 0), "no time of day");
    cr_expect_eq(chains.verifications, 2);
}

Test(chains, the_leaf_is_read_when_it_is_another)
{
    uint32_t direct = keep("direct.flight"), plain = keep("plain.flight");

    cr_expect_str_eq(chains_leaf(&chains, direct)->subject, "C=US,O=Example,CN=db.example.com");
    cr_expect_str_eq(chains_leaf(&chains, plain)->subject, "CN=Plain Server 1.,CN=second");
    cr_expect_str_eq(chains_leaf(&chains, plain)->subject, "CN=Plain Server 1.,CN=second");
    cr_expect_eq(keep("many.flight"), direct);
    cr_expect_str_eq(chains_leaf(&chains, direct)->subject, "CN=many.example");
}

Test(chains, what_is_no_certificate_is_not_read)
{
    static const uint8_t octets[] = {0, 0, 2, 0x30, 0};
    uint32_t place = chains_keep(&chains, (pol_bytes){octets, sizeof(octets)});

    cr_expect_null(chains_leaf(&chains, place));
    cr_expect_not(chains_verified(&chains, place, &ours, Y2026));
    cr_expect_null(chains_leaf(&chains, chains_keep(&chains, (pol_bytes){octets, 2})));
}

Test(chains, without_room_none_is_kept)
{
    struct chains empty;

    cr_assert_eq(chains_init(&empty, &mem_libc, 0), POL_OK);
    cr_expect_eq(chains_keep(&empty, (pol_bytes){(const uint8_t *)"x", 1}), POL_NONE);
    cr_expect_eq(chains_memory(&empty), 0);
    chains_fini(&empty, &mem_libc);
}

Test(chains, memory_that_is_missing_is_given_back)
{
    for (size_t at = 1; at <= 2; at++) {
        struct counting counting = {.fail_at = at};
        pol_mem mem = counting_mem(&counting);
        struct chains some;

        cr_expect_eq(chains_init(&some, &mem, 4), POL_E_NOMEM);
        cr_expect_eq(counting.bytes, 0);
    }
}
