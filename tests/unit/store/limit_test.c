// limit: rate limits against a real PostgreSQL: exact, whoever asks.
#include <stdlib.h>

#include "store/err.h"
#include "store/events.h"
#include "tests/unit/store/fixture.h"

enum { MANY = 64, STEP_S = 100 };

static const int64_t step_us = (int64_t)STEP_S * 1000000;

// item of a limit that lets `count` through at once.
static struct rate_item item(struct id key, int64_t count, enum rate_how how)
{
    return (struct rate_item){key, step_us, step_us * count, how};
}

static struct store_rate_take take(const struct rate_item *items, size_t count)
{
    struct store_rate_take t = {.cmd = cmd(), .items = items, .count = count};
    store_rate_take(stores[0], &t);
    run();
    assert_ok(result(&t.cmd));
    return t;
}

// later lets time pass for a key.
static void later(const struct id *key, int64_t us)
{
    char text[UUID_TEXT_SIZE];
    sql_run("UPDATE rate_limits SET tat = tat - %lld WHERE key = '%s'", (long long)us,
            uuid_text(text, key));
}

static void a_limit_lets_so_many_through_and_earns_them_back(void **state)
{
    (void)state;
    struct rate_item three = item(new_id(), 3, RATE_TAKE);
    int64_t before = now_us();
    for (int i = 0; i < 3; i++) assert_true(take(&three, 1).taken);
    struct store_rate_take t = take(&three, 1);
    assert_false(t.taken);
    assert_int_equal(t.refused, 0);
    assert_in_range(t.until_us, before + step_us - 2000000, now_us() + step_us);
    later(&three.key, step_us); // one is earned back
    assert_true(take(&three, 1).taken);
    assert_false(take(&three, 1).taken);
    later(&three.key, 100 * step_us); // never more than three
    for (int i = 0; i < 3; i++) assert_true(take(&three, 1).taken);
    assert_false(take(&three, 1).taken);
    struct rate_item other = item(new_id(), 3, RATE_TAKE);
    assert_true(take(&other, 1).taken);
}

// Many at once, of two front ends, some in one flush, on a key that nobody has used before.
static void exactly_so_many_of_many_at_once(void **state)
{
    (void)state;
    int64_t bisections = metric_total(metrics, &METRIC_STORE_BISECTIONS);
    for (int round = 0; round < 10; round++) {
        struct rate_item ten = item(new_id(), 10, RATE_TAKE);
        static struct store_rate_take t[MANY];
        unsigned taken = 0;
        for (int i = 0; i < MANY; i++) {
            t[i] = (struct store_rate_take){.cmd = cmd(), .items = &ten, .count = 1};
            store_rate_take(stores[i % STORES], &t[i]);
        }
        run();
        for (int i = 0; i < MANY; i++) {
            assert_ok(result(&t[i].cmd));
            taken += t[i].taken;
        }
        assert_int_equal(taken, 10);
    }
    assert_int_equal(metric_total(metrics, &METRIC_STORE_BISECTIONS), bisections);
}

// Keys in any order and more than once: no row raises, nobody waits for each other for ever.
static void keys_come_in_any_order(void **state)
{
    (void)state;
    int64_t bisections = metric_total(metrics, &METRIC_STORE_BISECTIONS),
            retries = metric_total(metrics, &METRIC_STORE_RETRIES);
    static struct rate_item items[MANY][6];
    static struct store_rate_take t[MANY];
    struct id keys[5];
    for (int i = 0; i < 5; i++) keys[i] = new_id();
    for (int i = 0; i < MANY; i++) {
        for (int k = 0; k < 6; k++)
            items[i][k] = item(keys[(i * 3 + k * (1 + i % 4)) % 5], 1000, RATE_TAKE);
        t[i] = (struct store_rate_take){.cmd = cmd(), .items = items[i], .count = 6};
        store_rate_take(stores[i % STORES], &t[i]);
    }
    run();
    for (int i = 0; i < MANY; i++) assert_true(t[i].taken);
    assert_int_equal(metric_total(metrics, &METRIC_STORE_BISECTIONS), bisections);
    assert_int_equal(metric_total(metrics, &METRIC_STORE_RETRIES), retries);
}

static void all_is_taken_or_nothing(void **state)
{
    (void)state;
    struct rate_item items[3] = {item(new_id(), 2, RATE_TAKE), item(new_id(), 1, RATE_TAKE),
                                 item(new_id(), 3, RATE_TAKE)};
    assert_true(take(items, 3).taken);
    struct store_rate_take t = take(items, 3);
    assert_false(t.taken);
    assert_int_equal(t.refused, 1);
    assert_true(take(&items[0], 1).taken); // what was refused has taken nothing
    assert_false(take(&items[0], 1).taken);
    assert_true(take(&items[2], 1).taken);
    assert_true(take(&items[2], 1).taken);
    // Of several the one that takes the longest is told.
    later(&items[1].key, step_us / 2);
    t = take(items, 3);
    assert_false(t.taken);
    assert_int_equal(t.refused, 0);
    // A key that is there twice counts once.
    struct id key = new_id();
    struct rate_item twice[2] = {item(key, 2, RATE_TAKE), item(key, 2, RATE_TAKE)};
    assert_true(take(twice, 2).taken);
    assert_true(take(twice, 2).taken);
    assert_false(take(twice, 2).taken);
}

static void looks_take_nothing_and_charges_are_not_refused(void **state)
{
    (void)state;
    struct id key = new_id();
    struct rate_item look = item(key, 2, RATE_LOOK), charge = item(key, 2, RATE_CHARGE);
    for (int i = 0; i < 5; i++) assert_true(take(&look, 1).taken);
    assert_true(take(&charge, 1).taken);
    assert_true(take(&look, 1).taken);
    for (int i = 0; i < 10; i++) assert_true(take(&charge, 1).taken);
    assert_false(take(&look, 1).taken);
    later(&key, step_us); // no more is owed than two
    assert_true(take(&look, 1).taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_lets_so_many_through_and_earns_them_back),
        cmocka_unit_test(exactly_so_many_of_many_at_once),
        cmocka_unit_test(keys_come_in_any_order),
        cmocka_unit_test(all_is_taken_or_nothing),
        cmocka_unit_test(looks_take_nothing_and_charges_are_not_refused),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
