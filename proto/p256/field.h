// field: GF(p), p = 2^256 - 2^224 + 2^192 + 2^96 - 1, eight elements side by side in struct limbs.
// Elements are in Montgomery form: x stands as x * 2^260 mod p.
//
// Bounds. Elements are not reduced to below p after each step: "a < 4p" names the multiple of p
// that a value stays below. Factors have limbs below 2^52, so values are below 2^260, which is more
// than 16p. A product of a < Ap and b < Bp comes out below (AB/16 + 1)p, because 16p < 2^260, so AB
// is at most 240.
// Private to proto/p256. Constant time.
#pragma once
#include "proto/p256/inverse.h"
#include "proto/p256/limbs.h"

static const uint64_t FIELD_P[LIMBS] = {0xfffffffffffff, 0x00fffffffffff, 0, 0x0001000000000,
                                        0x0ffffffff0000};
// FIELD_ONE is 2^260 mod p, the Montgomery form of 1.
static const uint64_t FIELD_ONE[LIMBS] = {0x0000000000010, 0xf000000000000, 0xfffffffffffff,
                                          0xffeffffffffff, 0x00000000fffff};

// field_accumulate adds the product a * b to the ten columns r, each of which takes at most
// ten partial products below 2^52.
VEC_INLINE void field_accumulate(vec r[2 * LIMBS], const struct limbs *a, const struct limbs *b)
{
    VEC_FOR (i, 0, LIMBS)
        VEC_FOR (j, 0, LIMBS) {
            r[i + j] = vec_madd_lo(r[i + j], a->v[i], b->v[j]);
            r[i + j + 1] = vec_madd_hi(r[i + j + 1], a->v[i], b->v[j]);
        }
}

// field_square sets the columns to a * a. What appears twice is added once and doubled.
VEC_INLINE void field_square(vec r[2 * LIMBS], const struct limbs *a)
{
    VEC_FOR (i, 0, 2 * LIMBS) r[i] = vec_zero();
    VEC_FOR (i, 0, LIMBS)
        VEC_FOR (j, i + 1, LIMBS) {
            r[i + j] = vec_madd_lo(r[i + j], a->v[i], a->v[j]);
            r[i + j + 1] = vec_madd_hi(r[i + j + 1], a->v[i], a->v[j]);
        }
    VEC_FOR (i, 1, 2 * LIMBS - 1) r[i] = vec_add(r[i], r[i]);
    VEC_FOR (i, 0, LIMBS) {
        r[2 * i] = vec_madd_lo(r[2 * i], a->v[i], a->v[i]);
        r[2 * i + 1] = vec_madd_hi(r[2 * i + 1], a->v[i], a->v[i]);
    }
}

// field_reduce divides the columns by 2^260 modulo p: the result is in columns 5 to 9, not carried.
// p is -1 modulo 2^52, so the multiple of p that clears column i is the column's own low 52 bits u;
// of u * p, -u leaves with the column, and u * 2^96, u * 2^192 and u * (2^256 - 2^224) are added.
VEC_INLINE void field_reduce(vec r[2 * LIMBS])
{
    const vec mask = vec_set1(LIMB_MASK), at_96 = vec_set1((uint64_t)1 << 44);
    const vec at_192 = vec_set1((uint64_t)1 << 36), top = vec_set1(FIELD_P[4]);
    VEC_FOR (i, 0, LIMBS) {
        vec u = vec_and(r[i], mask);
        r[i + 1] = vec_add(r[i + 1], vec_sar(r[i], LIMB_BITS));
        r[i + 1] = vec_madd_lo(r[i + 1], u, at_96);
        r[i + 2] = vec_madd_hi(r[i + 2], u, at_96);
        r[i + 3] = vec_madd_lo(r[i + 3], u, at_192);
        r[i + 4] = vec_madd_hi(r[i + 4], u, at_192);
        r[i + 4] = vec_madd_lo(r[i + 4], u, top);
        r[i + 5] = vec_madd_hi(r[i + 5], u, top);
    }
}

// field_weak reduces signed limbs in (-2^58, 2^58) of any sign to a value in (0, 2p + 2^235), which
// we count as 2.01p: the multiple of 2^256 is read off the top limb, taken away times p, and one p
// is added for safety against the limbs below, which may be negative.
VEC_INLINE void field_weak(struct limbs *out, const vec t[LIMBS])
{
    vec q = vec_sar(t[4], 48), r[LIMBS];
    r[0] = vec_add(t[0], vec_add(q, vec_set1(FIELD_P[0])));
    r[1] = vec_add(vec_sub(t[1], vec_shl(q, 44)), vec_set1(FIELD_P[1]));
    r[2] = t[2];
    r[3] = vec_add(vec_sub(t[3], vec_shl(q, 36)), vec_set1(FIELD_P[3]));
    r[4] = vec_add(vec_add(vec_and(t[4], vec_set1(((uint64_t)1 << 48) - 1)), vec_shl(q, 16)),
                   vec_set1(FIELD_P[4]));
    limbs_carry(out, r);
    limbs_bound(out, 3);
}

VEC_INLINE void field_mul(struct limbs *out, const struct limbs *a, const struct limbs *b)
{
    vec r[2 * LIMBS];
    VEC_FOR (i, 0, 2 * LIMBS) r[i] = vec_zero();
    field_accumulate(r, a, b);
    field_reduce(r);
    limbs_carry(out, r + LIMBS);
}

VEC_INLINE void field_sqr(struct limbs *out, const struct limbs *a)
{
    vec r[2 * LIMBS];
    field_square(r, a);
    field_reduce(r);
    limbs_carry(out, r + LIMBS);
}

// field_mul_far and field_sqr_far are the same out of line, where code size counts more than time.
VEC_FAR void field_mul_far(struct limbs *out, const struct limbs *a, const struct limbs *b)
{
    field_mul(out, a, b);
}

VEC_FAR void field_sqr_far(struct limbs *out, const struct limbs *a) { field_sqr(out, a); }

// field_add: below the sum of the two bounds, which must stay at or below 16.
VEC_INLINE void field_add(struct limbs *out, const struct limbs *a, const struct limbs *b)
{
    vec t[LIMBS];
    VEC_FOR (i, 0, LIMBS) t[i] = vec_add(a->v[i], b->v[i]);
    limbs_carry(out, t);
}

// field_sub is a - b + 4p, for b < 4p: below the bound of a plus 4p.
VEC_INLINE void field_sub(struct limbs *out, const struct limbs *a, const struct limbs *b)
{
    vec t[LIMBS];
    VEC_FOR (i, 0, LIMBS) t[i] = vec_add(vec_sub(a->v[i], b->v[i]), vec_set1(4 * FIELD_P[i]));
    limbs_carry(out, t);
}

// field_negate_if is p - a in the lanes of the mask and a elsewhere, for a <= p.
VEC_INLINE void field_negate_if(struct limbs *a, vec_mask m)
{
    struct limbs n;
    vec t[LIMBS];
    VEC_FOR (i, 0, LIMBS) t[i] = vec_sub(vec_set1(FIELD_P[i]), a->v[i]);
    limbs_carry(&n, t);
    limbs_select(a, m, &n, a);
}

// field_to_plain leaves Montgomery form: the residue itself, below p. For a < 16p.
static inline void field_to_plain(struct limbs *out, const struct limbs *a)
{
    static const uint64_t one[LIMBS] = {1};
    struct limbs o = limbs_set1(one);
    field_mul_far(out, a, &o); // at most p, because a is below 2^260
    limbs_subtract_once(out, FIELD_P);
}

// field_from_plain enters Montgomery form: below 2p, for any a below 2^260.
static inline void field_from_plain(struct limbs *out, const struct limbs *a)
{
    // 2^520 mod p
    static const uint64_t square[LIMBS] = {0x0000000000300, 0xffffffff00000, 0xffffefffffffb,
                                           0xfdfffffffffff, 0x0000004ffffff};
    struct limbs s = limbs_set1(square);
    field_mul_far(out, a, &s);
}

// field_invert is 1 / a in all lanes, in Montgomery form and below 2p, for a < 4p. The eight lanes
// share one inversion (limbs.h): if any lane is zero, all come out zero, so that whoever
// shares one inversion among more elements sees by one look at the result whether it worked.
VEC_FAR void field_invert(struct limbs *out, const struct limbs *a)
{
    // 2^780 mod p: what stood as x * 2^260 comes out of the plain inversion as 1/x * 2^-260.
    static const uint64_t cube[LIMBS] = {0xfd0000000a000, 0xffffff7ffffff, 0xfffcffffffedf,
                                         0x100000005ffff, 0x0000180000000};
    limbs_invert_shared(out, a, field_mul_far, p256_inverse_p, FIELD_P, cube);
}
