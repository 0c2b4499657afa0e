// scalar, limbs, inverse: against BoringSSL's integers, over random and adversarial limbs.
#include "proto/p256/scalar.h"

#include "tests/unit/proto/p256/lanes.h"

int vector_tests(void);

enum { ROUNDS = VEC_NATIVE ? 3000 : 300 };

static BIGNUM *r_inverse; // 2^-260 mod n

static int setup(void **state)
{
    if (lanes_setup(state) != 0) return -1;
    BIGNUM *r = BN_new();
    BN_set_bit(r, 260);
    r_inverse = BN_mod_inverse(NULL, r, lanes_n, lanes_ctx);
    BN_free(r);
    return 0;
}

static int teardown(void **state)
{
    BN_free(r_inverse);
    return lanes_teardown(state);
}

static void multiplies(void **state)
{
    (void)state;
    static const unsigned bounds[][3] = {{1, 1, 2}, {2, 2, 2}, {4, 4, 2}, {16, 1, 2}, {16, 15, 16}};
    struct lanes a = lanes_new(), b = lanes_new(), want = lanes_new();
    for (int round = 0; round < ROUNDS; round++) {
        const unsigned *m = bounds[(unsigned)round % COUNT_OF(bounds)];
        lanes_pick(&a, lanes_n, m[0]);
        lanes_pick(&b, lanes_n, m[1]);
        struct limbs x = lanes_to_limbs(&a), y = lanes_to_limbs(&b), out;
        for (int i = 0; i < LANES; i++) {
            BN_mod_mul(want.b[i], a.b[i], b.b[i], lanes_n, lanes_ctx);
            BN_mod_mul(want.b[i], want.b[i], r_inverse, lanes_n, lanes_ctx);
        }
        scalar_mul(&out, &x, &y);
        lanes_check(&out, &want, lanes_n, m[2], "product");
        scalar_mul(&x, &x, &y);
        lanes_check(&x, &want, lanes_n, m[2], "product in place");
    }
    lanes_free(&a);
    lanes_free(&b);
    lanes_free(&want);
}

static void enters_montgomery_form_and_adds(void **state)
{
    (void)state;
    struct lanes a = lanes_new(), b = lanes_new(), want = lanes_new();
    static const uint64_t one_limb[LIMBS] = {1};
    struct limbs one = limbs_set1(one_limb);
    for (int round = 0; round < ROUNDS; round++) {
        lanes_pick(&a, lanes_n, 8);
        lanes_pick(&b, lanes_n, 8);
        struct limbs x = lanes_to_limbs(&a), y = lanes_to_limbs(&b), out;
        for (int i = 0; i < LANES; i++) BN_add(want.b[i], a.b[i], b.b[i]);
        scalar_add(&out, &x, &y);
        lanes_check(&out, &want, lanes_n, 16, "sum");
        scalar_to_montgomery(&out, &x);
        scalar_mul(&out, &out, &one);
        limbs_subtract_once(&out, SCALAR_N);
        lanes_check(&out, &a, lanes_n, 1, "there and back");
    }
    lanes_free(&a);
    lanes_free(&b);
    lanes_free(&want);
}

static void inverts(void **state)
{
    (void)state;
    struct lanes a = lanes_new(), r = lanes_new();
    for (int i = 0; i < LANES; i++) BN_set_bit(r.b[i], 260);
    for (int round = 0; round < ROUNDS / 4; round++) {
        struct limbs x, y;
        lanes_pick(&a, lanes_n, 1);
        for (int i = 0; i < LANES; i++)
            if (BN_is_zero(a.b[i])) BN_one(a.b[i]);
        x = lanes_to_limbs(&a);
        scalar_invert(&y, &x);
        scalar_mul(&y, &x, &y); // one, in Montgomery form
        limbs_subtract_once(&y, SCALAR_N);
        lanes_check(&y, &r, lanes_n, 1, "x * 1/x");
    }
    for (int lane = 0; lane < LANES; lane++) {
        lanes_pick(&a, lanes_n, 1);
        BN_zero(a.b[lane]);
        struct limbs x = lanes_to_limbs(&a), y;
        scalar_invert(&y, &x);
        limbs_subtract_once(&y, SCALAR_N);
        assert_int_equal(limbs_is_zero(&y), 0xff);
    }
    lanes_free(&a);
    lanes_free(&r);
}

static void compares_and_subtracts_once(void **state)
{
    (void)state;
    struct lanes a = lanes_new(), b = lanes_new();
    for (int round = 0; round < ROUNDS; round++) {
        lanes_pick(&a, lanes_n, 2);
        lanes_pick(&b, lanes_n, 2);
        if (lanes_random() & 1) BN_copy(b.b[round % LANES], a.b[round % LANES]);
        if (lanes_random() & 1) BN_copy(a.b[round % LANES], lanes_n);
        struct limbs x = lanes_to_limbs(&a), y = lanes_to_limbs(&b), out = x;
        vec_mask below = 0, equal = 0, zero = 0, mask = (vec_mask)lanes_random();
        for (int i = 0; i < LANES; i++) {
            below |= (vec_mask)((BN_cmp(a.b[i], lanes_n) < 0) << i);
            equal |= (vec_mask)((BN_cmp(a.b[i], b.b[i]) == 0) << i);
            zero |= (vec_mask)(BN_is_zero(a.b[i]) << i);
        }
        assert_int_equal(limbs_below(&x, SCALAR_N), below);
        assert_int_equal(limbs_eq(&x, &y), equal);
        assert_int_equal(limbs_is_zero(&x), zero);
        limbs_subtract_once(&out, SCALAR_N);
        lanes_check(&out, &a, lanes_n, 1, "subtracted once");
        limbs_select(&out, mask, &x, &y);
        for (int i = 0; i < LANES; i++)
            if (mask >> i & 1) BN_copy(b.b[i], a.b[i]);
        lanes_check(&out, &b, lanes_n, 2, "selected");
    }
    lanes_free(&a);
    lanes_free(&b);
}

static void packs_and_unpacks(void **state)
{
    (void)state;
    uint8_t in[LANES][32], out[LANES][32];
    for (int round = 0; round < ROUNDS; round++) {
        const uint8_t *from[LANES];
        uint8_t *to[LANES];
        vec w[WORDS];
        struct limbs a;
        struct lanes l = lanes_new(), want = lanes_new();
        for (int i = 0; i < LANES; i++) {
            from[i] = in[i];
            to[i] = out[i];
            for (int j = 0; j < 32; j++)
                in[i][j] = lanes_random() & 1 ? 0xff : lanes_random() & 0xff;
            BN_bin2bn(in[i], 32, want.b[i]);
        }
        words_load(w, from);
        limbs_from_words(&a, w);
        lanes_of_limbs(&l, &a);
        for (int i = 0; i < LANES; i++) assert_int_equal(BN_cmp(l.b[i], want.b[i]), 0);
        limbs_to_words(w, &a);
        memset(out, 0x55, sizeof out);
        words_store(to, 7, w);
        assert_memory_equal(out, in, 7 * 32);
        for (int j = 0; j < 32; j++) assert_int_equal(out[7][j], 0x55);
        lanes_free(&l);
        lanes_free(&want);
    }
}

static void inverse_check(void (*invert)(uint64_t[WORDS]), const BIGNUM *m, const BIGNUM *x)
{
    uint8_t b[32];
    uint64_t w[WORDS];
    BIGNUM *want = BN_mod_inverse(NULL, x, m, lanes_ctx);
    if (want == NULL) {
        want = BN_new();
        BN_zero(want);
    }
    BN_bn2le_padded(b, sizeof b, x);
    for (int i = 0; i < WORDS; i++) w[i] = __builtin_bswap64(word_load(b + 8 * i));
    invert(w);
    BN_bn2le_padded(b, sizeof b, want);
    for (int i = 0; i < WORDS; i++) assert_true(w[i] == __builtin_bswap64(word_load(b + 8 * i)));
    BN_free(want);
}

static void inverts_one(void **state)
{
    (void)state;
    struct lanes a = lanes_new();
    for (int round = 0; round < 1000; round++) {
        lanes_pick(&a, lanes_p, 1);
        for (int i = 0; i < LANES; i++) inverse_check(p256_inverse_p, lanes_p, a.b[i]);
        lanes_pick(&a, lanes_n, 1);
        for (int i = 0; i < LANES; i++) inverse_check(p256_inverse_n, lanes_n, a.b[i]);
    }
    for (BN_ULONG small = 0; small < 20; small++) {
        BN_set_word(a.b[0], small);
        inverse_check(p256_inverse_p, lanes_p, a.b[0]);
        inverse_check(p256_inverse_n, lanes_n, a.b[0]);
        if (small == 0) continue;
        BN_sub(a.b[1], lanes_p, a.b[0]);
        inverse_check(p256_inverse_p, lanes_p, a.b[1]);
        BN_sub(a.b[1], lanes_n, a.b[0]);
        inverse_check(p256_inverse_n, lanes_n, a.b[1]);
    }
    lanes_free(&a);
}

int vector_tests(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(multiplies),        cmocka_unit_test(enters_montgomery_form_and_adds),
        cmocka_unit_test(inverts),           cmocka_unit_test(compares_and_subtracts_once),
        cmocka_unit_test(packs_and_unpacks), cmocka_unit_test(inverts_one),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
