// timer: every slot computation against a definition, firing order and times against a sorted list.
#include "cluster/core/timer.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

// defined_place is the definition: write both times in base 64; the level is the highest digit in
// which they differ.
static struct timer_place defined_place(uint64_t now, uint64_t due)
{
    unsigned now_digit[11], due_digit[11];
    for (unsigned i = 0; i < 11; i++, now /= 64, due /= 64) {
        now_digit[i] = (unsigned)(now % 64);
        due_digit[i] = (unsigned)(due % 64);
    }
    unsigned level = 10;
    while (now_digit[level] == due_digit[level]) level--;
    if (level < TIMER_LEVELS) return (struct timer_place){level, due_digit[level]};
    return (struct timer_place){TIMER_LEVELS - 1, now_digit[TIMER_LEVELS - 1] == 63 ? 0 : 63};
}

static void assert_place(uint64_t now, uint64_t due)
{
    struct timer_place got = timer_wheel_place(now, due), want = defined_place(now, due);
    if (got.level != want.level || got.slot != want.slot)
        fail_msg("now %llu due %llu: %u/%u, want %u/%u", (unsigned long long)now,
                 (unsigned long long)due, got.level, got.slot, want.level, want.slot);
}

static void places_every_timer_where_the_definition_says(void **state)
{
    (void)state;
    // Around every boundary of every level, and every distance up to two rounds of level 1.
    for (unsigned level = 0; level <= TIMER_LEVELS; level++) {
        uint64_t unit = UINT64_C(1) << (6 * level);
        for (uint64_t now = unit * 63 - 2; now < unit * 64 + 3;
             now += now == unit * 63 + 2 ? unit - 4 : 1) {
            for (uint64_t d = 1; d < 8300; d++) assert_place(now, now + d);
            for (unsigned bit = 0; bit < 50; bit++) assert_place(now, now + (UINT64_C(1) << bit));
            if (unit < 8) break;
        }
    }
}

struct expected {
    struct timer timer;
    uint64_t due, fired;
};

static struct timer_wheel wheel;
static uint64_t last_due;
static size_t fired_count;

static void note_fired(struct timer *t)
{
    struct expected *e = (struct expected *)t;
    assert_false(timer_pending(t));
    assert_true(e->due >= last_due);
    last_due = e->due;
    e->fired = wheel.now_ms;
    fired_count++;
}

static void fires_each_timer_at_its_time_and_in_order(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static struct expected all[COUNT];
    srand(7);
    for (int steps = 0; steps < 3;
         steps++) { // advance tick by tick, by odd jumps, by one giant leap
        const uint64_t start = 123456789, jump = steps == 0   ? 1
                                                 : steps == 1 ? 977
                                                              : UINT64_C(1) << 42;
        const uint64_t reach = steps == 0 ? 1 << 14 : UINT64_C(1) << 22;
        timer_wheel_init(&wheel, start);
        last_due = 0;
        fired_count = 0;
        for (int i = 0; i < COUNT; i++) {
            all[i] = (struct expected){.timer.fire = note_fired,
                                       .due = start + 1 +
                                              ((uint64_t)rand() * 31 + (uint64_t)rand()) % reach};
            timer_wheel_set(&wheel, &all[i].timer, all[i].due);
        }
        for (int i = 0; i < COUNT; i += 3) timer_cancel(&all[i].timer);
        for (uint64_t now = start; now <= start + reach;) timer_wheel_advance(&wheel, now += jump);
        assert_int_equal(fired_count, COUNT - COUNT / 3);
        for (int i = 0; i < COUNT; i++) assert_int_equal(all[i].fired, i % 3 == 0 ? 0 : all[i].due);
        assert_true(timer_wheel_next(&wheel) == UINT64_MAX);
    }
}

static void knows_a_lower_bound_of_the_next_timer(void **state)
{
    (void)state;
    srand(11);
    for (int round = 0; round < 2000; round++) {
        struct expected e = {.timer.fire = note_fired};
        uint64_t now = (uint64_t)rand();
        e.due = now + 1 + (uint64_t)rand() % (UINT64_C(1) << (1 + round % 30));
        last_due = 0;
        timer_wheel_init(&wheel, now);
        timer_wheel_set(&wheel, &e.timer, e.due);
        int wakes = 0;
        while (timer_pending(&e.timer)) { // a caller that sleeps until the bound arrives exactly at
                                          // the due time, in few steps
            uint64_t next = timer_wheel_next(&wheel);
            assert_true(next > wheel.now_ms && next <= e.due);
            timer_wheel_advance(&wheel, next);
            wakes++;
        }
        assert_int_equal(e.fired, e.due);
        assert_in_range(wakes, 1, TIMER_LEVELS);
    }
}

static void waits_for_times_beyond_its_reach(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        uint64_t now = TIMER_SPAN_MS * 5 + (i == 0   ? 1
                                            : i == 1 ? TIMER_SPAN_MS / 64 * 63 + 5
                                                     : TIMER_SPAN_MS - 1);
        struct expected e = {.timer.fire = note_fired,
                             .due = TIMER_SPAN_MS * (6 + (uint64_t)i * 2) + (uint64_t)i};
        last_due = 0;
        timer_wheel_init(&wheel, now);
        timer_wheel_set(&wheel, &e.timer, e.due);
        for (int wakes = 0; timer_pending(&e.timer); wakes++) {
            assert_true(wakes < 1000);
            timer_wheel_advance(&wheel, timer_wheel_next(&wheel));
        }
        assert_int_equal(e.fired, e.due);
    }
}

static struct timer *victim;
static int chain_left;

static void cancel_victim(struct timer *t)
{
    (void)t;
    fired_count++;
    timer_cancel(victim);
}

static void set_again(struct timer *t)
{
    fired_count++;
    if (--chain_left > 0)
        timer_wheel_set(&wheel, t, wheel.now_ms); // not in the future: the next tick
}

static void lets_callbacks_set_and_cancel(void **state)
{
    (void)state;
    struct timer first = {.fire = cancel_victim}, second = {.fire = cancel_victim},
                 again = {.fire = set_again};
    timer_wheel_init(&wheel, 0);
    victim = &second;
    fired_count = 0;
    timer_wheel_set(
        &wheel, &first,
        70); // both in one slot: the first cancels the second, which has been taken out already
    timer_wheel_set(&wheel, &second, 70);
    timer_wheel_advance(&wheel, 1000);
    assert_int_equal(fired_count, 1);
    assert_false(timer_pending(&second));

    chain_left = 5;
    timer_wheel_set(&wheel, &again, 1001);
    timer_wheel_advance(&wheel, 1004);
    assert_int_equal(chain_left, 1);
    timer_wheel_advance(&wheel, 1005);
    assert_int_equal(chain_left, 0);
}

static void treats_an_idle_timer_as_nothing(void **state)
{
    (void)state;
    struct timer zero = {0};
    assert_false(timer_pending(&zero));
    timer_cancel(&zero);
    timer_cancel(&zero);
    assert_false(timer_pending(&zero));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_every_timer_where_the_definition_says),
        cmocka_unit_test(fires_each_timer_at_its_time_and_in_order),
        cmocka_unit_test(knows_a_lower_bound_of_the_next_timer),
        cmocka_unit_test(waits_for_times_beyond_its_reach),
        cmocka_unit_test(lets_callbacks_set_and_cancel),
        cmocka_unit_test(treats_an_idle_timer_as_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
