// point: sums and doubles against BoringSSL's group, over the bounds that coordinates may have, and
// how exceptional cases show.
#include "proto/p256/point.h"

#include <openssl/nid.h>

#include "tests/unit/proto/p256/lanes.h"

int vector_tests(void);

enum { ROUNDS = VEC_NATIVE ? 200 : 30 };

static EC_GROUP *group;

static int setup(void **state)
{
    group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    return lanes_setup(state);
}

// random_points fills eight points, half of them small multiples of the generator.
static void random_points(EC_POINT *out[LANES])
{
    BIGNUM *k = BN_new();
    for (int i = 0; i < LANES; i++) {
        if (lanes_random() & 1)
            BN_set_word(k, 1 + lanes_random() % 40);
        else
            BN_rand_range_ex(k, 1, lanes_n);
        EC_POINT_mul(group, out[i], k, NULL, NULL, lanes_ctx);
    }
    BN_free(k);
}

static void points_new(EC_POINT *p[LANES])
{
    for (int i = 0; i < LANES; i++) p[i] = EC_POINT_new(group);
}

static void points_free(EC_POINT *p[LANES])
{
    for (int i = 0; i < LANES; i++) EC_POINT_free(p[i]);
}

static void coordinates(struct lanes *x, struct lanes *y, EC_POINT *const p[LANES])
{
    for (int i = 0; i < LANES; i++)
        assert_int_equal(EC_POINT_get_affine_coordinates(group, p[i], x->b[i], y->b[i], lanes_ctx),
                         1);
}

static void load(struct affine *out, EC_POINT *const p[LANES])
{
    struct lanes x = lanes_new(), y = lanes_new();
    coordinates(&x, &y, p);
    out->x = lanes_to_limbs(&x);
    out->y = lanes_to_limbs(&y);
    field_from_plain(&out->x, &out->x);
    field_from_plain(&out->y, &out->y);
    lanes_free(&x);
    lanes_free(&y);
}

static void check_affine(const struct affine *got, EC_POINT *const want[LANES])
{
    struct lanes x = lanes_new(), y = lanes_new();
    struct limbs a;
    coordinates(&x, &y, want);
    field_to_plain(&a, &got->x);
    lanes_check(&a, &x, lanes_p, 1, "x");
    field_to_plain(&a, &got->y);
    lanes_check(&a, &y, lanes_p, 1, "y");
    limbs_bound(&got->x, 3);
    limbs_bound(&got->y, 3);
    lanes_free(&x);
    lanes_free(&y);
}

static void check_jacobian(const struct jacobian *got, EC_POINT *const want[LANES])
{
    struct limbs inverse, square;
    struct affine a;
    const struct limbs *c[] = {&got->x, &got->y, &got->z};
    struct lanes l = lanes_new();
    for (int i = 0; i < 3; i++) { // all below 4p
        lanes_of_limbs(&l, c[i]);
        lanes_check(c[i], &l, lanes_p, 4, "coordinate");
    }
    lanes_free(&l);
    field_invert(&inverse, &got->z);
    field_sqr(&square, &inverse);
    field_mul(&a.x, &got->x, &square);
    field_mul(&a.y, &got->y, &square);
    field_mul(&a.y, &a.y, &inverse);
    check_affine(&a, want);
}

// scaled is the same points with random z.
static void scaled(struct jacobian *out, const struct affine *p)
{
    struct lanes l = lanes_new();
    struct limbs zz;
    lanes_pick(&l, lanes_p, 1);
    for (int i = 0; i < LANES; i++)
        if (BN_is_zero(l.b[i])) BN_one(l.b[i]);
    out->z = lanes_to_limbs(&l);
    field_sqr(&zz, &out->z);
    field_mul(&out->x, &p->x, &zz);
    field_mul(&zz, &zz, &out->z);
    field_mul(&out->y, &p->y, &zz);
    lanes_free(&l);
}

// apart makes p[i] and q[i] neither equal nor opposite.
static void apart(EC_POINT *p[LANES], EC_POINT *q[LANES])
{
    EC_POINT *t = EC_POINT_new(group);
    for (int i = 0; i < LANES; i++) {
        EC_POINT_copy(t, q[i]);
        EC_POINT_invert(group, t, lanes_ctx);
        while (EC_POINT_cmp(group, p[i], q[i], lanes_ctx) == 0 ||
               EC_POINT_cmp(group, p[i], t, lanes_ctx) == 0)
            EC_POINT_dbl(group, p[i], p[i], lanes_ctx);
    }
    EC_POINT_free(t);
}

static void adds_and_doubles(void **state)
{
    (void)state;
    EC_POINT *p[LANES], *q[LANES], *sum[LANES], *twice[LANES];
    points_new(p);
    points_new(q);
    points_new(sum);
    points_new(twice);
    for (int round = 0; round < ROUNDS; round++) {
        struct affine a, b, c;
        struct jacobian j, k;
        struct limbs d;
        random_points(p);
        random_points(q);
        apart(p, q);
        for (int i = 0; i < LANES; i++) {
            EC_POINT_add(group, sum[i], p[i], q[i], lanes_ctx);
            EC_POINT_dbl(group, twice[i], p[i], lanes_ctx);
        }
        load(&a, p);
        load(&b, q);
        check_affine(&a, p);
        affine_difference(&d, &a, &b);
        field_invert(&d, &d);
        c = a;
        affine_add(&c, &b, &d);
        check_affine(&c, sum);
        affine_to_jacobian(&j, &a);
        check_jacobian(&j, p);
        jacobian_add_affine(&j, &b);
        check_jacobian(&j, sum);
        scaled(&j, &a);
        jacobian_add_affine(&j, &b);
        check_jacobian(&j, sum);
        scaled(&j, &a);
        scaled(&k, &b);
        jacobian_add(&j, &k);
        check_jacobian(&j, sum);
        scaled(&j, &a);
        jacobian_double(&j);
        check_jacobian(&j, twice);
    }
    points_free(p);
    points_free(q);
    points_free(sum);
    points_free(twice);
}

// holds_its_bounds_over_many: results go back in, as in a long sum, doubling and adding in turn.
static void holds_its_bounds_over_many(void **state)
{
    (void)state;
    EC_POINT *p[LANES], *q[LANES];
    struct affine b;
    struct jacobian j, k;
    points_new(p);
    points_new(q);
    random_points(p);
    random_points(q);
    apart(p, q);
    load(&b, p);
    affine_to_jacobian(&j, &b);
    load(&b, q);
    for (int round = 0; round < 4 * ROUNDS; round++) {
        for (int i = 0; i < LANES; i++) {
            EC_POINT_dbl(group, p[i], p[i], lanes_ctx);
            EC_POINT_dbl(group, p[i], p[i], lanes_ctx);
        }
        jacobian_double(&j);
        k = j;
        jacobian_double(&j);
        check_jacobian(&j, p);
        for (int i = 0; i < LANES; i++) EC_POINT_add(group, p[i], p[i], q[i], lanes_ctx);
        jacobian_add_affine(&j, &b);
        check_jacobian(&j, p);
        jacobian_add(&j, &k);
        for (int i = 0; i < LANES; i++) {
            EC_POINT *t = EC_POINT_new(group);
            EC_POINT_copy(t, q[i]);
            EC_POINT_invert(group, t, lanes_ctx);
            EC_POINT_add(group, t, p[i], t, lanes_ctx); // four times what k is twice
            BIGNUM *half = BN_new(), *two = BN_new();
            BN_set_word(two, 2);
            BN_mod_inverse(half, two, lanes_n, lanes_ctx);
            EC_POINT_mul(group, t, NULL, t, half, lanes_ctx);
            EC_POINT_add(group, p[i], p[i], t, lanes_ctx);
            BN_free(half);
            BN_free(two);
            EC_POINT_free(t);
        }
        check_jacobian(&j, p);
    }
    points_free(p);
    points_free(q);
}

static vec_mask z_is_zero(const struct jacobian *j)
{
    struct limbs z;
    field_to_plain(&z, &j->z);
    return limbs_is_zero(&z);
}

static void exceptional_cases_show(void **state)
{
    (void)state;
    EC_POINT *p[LANES], *q[LANES];
    struct affine a, b;
    struct jacobian j, k;
    struct limbs d;
    points_new(p);
    points_new(q);
    random_points(p);
    for (int i = 0; i < LANES; i++) {
        EC_POINT_copy(q[i], p[i]);
        if (i < 2) EC_POINT_dbl(group, q[i], q[i], lanes_ctx); // neither
        if (i >= 5) EC_POINT_invert(group, q[i], lanes_ctx);   // opposite; equal between
    }
    load(&a, p);
    load(&b, q);
    affine_difference(&d, &a, &b);
    field_to_plain(&d, &d);
    assert_int_equal(limbs_is_zero(&d), 0xfc);
    scaled(&j, &a);
    jacobian_add_affine(&j, &b);
    assert_int_equal(z_is_zero(&j), 0xfc);
    scaled(&j, &a);
    scaled(&k, &b);
    jacobian_add(&j, &k);
    assert_int_equal(z_is_zero(&j), 0xfc);
    for (int i = 0; i < 10; i++) { // zero for ever
        jacobian_double(&j);
        jacobian_add_affine(&j, &a);
        jacobian_add(&j, &k);
        assert_int_equal(z_is_zero(&j) & 0xfc, 0xfc);
    }
    points_free(p);
    points_free(q);
}

static int teardown(void **state)
{
    EC_GROUP_free(group);
    return lanes_teardown(state);
}

int vector_tests(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_and_doubles),
        cmocka_unit_test(holds_its_bounds_over_many),
        cmocka_unit_test(exceptional_cases_show),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
