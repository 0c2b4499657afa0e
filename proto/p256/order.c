#include "proto/p256/order.h"

typedef unsigned __int128 wide;

static const uint64_t N[4] = {0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff,
                              0xffffffff00000000};
static const uint64_t N_FACTOR = 0xccd1c8aaee00bc4f; // -1/n mod 2^64

const uint64_t p256_order_r2[4] = {0x83244c95be79eea2, 0x4699799c49bd6fa6, 0x2845b2392b6bec59,
                                   0x66e12d94f3d95620};
const uint64_t p256_order_2_516[4] = {0x7bea08c9fd4c0a3a, 0xfc2db9b2b149434a, 0x845b2392b6bec595,
                                      0x6e12d9553d9561fc};

void p256_order_load(uint64_t out[4], const uint8_t in[32])
{
    for (int i = 0; i < 4; i++) {
        uint64_t w = 0;
        for (int j = 0; j < 8; j++) w = w << 8 | in[8 * (3 - i) + j];
        out[i] = w;
    }
}

void p256_order_store(uint8_t out[32], const uint64_t in[4])
{
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 8; j++) out[8 * (3 - i) + j] = (uint8_t)(in[i] >> (56 - 8 * j));
}

// subtract_n is a - n; the result is the borrow, all ones or zeros.
static uint64_t subtract_n(uint64_t out[4], const uint64_t a[4])
{
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        wide d = (wide)a[i] - N[i] - borrow;
        out[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    return 0 - borrow;
}

// settle brings a + top * 2^256, below 2n, to below n.
static void settle(uint64_t a[4], uint64_t top)
{
    uint64_t d[4], keep = subtract_n(d, a) & (top - 1); // keep a: it borrows, and there is no top
    for (int i = 0; i < 4; i++) a[i] = d[i] ^ (keep & (d[i] ^ a[i]));
}

void p256_order_mul(uint64_t out[4], const uint64_t a[4], const uint64_t b[4])
{
    uint64_t t[5] = {0};
    for (int i = 0; i < 4; i++) {
        wide c = 0;
        for (int j = 0; j < 4; j++) {
            c += (wide)a[i] * b[j] + t[j];
            t[j] = (uint64_t)c;
            c >>= 64;
        }
        c += t[4];
        uint64_t low = (uint64_t)c, high = (uint64_t)(c >> 64), u = t[0] * N_FACTOR;
        c = (wide)u * N[0] + t[0];
        for (int j = 1; j < 4; j++) {
            c = (c >> 64) + (wide)u * N[j] + t[j];
            t[j - 1] = (uint64_t)c;
        }
        c = (c >> 64) + low;
        t[3] = (uint64_t)c;
        t[4] = high + (uint64_t)(c >> 64);
    }
    settle(t, t[4]);
    for (int i = 0; i < 4; i++) out[i] = t[i];
}

void p256_order_add(uint64_t out[4], const uint64_t a[4], const uint64_t b[4])
{
    wide c = 0;
    for (int i = 0; i < 4; i++) {
        c += (wide)a[i] + b[i];
        out[i] = (uint64_t)c;
        c >>= 64;
    }
    settle(out, (uint64_t)c);
}

void p256_order_reduce(uint64_t a[4]) { settle(a, 0); }

uint64_t p256_order_in_range(const uint64_t a[4])
{
    uint64_t d[4], any = a[0] | a[1] | a[2] | a[3];
    return subtract_n(d, a) & (0 - ((any | (0 - any)) >> 63));
}
