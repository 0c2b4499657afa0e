// comb: signs add up to the scalar, digits and rows are what they say, by BoringSSL's integers; and
// every row of the generator's comb is the multiple that base_comb.h says, by its group.
#include "proto/p256/comb.h"

#include <openssl/nid.h>

#include "tests/unit/proto/p256/lanes.h"

int vector_tests(void);

enum { ROUNDS = VEC_NATIVE ? 500 : 40 };

static const unsigned widths[] = {256, BASE_BITS, KEY_BITS};

// weight_add adds 2^bit or takes it away.
static void weight_add(BIGNUM *sum, unsigned bit, bool plus)
{
    BIGNUM *power = BN_new();
    BN_set_bit(power, (int)bit);
    assert_true(plus ? BN_add(sum, sum, power) : BN_sub(sum, sum, power));
    BN_free(power);
}

// sum_check compares a sum of signs with k, or n - k where that was recoded.
static void sum_check(BIGNUM *sum, bool negated, const BIGNUM *k)
{
    BIGNUM *want = BN_dup(k);
    assert_int_equal(negated, !BN_is_odd(k));
    if (negated) BN_sub(want, lanes_n, k);
    assert_int_equal(BN_cmp(sum, want), 0);
    BN_free(want);
    BN_zero(sum);
}

static void signs_check(const struct lanes *k, unsigned bits)
{
    struct limbs x = lanes_to_limbs(k);
    struct signs s;
    uint64_t word[COMB_WORDS][LANES];
    BIGNUM *sum = BN_new();
    signs_of(&s, &x, bits);
    for (int i = 0; i < COMB_WORDS; i++) vec_store(word[i], s.word[i]);
    for (int lane = 0; lane < LANES; lane++) {
        BN_zero(sum);
        for (unsigned bit = 0; bit < bits; bit++)
            weight_add(sum, bit, (word[bit / 64][lane] >> bit % 64 & 1) != 0);
        for (unsigned bit = bits; bit < 64 * COMB_WORDS; bit++)
            assert_int_equal(word[bit / 64][lane] >> bit % 64 & 1, 0);
        sum_check(sum, (s.negated >> lane & 1) != 0, k->b[lane]);
    }
    BN_free(sum);
}

static void signs_add_up_to_the_scalar(void **state)
{
    (void)state;
    struct lanes k = lanes_new();
    for (int round = 0; round < ROUNDS; round++) {
        lanes_pick(&k, lanes_n, 1);
        if (round < 2) // 0, 1 ... 7, and n - 1 ... n - 8
            for (int lane = 0; lane < LANES; lane++) {
                BN_set_word(k.b[lane], (BN_ULONG)(lane + round));
                if (round == 1) BN_sub(k.b[lane], lanes_n, k.b[lane]);
            }
        for (size_t w = 0; w < COUNT_OF(widths); w++) signs_check(&k, widths[w]);
    }
    lanes_free(&k);
}

// row_value adds up what row `row` of a comb stands for, times -1 or 1, shifted left by `column`.
static void row_value(BIGNUM *sum, uint64_t row, bool minus, unsigned column, unsigned first,
                      unsigned spacing, unsigned teeth)
{
    for (unsigned t = 0; t < teeth; t++) {
        bool plus = t == teeth - 1 || (row >> t & 1) != 0;
        weight_add(sum, first + t * spacing + column, plus != minus);
    }
}

static void digits_name_rows(void **state)
{
    (void)state;
    struct lanes k = lanes_new();
    BIGNUM *base[LANES], *key[LANES];
    for (int lane = 0; lane < LANES; lane++) base[lane] = BN_new(), key[lane] = BN_new();
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct signs s;
        uint64_t row[LANES];
        vec at;
        lanes_pick(&k, lanes_n, 1);
        struct limbs x = lanes_to_limbs(&k);
        signs_of(&s, &x, BASE_BITS);
        for (unsigned c = 0; c < BASE_SPACING; c++) {
            vec_mask minus = digit_split(&at, signs_gather(&s, c, BASE_SPACING, BASE_TEETH),
                                         BASE_TEETH);
            vec_store(row, at);
            for (int lane = 0; lane < LANES; lane++) {
                assert_true(row[lane] < BASE_ROWS);
                row_value(base[lane], row[lane], (minus >> lane & 1) != 0, c, 0, BASE_SPACING,
                          BASE_TEETH);
            }
        }
        for (int lane = 0; lane < LANES; lane++)
            sum_check(base[lane], (s.negated >> lane & 1) != 0, k.b[lane]);
        signs_of(&s, &x, KEY_BITS);
        for (unsigned c = 0; c < 2 * KEY_SPACING; c++) {
            unsigned column = c / 2, first = c % 2 * KEY_HALF_TEETH * KEY_SPACING;
            vec digit = signs_gather(&s, first + column, KEY_SPACING, KEY_HALF_TEETH);
            vec_mask minus = digit_split(&at, digit, KEY_HALF_TEETH);
            vec_store(row, at);
            for (int lane = 0; lane < LANES; lane++) {
                assert_true(row[lane] < KEY_HALF_ROWS);
                row_value(key[lane], row[lane], (minus >> lane & 1) != 0, column, first,
                          KEY_SPACING, KEY_HALF_TEETH);
            }
        }
        for (int lane = 0; lane < LANES; lane++)
            sum_check(key[lane], (s.negated >> lane & 1) != 0, k.b[lane]);
    }
    for (int lane = 0; lane < LANES; lane++) {
        BN_free(base[lane]);
        BN_free(key[lane]);
    }
    lanes_free(&k);
}

static void coordinate_check(const uint64_t words[4], const BIGNUM *want, const BIGNUM *r_inverse)
{
    uint8_t b[32];
    BIGNUM *got = BN_new();
    for (int i = 0; i < 4; i++) word_store(b + 8 * (3 - i), words[i]);
    BN_bin2bn(b, sizeof b, got);
    assert_true(BN_cmp(got, lanes_p) < 0);
    BN_mod_mul(got, got, r_inverse, lanes_p, lanes_ctx);
    assert_int_equal(BN_cmp(got, want), 0);
    BN_free(got);
}

static void the_generators_rows(void **state)
{
    (void)state;
    EC_GROUP *g = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = EC_POINT_new(g);
    BIGNUM *x = BN_new(), *y = BN_new(), *k = BN_new(), *r = BN_new();
    BN_set_bit(r, 260);
    BIGNUM *r_inverse = BN_mod_inverse(NULL, r, lanes_p, lanes_ctx);
    for (uint64_t e = 0; e < BASE_ROWS; e++) {
        BN_zero(k);
        row_value(k, e, false, 0, 0, BASE_SPACING, BASE_TEETH);
        assert_true(BN_nnmod(k, k, lanes_n, lanes_ctx));
        assert_true(EC_POINT_mul(g, point, k, NULL, NULL, lanes_ctx));
        EC_POINT_get_affine_coordinates_GFp(g, point, x, y, lanes_ctx);
        coordinate_check(p256_base_comb[e], x, r_inverse);
        coordinate_check(p256_base_comb[e] + 4, y, r_inverse);
    }
    BN_free(x);
    BN_free(y);
    BN_free(k);
    BN_free(r);
    BN_free(r_inverse);
    EC_POINT_free(point);
    EC_GROUP_free(g);
}

static void rows_turn_and_return(void **state)
{
    (void)state;
    uint64_t in[LANES][8], out[LANES][8];
    const uint64_t *from[LANES];
    uint64_t *to[LANES];
    vec w[8];
    for (int lane = 0; lane < LANES; lane++) {
        for (int i = 0; i < 8; i++) in[lane][i] = lanes_random();
        from[lane] = in[lane];
        to[lane] = out[lane];
    }
    rows_load(w, from);
    for (int i = 0; i < 8; i++) {
        uint64_t word[LANES];
        vec_store(word, w[i]);
        for (int lane = 0; lane < LANES; lane++) assert_true(word[lane] == in[lane][i]);
    }
    for (size_t count = 0; count <= LANES; count++) {
        memset(out, 0xa5, sizeof out);
        rows_store(to, count, w);
        assert_memory_equal(out, in, count * sizeof in[0]);
        for (size_t lane = count; lane < LANES; lane++)
            assert_true(out[lane][0] == 0xa5a5a5a5a5a5a5a5);
    }
}

int vector_tests(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_add_up_to_the_scalar), cmocka_unit_test(digits_name_rows),
        cmocka_unit_test(the_generators_rows), cmocka_unit_test(rows_turn_and_return)};
    return cmocka_run_group_tests(tests, lanes_setup, lanes_teardown);
}
