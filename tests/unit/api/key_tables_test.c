// key_tables: which keys get a table, when, and which lose theirs; and that it is a bounded cache.
#include "api/key_tables.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/p256_cases.h"
#include "tests/unit/unit.h"

enum { KEYS = 40, CAPACITY = 16 };

static const uint8_t seed[MAP_SEED_LEN] = "0123456789abcdef";
static struct p256_verify_item signed_by[KEYS]; // a good signature of each key
static struct key_tables cache;

static int setup_all(void **state)
{
    (void)state;
    p256_signed_fill(signed_by, KEYS, KEYS);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    if (p256_kernel_detect() == P256_SCALAR) printf("avx512ifma: not on this processor\n");
    assert_ok(key_tables_init(&cache, P256_IFMA, CAPACITY, seed));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    key_tables_fini(&cache);
    return 0;
}

// needs_vector skips what makes tables: only the vector kernel can.
static void needs_vector(void)
{
    if (p256_kernel_detect() == P256_SCALAR) skip();
}

static const uint8_t *key(size_t i) { return signed_by[i].point; }

static bool has(size_t i) { return key_tables_find(&cache, key(i)) != NULL; }

static void use(size_t i, unsigned times)
{
    while (times-- > 0) key_tables_used(&cache, key(i));
}

static void use_and_make(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) use(i, KEY_USES_RIPE);
    key_tables_make(&cache);
}

static void eight_ripe_keys_get_tables(void **state)
{
    (void)state;
    needs_vector();
    for (size_t i = 0; i < KEY_GROUP; i++) use(i, i == 3 ? 1 : KEY_USES_RIPE);
    key_tables_make(&cache);
    assert_int_equal(cache.count, 0); // seven are ripe
    use(3, 1);
    assert_false(has(3));
    key_tables_make(&cache);
    assert_int_equal(cache.count, KEY_GROUP);
    assert_int_equal(cache.built, KEY_GROUP);
    for (size_t i = 0; i < KEY_GROUP; i++) assert_true(has(i));
    assert_false(has(KEY_GROUP));
}

static void a_busy_key_does_not_wait_for_others(void **state)
{
    (void)state;
    needs_vector();
    use(1, 1);
    use(2, KEY_USES_ALONE - 1);
    key_tables_make(&cache);
    assert_false(has(2));
    use(2, 1);
    key_tables_make(&cache);
    assert_true(has(2));
    assert_false(has(1));
    assert_int_equal(cache.count, 1);
}

static void tables_verify(void **state)
{
    (void)state;
    needs_vector();
    struct p256_verify_item items[CAPACITY];
    use_and_make(0, CAPACITY);
    for (size_t i = 0; i < CAPACITY; i++) {
        items[i] = signed_by[i];
        items[i].table = key_tables_find(&cache, key(i));
        assert_non_null(items[i].table);
        if (i % 4 == 1) p256_spoil(&items[i], (unsigned)i);
    }
    p256_verify(items, CAPACITY, P256_IFMA);
    for (size_t i = 0; i < CAPACITY; i++) assert_int_equal(items[i].ok, i % 4 != 1);
}

static void the_longest_unused_makes_room(void **state)
{
    (void)state;
    needs_vector();
    use_and_make(0, CAPACITY);
    assert_int_equal(cache.count, CAPACITY);
    for (size_t i = 0; i < CAPACITY; i += 2) use(i, 1); // the even ones are fresh
    use_and_make(CAPACITY, CAPACITY + KEY_GROUP);
    assert_int_equal(cache.count, CAPACITY);
    assert_int_equal(cache.evicted, KEY_GROUP);
    for (size_t i = 0; i < CAPACITY; i++) assert_int_equal(has(i), i % 2 == 0);
    for (size_t i = CAPACITY; i < CAPACITY + KEY_GROUP; i++) assert_true(has(i));
    // What has lost its table begins again.
    use(1, KEY_USES_ALONE);
    key_tables_make(&cache);
    assert_true(has(1));
    assert_int_equal(cache.count, CAPACITY);
}

static void a_cache_smaller_than_a_group(void **state)
{
    (void)state;
    needs_vector();
    for (size_t capacity = 1; capacity < KEY_GROUP; capacity++) {
        key_tables_fini(&cache);
        assert_ok(key_tables_init(&cache, P256_IFMA, capacity, seed));
        for (size_t i = 0; i < KEYS; i++) use(i, KEY_USES_RIPE);
        for (int turn = 0; turn < 20; turn++) key_tables_make(&cache);
        assert_int_equal(cache.count, capacity);
        size_t held = 0;
        for (size_t i = 0; i < KEYS; i++) held += has(i);
        assert_int_equal(held, capacity);
    }
}

// Nobody grows it: not by keys that are used once, nor by keys that are used often.
static void it_is_bounded(void **state)
{
    (void)state;
    uint8_t point[P256_POINT_LEN] = {0};
    for (uint32_t i = 0; i < 5000; i++) {
        memcpy(point, &i, sizeof i);
        key_tables_used(&cache, point);
        if (i % 64 == 0) key_tables_make(&cache);
        assert_true(cache.map.count <= KEY_CANDIDATES_MAX + CAPACITY);
    }
    assert_int_equal(cache.count, 0);
    assert_int_equal(cache.map.count, KEY_CANDIDATES_MAX);
    // Ripe ones, too, when nobody makes their tables.
    for (uint32_t i = 5000; i < 9000; i++) {
        memcpy(point, &i, sizeof i);
        for (int k = 0; k < KEY_USES_RIPE; k++) key_tables_used(&cache, point);
        assert_true(cache.map.count <= KEY_CANDIDATES_MAX + CAPACITY);
        assert_true(cache.ripe_count <= KEY_CANDIDATES_MAX);
    }
    assert_int_equal(cache.ripe_count, KEY_CANDIDATES_MAX);
}

static void no_cache_without_the_vector_kernel_or_room(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        key_tables_fini(&cache);
        assert_ok(
            key_tables_init(&cache, k == 0 ? P256_SCALAR : P256_IFMA, k == 0 ? CAPACITY : 0, seed));
        use(0, 2 * KEY_USES_ALONE);
        key_tables_make(&cache);
        assert_false(has(0));
        assert_int_equal(cache.count, 0);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(eight_ripe_keys_get_tables),
                                       CASE(a_busy_key_does_not_wait_for_others),
                                       CASE(tables_verify),
                                       CASE(the_longest_unused_makes_room),
                                       CASE(a_cache_smaller_than_a_group),
                                       CASE(it_is_bounded),
                                       CASE(no_cache_without_the_vector_kernel_or_room)};
    return cmocka_run_group_tests(tests, setup_all, NULL);
}
