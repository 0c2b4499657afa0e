// vec: eight 64-bit lanes and the few operations on them of which the P-256 kernels are made. In
// sources built for AVX-512 IFMA each is one instruction; everywhere else, and wherever
// P256_VEC_EMULATED is defined, vec_emulated.h says the same in portable C. So one kernel source
// serves the product, and the tests that no tool runs on AVX-512 code (memcheck, MSan, bounds).
// Private to proto/p256 and its tests. All of it takes the same time for all values.
#pragma once
#include <stdint.h>

// VEC_FOR runs i from `from` to below `to`, both constants, unrolled, so that limbs live in
// registers.
#if defined(__clang__)
#define VEC_FOR(i, from, to) _Pragma("clang loop unroll(full)") for (int i = from; i < (to); i++)
#else
#define VEC_FOR(i, from, to) _Pragma("GCC unroll 16") for (int i = from; i < (to); i++)
#endif

// VEC_FAR is a function that is not inlined, where code size counts more than the call.
#define VEC_FAR static __attribute__((noinline, unused))

#if defined(__AVX512IFMA__) && !defined(P256_VEC_EMULATED)
#include <immintrin.h>

#define VEC_NATIVE 1
#define VEC_INLINE static inline __attribute__((always_inline))

typedef __m512i vec;
typedef __mmask8 vec_mask; // bit i belongs to lane i

VEC_INLINE vec vec_zero(void) { return _mm512_setzero_si512(); }
VEC_INLINE vec vec_set1(uint64_t a) { return _mm512_set1_epi64((long long)a); }
// vec_load and vec_store: eight words, lane 0 first; no alignment is needed.
VEC_INLINE vec vec_load(const uint64_t *p) { return _mm512_loadu_si512(p); }
VEC_INLINE void vec_store(uint64_t *p, vec a) { _mm512_storeu_si512(p, a); }

VEC_INLINE vec vec_add(vec a, vec b) { return _mm512_add_epi64(a, b); }
VEC_INLINE vec vec_sub(vec a, vec b) { return _mm512_sub_epi64(a, b); }
VEC_INLINE vec vec_and(vec a, vec b) { return _mm512_and_si512(a, b); }
VEC_INLINE vec vec_or(vec a, vec b) { return _mm512_or_si512(a, b); }
VEC_INLINE vec vec_xor(vec a, vec b) { return _mm512_xor_si512(a, b); }
// vec_shl, vec_shr and vec_sar (arithmetic) shift all lanes by the same public number of bits, 0 to
// 63; vec_ror turns to the right.
VEC_INLINE vec vec_shl(vec a, unsigned n) { return _mm512_slli_epi64(a, n); }
VEC_INLINE vec vec_shr(vec a, unsigned n) { return _mm512_srli_epi64(a, n); }
VEC_INLINE vec vec_sar(vec a, unsigned n) { return _mm512_srai_epi64(a, n); }
VEC_INLINE vec vec_ror(vec a, unsigned n) { return _mm512_rorv_epi64(a, vec_set1(n)); }
// vec_madd_lo adds bits 0 to 51, vec_madd_hi bits 52 to 103, of the product a * b to `sum`. a and b
// are below 2^52: bits above do not count, and the emulation stops on them.
VEC_INLINE vec vec_madd_lo(vec sum, vec a, vec b) { return _mm512_madd52lo_epu64(sum, a, b); }
VEC_INLINE vec vec_madd_hi(vec sum, vec a, vec b) { return _mm512_madd52hi_epu64(sum, a, b); }

VEC_INLINE vec_mask vec_eq(vec a, vec b) { return _mm512_cmpeq_epi64_mask(a, b); }
VEC_INLINE vec_mask vec_less(vec a, vec b) { return _mm512_cmplt_epu64_mask(a, b); } // unsigned
VEC_INLINE vec_mask vec_negative(vec a) { return _mm512_movepi64_mask(a); }
// vec_select takes the lanes of `yes` where the mask's bit is set, of `no` elsewhere.
VEC_INLINE vec vec_select(vec_mask m, vec yes, vec no) { return _mm512_mask_mov_epi64(no, m, yes); }
// vec_lookup16 takes in each lane the word `index` (0 to 15) of the sixteen words low, high, and
// zero in lanes outside the mask.
VEC_INLINE vec vec_lookup16(vec_mask m, vec index, vec low, vec high)
{
    return _mm512_maskz_permutex2var_epi64(m, low, index, high);
}
// vec_swap exchanges lanes i and i XOR distance (1, 2 or 4).
VEC_INLINE vec vec_swap(vec a, unsigned distance)
{
    const vec lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_permutexvar_epi64(vec_xor(lane, vec_set1(distance)), a);
}
// vec_xor3, vec_or3, vec_choose (bits of b where a is set, of c elsewhere) and vec_majority.
VEC_INLINE vec vec_xor3(vec a, vec b, vec c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
VEC_INLINE vec vec_or3(vec a, vec b, vec c) { return _mm512_ternarylogic_epi64(a, b, c, 0xfe); }
VEC_INLINE vec vec_choose(vec a, vec b, vec c) { return _mm512_ternarylogic_epi64(a, b, c, 0xca); }
VEC_INLINE vec vec_majority(vec a, vec b, vec c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0xe8);
}
// vec_bound is a promise about a value, which the emulation checks in builds with DCHECK: every
// lane is below `bound`.
VEC_INLINE void vec_bound(vec a, uint64_t bound) { (void)a, (void)bound; }
// vec_wipe clears all 32 vector registers.
VEC_INLINE void vec_wipe(void)
{
    __asm__ volatile("vpxorq %%zmm16,%%zmm16,%%zmm16\n\tvpxorq %%zmm17,%%zmm17,%%zmm17\n\t"
                     "vpxorq %%zmm18,%%zmm18,%%zmm18\n\tvpxorq %%zmm19,%%zmm19,%%zmm19\n\t"
                     "vpxorq %%zmm20,%%zmm20,%%zmm20\n\tvpxorq %%zmm21,%%zmm21,%%zmm21\n\t"
                     "vpxorq %%zmm22,%%zmm22,%%zmm22\n\tvpxorq %%zmm23,%%zmm23,%%zmm23\n\t"
                     "vpxorq %%zmm24,%%zmm24,%%zmm24\n\tvpxorq %%zmm25,%%zmm25,%%zmm25\n\t"
                     "vpxorq %%zmm26,%%zmm26,%%zmm26\n\tvpxorq %%zmm27,%%zmm27,%%zmm27\n\t"
                     "vpxorq %%zmm28,%%zmm28,%%zmm28\n\tvpxorq %%zmm29,%%zmm29,%%zmm29\n\t"
                     "vpxorq %%zmm30,%%zmm30,%%zmm30\n\tvpxorq %%zmm31,%%zmm31,%%zmm31\n\t"
                     "vzeroall" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",
                           "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
                           "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}
#else
#include "proto/p256/vec_emulated.h"
#endif
