// leaf: keys, names and bounds of partitions against the definition: a leaf holds exactly the ids
// and serials of its hour or day.
#include "store/leaf.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

static const uint8_t zeros[10], ones[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

// bound_of reads a bound's literal of a uuid as 16 octets.
static struct id bound_of(const char *literal)
{
    struct id id = {0};
    size_t n = 0;
    for (const char *p = literal; *p != 0 && n < 32; p++) {
        char digit[2] = {*p, 0};
        if (strchr("0123456789abcdef", *p) == NULL) continue;
        id.b[n / 2] = (uint8_t)(id.b[n / 2] << 4 | strtoul(digit, NULL, 16));
        n++;
    }
    assert_int_equal(n, 32);
    return id;
}

static void ids_lie_within_the_bounds_of_their_leaf(void **state)
{
    (void)state;
    static const enum leaf_table of_ids[] = {LEAF_ORDERS, LEAF_AUTHZS, LEAF_INTENTS};
    for (size_t t = 0; t < COUNT_OF(of_ids); t++) {
        uint64_t span = leaf_span_s(of_ids[t]) * 1000ull;
        for (uint64_t ms = 0; ms < UINT64_C(4102444800000); ms += UINT64_C(98765432109)) {
            uint64_t start = ms / span * span;
            const uint64_t at[] = {start, start + 1, ms, start + span - 1};
            char lower[LEAF_BOUND_MAX], upper[LEAF_BOUND_MAX];
            int64_t key = leaf_at(of_ids[t], (int64_t)(ms / 1000));
            leaf_bounds(lower, upper, of_ids[t], key);
            struct id low = bound_of(lower), high = bound_of(upper);
            for (size_t i = 0; i < COUNT_OF(at); i++) {
                struct id first = id_make(at[i], 0, zeros), last = id_make(at[i], 63, ones);
                assert_int_equal(leaf_of_id(of_ids[t], &first), key);
                assert_int_equal(leaf_of_id(of_ids[t], &last), key);
                assert_true(id_cmp(&low, &first) <= 0 && id_cmp(&last, &high) < 0);
            }
        }
    }
}

static void serials_lie_within_the_bounds_of_their_hour(void **state)
{
    (void)state;
    const uint8_t serial[20] = {0x07, 0x9d, 0x0f, 0xff};
    char lower[LEAF_BOUND_MAX], upper[LEAF_BOUND_MAX];
    assert_int_equal(leaf_of_serial(serial), 0x079d0f);
    leaf_bounds(lower, upper, LEAF_CERTIFICATES, 0x079d0f);
    assert_string_equal(lower, "'\\x079d0f'::bytea");
    assert_string_equal(upper, "'\\x079d10'::bytea");
    leaf_bounds(lower, upper, LEAF_REPLACEMENTS, 0x07ffff); // carries
    assert_string_equal(upper, "'\\x080000'::bytea");
}

static void names_can_be_read_back(void **state)
{
    (void)state;
    for (int t = 0; t < LEAF_TABLE_COUNT; t++) {
        for (int64_t s = 0; s < 4102444800; s += 98765432) {
            char name[LEAF_NAME_MAX];
            enum leaf_table table;
            int64_t key, want = leaf_at((enum leaf_table)t, s);
            leaf_name(name, (enum leaf_table)t, want);
            assert_true(leaf_parse(&table, &key, name));
            assert_int_equal(table, t);
            assert_int_equal(key, want);
        }
    }
    char name[LEAF_NAME_MAX];
    leaf_name(name, LEAF_ORDERS, leaf_at(LEAF_ORDERS, 1795514400));
    assert_string_equal(name, "orders_2026112410");
    leaf_name(name, LEAF_AUTHZS, leaf_at(LEAF_AUTHZS, 1795514400));
    assert_string_equal(name, "authorizations_20261124");
    leaf_name(name, LEAF_REPLACEMENTS, leaf_at(LEAF_REPLACEMENTS, 1795514400));
    assert_string_equal(name, "replacements_2026112410");
    static const char *const others[] = {"orders",
                                         "orders_",
                                         "orders_20261124",
                                         "orders_2026112499",
                                         "order_2026112410",
                                         "orders_2026112410x",
                                         "intents_open",
                                         "nodes",
                                         "authorizations_2026112410"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        enum leaf_table table;
        int64_t key;
        if (leaf_parse(&table, &key, others[i])) fail_msg("%s was taken", others[i]);
    }
}

static void a_set_finds_what_was_added(void **state)
{
    (void)state;
    struct leaf_set s = {0};
    for (int64_t i = 0; i < 500; i++) {
        assert_true(leaf_set_add(&s, (enum leaf_table)(i % 4), i * 7919 % 503));
        assert_true(leaf_set_add(&s, (enum leaf_table)(i % 4), i * 7919 % 503)); // again: no change
    }
    assert_int_equal(s.count, 500);
    for (int64_t i = 0; i < 500; i++)
        for (int t = 0; t < 4; t++)
            assert_int_equal(leaf_set_has(&s, (enum leaf_table)t, i * 7919 % 503), t == i % 4);
    assert_false(leaf_set_has(&s, LEAF_ORDERS, 1000));
    leaf_set_clear(&s);
    assert_false(leaf_set_has(&s, LEAF_ORDERS, 0));
    leaf_set_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_lie_within_the_bounds_of_their_leaf),
        cmocka_unit_test(serials_lie_within_the_bounds_of_their_hour),
        cmocka_unit_test(names_can_be_read_back),
        cmocka_unit_test(a_set_finds_what_was_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
