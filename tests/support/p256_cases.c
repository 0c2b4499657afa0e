#include "tests/support/p256_cases.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"

// keep remembers what lives as long as the program: numbers and points are made freely and never
// freed.
static void *keep(void *made)
{
    static struct kept {
        void *made;
        struct kept *before;
    } * last;
    struct kept *k = malloc(sizeof *k);
    CHECK(k != NULL && made != NULL);
    *k = (struct kept){made, last};
    last = k;
    return made;
}

// ---- numbers

static const EC_GROUP *group(void)
{
    static EC_GROUP *g;
    if (g == NULL) CHECK((g = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)) != NULL);
    return g;
}

static BN_CTX *ctx(void)
{
    static BN_CTX *c;
    if (c == NULL) CHECK((c = BN_CTX_new()) != NULL);
    return c;
}

static BIGNUM *number(void) { return keep(BN_new()); }

static const BIGNUM *order(void) { return EC_GROUP_get0_order(group()); }

static const BIGNUM *prime(void)
{
    static BIGNUM *p;
    if (p == NULL) CHECK(EC_GROUP_get_curve_GFp(group(), p = number(), NULL, NULL, ctx()));
    return p;
}

static BIGNUM *read_number(const uint8_t b[P256_LEN]) { return keep(BN_bin2bn(b, P256_LEN, NULL)); }

static void write_number(uint8_t out[P256_LEN], const BIGNUM *n)
{
    CHECK(BN_bn2bin_padded(out, P256_LEN, n) == 1);
}

// offset is base + delta, a small number that may be negative.
static BIGNUM *offset(const BIGNUM *base, long delta)
{
    BIGNUM *n = keep(BN_dup(base));
    CHECK(delta < 0 ? BN_sub_word(n, (BN_ULONG)-delta) : BN_add_word(n, (BN_ULONG)delta));
    return n;
}

static BIGNUM *small(long value)
{
    BIGNUM *zero = number();
    BN_zero(zero);
    return offset(zero, value);
}

static BIGNUM *power_of_two(unsigned bit)
{
    BIGNUM *n = number();
    CHECK(BN_set_bit(n, (int)bit));
    return n;
}

static BIGNUM *random_scalar(void)
{
    BIGNUM *n = number();
    CHECK(BN_rand_range_ex(n, 1, order()));
    return n;
}

static BIGNUM *inverse(const BIGNUM *a) { return keep(BN_mod_inverse(NULL, a, order(), ctx())); }

static BIGNUM *product(const BIGNUM *a, const BIGNUM *b)
{
    BIGNUM *n = number();
    CHECK(BN_mod_mul(n, a, b, order(), ctx()));
    return n;
}

static BIGNUM *sum(const BIGNUM *a, const BIGNUM *b)
{
    BIGNUM *n = number();
    CHECK(BN_mod_add(n, a, b, order(), ctx()));
    return n;
}

static BIGNUM *negative(const BIGNUM *a)
{
    BIGNUM *n = number();
    CHECK(BN_mod_sub(n, order(), a, order(), ctx()));
    return n;
}

// ---- points

static EC_POINT *point(void) { return keep(EC_POINT_new(group())); }

// linear is a G + b P; P may be NULL.
static EC_POINT *linear(const BIGNUM *a, const EC_POINT *p, const BIGNUM *b)
{
    EC_POINT *out = point();
    CHECK(EC_POINT_mul(group(), out, a, p, b, ctx()));
    return out;
}

static void write_point(uint8_t out[P256_POINT_LEN], const EC_POINT *p)
{
    uint8_t octets[1 + P256_POINT_LEN];
    CHECK(EC_POINT_point2oct(group(), p, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                             ctx()) == sizeof octets);
    memcpy(out, octets + 1, P256_POINT_LEN);
}

static BIGNUM *x_of(const EC_POINT *p)
{
    BIGNUM *x = number();
    CHECK(EC_POINT_get_affine_coordinates_GFp(group(), p, x, NULL, ctx()));
    return x;
}

// point_at is a point with this x, NULL when there is none.
static EC_POINT *point_at(const BIGNUM *x)
{
    EC_POINT *p = point();
    return EC_POINT_set_compressed_coordinates_GFp(group(), p, x, 0, ctx()) == 1 ? p : NULL;
}

void p256_key_point(uint8_t out[P256_POINT_LEN], const uint8_t d[P256_LEN])
{
    write_point(out, linear(read_number(d), NULL, NULL));
}

// ---- signatures

static bool sign(struct p256_verify_item *out, const BIGNUM *d, const BIGNUM *e, const BIGNUM *k)
{
    BIGNUM *r = number();
    CHECK(BN_nnmod(r, x_of(linear(k, NULL, NULL)), order(), ctx()));
    BIGNUM *s = product(inverse(k), sum(e, product(r, d)));
    write_point(out->point, linear(d, NULL, NULL));
    write_number(out->digest, e);
    write_number(out->r, r);
    write_number(out->s, s);
    out->table = NULL;
    return !BN_is_zero(r) && !BN_is_zero(s);
}

bool p256_sign_with(struct p256_verify_item *out, const uint8_t d[P256_LEN],
                    const uint8_t digest[P256_LEN], const uint8_t k[P256_LEN])
{
    return sign(out, read_number(d), read_number(digest), read_number(k));
}

void p256_signed_fill(struct p256_verify_item *items, size_t count, size_t keys)
{
    static EC_KEY *made[256];
    CHECK(keys > 0 && keys <= sizeof made / sizeof made[0]);
    for (size_t i = 0; i < count; i++) {
        EC_KEY *key = made[i % keys];
        if (key == NULL) {
            CHECK((key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1)) != NULL);
            CHECK(EC_KEY_generate_key(key));
            made[i % keys] = key;
        }
        RAND_bytes(items[i].digest, P256_LEN);
        ECDSA_SIG *sig = ECDSA_do_sign(items[i].digest, P256_LEN, key);
        CHECK(sig != NULL);
        items[i].table = NULL;
        write_point(items[i].point, EC_KEY_get0_public_key(key));
        write_number(items[i].r, ECDSA_SIG_get0_r(sig));
        write_number(items[i].s, ECDSA_SIG_get0_s(sig));
        ECDSA_SIG_free(sig);
    }
}

void p256_spoil(struct p256_verify_item *item, unsigned way)
{
    switch (way % P256_SPOIL_WAYS) {
    case 0:
        item->digest[31] ^= 1;
        return;
    case 1:
        item->r[31] ^= 1;
        return;
    case 2:
        item->s[0] ^= 0x40;
        return;
    case 3:
        memset(item->r, 0, P256_LEN);
        return;
    case 4:
        memset(item->s, 0xff, P256_LEN);
        return;
    default: { // the key -Q
        BIGNUM *y = number();
        CHECK(BN_sub(y, prime(), read_number(item->point + P256_LEN)));
        write_number(item->point + P256_LEN, y);
        item->table = NULL; // it was the other key's
        return;
    }
    }
}

// ---- edges

struct cases {
    struct p256_case *out;
    size_t count;
};

static struct p256_verify_item *add(struct cases *c, const struct p256_verify_item *item,
                                    bool valid, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static struct p256_verify_item *add(struct cases *c, const struct p256_verify_item *item,
                                    bool valid, const char *fmt, ...)
{
    va_list ap;
    CHECK(c->count < P256_CASES_MAX);
    struct p256_case *one = &c->out[c->count++];
    one->item = *item;
    one->valid = valid;
    va_start(ap, fmt);
    vsnprintf(one->what, sizeof one->what, fmt, ap);
    va_end(ap);
    return &one->item;
}

// keys_nonces_digests: each number around the ends of its range, and powers of two, which leave
// most windows of a comb alike.
static void keys_nonces_digests(struct cases *c)
{
    BIGNUM *ends[] = {small(1),
                      small(2),
                      small(3),
                      small(255),
                      small(256),
                      power_of_two(32),
                      power_of_two(128),
                      power_of_two(224),
                      power_of_two(255),
                      offset(order(), -1),
                      offset(order(), -2),
                      offset(order(), -3),
                      random_scalar()};
    enum { ENDS = sizeof ends / sizeof ends[0] };
    BIGNUM *all = offset(power_of_two(256), -1);
    BIGNUM *digests[] = {
        small(0),           small(1),           small(2), power_of_two(255), offset(order(), -1),
        offset(order(), 0), offset(order(), 1), all};
    enum { DIGESTS = sizeof digests / sizeof digests[0] };
    struct p256_verify_item item;
    for (size_t d = 0; d < ENDS; d++)
        for (size_t k = 0; k < ENDS; k++)
            if (sign(&item, ends[d], digests[(d + k) % DIGESTS], ends[k]))
                add(c, &item, true, "key %zu, nonce %zu, digest %zu", d, k, (d + k) % DIGESTS);
    for (size_t e = 0; e < DIGESTS; e++) {
        if (!sign(&item, random_scalar(), digests[e], random_scalar())) continue;
        add(c, &item, true, "digest %zu", e);
        p256_spoil(add(c, &item, false, "digest %zu changed", e), 0);
    }
}

// from_parts makes an item of which u1 G + u2 Q is known: r may be chosen freely, s = r / u2 and
// e = u1 s follow.
static struct p256_verify_item from_parts(const EC_POINT *q, const BIGNUM *u1, const BIGNUM *u2,
                                          const BIGNUM *r)
{
    struct p256_verify_item item = {0};
    BIGNUM *s = product(r, inverse(u2));
    write_point(item.point, q);
    write_number(item.digest, product(u1, s));
    write_number(item.r, r);
    write_number(item.s, s);
    return item;
}

// sums: u1 G and u2 Q that are equal, opposite, or one of them nothing.
static void sums(struct cases *c)
{
    for (int i = 0; i < 4; i++) {
        BIGNUM *d = i < 2 ? small(i + 1) : random_scalar(), *u1 = random_scalar();
        EC_POINT *q = linear(d, NULL, NULL);
        BIGNUM *u2 = product(u1, inverse(d)), *r = number();
        CHECK(BN_nnmod(r, x_of(linear(sum(u1, u1), NULL, NULL)), order(), ctx()));
        struct p256_verify_item item = from_parts(q, u1, u2, r);
        add(c, &item, true, "u1 G = u2 Q, key %d", i);
        item = from_parts(q, negative(u1), u2, r);
        add(c, &item, false, "u1 G = -u2 Q: the sum is infinity, key %d", i);
        item = from_parts(q, negative(u1), u2, small(1));
        add(c, &item, false, "the same with r = 1, key %d", i);
        CHECK(BN_nnmod(r, x_of(linear(NULL, q, u2)), order(), ctx()));
        item = from_parts(q, small(0), u2, r);
        add(c, &item, true, "u1 = 0, key %d", i);
        for (int u = 1; u <= 3; u++) {
            CHECK(BN_nnmod(r, x_of(linear(small(u), q, small(u))), order(), ctx()));
            item = from_parts(q, small(u), small(u), r);
            add(c, &item, true, "u1 = u2 = %d, key %d", u, i);
            if (i == 0) continue; // d = 1: infinity
            CHECK(BN_nnmod(r, x_of(linear(negative(small(u)), q, small(u))), order(), ctx()));
            item = from_parts(q, negative(small(u)), small(u), r);
            add(c, &item, true, "u1 = -u2 = -%d, key %d", u, i);
        }
    }
}

// small_r: r so small that r + n is below p, too. A signature made by chance never is: the key is
// made to fit, Q = (R - u1 G) / u2.
static void small_r(struct cases *c)
{
    unsigned above = 0, below = 0;
    for (long i = 1; above < 3 || below < 3; i++) {
        EC_POINT *high = point_at(offset(order(), i)), *low = point_at(small(i));
        EC_POINT *found = high != NULL && above < 3 ? high : below < 3 ? low : NULL;
        if (found == NULL) continue;
        BIGNUM *u1 = random_scalar(), *u2 = random_scalar();
        BIGNUM *back = inverse(u2);
        EC_POINT *q = linear(product(negative(u1), back), found, back);
        struct p256_verify_item item = from_parts(q, u1, u2, small(i));
        add(c, &item, true, "R.x = %s%ld", found == high ? "n + " : "", i);
        p256_spoil(add(c, &item, false, "the same with another r"), 1);
        p256_spoil(add(c, &item, false, "the same with another digest"), 0);
        above += found == high;
        below += found != high;
    }
}

// out_of_range: values that mean the same modulo n or p but are not in their range.
static void out_of_range(struct cases *c)
{
    BIGNUM *bad[] = {small(0), offset(order(), 0), offset(order(), 1), offset(prime(), 0),
                     offset(power_of_two(256), -1)};
    struct p256_verify_item item;
    CHECK(sign(&item, random_scalar(), random_scalar(), random_scalar()));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_number(add(c, &item, false, "r out of range, %zu", i)->r, bad[i]);
        write_number(add(c, &item, false, "s out of range, %zu", i)->s, bad[i]);
        struct p256_verify_item *both = add(c, &item, false, "r and s out of range, %zu", i);
        write_number(both->r, bad[i]);
        write_number(both->s, bad[i]);
    }
    // s + n fits into 256 bits when s is small: with u2 = r, s is 1.
    BIGNUM *r = number(), *u1 = random_scalar();
    EC_POINT *g = linear(small(1), NULL, NULL);
    CHECK(BN_nnmod(r, x_of(g), order(), ctx()));
    // Q = (G - u1 G) / r
    BIGNUM *one = small(1);
    EC_POINT *q = linear(product(sum(one, negative(u1)), inverse(r)), NULL, NULL);
    item = from_parts(q, u1, r, r);
    add(c, &item, true, "s = 1");
    write_number(add(c, &item, false, "s = 1 + n")->s, offset(order(), 1));
}

static void off_the_curve(struct cases *c)
{
    struct p256_verify_item item;
    CHECK(sign(&item, random_scalar(), random_scalar(), random_scalar()));
    add(c, &item, false, "y off by one")->point[63] ^= 1;
    add(c, &item, false, "x off by one")->point[31] ^= 1;
    memset(add(c, &item, false, "(0, 0)")->point, 0, P256_POINT_LEN);
    memset(add(c, &item, false, "all ones")->point, 0xff, P256_POINT_LEN);
    memset(add(c, &item, false, "x = 0 and another y")->point, 0, P256_LEN);
    write_number(add(c, &item, false, "x = p")->point, prime());
    write_number(add(c, &item, false, "y = p")->point + P256_LEN, prime());
    struct p256_verify_item *swapped = add(c, &item, false, "x and y exchanged");
    memcpy(swapped->point, item.point + P256_LEN, P256_LEN);
    memcpy(swapped->point + P256_LEN, item.point, P256_LEN);
    // x + p fits into 256 bits where x is small: the same point, not in its one form.
    for (long x = 0;; x++) {
        EC_POINT *p = point_at(small(x));
        if (p == NULL) continue;
        BIGNUM *r = number(), *u = random_scalar();
        CHECK(BN_nnmod(r, x_of(linear(u, p, u)), order(), ctx()));
        item = from_parts(p, u, u, r);
        add(c, &item, true, "a key with x = %ld", x);
        write_number(add(c, &item, false, "the same with x = p + %ld", x)->point,
                     offset(prime(), x));
        return;
    }
}

size_t p256_cases_make(struct p256_case out[P256_CASES_MAX])
{
    struct cases c = {.out = out};
    keys_nonces_digests(&c);
    sums(&c);
    small_r(&c);
    out_of_range(&c);
    off_the_curve(&c);
    return c.count;
}
