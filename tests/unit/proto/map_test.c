// map: against a plain array as its model, with many removals so that runs of slots are cut and
// closed.
#include "proto/base/map.h"

#include <string.h>

#include "proto/err.h"
#include "tests/unit/unit.h"

static const uint8_t seed[MAP_SEED_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

struct entry {
    uint8_t key[32];
    bool held;
};

enum { ENTRY_COUNT = 300, CAPACITY = 200 };

static struct entry entries[ENTRY_COUNT];

static void entries_make(void)
{
    memset(entries, 0, sizeof entries);
    for (unsigned i = 0; i < ENTRY_COUNT; i++) memcpy(entries[i].key, &i, sizeof i);
}

static uint32_t next_random(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33);
}

static void agrees(const struct map *m)
{
    size_t held = 0, walked = 0, cursor = 0;
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        assert_ptr_equal(map_get(m, entries[i].key), entries[i].held ? &entries[i] : NULL);
        held += entries[i].held;
    }
    for (struct entry *e; (e = map_next(m, &cursor)) != NULL; walked++) assert_true(e->held);
    assert_int_equal(m->count, held);
    assert_int_equal(walked, held);
}

static void toggle(struct map *m, struct entry *e)
{
    if (e->held) {
        assert_ptr_equal(map_remove(m, e->key), e);
        e->held = false;
    } else if (m->count == CAPACITY)
        assert_err(map_put(m, e->key, e), ERR_POOL_FULL);
    else {
        assert_ok(map_put(m, e->key, e));
        e->held = true;
    }
}

static void behaves_as_an_array_does(void **state)
{
    (void)state;
    struct map m;
    uint64_t random = 42;
    entries_make();
    assert_ok(map_init(&m, 32, CAPACITY, seed));
    for (int round = 0; round < 20000; round++) {
        toggle(&m, &entries[next_random(&random) % ENTRY_COUNT]);
        if (round % 500 == 0) agrees(&m);
    }
    agrees(&m);
    map_fini(&m);
}

static void replaces_the_value_of_a_key(void **state)
{
    (void)state;
    struct map m;
    uint8_t first[16] = {7}, second[16] = {7}, other[16] = {8};
    assert_ok(map_init(&m, 16, 1, seed));
    assert_ok(map_put(&m, first, first));
    assert_ok(map_put(&m, second, second)); // full, but the key is there
    assert_ptr_equal(map_get(&m, first), second);
    assert_err(map_put(&m, other, other), ERR_POOL_FULL);
    assert_int_equal(m.count, 1);
    map_fini(&m);
}

static void answers_when_empty(void **state)
{
    (void)state;
    struct map m = {0};
    uint8_t key[16] = {0};
    size_t cursor = 0;
    assert_null(map_get(&m, key));
    assert_null(map_remove(&m, key));
    assert_null(map_next(&m, &cursor));
    assert_err(map_put(&m, key, key), ERR_POOL_FULL);
    assert_ok(map_init(&m, 16, 0, seed));
    assert_null(map_get(&m, key));
    assert_err(map_put(&m, key, key), ERR_POOL_FULL);
    map_fini(&m);
}

static void hashes_under_its_seed(void **state)
{
    (void)state;
    static const uint8_t other_seed[MAP_SEED_LEN] = {9};
    struct map a, b;
    uint8_t key[16] = {1, 2, 3};
    assert_ok(map_init(&a, 16, 3, seed));
    assert_ok(map_init(&b, 16, 3, other_seed));
    assert_ok(map_put(&a, key, key));
    assert_ok(map_put(&b, key, key));
    uint64_t hash[2] = {0, 0};
    for (size_t i = 0; i <= a.mask; i++) hash[0] |= a.slots[i].hash;
    for (size_t i = 0; i <= b.mask; i++) hash[1] |= b.slots[i].hash;
    assert_true(hash[0] != hash[1]);
    map_fini(&a);
    map_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_an_array_does),
        cmocka_unit_test(replaces_the_value_of_a_key),
        cmocka_unit_test(answers_when_empty),
        cmocka_unit_test(hashes_under_its_seed),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
