// sign: ECDSA signatures on P-256 over digests of 32 octets (FIPS 186-5 section 6.4.1), many under
// one key at once. The nonce is a function of the key, the digest, a salt and, where the caller
// adds them, 32 random octets (design.md section 4), so the same key, digest and salt give the same
// signature, on every kernel. Constant time: nothing but the number of items, the kernel and
// has_random shows in time or addresses. Pure; any thread, a scratch for each. The scalar kernel
// lets BoringSSL allocate; the vector kernel allocates nothing.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/p256/cpu.h"

enum {
    P256_SALT_LEN = 16,
    P256_SIGN_CHUNK = 128,               // items that the vector kernel takes at a time
    P256_SIGN_SCRATCH_SIZE = 216 * 1024, // octets
    P256_SIGN_STACK = 32 * 1024          // octets of stack at most, in release builds
};

// struct p256_signing_key: all of it is secret. p256_signing_key_fini wipes it.
struct p256_signing_key {
    uint8_t nonce_key[32];
    uint64_t d_lanes[4], d_scalar[4]; // d in the Montgomery forms of the two kernels
};

// p256_signing_key_init prepares the private key d (big-endian). ERR_CRYPTO when it is not in
// [1, n-1]. Not inlined, so that tests/ctime finds its machine code.
__attribute__((noinline)) RESULT p256_signing_key_init(struct p256_signing_key *out,
                                                       const uint8_t d[32]);
void p256_signing_key_fini(struct p256_signing_key *key);

// struct p256_sign_scratch is what the vector kernel works in. It holds secrets during a call and
// zeros after it.
struct p256_sign_scratch {
    uint8_t bytes[P256_SIGN_SCRATCH_SIZE];
} __attribute__((aligned(64)));

struct p256_sign_item {
    uint8_t digest[32];
    uint8_t salt[P256_SALT_LEN];
    bool has_random; // public
    uint8_t random[32];
    uint8_t signature[64]; // out: r || s, big-endian
    struct err err;        // out: OK; ERR_CRYPTO when BoringSSL has no memory, or (with a
                           // probability of 2^-255) the nonce is not usable: repeat with random
};

// p256_sign signs `count` items, any number. Without scratch (NULL) the scalar kernel is used.
void p256_sign(const struct p256_signing_key *key, struct p256_sign_item *items, size_t count,
               struct p256_sign_scratch *scratch, enum p256_kernel kernel);
