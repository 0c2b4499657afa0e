#include "proto/p256/inverse.h"

#include <openssl/mem.h>

#include "proto/base/err.h"

// Numbers are five signed limbs of 62 bits; in all but the top limb the low 62 bits count and
// the sign is clear, except inside a step.
enum { LIMBS62 = 5, LIMB62_BITS = 62, ROUNDS = 10 }; // 620 steps; 590 are needed

#define LIMB62_MASK (((uint64_t)1 << LIMB62_BITS) - 1)

typedef __int128 wide;

struct signed62 {
    int64_t v[LIMBS62];
};

struct modulus {
    struct signed62 m;
    uint64_t inverse; // of m modulo 2^62
};

static const struct modulus MODULUS_P = {
    {{0x3fffffffffffffff, 0x3ffffffff, 0, 0x3fffffc000000040, 0xff}}, 0x3fffffffffffffff};
static const struct modulus MODULUS_N = {
    {{0x33b9cac2fc632551, 0x339beab69c5e7a13, 0x3ffffffffffffffb, 0x3fffffc00000003f, 0xff}},
    0x332e375511ff43b1};

// struct matrix: what 62 division steps do to (f, g), times 2^62: |u| + |v| and |q| + |r| are at
// most 2^62.
struct matrix {
    int64_t u, v, q, r;
};

// divide_steps runs 62 steps on the low words of f (odd) and g. Each step sees delta > 0 and g odd
// as masks: g becomes g, g + f or g - f, halved, and f the old g where delta > 0 and g is odd.
// `zeta` is -(delta + 1/2). The columns of the matrix that belong to f are doubled in place of
// halving those of g.
static int64_t divide_steps(struct matrix *out, int64_t zeta_in, uint64_t f, uint64_t g)
{
    uint64_t u = 1, v = 0, q = 0, r = 1, zeta = (uint64_t)zeta_in;
    for (int i = 0; i < LIMB62_BITS; i++) {
        uint64_t positive = 0 - (zeta >> 63), odd = 0 - (g & 1);
        g += ((f ^ positive) - positive) & odd;
        q += ((u ^ positive) - positive) & odd;
        r += ((v ^ positive) - positive) & odd;
        positive &= odd; // now: swap
        zeta = (zeta ^ positive) - 1;
        f += g & positive;
        u += q & positive;
        v += r & positive;
        g >>= 1;
        u <<= 1;
        v <<= 1;
    }
    *out = (struct matrix){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return (int64_t)zeta;
}

// transform_fg is (f, g) := matrix * (f, g) / 2^62, which is exact.
static void transform_fg(struct signed62 *f, struct signed62 *g, const struct matrix *t)
{
    wide a = (wide)t->u * f->v[0] + (wide)t->v * g->v[0];
    wide b = (wide)t->q * f->v[0] + (wide)t->r * g->v[0];
    for (int i = 1; i < LIMBS62; i++) {
        a = (a >> LIMB62_BITS) + (wide)t->u * f->v[i] + (wide)t->v * g->v[i];
        b = (b >> LIMB62_BITS) + (wide)t->q * f->v[i] + (wide)t->r * g->v[i];
        f->v[i - 1] = (int64_t)((uint64_t)a & LIMB62_MASK);
        g->v[i - 1] = (int64_t)((uint64_t)b & LIMB62_MASK);
    }
    f->v[LIMBS62 - 1] = (int64_t)(a >> LIMB62_BITS);
    g->v[LIMBS62 - 1] = (int64_t)(b >> LIMB62_BITS);
}

// transform_de is (d, e) := matrix * (d, e) / 2^62 modulo m. Both stay in (-2m, m): where one is
// negative, m is added to it first (as its share of the matrix), and then that multiple of m
// within (-2^62, 0] which makes the division exact.
static void transform_de(struct signed62 *d, struct signed62 *e, const struct matrix *t,
                         const struct modulus *mod)
{
    const int64_t d_sign = d->v[LIMBS62 - 1] >> 63, e_sign = e->v[LIMBS62 - 1] >> 63;
    int64_t md = (t->u & d_sign) + (t->v & e_sign), me = (t->q & d_sign) + (t->r & e_sign);
    wide a = (wide)t->u * d->v[0] + (wide)t->v * e->v[0];
    wide b = (wide)t->q * d->v[0] + (wide)t->r * e->v[0];
    md -= (int64_t)((mod->inverse * (uint64_t)a + (uint64_t)md) & LIMB62_MASK);
    me -= (int64_t)((mod->inverse * (uint64_t)b + (uint64_t)me) & LIMB62_MASK);
    a += (wide)mod->m.v[0] * md;
    b += (wide)mod->m.v[0] * me;
    for (int i = 1; i < LIMBS62; i++) {
        a = (a >> LIMB62_BITS) + (wide)t->u * d->v[i] + (wide)t->v * e->v[i] +
            (wide)mod->m.v[i] * md;
        b = (b >> LIMB62_BITS) + (wide)t->q * d->v[i] + (wide)t->r * e->v[i] +
            (wide)mod->m.v[i] * me;
        d->v[i - 1] = (int64_t)((uint64_t)a & LIMB62_MASK);
        e->v[i - 1] = (int64_t)((uint64_t)b & LIMB62_MASK);
    }
    d->v[LIMBS62 - 1] = (int64_t)(a >> LIMB62_BITS);
    e->v[LIMBS62 - 1] = (int64_t)(b >> LIMB62_BITS);
}

// add_masked adds m where `mask` is all ones, then negates where `negate` is, and carries.
static void add_masked(struct signed62 *x, const struct signed62 *m, int64_t mask, int64_t negate)
{
    int64_t carry = 0;
    for (int i = 0; i < LIMBS62; i++) {
        int64_t t = ((x->v[i] + (m->v[i] & mask)) ^ negate) - negate + carry;
        x->v[i] = i < LIMBS62 - 1 ? (int64_t)((uint64_t)t & LIMB62_MASK) : t;
        carry = t >> LIMB62_BITS;
    }
}

// normalise brings x in (-2m, m) to [0, m), negated where `sign` is negative.
static void normalise(struct signed62 *x, int64_t sign, const struct signed62 *m)
{
    add_masked(x, m, x->v[LIMBS62 - 1] >> 63, sign >> 63); // (-m, m)
    add_masked(x, m, x->v[LIMBS62 - 1] >> 63, 0);
}

static void words_to_limbs(struct signed62 *out, const uint64_t w[4])
{
    out->v[0] = (int64_t)(w[0] & LIMB62_MASK);
    out->v[1] = (int64_t)((w[0] >> 62 | w[1] << 2) & LIMB62_MASK);
    out->v[2] = (int64_t)((w[1] >> 60 | w[2] << 4) & LIMB62_MASK);
    out->v[3] = (int64_t)((w[2] >> 58 | w[3] << 6) & LIMB62_MASK);
    out->v[4] = (int64_t)(w[3] >> 56);
}

static void limbs_to_words62(uint64_t w[4], const struct signed62 *x)
{
    uint64_t v[LIMBS62];
    for (int i = 0; i < LIMBS62; i++) v[i] = (uint64_t)x->v[i];
    w[0] = v[0] | v[1] << 62;
    w[1] = v[1] >> 2 | v[2] << 60;
    w[2] = v[2] >> 4 | v[3] << 58;
    w[3] = v[3] >> 6 | v[4] << 56;
}

static void invert(uint64_t w[4], const struct modulus *mod)
{
    struct {
        struct signed62 d, e, f, g;
        struct matrix t;
        int64_t zeta;
    } s = {.e.v = {1}, .f = mod->m, .zeta = -1};
    words_to_limbs(&s.g, w);
    for (int i = 0; i < ROUNDS; i++) {
        s.zeta = divide_steps(&s.t, s.zeta, (uint64_t)s.f.v[0], (uint64_t)s.g.v[0]);
        transform_de(&s.d, &s.e, &s.t, mod);
        transform_fg(&s.f, &s.g, &s.t);
    }
    // g is 0 and f is +1 or -1 (or +-m, and d 0, where x was 0): 1/x = d * f.
    normalise(&s.d, s.f.v[LIMBS62 - 1], &mod->m);
    limbs_to_words62(w, &s.d);
    OPENSSL_cleanse(&s, sizeof s);
}

void p256_inverse_p(uint64_t x[4]) { invert(x, &MODULUS_P); }
void p256_inverse_n(uint64_t x[4]) { invert(x, &MODULUS_N); }
