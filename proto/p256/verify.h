// verify: ECDSA signatures on P-256 over digests of 32 octets (FIPS 186-5 section 6.4.2), many at
// once: under keys with a table made before, and under keys never seen. The signer checks its own
// signatures with it before it lets them go, the front end those of its clients. The kernels give
// the same answers; whatever the vector kernel cannot decide (a sum that meets an exceptional case,
// r so small that r + n is below p too) is decided by BoringSSL. Everything here is public: it
// takes a time that depends on the values. Pure; any thread; uses at most P256_VERIFY_STACK of
// stack.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/p256/cpu.h"

enum {
    P256_LEN = 32,       // octets of a coordinate, a scalar, a digest
    P256_POINT_LEN = 64, // octets of X || Y
    P256_TABLE_ROWS = 128,
    P256_VERIFY_STACK = 192 * 1024 // octets of stack at most, in release builds
};

// struct p256_table: 128 sums of multiples of one public key, 8 KiB, by which a check under that
// key takes a third of the time. It belongs to the kernel that made it; its content is private to
// verify.c. Made by p256_tables_build; const from then on, so any core may read it.
struct p256_table {
    uint64_t rows[P256_TABLE_ROWS][8]; // x and y, each in four limbs, of one sum
} __attribute__((aligned(64)));

// p256_tables_build makes the tables of `count` public keys for `kernel`, eight at a time: fewer
// cost as much as eight. `points` holds X || Y of each, big-endian, one behind the other. out_ok[i]
// is false, and tables[i] unusable, where the i-th is not a point of the curve.
void p256_tables_build(struct p256_table *tables, bool *out_ok, const uint8_t *points, size_t count,
                       enum p256_kernel kernel);

// struct p256_verify_item: one signature to check. All numbers are big-endian.
struct p256_verify_item {
    const struct p256_table *table;   // of `point`, for the same kernel; NULL: none
    uint8_t point[P256_POINT_LEN];    // X || Y of the public key
    uint8_t digest[P256_LEN];         // of the message
    uint8_t r[P256_LEN], s[P256_LEN]; // the signature
    bool ok;                          // out: it is valid
};

// p256_verify sets `ok` of each of `count` items: true where r and s are in [1, n-1], the point is
// on the curve and the signature is the key's over the digest. Items are independent: a bad one
// changes nothing for the others. Any count; whoever has 64 or more at hand pays least for each.
void p256_verify(struct p256_verify_item *items, size_t count, enum p256_kernel kernel);

// p256_verify_boringssl is the same for one item by BoringSSL alone, on any processor: what the
// kernels are measured against.
bool p256_verify_boringssl(const struct p256_verify_item *item);
