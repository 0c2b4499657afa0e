// pool: every object is distinct, zeroed and comes back; full is an answer.
#include "proto/base/pool.h"

#include <string.h>

#include "proto/err.h"
#include "tests/unit/unit.h"

struct object {
    uint8_t b[40];
};

static void gives_each_object_once(void **state)
{
    (void)state;
    struct pool p;
    struct object *o[8];
    assert_ok(pool_init(&p, "test", sizeof(struct object), COUNT_OF(o)));
    for (size_t i = 0; i < COUNT_OF(o); i++) {
        o[i] = pool_get(&p);
        assert_non_null(o[i]);
        memset(o[i], (int)i + 1, sizeof *o[i]);
    }
    assert_null(pool_get(&p));
    for (size_t i = 0; i < COUNT_OF(o); i++) assert_int_equal(o[i]->b[39], i + 1);
    for (size_t i = 0; i < COUNT_OF(o); i++) pool_put(&p, o[i]);
    assert_int_equal(p.used, 0);
    assert_int_equal(p.used_max, COUNT_OF(o));
    pool_fini(&p);
}

static void zeroes_a_returned_object(void **state)
{
    (void)state;
    struct pool p;
    static const struct object zero;
    assert_ok(pool_init(&p, "test", sizeof(struct object), 1));
    struct object *o = pool_get(&p);
    memset(o, 0xff, sizeof *o);
    pool_put(&p, o);
    pool_put(&p, NULL);
    o = pool_get(&p);
    assert_memory_equal(o, &zero, sizeof *o);
    pool_put(&p, o);
    pool_fini(&p);
}

static void may_be_empty(void **state)
{
    (void)state;
    struct pool p;
    assert_ok(pool_init(&p, "test", 8, 0));
    assert_null(pool_get(&p));
    pool_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_each_object_once),
        cmocka_unit_test(zeroes_a_returned_object),
        cmocka_unit_test(may_be_empty),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
