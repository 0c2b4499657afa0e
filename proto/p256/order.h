// order: integers modulo the group's order n, one at a time, as four words of 64 bits, the least
// first: what the scalar kernel computes with. scalar.h does the same for eight. Constant time.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// p256_order_r2 is 2^512 mod n and p256_order_2_516 is 2^516 mod n: p256_order_mul by them turns x
// into x * 2^256 and x * 2^260.
extern const uint64_t p256_order_r2[4], p256_order_2_516[4];

// p256_order_load and p256_order_store: 32 octets, big-endian. Nothing is reduced.
void p256_order_load(uint64_t out[4], const uint8_t in[32]);
void p256_order_store(uint8_t out[32], const uint64_t in[4]);
// p256_order_mul is a * b / 2^256 mod n, below n, for any a and for b below n. `out` may be a or b.
void p256_order_mul(uint64_t out[4], const uint64_t a[4], const uint64_t b[4]);
// p256_order_add is a + b mod n, below n, for a and b below n.
void p256_order_add(uint64_t out[4], const uint64_t a[4], const uint64_t b[4]);
// p256_order_reduce is a mod n for any a.
void p256_order_reduce(uint64_t a[4]);
// p256_order_in_range is whether a is in [1, n-1], as a word of all ones or zeros. What it says is
// public wherever it is asked; not inlined, so that tests/ctime knows it by its name.
__attribute__((noinline)) uint64_t p256_order_in_range(const uint64_t a[4]);
