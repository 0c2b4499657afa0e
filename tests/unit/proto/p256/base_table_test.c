// base_table: every entry is the multiple that it says, by BoringSSL's group.
#include "proto/p256/base_table.h"

#include <openssl/nid.h>

#include "tests/unit/proto/p256/lanes.h"

static void plain_of(BIGNUM *out, const uint64_t words[4], const BIGNUM *r_inverse)
{
    uint8_t b[32];
    for (int i = 0; i < 4; i++) word_store(b + 8 * (3 - i), words[i]);
    BN_bin2bn(b, sizeof b, out);
    assert_true(BN_cmp(out, lanes_p) < 0);
    BN_mod_mul(out, out, r_inverse, lanes_p, lanes_ctx);
}

static void holds_the_odd_multiples(void **state)
{
    (void)state;
    EC_GROUP *g = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *base = EC_POINT_dup(EC_GROUP_get0_generator(g), g);
    EC_POINT *point = EC_POINT_new(g), *twice = EC_POINT_new(g);
    BIGNUM *x = BN_new(), *y = BN_new(), *got = BN_new(), *r = BN_new();
    BN_set_bit(r, 260);
    BIGNUM *r_inverse = BN_mod_inverse(NULL, r, lanes_p, lanes_ctx);
    for (int w = 0; w < BASE_WINDOWS; w++) {
        EC_POINT_copy(point, base);
        EC_POINT_dbl(g, twice, base, lanes_ctx);
        for (int e = 0; e < BASE_ENTRIES; e++) {
            uint64_t row[BASE_WORDS];
            for (int i = 0; i < BASE_WORDS; i++) row[i] = p256_base_columns[w][i][e];
            EC_POINT_get_affine_coordinates(g, point, x, y, lanes_ctx);
            plain_of(got, row, r_inverse);
            assert_int_equal(BN_cmp(got, x), 0);
            plain_of(got, row + 4, r_inverse);
            assert_int_equal(BN_cmp(got, y), 0);
            EC_POINT_add(g, point, point, twice, lanes_ctx);
        }
        for (int i = 0; i < 8; i++) EC_POINT_dbl(g, base, base, lanes_ctx);
    }
    BN_free(x);
    BN_free(y);
    BN_free(got);
    BN_free(r);
    BN_free(r_inverse);
    EC_POINT_free(point);
    EC_POINT_free(twice);
    EC_POINT_free(base);
    EC_GROUP_free(g);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(holds_the_odd_multiples)};
    return cmocka_run_group_tests(tests, lanes_setup, lanes_teardown);
}
