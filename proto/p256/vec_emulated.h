// vec_emulated: the operations of vec.h in portable C, for tests and for machines without the
// instructions. It also checks what an instruction would pass over: with DCHECK it stops when a
// factor has more than 52 bits, when a sum leaves 62 bits and a sign, or when a promised bound does
// not hold. Without DCHECK it has no branch on a value. Included by vec.h alone.
#pragma once
#include <stdint.h>

#include "proto/base/err.h"

#define VEC_NATIVE 0
#define VEC_INLINE static inline __attribute__((unused))

typedef struct vec {
    uint64_t lane[8];
} vec;
typedef uint8_t vec_mask;

// In a build with P256_VEC_FAULT every result passes through p256_vec_fault, which may flip bits of
// it (tests/p256/fault.h).
#ifdef P256_VEC_FAULT
vec p256_vec_fault(vec result);
#define VEC_RESULT(v) p256_vec_fault(v)
#else
#define VEC_RESULT(v) (v)
#endif

// VEC_OF makes a vec whose lane i is `value`.
#define VEC_OF(value)                                       \
    do {                                                    \
        vec out_;                                           \
        for (int i = 0; i < 8; i++) out_.lane[i] = (value); \
        return VEC_RESULT(out_);                            \
    } while (0)

VEC_INLINE vec vec_zero(void) { VEC_OF(0); }
VEC_INLINE vec vec_set1(uint64_t a) { VEC_OF(a); }
VEC_INLINE vec vec_load(const uint64_t *p) { VEC_OF(p[i]); }
VEC_INLINE void vec_store(uint64_t *p, vec a)
{
    for (int i = 0; i < 8; i++) p[i] = a.lane[i];
}

VEC_INLINE vec vec_add(vec a, vec b) { VEC_OF(a.lane[i] + b.lane[i]); }
VEC_INLINE vec vec_sub(vec a, vec b) { VEC_OF(a.lane[i] - b.lane[i]); }
VEC_INLINE vec vec_and(vec a, vec b) { VEC_OF(a.lane[i] & b.lane[i]); }
VEC_INLINE vec vec_or(vec a, vec b) { VEC_OF(a.lane[i] | b.lane[i]); }
VEC_INLINE vec vec_xor(vec a, vec b) { VEC_OF(a.lane[i] ^ b.lane[i]); }
VEC_INLINE vec vec_shl(vec a, unsigned n) { VEC_OF(a.lane[i] << n); }
VEC_INLINE vec vec_shr(vec a, unsigned n) { VEC_OF(a.lane[i] >> n); }
VEC_INLINE vec vec_sar(vec a, unsigned n) { VEC_OF((uint64_t)((int64_t)a.lane[i] >> n)); }
VEC_INLINE vec vec_ror(vec a, unsigned n) { VEC_OF(a.lane[i] >> n | a.lane[i] << ((64 - n) & 63)); }

VEC_INLINE void vec_bound(vec a, uint64_t bound)
{
    for (int i = 0; i < 8; i++) DCHECK(a.lane[i] < bound);
    (void)a, (void)bound;
}

// vec_product is the whole product of two factors of 52 bits.
VEC_INLINE unsigned __int128 vec_product(uint64_t a, uint64_t b)
{
    const uint64_t mask = ((uint64_t)1 << 52) - 1;
    DCHECK(a <= mask && b <= mask);
    return (unsigned __int128)(a & mask) * (b & mask);
}

// vec_sum adds, and stops where the sum leaves (-2^62, 2^62).
VEC_INLINE uint64_t vec_sum(uint64_t sum, uint64_t a)
{
    sum += a;
    DCHECK(sum + ((uint64_t)1 << 62) < (uint64_t)1 << 63);
    return sum;
}

VEC_INLINE vec vec_madd_lo(vec sum, vec a, vec b)
{
    VEC_OF(vec_sum(sum.lane[i], (uint64_t)vec_product(a.lane[i], b.lane[i]) << 12 >> 12));
}
VEC_INLINE vec vec_madd_hi(vec sum, vec a, vec b)
{
    VEC_OF(vec_sum(sum.lane[i], (uint64_t)(vec_product(a.lane[i], b.lane[i]) >> 52)));
}

// VEC_MASK makes a mask whose bit i is bit 63 of `value`.
#define VEC_MASK(value)                                                               \
    do {                                                                              \
        unsigned out_ = 0;                                                            \
        for (int i = 0; i < 8; i++) out_ |= (unsigned)((uint64_t)(value) >> 63) << i; \
        return (vec_mask)out_;                                                        \
    } while (0)

VEC_INLINE vec_mask vec_negative(vec a) { VEC_MASK(a.lane[i]); }
VEC_INLINE vec_mask vec_eq(vec a, vec b)
{
    vec d = vec_xor(a, b); // zero alone has neither its own top bit nor its negative's
    VEC_MASK(~(d.lane[i] | (0 - d.lane[i])));
}
VEC_INLINE vec_mask vec_less(vec a, vec b)
{
    // The borrow of a - b, as Hacker's Delight section 2-12 has it.
    VEC_MASK((~a.lane[i] & b.lane[i]) | ((~a.lane[i] | b.lane[i]) & (a.lane[i] - b.lane[i])));
}
// vec_lanes spreads a mask: all ones where its bit is set.
VEC_INLINE vec vec_lanes(vec_mask m) { VEC_OF(0 - (uint64_t)((unsigned)m >> i & 1)); }
VEC_INLINE vec vec_select(vec_mask m, vec yes, vec no)
{
    return vec_xor(no, vec_and(vec_lanes(m), vec_xor(yes, no)));
}
// No address depends on an index: every word is read, as the instruction has them all at hand.
VEC_INLINE vec vec_lookup16(vec_mask m, vec index, vec low, vec high)
{
    vec out = vec_zero();
    for (uint64_t j = 0; j < 16; j++) {
        vec word = vec_set1(j < 8 ? low.lane[j] : high.lane[j - 8]);
        vec_mask here = vec_eq(vec_and(index, vec_set1(15)), vec_set1(j));
        out = vec_or(out, vec_and(vec_lanes(here), word));
    }
    return vec_and(vec_lanes(m), out);
}
VEC_INLINE vec vec_swap(vec a, unsigned distance) { VEC_OF(a.lane[(unsigned)i ^ distance]); }
VEC_INLINE vec vec_xor3(vec a, vec b, vec c) { return vec_xor(vec_xor(a, b), c); }
VEC_INLINE vec vec_or3(vec a, vec b, vec c) { return vec_or(vec_or(a, b), c); }
VEC_INLINE vec vec_choose(vec a, vec b, vec c) { return vec_xor(c, vec_and(a, vec_xor(b, c))); }
VEC_INLINE vec vec_majority(vec a, vec b, vec c)
{
    return vec_or(vec_and(a, b), vec_and(c, vec_or(a, b)));
}
VEC_INLINE void vec_wipe(void) {}
