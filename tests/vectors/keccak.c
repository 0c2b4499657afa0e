#include "tests/vectors/keccak.h"

#include <string.h>

static uint64_t rotate(uint64_t a, unsigned n) { return n == 0 ? a : a << n | a >> (64 - n); }

// round_bit is the next bit of the round constants' shift register (FIPS 202 section 3.2.5).
static unsigned round_bit(unsigned *lfsr)
{
    unsigned bit = *lfsr & 1;
    *lfsr = *lfsr << 1 ^ (*lfsr >> 7 != 0 ? 0x171 : 0);
    return bit;
}

// permute is Keccak-f[1600]; lane (x, y) is a[x + 5 y].
static void permute(uint64_t a[25])
{
    unsigned lfsr = 1;
    for (int round = 0; round < 24; round++) {
        uint64_t c[5], row[5];
        for (int x = 0; x < 5; x++) c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
        for (int i = 0; i < 25; i++) a[i] ^= c[(i + 4) % 5] ^ rotate(c[(i + 1) % 5], 1);
        // rho and pi: one lane's place after the other
        uint64_t moving = a[1];
        for (unsigned t = 0, x = 1, y = 0; t < 24; t++) {
            unsigned next = (2 * x + 3 * y) % 5;
            x = y;
            y = next;
            uint64_t kept = a[x + 5 * y];
            a[x + 5 * y] = rotate(moving, (t + 1) * (t + 2) / 2 % 64);
            moving = kept;
        }
        for (int y = 0; y < 25; y += 5) {
            memcpy(row, a + y, sizeof row);
            for (int x = 0; x < 5; x++) a[y + x] ^= ~row[(x + 1) % 5] & row[(x + 2) % 5];
        }
        for (unsigned j = 0; j < 7; j++) a[0] ^= (uint64_t)round_bit(&lfsr) << ((1u << j) - 1);
    }
}

static void mix(uint64_t a[25], size_t at, uint8_t octet)
{
    a[at / 8] ^= (uint64_t)octet << at % 8 * 8;
}

void keccak(uint8_t *out, size_t out_n, const uint8_t *in, size_t n, size_t rate, uint8_t suffix)
{
    uint64_t a[25] = {0};
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        mix(a, at++, in[i]);
        if (at < rate) continue;
        permute(a);
        at = 0;
    }
    mix(a, at, suffix);
    mix(a, rate - 1, 0x80);
    permute(a);
    for (size_t i = 0; i < out_n; i++) out[i] = (uint8_t)(a[i / 8] >> i % 8 * 8);
}
