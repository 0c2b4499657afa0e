// scalar: integers modulo the group's order n, eight side by side in struct limbs. In Montgomery
// form x stands as x * 2^260 mod n. A product of a < An and b < Bn comes out below (AB/16 + 1)n,
// because 16n < 2^260, so AB is at most 240. Private to proto/p256. Constant time.
#pragma once
#include "proto/p256/inverse.h"
#include "proto/p256/limbs.h"

static const uint64_t SCALAR_N[LIMBS] = {0x9cac2fc632551, 0xada7179e84f3b, 0xfffffffbce6fa,
                                         0x0000fffffffff, 0x0ffffffff0000};
// SCALAR_R2 is 2^520 mod n: a product with it enters Montgomery form.
static const uint64_t SCALAR_R2[LIMBS] = {0x5cc0dea6dc3ba, 0x192a067d8a084, 0xbec59615571bb,
                                          0x1fc245b2392b6, 0x0e12d9559d956};

// scalar_mul is a * b / 2^260 mod n: of two in Montgomery form the product in that form; of one in
// it and a plain one the plain product.
VEC_FAR void scalar_mul(struct limbs *out, const struct limbs *a, const struct limbs *b)
{
    const vec mask = vec_set1(LIMB_MASK), factor = vec_set1(0x1c8aaee00bc4f); // -1/n mod 2^52
    vec r[2 * LIMBS];
    VEC_FOR (i, 0, 2 * LIMBS) r[i] = vec_zero();
    VEC_FOR (i, 0, LIMBS)
        VEC_FOR (j, 0, LIMBS) {
            r[i + j] = vec_madd_lo(r[i + j], a->v[i], b->v[j]);
            r[i + j + 1] = vec_madd_hi(r[i + j + 1], a->v[i], b->v[j]);
        }
    VEC_FOR (i, 0, LIMBS) {
        vec u = vec_madd_lo(vec_zero(), vec_and(r[i], mask), factor);
        VEC_FOR (j, 0, LIMBS) {
            r[i + j] = vec_madd_lo(r[i + j], u, vec_set1(SCALAR_N[j]));
            r[i + j + 1] = vec_madd_hi(r[i + j + 1], u, vec_set1(SCALAR_N[j]));
        }
        r[i + 1] = vec_add(r[i + 1], vec_shr(r[i], LIMB_BITS));
    }
    limbs_carry(out, r + LIMBS);
}

// scalar_to_montgomery: below 2n, for any a below 2^260.
static inline void scalar_to_montgomery(struct limbs *out, const struct limbs *a)
{
    struct limbs square = limbs_set1(SCALAR_R2);
    scalar_mul(out, a, &square);
}

// scalar_add: below the sum of the two bounds, which stays at or below 16n.
static inline void scalar_add(struct limbs *out, const struct limbs *a, const struct limbs *b)
{
    vec t[LIMBS];
    VEC_FOR (i, 0, LIMBS) t[i] = vec_add(a->v[i], b->v[i]);
    limbs_carry(out, t);
}

// scalar_invert is 1 / a in all lanes, in Montgomery form and below 2n, for a < 4n in that form.
// The lanes share one inversion: if any is zero, all come out zero.
VEC_FAR void scalar_invert(struct limbs *out, const struct limbs *a)
{
    // 2^780 mod n: what stood as x * 2^260 comes out of the plain inversion as 1/x * 2^-260.
    static const uint64_t cube[LIMBS] = {0x9617f757e3b0d, 0x73e9fd26776fc, 0xe93f26238f08c,
                                         0x4d513b9246ba5, 0x0a54e7b437be6};
    limbs_invert_shared(out, a, scalar_mul, p256_inverse_n, SCALAR_N, cube);
}
