/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <criterion/criterion.h>

#include "counting_mem.h"

static bool is_zero(const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

Test(mem, zeroed_memory_is_zero_with_any_allocator)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    void *own = mem_zalloc(&mem, 100);
    void *libc = mem_array(&mem_libc, 10, 10);

    cr_expect(is_zero(own, 100));
    cr_expect(is_zero(libc, 100));
    mem_free(&mem, own, 100);
    mem_free(&mem_libc, libc, 100);
    cr_expect_eq(counting.bytes, 0);
}

Test(mem, an_array_too_large_for_size_t_is_refused)
{
    cr_expect_null(mem_array(&mem_libc, SIZE_MAX / 2, 3));
}

Test(mem, nothing_is_asked_for_with_size_zero)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    void *ptr = mem_alloc(&mem, 0);

    cr_expect_eq(counting.bytes, 1);
    ptr = mem_resize(&mem, ptr, 0, 7);
    cr_expect_eq(counting.bytes, 7);
    mem_free(&mem, ptr, 7);
    mem_free(&mem, NULL, 7);
    cr_expect_eq(counting.bytes, 0);
    cr_expect_eq(counting.blocks, 0);
}

static const struct {
    size_t capacity, need, grown;
} growth[] = {
    {0, 1, 8}, {0, 8, 8}, {0, 9, 16}, {8, 8, 8}, {8, 9, 16}, {8, 100, 128}, {100, 101, 200},
};

Test(mem, growing_at_least_doubles)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);

    for (size_t i = 0; i < sizeof(growth) / sizeof(growth[0]); i++) {
        size_t capacity = growth[i].capacity;
        void *array = capacity ? mem_alloc(&mem, capacity * 4) : NULL;

        cr_expect_eq(mem_grow(&mem, &array, &capacity, growth[i].need, 4), POL_OK);
        cr_expect_eq(capacity, growth[i].grown, "row %zu: %zu", i, capacity);
        cr_expect_eq(counting.bytes, capacity * 4);
        mem_free(&mem, array, capacity * 4);
    }
}

Test(mem, growing_keeps_what_was_there)
{
    size_t capacity = 0;
    void *array = NULL;

    cr_assert_eq(mem_grow(&mem_libc, &array, &capacity, 4, sizeof(int)), POL_OK);
    for (int i = 0; i < 4; i++)
        ((int *)array)[i] = i;
    cr_assert_eq(mem_grow(&mem_libc, &array, &capacity, 1000, sizeof(int)), POL_OK);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(((int *)array)[i], i);
    mem_free(&mem_libc, array, capacity * sizeof(int));
}

Test(mem, a_failed_growth_changes_nothing)
{
    struct counting counting = {.fail_at = 2};
    pol_mem mem = counting_mem(&counting);
    size_t capacity = 8;
    void *array = mem_alloc(&mem, 8);
    void *before = array;

    cr_expect_eq(mem_grow(&mem, &array, &capacity, 9, 1), POL_E_NOMEM);
    cr_expect_eq(mem_grow(&mem, &array, &capacity, SIZE_MAX, 1), POL_E_NOMEM);
    cr_expect_eq(mem_grow(&mem, &array, &capacity, SIZE_MAX / 8, 16), POL_E_NOMEM);
    cr_expect_eq(array, before);
    cr_expect_eq(capacity, 8);
    mem_free(&mem, array, 8);
    cr_expect_eq(counting.bytes, 0);
}
