// limbs: eight integers side by side, each below 2^260 in five limbs of 52 bits: what field.h and
// scalar.h compute with. Also their other form, "words": four vecs of 64 bits, for integers below
// 2^256. Private to proto/p256. Constant time, unless the name says otherwise.
#pragma once
#include <openssl/mem.h>

#include "proto/p256/vec.h"

enum { LIMBS = 5, LIMB_BITS = 52, LANES = 8, WORDS = 4 };

#define LIMB_MASK (((uint64_t)1 << LIMB_BITS) - 1)

// struct limbs: limb 0 is the least. Limbs are below 2^52 unless a function says that it takes or
// leaves signed ones.
struct limbs {
    vec v[LIMBS];
};

// limbs_set1 puts the same constant into all lanes.
VEC_INLINE struct limbs limbs_set1(const uint64_t limb[LIMBS])
{
    struct limbs a;
    VEC_FOR (i, 0, LIMBS) a.v[i] = vec_set1(limb[i]);
    return a;
}

// limbs_bound promises (and the emulation checks) limbs below 2^52 and the value at most
// `multiple` * 2^256, 1 to 16.
VEC_INLINE void limbs_bound(const struct limbs *a, uint64_t multiple)
{
    for (int i = 0; i < LIMBS - 1; i++) vec_bound(a->v[i], LIMB_MASK + 1);
    vec_bound(a->v[LIMBS - 1], multiple << 48);
}

// limbs_carry makes limbs below 2^52 of signed ones in (-2^62, 2^62) whose value is in [0, 2^260).
VEC_INLINE void limbs_carry(struct limbs *out, const vec t[LIMBS])
{
    const vec mask = vec_set1(LIMB_MASK);
    vec carried = t[0];
    VEC_FOR (i, 0, LIMBS - 1) {
        out->v[i] = vec_and(carried, mask);
        carried = vec_add(t[i + 1], vec_sar(carried, LIMB_BITS));
    }
    out->v[LIMBS - 1] = carried;
    limbs_bound(out, 16);
}

// limbs_select takes `yes` in the lanes of the mask and `no` elsewhere.
VEC_INLINE void limbs_select(struct limbs *out, vec_mask m, const struct limbs *yes,
                             const struct limbs *no)
{
    VEC_FOR (i, 0, LIMBS) out->v[i] = vec_select(m, yes->v[i], no->v[i]);
}

VEC_INLINE vec_mask limbs_eq(const struct limbs *a, const struct limbs *b)
{
    vec_mask m = vec_eq(a->v[0], b->v[0]);
    VEC_FOR (i, 1, LIMBS) m &= vec_eq(a->v[i], b->v[i]);
    return m;
}

VEC_INLINE vec_mask limbs_is_zero(const struct limbs *a)
{
    vec any = a->v[0];
    VEC_FOR (i, 1, LIMBS) any = vec_or(any, a->v[i]);
    return vec_eq(any, vec_zero());
}

// limbs_subtract_once subtracts `m` in the lanes where a >= m. So a value below 2m becomes its
// residue.
VEC_INLINE void limbs_subtract_once(struct limbs *a, const uint64_t m[LIMBS])
{
    struct limbs d;
    vec borrow = vec_zero();
    VEC_FOR (i, 0, LIMBS) {
        vec t = vec_add(vec_sub(a->v[i], vec_set1(m[i])), borrow);
        borrow = vec_sar(t, LIMB_BITS);
        d.v[i] = vec_and(t, vec_set1(LIMB_MASK));
    }
    limbs_select(a, vec_negative(borrow), a, &d);
}

// limbs_below is set in the lanes where a < m.
VEC_INLINE vec_mask limbs_below(const struct limbs *a, const uint64_t m[LIMBS])
{
    vec borrow = vec_zero();
    VEC_FOR (i, 0, LIMBS)
        borrow = vec_sar(vec_add(vec_sub(a->v[i], vec_set1(m[i])), borrow), LIMB_BITS);
    return vec_negative(borrow);
}

// limbs_swap exchanges lanes i and i XOR distance.
VEC_INLINE void limbs_swap(struct limbs *out, const struct limbs *a, unsigned distance)
{
    VEC_FOR (i, 0, LIMBS) out->v[i] = vec_swap(a->v[i], distance);
}

// ---- words

// limbs_from_words and limbs_to_words change the form. To words: the value is below 2^256.
VEC_INLINE void limbs_from_words(struct limbs *out, const vec w[WORDS])
{
    const vec mask = vec_set1(LIMB_MASK);
    out->v[0] = vec_and(w[0], mask);
    out->v[1] = vec_and(vec_or(vec_shr(w[0], 52), vec_shl(w[1], 12)), mask);
    out->v[2] = vec_and(vec_or(vec_shr(w[1], 40), vec_shl(w[2], 24)), mask);
    out->v[3] = vec_and(vec_or(vec_shr(w[2], 28), vec_shl(w[3], 36)), mask);
    out->v[4] = vec_shr(w[3], 16);
}

VEC_INLINE void limbs_to_words(vec w[WORDS], const struct limbs *a)
{
    limbs_bound(a, 1);
    w[0] = vec_or(a->v[0], vec_shl(a->v[1], 52));
    w[1] = vec_or(vec_shr(a->v[1], 12), vec_shl(a->v[2], 40));
    w[2] = vec_or(vec_shr(a->v[2], 24), vec_shl(a->v[3], 28));
    w[3] = vec_or(vec_shr(a->v[3], 36), vec_shl(a->v[4], 16));
}

// word_load and word_store: eight octets, most significant first.
static inline uint64_t word_load(const uint8_t *p)
{
    uint64_t w;
    __builtin_memcpy(&w, p, sizeof w);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(w) : w;
}

static inline void word_store(uint8_t *p, uint64_t w)
{
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) w = __builtin_bswap64(w);
    __builtin_memcpy(p, &w, sizeof w);
}

// words_load reads eight big-endian integers of 32 octets, one per lane.
static inline void words_load(vec w[WORDS], const uint8_t *const p[LANES])
{
    uint64_t t[WORDS][LANES];
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < WORDS; i++) t[i][lane] = word_load(p[lane] + 8 * (WORDS - 1 - i));
    for (int i = 0; i < WORDS; i++) w[i] = vec_load(t[i]);
}

// words_store writes lane `lane` of each of four vecs for each of the `count` (up to 8) places.
static inline void words_store(uint8_t *const p[], int count, const vec w[WORDS])
{
    uint64_t t[WORDS][LANES];
    for (int i = 0; i < WORDS; i++) vec_store(t[i], w[i]);
    for (int lane = 0; lane < count; lane++)
        for (int i = 0; i < WORDS; i++) word_store(p[lane] + 8 * (WORDS - 1 - i), t[i][lane]);
}

// limbs_get0 takes lane 0 as words; the value is below 2^256. limbs_set1_words puts words into all
// lanes.
static inline void limbs_get0(uint64_t out[WORDS], const struct limbs *a)
{
    uint64_t t[LANES];
    vec w[WORDS];
    limbs_to_words(w, a);
    for (int i = 0; i < WORDS; i++) {
        vec_store(t, w[i]);
        out[i] = t[0];
    }
    OPENSSL_cleanse(t, sizeof t);
}

static inline void limbs_set1_words(struct limbs *out, const uint64_t words[WORDS])
{
    vec w[WORDS];
    for (int i = 0; i < WORDS; i++) w[i] = vec_set1(words[i]);
    limbs_from_words(out, w);
}

// limbs_invert_shared inverts eight residues modulo m by one inversion and eight products: the
// product of all lanes is inverted, and in each lane multiplied by the product of the other seven.
// `mul` is the Montgomery product, `invert` the plain inversion of words, `cube` is 2^780 mod m.
// For a whose products stay below 2m; if any lane is zero, all come out zero.
static inline void limbs_invert_shared(struct limbs *out, const struct limbs *a,
                                       void (*mul)(struct limbs *, const struct limbs *,
                                                   const struct limbs *),
                                       void (*invert)(uint64_t[WORDS]), const uint64_t m[LIMBS],
                                       const uint64_t cube[LIMBS])
{
    struct limbs others, neighbour, product, c = limbs_set1(cube);
    uint64_t words[WORDS];
    limbs_swap(&others, a, 1);
    mul(&product, a, &others); // of two lanes
    limbs_swap(&neighbour, &product, 2);
    mul(&others, &others, &neighbour);
    mul(&product, &product, &neighbour); // of four
    limbs_swap(&neighbour, &product, 4);
    mul(&others, &others, &neighbour);   // of the other seven
    mul(&product, &product, &neighbour); // of all eight
    limbs_subtract_once(&product, m);
    limbs_get0(words, &product);
    invert(words);
    limbs_set1_words(&product, words);
    mul(&product, &product, &c);
    mul(out, &product, &others);
    OPENSSL_cleanse(words, sizeof words);
}
