// arena: alignment, ceiling, reset, formatted text.
#include "proto/base/arena.h"

#include "proto/err.h"
#include "tests/unit/unit.h"

static void hands_out_aligned_memory(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    for (size_t n = 0; n < 100; n++) {
        uint8_t *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        memset(p, 0xff, n); // the sanitizer watches
    }
    arena_fini(&a);
}

static void zeroes_what_is_asked_zeroed(void **state)
{
    (void)state;
    struct arena a;
    static const uint8_t zero[5000];
    arena_init(&a, 1 << 16);
    memset(arena_alloc(&a, 5000), 0xff, 5000);
    arena_reset(&a);
    assert_memory_equal(arena_calloc(&a, 5000), zero, 5000);
    arena_fini(&a);
}

static void stops_at_the_ceiling(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024);
    assert_null(arena_alloc(&a, 1025));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_non_null(arena_alloc(&a, 1008));
    assert_null(arena_alloc(&a, 17));
    assert_non_null(arena_alloc(&a, 16));
    assert_null(arena_alloc(&a, 1));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 1024));
    arena_fini(&a);
}

static void takes_objects_larger_than_a_chunk(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    uint8_t *small = arena_alloc(&a, 16);
    memset(small, 1, 16);
    uint8_t *large = arena_alloc(&a, 100000);
    assert_non_null(large);
    memset(large, 2, 100000);
    assert_int_equal(small[15], 1);
    arena_fini(&a);
    assert_int_equal(a.used, 0);
}

static void resizes_the_newest(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 8192);
    uint8_t *first = arena_alloc(&a, 10);
    uint8_t *p = arena_alloc(&a, 100);
    memset(p, 7, 100);
    assert_ptr_equal(arena_resize(&a, p, 100, 200), p);
    assert_int_equal(p[99], 7);
    assert_int_equal(a.used, 16 + 208);
    assert_ptr_equal(arena_resize(&a, p, 200, 30), p);
    assert_int_equal(a.used, 16 + 32);
    assert_ptr_equal(arena_alloc(&a, 1), p + 32);
    assert_null(arena_resize(&a, p, 30, 10));     // not the newest any more
    assert_null(arena_resize(&a, first, 10, 11)); //
    assert_int_equal(a.used, 16 + 32 + 16);
    p[32] = 9;
    uint8_t *moved = arena_resize(&a, p + 32, 1, 6000); // no room in a chunk with others
    assert_true(moved != NULL && moved != p + 32 && moved[0] == 9);
    memset(moved, 8, 6000); // the sanitizer watches
    assert_int_equal(a.used, 16 + 32 + 6000);
    assert_ptr_equal(arena_resize(&a, moved, 6000, 0), moved);
    assert_int_equal(a.used, 16 + 32);
    arena_fini(&a);
}

static void resizes_a_piece_that_is_alone(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 8192);
    assert_null(arena_resize(&a, NULL, 0, 1));
    uint8_t *p = arena_alloc(&a, 5000);
    memset(p, 7, 5000);
    assert_null(arena_resize(&a, p, 5000, 8193)); // the ceiling
    assert_null(arena_resize(&a, p, 5000, SIZE_MAX));
    p = arena_resize(&a, p, 5000, 8192);
    assert_non_null(p);
    assert_int_equal(p[4999], 7);
    memset(p, 8, 8192); // the sanitizer watches
    assert_null(arena_alloc(&a, 1));
    arena_fini(&a);
}

static void duplicates_with_a_nul_behind(void **state)
{
    (void)state;
    struct arena a;
    struct slice s = SLICE_NONE;
    arena_init(&a, 64);
    assert_ok(arena_dup(&s, &a, SLICE_LIT("abc")));
    assert_string_equal((const char *)s.p, "abc");
    assert_int_equal(s.n, 3);
    assert_ok(arena_dup(&s, &a, SLICE_NONE));
    assert_int_equal(s.n, 0);
    assert_err(arena_dup(&s, &a, SLICE_LIT("0123456789012345678901234567890123456789")),
               ERR_NO_SPACE);
    assert_int_equal(s.n, 0); // outputs are written only on success
    arena_fini(&a);
}

static void formats_or_says_there_is_no_room(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 32);
    assert_string_equal(arena_printf(&a, "%d of %s", 3, "ten"), "3 of ten");
    assert_string_equal(arena_printf(&a, "%040d", 1), "(no room for the detail)");
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_aligned_memory),
        cmocka_unit_test(zeroes_what_is_asked_zeroed),
        cmocka_unit_test(stops_at_the_ceiling),
        cmocka_unit_test(takes_objects_larger_than_a_chunk),
        cmocka_unit_test(resizes_the_newest),
        cmocka_unit_test(resizes_a_piece_that_is_alone),
        cmocka_unit_test(duplicates_with_a_nul_behind),
        cmocka_unit_test(formats_or_says_there_is_no_room),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
