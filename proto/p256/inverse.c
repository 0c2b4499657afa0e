#include "proto/p256/inverse.h"

#include <openssl/mem.h>

#include "proto/base/err.h"

// Numbers are five signed limbs of 60 bits; in all but the top limb the low 60 bits count and
// the sign is clear, except inside a step. A round is 60 division steps, in two halves of 30.
enum { LIMBS60 = 5, LIMB60_BITS = 60, HALF = 30, ROUNDS = 10 }; // 600 steps; 590 are needed

#define LIMB60_MASK (((uint64_t)1 << LIMB60_BITS) - 1)

typedef __int128 wide;

struct signed60 {
    int64_t v[LIMBS60];
};

struct modulus {
    struct signed60 m;
    uint64_t inverse; // of m modulo 2^60
};

static const struct modulus MODULUS_P = {
    {{0xfffffffffffffff, 0xfffffffff, 0x0, 0xffff00000001000, 0xffff}}, 0xfffffffffffffff};
static const struct modulus MODULUS_N = {
    {{0x3b9cac2fc632551, 0xe6faada7179e84f, 0xfffffffffffffbc, 0xffff00000000fff, 0xffff}},
    0x32e375511ff43b1};

// struct matrix: what n division steps do to (f, g), times 2^n: |u| + |v| and |q| + |r| are at most
// 2^n, n up to 60.
struct matrix {
    int64_t u, v, q, r;
};

// struct state is what a step looks at: the low words of f (odd) and g, and -(delta + 1/2).
struct state {
    uint64_t zeta, f, g;
};

// unpack takes a pair apart: high * 2^32 + low, both of less than 31 bits and a sign.
static void unpack(int64_t *high, int64_t *low, uint64_t pair)
{
    *low = (int32_t)(uint32_t)pair;
    *high = (int64_t)(pair - (uint64_t)*low) >> 32;
}

// half_steps runs 30 division steps. Each sees delta > 0 and g odd as masks: g becomes g, g + f or
// g - f, halved, and f the old g where delta > 0 and g is odd. The row of the matrix that belongs
// to f is doubled in place of halving that of g. Rows are kept as pairs, u * 2^32 + v, for all that
// is done to them is linear.
static void half_steps(struct matrix *out, struct state *s)
{
    uint64_t uv = (uint64_t)1 << 32, qr = 1, zeta = s->zeta, f = s->f, g = s->g;
    for (int i = 0; i < HALF; i++) {
        uint64_t positive = 0 - (zeta >> 63), odd = 0 - (g & 1);
        g += ((f ^ positive) - positive) & odd;
        qr += ((uv ^ positive) - positive) & odd;
        positive &= odd; // now: swap
        zeta = (zeta ^ positive) - 1;
        f += g & positive;
        uv += qr & positive;
        g >>= 1;
        uv <<= 1;
    }
    *s = (struct state){zeta, f, g};
    unpack(&out->u, &out->v, uv);
    unpack(&out->q, &out->r, qr);
}

// divide_steps runs a round: the product of what its halves do.
static void divide_steps(struct matrix *out, struct state *s)
{
    struct matrix a, b;
    half_steps(&a, s);
    half_steps(&b, s);
    *out = (struct matrix){b.u * a.u + b.v * a.q, b.u * a.v + b.v * a.r, b.q * a.u + b.r * a.q,
                           b.q * a.v + b.r * a.r};
}

// transform_fg is (f, g) := matrix * (f, g) / 2^60, which is exact.
static void transform_fg(struct signed60 *f, struct signed60 *g, const struct matrix *t)
{
    wide a = (wide)t->u * f->v[0] + (wide)t->v * g->v[0];
    wide b = (wide)t->q * f->v[0] + (wide)t->r * g->v[0];
    for (int i = 1; i < LIMBS60; i++) {
        a = (a >> LIMB60_BITS) + (wide)t->u * f->v[i] + (wide)t->v * g->v[i];
        b = (b >> LIMB60_BITS) + (wide)t->q * f->v[i] + (wide)t->r * g->v[i];
        f->v[i - 1] = (int64_t)((uint64_t)a & LIMB60_MASK);
        g->v[i - 1] = (int64_t)((uint64_t)b & LIMB60_MASK);
    }
    f->v[LIMBS60 - 1] = (int64_t)(a >> LIMB60_BITS);
    g->v[LIMBS60 - 1] = (int64_t)(b >> LIMB60_BITS);
}

// transform_de is (d, e) := matrix * (d, e) / 2^60 modulo m. Both stay in (-2m, m): where one is
// negative, m is added to it first (as its share of the matrix), and then that multiple of m
// within (-2^60, 0] which makes the division exact.
static void transform_de(struct signed60 *d, struct signed60 *e, const struct matrix *t,
                         const struct modulus *mod)
{
    const int64_t d_sign = d->v[LIMBS60 - 1] >> 63, e_sign = e->v[LIMBS60 - 1] >> 63;
    int64_t md = (t->u & d_sign) + (t->v & e_sign), me = (t->q & d_sign) + (t->r & e_sign);
    wide a = (wide)t->u * d->v[0] + (wide)t->v * e->v[0];
    wide b = (wide)t->q * d->v[0] + (wide)t->r * e->v[0];
    md -= (int64_t)((mod->inverse * (uint64_t)a + (uint64_t)md) & LIMB60_MASK);
    me -= (int64_t)((mod->inverse * (uint64_t)b + (uint64_t)me) & LIMB60_MASK);
    a += (wide)mod->m.v[0] * md;
    b += (wide)mod->m.v[0] * me;
    for (int i = 1; i < LIMBS60; i++) {
        a = (a >> LIMB60_BITS) + (wide)t->u * d->v[i] + (wide)t->v * e->v[i] +
            (wide)mod->m.v[i] * md;
        b = (b >> LIMB60_BITS) + (wide)t->q * d->v[i] + (wide)t->r * e->v[i] +
            (wide)mod->m.v[i] * me;
        d->v[i - 1] = (int64_t)((uint64_t)a & LIMB60_MASK);
        e->v[i - 1] = (int64_t)((uint64_t)b & LIMB60_MASK);
    }
    d->v[LIMBS60 - 1] = (int64_t)(a >> LIMB60_BITS);
    e->v[LIMBS60 - 1] = (int64_t)(b >> LIMB60_BITS);
}

// add_masked adds m where `mask` is all ones, then negates where `negate` is, and carries.
static void add_masked(struct signed60 *x, const struct signed60 *m, int64_t mask, int64_t negate)
{
    int64_t carry = 0;
    for (int i = 0; i < LIMBS60; i++) {
        int64_t t = ((x->v[i] + (m->v[i] & mask)) ^ negate) - negate + carry;
        x->v[i] = i < LIMBS60 - 1 ? (int64_t)((uint64_t)t & LIMB60_MASK) : t;
        carry = t >> LIMB60_BITS;
    }
}

// normalise brings x in (-2m, m) to [0, m), negated where `sign` is negative.
static void normalise(struct signed60 *x, int64_t sign, const struct signed60 *m)
{
    add_masked(x, m, x->v[LIMBS60 - 1] >> 63, sign >> 63); // (-m, m)
    add_masked(x, m, x->v[LIMBS60 - 1] >> 63, 0);
}

static void words_to_limbs(struct signed60 *out, const uint64_t w[4])
{
    out->v[0] = (int64_t)(w[0] & LIMB60_MASK);
    out->v[1] = (int64_t)((w[0] >> 60 | w[1] << 4) & LIMB60_MASK);
    out->v[2] = (int64_t)((w[1] >> 56 | w[2] << 8) & LIMB60_MASK);
    out->v[3] = (int64_t)((w[2] >> 52 | w[3] << 12) & LIMB60_MASK);
    out->v[4] = (int64_t)(w[3] >> 48);
}

static void limbs_to_words(uint64_t w[4], const struct signed60 *x)
{
    uint64_t v[LIMBS60];
    for (int i = 0; i < LIMBS60; i++) v[i] = (uint64_t)x->v[i];
    w[0] = v[0] | v[1] << 60;
    w[1] = v[1] >> 4 | v[2] << 56;
    w[2] = v[2] >> 8 | v[3] << 52;
    w[3] = v[3] >> 12 | v[4] << 48;
}

static void invert(uint64_t w[4], const struct modulus *mod)
{
    struct {
        struct signed60 d, e, f, g;
        struct matrix t;
        struct state state;
    } s = {.e.v = {1}, .f = mod->m, .state.zeta = ~(uint64_t)0};
    words_to_limbs(&s.g, w);
    for (int i = 0; i < ROUNDS; i++) {
        s.state.f = (uint64_t)s.f.v[0] | (uint64_t)s.f.v[1] << LIMB60_BITS;
        s.state.g = (uint64_t)s.g.v[0] | (uint64_t)s.g.v[1] << LIMB60_BITS;
        divide_steps(&s.t, &s.state);
        transform_de(&s.d, &s.e, &s.t, mod);
        transform_fg(&s.f, &s.g, &s.t);
    }
    // g is 0 and f is +1 or -1 (or +-m, and d 0, where x was 0): 1/x = d * f.
    normalise(&s.d, s.f.v[LIMBS60 - 1], &mod->m);
    limbs_to_words(w, &s.d);
    OPENSSL_cleanse(&s, sizeof s);
}

void p256_inverse_p(uint64_t x[4]) { invert(x, &MODULUS_P); }
void p256_inverse_n(uint64_t x[4]) { invert(x, &MODULUS_N); }
