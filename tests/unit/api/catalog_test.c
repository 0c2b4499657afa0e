// catalog: which issuing CA signs an order's certificate.
#include "api/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { ORDERS = 20000 };

static struct catalog_issuer issuers[] = {{.signer = {.id = 1}, .not_after = 1000},
                                          {.signer = {.id = 2}, .not_after = 2000},
                                          {.signer = {.id = 7}, .not_after = 3000}};
static const struct catalog catalog = {.issuers = issuers, .issuer_count = COUNT_OF(issuers)};

// order_at is the i-th of orders that were made in one millisecond.
static struct id order_at(unsigned i)
{
    struct id id = {.b = {1, 0xa2, 0x32, 0xc8}};
    memcpy(id.b + 12, &i, sizeof i);
    return id;
}

// counts_of counts whom the orders get; [0]: nobody.
static void counts_of(unsigned counts[8], const struct signer_profile *p, uint16_t only,
                      int64_t not_after)
{
    memset(counts, 0, 8 * sizeof *counts);
    for (unsigned i = 0; i < ORDERS; i++) {
        struct id order = order_at(i);
        const struct catalog_issuer *c = catalog_choose(&catalog, p, only, &order, not_after);
        assert_ptr_equal(c, catalog_choose(&catalog, p, only, &order, not_after));
        counts[c == NULL ? 0 : c->signer.id]++;
    }
}

static void weights_are_kept(void **state)
{
    (void)state;
    static const uint16_t ids[] = {1, 2, 7};
    static const uint32_t weights[] = {1, 3, 0};
    const struct signer_profile p = {.issuers = ids, .weights = weights, .issuer_count = 3};
    unsigned counts[8];
    counts_of(counts, &p, 0, 900);
    assert_in_range(counts[1], ORDERS / 4 - 400, ORDERS / 4 + 400);
    assert_int_equal(counts[1] + counts[2], ORDERS); // 7 is drained
    counts_of(counts, &p, 2, 900);
    assert_int_equal(counts[2], ORDERS);
    counts_of(counts, &p, 7, 900);
    assert_int_equal(counts[0], ORDERS);
    counts_of(counts, &p, 9, 900);
    assert_int_equal(counts[0], ORDERS);
}

static void who_ends_before_signs_nothing(void **state)
{
    (void)state;
    static const uint16_t ids[] = {1, 2, 5}; // 5 is unknown here
    static const uint32_t weights[] = {5, 1, 9};
    const struct signer_profile p = {.issuers = ids, .weights = weights, .issuer_count = 3};
    unsigned counts[8];
    counts_of(counts, &p, 0, 1000);
    assert_in_range(counts[2], ORDERS / 6 - 400, ORDERS / 6 + 400);
    assert_int_equal(counts[1] + counts[2], ORDERS);
    counts_of(counts, &p, 0, 1001);
    assert_int_equal(counts[2], ORDERS);
    counts_of(counts, &p, 0, 2001);
    assert_int_equal(counts[0], ORDERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_kept),
        cmocka_unit_test(who_ends_before_signs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
