// field: every operation against BoringSSL's integers, over random and adversarial limbs up to the
// bounds that it states, and identities of a field.
#include "proto/p256/field.h"

#include "tests/unit/proto/p256/lanes.h"

int vector_tests(void);

enum { ROUNDS = VEC_NATIVE ? 3000 : 300 };

static BIGNUM *r_inverse; // 2^-260 mod p

static int setup(void **state)
{
    if (lanes_setup(state) != 0) return -1;
    BIGNUM *r = BN_new();
    BN_set_bit(r, 260);
    r_inverse = BN_mod_inverse(NULL, r, lanes_p, lanes_ctx);
    BN_free(r);
    return 0;
}

static int teardown(void **state)
{
    BN_free(r_inverse);
    return lanes_teardown(state);
}

static void constants_are_those_of_the_field(void **state)
{
    (void)state;
    struct lanes want = lanes_new();
    struct limbs p = limbs_set1(FIELD_P), one = limbs_set1(FIELD_ONE);
    for (int i = 0; i < LANES; i++) BN_copy(want.b[i], lanes_p);
    lanes_check(&p, &want, lanes_p, 2, "p");
    for (int i = 0; i < LANES; i++) {
        BN_zero(want.b[i]);
        BN_set_bit(want.b[i], 260);
        BN_nnmod(want.b[i], want.b[i], lanes_p, lanes_ctx);
    }
    lanes_check(&one, &want, lanes_p, 1, "one");
    lanes_free(&want);
}

// product_bound is the bound that field.h promises: the least whole number of p.
static unsigned product_bound(unsigned a, unsigned b) { return (a * b + 15) / 16 + 1; }

static void multiplies_and_squares(void **state)
{
    (void)state;
    static const unsigned bounds[][2] = {{1, 1}, {2, 2}, {4, 4}, {8, 8}, {16, 1}, {16, 15}};
    struct lanes a = lanes_new(), b = lanes_new(), want = lanes_new();
    for (int round = 0; round < ROUNDS; round++) {
        const unsigned *m = bounds[(unsigned)round % COUNT_OF(bounds)];
        lanes_pick(&a, lanes_p, m[0]);
        lanes_pick(&b, lanes_p, m[1]);
        struct limbs x = lanes_to_limbs(&a), y = lanes_to_limbs(&b), out;
        for (int i = 0; i < LANES; i++) {
            BN_mod_mul(want.b[i], a.b[i], b.b[i], lanes_p, lanes_ctx);
            BN_mod_mul(want.b[i], want.b[i], r_inverse, lanes_p, lanes_ctx);
        }
        field_mul(&out, &x, &y);
        lanes_check(&out, &want, lanes_p, product_bound(m[0], m[1]), "product");
        field_mul_far(&y, &x, &y); // in place
        lanes_check(&y, &want, lanes_p, 16, "product in place");
        if (m[0] == 16) continue; // a square of that would leave the range
        for (int i = 0; i < LANES; i++) {
            BN_mod_sqr(want.b[i], a.b[i], lanes_p, lanes_ctx);
            BN_mod_mul(want.b[i], want.b[i], r_inverse, lanes_p, lanes_ctx);
        }
        field_sqr(&out, &x);
        lanes_check(&out, &want, lanes_p, product_bound(m[0], m[0]), "square");
        field_sqr_far(&x, &x);
        lanes_check(&x, &want, lanes_p, 16, "square in place");
    }
    lanes_free(&a);
    lanes_free(&b);
    lanes_free(&want);
}

static void adds_subtracts_and_negates(void **state)
{
    (void)state;
    struct lanes a = lanes_new(), b = lanes_new(), want = lanes_new();
    for (int round = 0; round < ROUNDS; round++) {
        lanes_pick(&a, lanes_p, 12);
        lanes_pick(&b, lanes_p, 4);
        struct limbs x = lanes_to_limbs(&a), y = lanes_to_limbs(&b), out;
        for (int i = 0; i < LANES; i++) BN_add(want.b[i], a.b[i], b.b[i]);
        field_add(&out, &x, &y);
        lanes_check(&out, &want, lanes_p, 16, "sum");
        for (int i = 0; i < LANES; i++) BN_mod_sub(want.b[i], a.b[i], b.b[i], lanes_p, lanes_ctx);
        field_sub(&out, &x, &y);
        lanes_check(&out, &want, lanes_p, 16, "difference");
        lanes_pick(&a, lanes_p, 1);
        vec_mask m = (vec_mask)lanes_random();
        x = lanes_to_limbs(&a);
        for (int i = 0; i < LANES; i++)
            if (m >> i & 1) BN_sub(a.b[i], lanes_p, a.b[i]);
        field_negate_if(&x, m);
        lanes_check(&x, &a, lanes_p, 2, "negated");
    }
    lanes_free(&a);
    lanes_free(&b);
    lanes_free(&want);
}

static void reduces_weakly(void **state)
{
    (void)state;
    struct lanes want = lanes_new();
    BIGNUM *term = BN_new(), *bound = BN_new();
    BN_set_bit(bound, 235);
    BN_add(bound, bound, lanes_p);
    BN_add(bound, bound, lanes_p);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t limb[LIMBS][LANES];
        vec t[LIMBS];
        for (int i = 0; i < LIMBS; i++) {
            for (int lane = 0; lane < LANES; lane++) {
                int64_t top = (int64_t)1 << 58;
                uint64_t choice = lanes_random() % 4, r = lanes_random();
                int64_t v = choice == 0   ? top - 1
                            : choice == 1 ? 1 - top
                                          : (int64_t)(r % (uint64_t)top) * (r >> 63 ? -1 : 1);
                limb[i][lane] = (uint64_t)v;
            }
            t[i] = vec_load(limb[i]);
        }
        for (int lane = 0; lane < LANES; lane++) {
            BN_zero(want.b[lane]);
            for (int i = LIMBS - 1; i >= 0; i--) {
                int64_t v = (int64_t)limb[i][lane];
                BN_lshift(want.b[lane], want.b[lane], LIMB_BITS);
                BN_set_u64(term, v < 0 ? (uint64_t)-v : (uint64_t)v);
                (v < 0 ? BN_sub : BN_add)(want.b[lane], want.b[lane], term);
            }
        }
        struct limbs out;
        field_weak(&out, t);
        lanes_check(&out, &want, lanes_p, 3, "weak");
        lanes_of_limbs(&want, &out);
        for (int lane = 0; lane < LANES; lane++) assert_true(BN_cmp(want.b[lane], bound) < 0);
    }
    BN_free(term);
    BN_free(bound);
    lanes_free(&want);
}

static void enters_and_leaves_montgomery_form(void **state)
{
    (void)state;
    struct lanes a = lanes_new(), want = lanes_new();
    BIGNUM *r = BN_new();
    BN_set_bit(r, 260);
    for (int round = 0; round < ROUNDS; round++) {
        lanes_pick(&a, lanes_p, 16);
        struct limbs x = lanes_to_limbs(&a), out;
        for (int i = 0; i < LANES; i++) BN_mod_mul(want.b[i], a.b[i], r, lanes_p, lanes_ctx);
        field_from_plain(&out, &x);
        lanes_check(&out, &want, lanes_p, 3, "Montgomery form");
        field_to_plain(&out, &out);
        lanes_check(&out, &a, lanes_p, 1, "plain form"); // below p: the residue itself
    }
    BN_free(r);
    lanes_free(&a);
    lanes_free(&want);
}

static void inverts(void **state)
{
    (void)state;
    struct lanes a = lanes_new(), one = lanes_new();
    BIGNUM *rest = BN_new();
    for (int i = 0; i < LANES; i++) BN_one(one.b[i]);
    for (int round = 0; round < ROUNDS / 4; round++) {
        lanes_pick(&a, lanes_p, 4);
        for (int i = 0; i < LANES; i++) {
            BN_nnmod(rest, a.b[i], lanes_p, lanes_ctx);
            if (BN_is_zero(rest)) BN_one(a.b[i]);
        }
        struct limbs x = lanes_to_limbs(&a), y, product;
        field_invert(&y, &x);
        field_mul(&product, &x, &y);
        field_to_plain(&product, &product);
        lanes_check(&product, &one, lanes_p, 1, "x * 1/x");
    }
    // One zero lane, in any form: all are zero.
    for (int lane = 0; lane < LANES; lane++) {
        for (unsigned multiple = 0; multiple < 4; multiple++) {
            lanes_pick(&a, lanes_p, 1);
            BN_copy(a.b[lane], lanes_p);
            BN_mul_word(a.b[lane], multiple);
            struct limbs x = lanes_to_limbs(&a), y;
            field_invert(&y, &x);
            field_to_plain(&y, &y);
            assert_int_equal(limbs_is_zero(&y), 0xff);
        }
    }
    BN_free(rest);
    lanes_free(&a);
    lanes_free(&one);
}

static void obeys_the_laws_of_a_field(void **state)
{
    (void)state;
    struct lanes l = lanes_new();
    for (int round = 0; round < ROUNDS; round++) {
        struct limbs a, b, c, left, right, t;
        lanes_pick(&l, lanes_p, 2);
        a = lanes_to_limbs(&l);
        lanes_pick(&l, lanes_p, 2);
        b = lanes_to_limbs(&l);
        lanes_pick(&l, lanes_p, 2);
        c = lanes_to_limbs(&l);
        field_mul(&left, &a, &b); // (ab)c = a(bc)
        field_mul(&left, &left, &c);
        field_mul(&right, &b, &c);
        field_mul(&right, &a, &right);
        field_to_plain(&left, &left);
        field_to_plain(&right, &right);
        assert_int_equal(limbs_eq(&left, &right), 0xff);
        field_add(&t, &b, &c); // a(b + c) = ab + ac
        field_mul(&left, &a, &t);
        field_mul(&right, &a, &b);
        field_mul(&t, &a, &c);
        field_add(&right, &right, &t);
        field_to_plain(&left, &left);
        field_to_plain(&right, &right);
        assert_int_equal(limbs_eq(&left, &right), 0xff);
        field_sub(&left, &a, &b); // (a - b)(a + b) = a^2 - b^2
        field_add(&t, &a, &b);
        field_mul(&left, &left, &t);
        field_sqr(&right, &a);
        field_sqr(&t, &b);
        field_sub(&right, &right, &t);
        field_to_plain(&left, &left);
        field_to_plain(&right, &right);
        assert_int_equal(limbs_eq(&left, &right), 0xff);
    }
    lanes_free(&l);
}

int vector_tests(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_are_those_of_the_field),
        cmocka_unit_test(multiplies_and_squares),
        cmocka_unit_test(adds_subtracts_and_negates),
        cmocka_unit_test(reduces_weakly),
        cmocka_unit_test(enters_and_leaves_montgomery_form),
        cmocka_unit_test(inverts),
        cmocka_unit_test(obeys_the_laws_of_a_field),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
