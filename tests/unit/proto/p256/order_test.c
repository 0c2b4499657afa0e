// order: against BoringSSL's integers, over random numbers and those near 0, n and 2^256.
#include "proto/p256/order.h"

#include "tests/unit/proto/p256/lanes.h"

enum { ROUNDS = 4000 };

// pick takes a number below 2^256, often near 0, n or the top.
static void pick(BIGNUM *b, uint64_t w[4])
{
    uint8_t octets[32];
    struct lanes l = lanes_new();
    lanes_pick(&l, lanes_n, 2);
    BN_copy(b, l.b[0]);
    BN_mask_bits(b, 256);
    lanes_free(&l);
    BN_bn2bin_padded(octets, sizeof octets, b);
    p256_order_load(w, octets);
}

static void check(const uint64_t w[4], const BIGNUM *want)
{
    uint8_t octets[32], wanted[32];
    p256_order_store(octets, w);
    assert_int_equal(BN_bn2bin_padded(wanted, sizeof wanted, want), 1);
    assert_memory_equal(octets, wanted, 32);
}

static void computes_modulo_n(void **state)
{
    (void)state;
    BIGNUM *a = BN_new(), *b = BN_new(), *want = BN_new(), *r = BN_new();
    uint64_t x[4], y[4], out[4];
    BN_set_bit(r, 256);
    BIGNUM *r_inverse = BN_mod_inverse(NULL, r, lanes_n, lanes_ctx);
    for (int i = 0; i < ROUNDS; i++) {
        pick(a, x);
        pick(b, y);
        check(x, a);
        BN_nnmod(want, a, lanes_n, lanes_ctx);
        memcpy(out, x, sizeof out);
        p256_order_reduce(out);
        check(out, want);
        assert_true(p256_order_in_range(x) ==
                    (BN_is_zero(a) || BN_cmp(a, lanes_n) >= 0 ? 0 : ~(uint64_t)0));
        p256_order_reduce(y);
        BN_nnmod(b, b, lanes_n, lanes_ctx);
        BN_mod_mul(want, a, b, lanes_n, lanes_ctx);
        BN_mod_mul(want, want, r_inverse, lanes_n, lanes_ctx);
        p256_order_mul(out, x, y);
        check(out, want);
        p256_order_mul(x, x, y); // in place
        check(x, want);
        BN_mod_add(want, want, b, lanes_n, lanes_ctx);
        p256_order_add(x, x, y);
        check(x, want);
    }
    BN_free(a);
    BN_free(b);
    BN_free(want);
    BN_free(r);
    BN_free(r_inverse);
}

static void has_the_powers_of_two(void **state)
{
    (void)state;
    BIGNUM *two = BN_new();
    BN_set_bit(two, 512);
    BN_nnmod(two, two, lanes_n, lanes_ctx);
    check(p256_order_r2, two);
    BN_zero(two);
    BN_set_bit(two, 516);
    BN_nnmod(two, two, lanes_n, lanes_ctx);
    check(p256_order_2_516, two);
    BN_free(two);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(computes_modulo_n),
                                              cmocka_unit_test(has_the_powers_of_two)};
    return cmocka_run_group_tests(tests, lanes_setup, lanes_teardown);
}
