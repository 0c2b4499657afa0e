// base_table: multiples of P-256's generator G: for window w (0 to 31) and entry e (0 to 127) the
// point (2e + 1) * 256^w * G, affine, in Montgomery form (field.h), as eight words of 64 bits: x
// then y, the least word first. Every scalar that is odd and below 2^256 is the sum over w of an
// odd digit between -255 and 255 times 256^w, so of 32 of these points. Written by base_table.py
// when the project is built. Public and const.
#pragma once
#include <stdint.h>

enum { BASE_WINDOWS = 32, BASE_ENTRIES = 128, BASE_WORDS = 8 };

// p256_base_columns holds the same word of all entries together, for secret scalars: a whole window
// is read, and the choice made in registers.
extern const uint64_t p256_base_columns[BASE_WINDOWS][BASE_WORDS][BASE_ENTRIES];
