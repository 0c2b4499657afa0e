// members: who lives, by the database's clock.
#include "api/members.h"

#include <string.h>

#include "api/jobs/internal.h"
#include "tests/unit/unit.h"

enum { DEAD_US = 10000000 };

static struct node_row row(uint64_t boot, int64_t age_us, const char *address)
{
    return (struct node_row){.boot = boot,
                             .rpc_address = slice_str(address),
                             .seen_at_us = 1000000000 - age_us,
                             .now_us = 1000000000};
}

static void rows_become_living_and_dead(void **state)
{
    (void)state;
    const struct node_row rows[] = {row(1, 0, "10.0.0.1:1"), row(2, 5, "10.0.0.2:1"),
                                    row(3, DEAD_US, "10.0.0.3:1"),
                                    row(4, DEAD_US + 1, "10.0.0.4:1")};
    struct members m;
    uint64_t dead[8];
    members_take(&m, rows, COUNT_OF(rows), 1, DEAD_US);
    assert_int_equal(m.count, 3); // not ourselves
    assert_null(member_alive(&m, 1));
    assert_string_equal(member_alive(&m, 2)->address, "10.0.0.2:1");
    assert_non_null(member_alive(&m, 3));
    assert_null(member_alive(&m, 4));
    assert_null(member_alive(&m, 5));
    assert_int_equal(members_dead(&m, dead, 8), 1);
    assert_int_equal(dead[0], 4);
    assert_int_equal(members_dead(&m, dead, 0), 0);
}

static void more_than_fit_are_left_out(void **state)
{
    (void)state;
    static struct node_row rows[MEMBERS_MAX + 10];
    char far[ADDRESS_TEXT_MAX + 1];
    struct members m;
    for (size_t i = 0; i < COUNT_OF(rows); i++) rows[i] = row(i + 1, 0, "a:1");
    members_take(&m, rows, COUNT_OF(rows), 0, DEAD_US);
    assert_int_equal(m.count, MEMBERS_MAX);
    memset(far, 'x', ADDRESS_TEXT_MAX);
    far[ADDRESS_TEXT_MAX] = 0;
    rows[0] = row(1, 0, far);
    members_take(&m, rows, 1, 0, DEAD_US);
    assert_int_equal(m.count, 0);
}

static void only_what_somebody_acts_on_is_a_change(void **state)
{
    (void)state;
    const struct node_row first[] = {row(1, 0, "a:1"), row(2, 0, "b:1")},
                          later[] = {row(1, 500, "a:1"), row(2, 700, "b:1")},
                          died[] = {row(1, 500, "a:1"), row(2, DEAD_US + 1, "b:1")},
                          moved[] = {row(1, 0, "c:1"), row(2, 0, "b:1")};
    struct members a, b;
    members_take(&a, first, 2, 0, DEAD_US);
    members_take(&b, later, 2, 0, DEAD_US);
    assert_true(members_equal(&a, &b));
    members_take(&b, died, 2, 0, DEAD_US);
    assert_false(members_equal(&a, &b));
    members_take(&b, moved, 2, 0, DEAD_US);
    assert_false(members_equal(&a, &b));
    members_take(&b, first, 1, 0, DEAD_US);
    assert_false(members_equal(&a, &b));
}

// Step r1 of design.md section 4: at most a tenth of the signing rate.
static void the_reaper_takes_a_tenth(void **state)
{
    (void)state;
    assert_int_equal(reaper_limit(0), REAPER_MIN);
    assert_int_equal(reaper_limit(-5), REAPER_MIN);
    assert_int_equal(reaper_limit(10 * REAPER_MIN), REAPER_MIN);
    assert_int_equal(reaper_limit(1000), 100);
    assert_int_equal(reaper_limit(INT64_MAX), REAPER_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_become_living_and_dead),
        cmocka_unit_test(more_than_fit_are_left_out),
        cmocka_unit_test(only_what_somebody_acts_on_is_a_change),
        cmocka_unit_test(the_reaper_takes_a_tenth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
