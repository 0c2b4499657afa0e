// utf8: reading of UTF-8 (RFC 3629), strictly: shortest form, no surrogates, at most U+10FFFF.
// Pure; any thread.
#pragma once
#include "proto/base/slice.h"

// utf8_next reads the first character of `s` into *out_char and returns its length, 1 to 4. Returns
// 0 when `s` is empty or does not begin with a whole valid character.
static inline size_t utf8_next(uint32_t *out_char, struct slice s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s.n == 0) return 0;
    uint8_t first = s.p[0];
    size_t n = first < 0x80                    ? 1
               : first >= 0xc2 && first < 0xe0 ? 2
               : first >= 0xe0 && first < 0xf0 ? 3
               : first >= 0xf0 && first < 0xf5 ? 4
                                               : 0;
    if (n == 0 || n > s.n) return 0;
    uint32_t c = n == 1 ? first : first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s.p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s.p[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
    *out_char = c;
    return n;
}

// utf8_valid says whether all of `s` is UTF-8.
static inline bool utf8_valid(struct slice s)
{
    while (s.n > 0) {
        uint32_t c;
        size_t n = utf8_next(&c, s);
        if (n == 0) return false;
        s = slice_sub(s, n, s.n);
    }
    return true;
}
