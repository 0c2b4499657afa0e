// base_comb: the generator's comb by which signatures are verified (comb.h): 4096 rows, 256 KiB, of
// which a check reads 20. Row e is the sum over t below 12 of s_t 2^(20t) G, s_t 1 where bit t of e
// is set and -1 elsewhere, and of 2^240 G: affine, in Montgomery form below p (field.h), as eight
// words of 64 bits, x then y, the least word first. Written by base_comb.py when the project is
// built. Public and const.
#pragma once
#include <stdint.h>

enum {
    BASE_TEETH = 13,
    BASE_SPACING = 20, // bits between teeth; as many columns
    BASE_BITS = BASE_TEETH * BASE_SPACING,
    BASE_ROWS = 1 << (BASE_TEETH - 1)
};

extern const uint64_t p256_base_comb[BASE_ROWS][8];
