// buf: growth, ceiling, consuming, formatted text.
#include "proto/base/buf.h"

#include "proto/err.h"
#include "tests/unit/unit.h"

static void keeps_bytes_in_order(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 16);
    for (unsigned i = 0; i < 10000; i++) {
        uint8_t c = (uint8_t)i;
        assert_ok(buf_add(&b, slice_of(&c, 1)));
    }
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(buf_slice(&b).p[0], (uint8_t)i);
        buf_consume(&b, 1);
    }
    assert_int_equal(buf_len(&b), 0);
    buf_fini(&b);
}

static void stays_small_as_a_queue(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 300);
    for (unsigned i = 0; i < 1000; i++) {
        assert_ok(buf_add(&b, SLICE_LIT("0123456789")));
        if (buf_len(&b) > 200) buf_consume(&b, 190);
    }
    assert_true(b.size <= 512);
    buf_fini(&b);
}

static void stops_at_the_ceiling_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_ok(buf_add_str(&b, "12345678"));
    assert_err(buf_add_str(&b, "abc"), ERR_NO_SPACE);
    assert_err(buf_printf(&b, "%d", 1234), ERR_NO_SPACE);
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_slice_str(buf_slice(&b), "12345678");
    assert_ok(buf_add_str(&b, "90"));
    assert_slice_str(buf_slice(&b), "1234567890");
    buf_fini(&b);
}

static void formats_without_counting_the_nul(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    assert_ok(buf_printf(&b, "%s-%d", "x", 7));
    assert_ok(buf_printf(&b, "%0300d", 0));
    assert_int_equal(buf_len(&b), 303);
    assert_slice_str(slice_sub(buf_slice(&b), 0, 5), "x-700");
    buf_clear(&b);
    assert_int_equal(buf_len(&b), 0);
    buf_wipe_fini(&b);
    assert_null(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_bytes_in_order),
        cmocka_unit_test(stays_small_as_a_queue),
        cmocka_unit_test(stops_at_the_ceiling_and_keeps_what_it_has),
        cmocka_unit_test(formats_without_counting_the_nul),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
