// comb: how a scalar is read to be multiplied by sums of a point's multiples that were made before
// (Lim and Lee, CRYPTO '94), with signed digits that are never zero: k = sum of b_i 2^i, each b_i 1
// or -1, for odd k. An even k is replaced by n - k and the sum negated. Bit i of the recoded number
// is set where b_i is 1. A comb of T teeth spaced S bits apart has S columns; column c gathers the
// signs at bits c, c + S, ..., c + (T-1)S; its row is the sum of +-2^(tS) times the point, with the
// highest sign taken out, so that 2^(T-1) rows are enough. For public scalars: the rows are loaded
// by address. Private to proto/p256.
#pragma once
#include <stddef.h>

#include "proto/p256/base_comb.h"
#include "proto/p256/scalar.h"

enum {
    // A key's comb: 14 teeth in 19 columns, as two tables of seven teeth and 64 rows each.
    KEY_HALF_TEETH = 7,
    KEY_SPACING = 19,
    KEY_BITS = 2 * KEY_HALF_TEETH * KEY_SPACING,
    KEY_HALF_ROWS = 1 << (KEY_HALF_TEETH - 1),
    COMB_WORDS = 5 // of a recoded scalar
};

// struct signs is eight recoded scalars.
struct signs {
    vec word[COMB_WORDS];
    vec_mask negated; // n - k was recoded
};

// signs_of recodes scalars below n into `bits` signs, 256 to 319. (0 becomes n: a sum that ends in
// the point at infinity.)
static inline void signs_of(struct signs *out, const struct limbs *k, unsigned bits)
{
    const vec one = vec_set1(1);
    struct limbs odd;
    vec t[LIMBS], w[WORDS];
    VEC_FOR (i, 0, LIMBS) t[i] = vec_sub(vec_set1(SCALAR_N[i]), k->v[i]);
    limbs_carry(&odd, t);
    out->negated = vec_eq(vec_and(k->v[0], one), vec_zero());
    limbs_select(&odd, out->negated, &odd, k);
    limbs_to_words(w, &odd);
    // (k + 2^bits - 1) / 2, k odd
    VEC_FOR (i, 0, WORDS - 1) out->word[i] = vec_or(vec_shr(w[i], 1), vec_shl(w[i + 1], 63));
    out->word[WORDS - 1] = vec_shr(w[WORDS - 1], 1);
    out->word[WORDS] = vec_zero();
    vec *top = &out->word[(bits - 1) / 64];
    *top = vec_or(*top, vec_set1((uint64_t)1 << (bits - 1) % 64));
}

// signs_gather puts the signs at first, first + spacing, ... side by side: `count` bits.
static inline vec signs_gather(const struct signs *s, unsigned first, unsigned spacing,
                               unsigned count)
{
    vec d = vec_zero();
    for (unsigned t = 0; t < count; t++) {
        unsigned at = first + t * spacing;
        vec bit = vec_and(vec_shr(s->word[at / 64], at % 64), vec_set1(1));
        d = vec_or(d, vec_shl(bit, t));
    }
    return d;
}

// digit_split makes of `count` signs the number of the row, and the lanes in which the row is to be
// negated.
static inline vec_mask digit_split(vec *out_row, vec digit, unsigned count)
{
    const vec low = vec_set1(((uint64_t)1 << (count - 1)) - 1);
    vec_mask minus = vec_eq(vec_shr(digit, count - 1), vec_zero());
    *out_row = vec_and(vec_select(minus, vec_xor(digit, low), digit), low);
    return minus;
}

// rows_load reads the eight words of one row per lane: out[i] has word i of rows[lane] in each
// lane. rows_store is the reverse.
#if VEC_NATIVE
// transpose exchanges lanes and words of eight vecs.
VEC_INLINE void transpose(vec a[8])
{
    vec p[8], q[8];
    VEC_FOR (i, 0, 4) {
        p[2 * i] = _mm512_unpacklo_epi64(a[2 * i], a[2 * i + 1]); // words 0 2 4 6 of two rows
        p[2 * i + 1] = _mm512_unpackhi_epi64(a[2 * i], a[2 * i + 1]);
    }
    VEC_FOR (i, 0, 2) {
        q[i] = _mm512_shuffle_i64x2(p[i], p[i + 2], 0x88); // words i and i + 4, four rows
        q[i + 2] = _mm512_shuffle_i64x2(p[i], p[i + 2], 0xdd);
        q[i + 4] = _mm512_shuffle_i64x2(p[i + 4], p[i + 6], 0x88);
        q[i + 6] = _mm512_shuffle_i64x2(p[i + 4], p[i + 6], 0xdd);
    }
    VEC_FOR (i, 0, 4) {
        a[i] = _mm512_shuffle_i64x2(q[i], q[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_i64x2(q[i], q[i + 4], 0xdd);
    }
}

VEC_INLINE void rows_load(vec out[8], const uint64_t *const rows[LANES])
{
    VEC_FOR (i, 0, 8) out[i] = vec_load(rows[i]);
    transpose(out);
}

VEC_INLINE void rows_store(uint64_t *const rows[], size_t count, const vec in[8])
{
    vec t[8];
    VEC_FOR (i, 0, 8) t[i] = in[i];
    transpose(t);
    for (size_t i = 0; i < count; i++) vec_store(rows[i], t[i]);
}
#else
static inline void rows_load(vec out[8], const uint64_t *const rows[LANES])
{
    for (int i = 0; i < 8; i++) {
        uint64_t word[LANES];
        for (int lane = 0; lane < LANES; lane++) word[lane] = rows[lane][i];
        out[i] = vec_load(word);
    }
}

static inline void rows_store(uint64_t *const rows[], size_t count, const vec in[8])
{
    for (int i = 0; i < 8; i++) {
        uint64_t word[LANES];
        vec_store(word, in[i]);
        for (size_t lane = 0; lane < count; lane++) rows[lane][i] = word[lane];
    }
}
#endif
