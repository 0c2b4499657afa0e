// order_step: the transitions of RFC 8555 section 7.1.6, and no others.
#include "api/acme/order_step.h"

#include <string.h>

#include "tests/unit/unit.h"

// The drawing of section 7.1.6, read by hand; what is not here must not exist.
static const struct {
    enum order_status from;
    enum order_event event;
    enum order_status to;
    unsigned effects;
} drawn[] = {
    {ORDER_PENDING, ORDER_AUTHZ_VALID, ORDER_PENDING, 0},
    {ORDER_PENDING, ORDER_LAST_AUTHZ_VALID, ORDER_READY, EFFECT_PERSIST},
    {ORDER_PENDING, ORDER_AUTHZ_INVALID, ORDER_INVALID, EFFECT_PERSIST},
    {ORDER_PENDING, ORDER_EXPIRE, ORDER_INVALID, 0},
    {ORDER_READY, ORDER_EXPIRE, ORDER_INVALID, 0},
    {ORDER_READY, ORDER_AUTHZ_INVALID, ORDER_INVALID, EFFECT_PERSIST},
    {ORDER_READY, ORDER_FINALIZE, ORDER_PROCESSING, EFFECT_PERSIST | EFFECT_SIGN},
    {ORDER_PROCESSING, ORDER_ISSUED, ORDER_VALID, EFFECT_PERSIST},
    {ORDER_PROCESSING, ORDER_GIVE_UP, ORDER_INVALID, EFFECT_PERSIST | EFFECT_BURN},
};

static void every_pair_is_as_drawn(void **state)
{
    (void)state;
    for (int from = ORDER_PENDING; from <= ORDER_INVALID; from++)
        for (int event = ORDER_AUTHZ_VALID; event < ORDER_EVENT_COUNT; event++) {
            enum order_status to = 0;
            unsigned effects = 0;
            size_t i = 0;
            while (i < COUNT_OF(drawn) &&
                   ((int)drawn[i].from != from || (int)drawn[i].event != event))
                i++;
            bool exists = order_step(&to, &effects, (enum order_status)from,
                                     (enum order_event)event);
            if (exists != (i < COUNT_OF(drawn))) fail_msg("from %d by %d", from, event);
            if (exists) assert_int_equal(to, drawn[i].to);
            if (exists) assert_int_equal(effects, drawn[i].effects);
        }
}

static void nothing_is_written_for_a_step_that_does_not_exist(void **state)
{
    (void)state;
    enum order_status to = ORDER_READY;
    unsigned effects = 77;
    assert_false(order_step(&to, &effects, ORDER_VALID, ORDER_FINALIZE));
    assert_int_equal(to, ORDER_READY);
    assert_int_equal(effects, 77);
}

static void only_open_orders_end_by_time(void **state)
{
    (void)state;
    static const enum order_status after[] = {[ORDER_PENDING] = ORDER_INVALID,
                                              [ORDER_READY] = ORDER_INVALID,
                                              [ORDER_PROCESSING] = ORDER_PROCESSING,
                                              [ORDER_VALID] = ORDER_VALID,
                                              [ORDER_INVALID] = ORDER_INVALID};
    for (int s = ORDER_PENDING; s <= ORDER_INVALID; s++) {
        assert_int_equal(order_status_at((enum order_status)s, 100, 99), s);
        assert_int_equal(order_status_at((enum order_status)s, 100, 100), after[s]);
        assert_int_equal(order_status_at((enum order_status)s, 100, 101), after[s]);
    }
}

// clients.md 42: only the RFC's status strings, anywhere.
static void names_are_the_rfcs(void **state)
{
    (void)state;
    assert_string_equal(order_status_name(ORDER_PENDING), "pending");
    assert_string_equal(order_status_name(ORDER_READY), "ready");
    assert_string_equal(order_status_name(ORDER_PROCESSING), "processing");
    assert_string_equal(order_status_name(ORDER_VALID), "valid");
    assert_string_equal(order_status_name(ORDER_INVALID), "invalid");
    assert_string_equal(order_status_name((enum order_status)77), "invalid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_is_as_drawn),
        cmocka_unit_test(nothing_is_written_for_a_step_that_does_not_exist),
        cmocka_unit_test(only_open_orders_end_by_time),
        cmocka_unit_test(names_are_the_rfcs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
