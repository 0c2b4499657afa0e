// internal: what the files of proto/p256 share among themselves, and with their tests.
#pragma once
#include "proto/p256/sign.h"

// P256_PUBLIC says of a value that was computed from secrets that it is public from here on. The
// tests for constant time define it (valgrind, MSan); elsewhere it is nothing.
#ifndef P256_PUBLIC
#define P256_PUBLIC(p, n) ((void)(p), (void)(n))
#endif

enum {
    P256_NONCE_KEY_DOMAIN = 0, // SHA-512(0, d): its first 32 octets are the nonce key
    P256_NONCE_DOMAIN = 1,     // SHA-512(1, nonce key, digest, salt, random): the nonce
    P256_NONCE_MESSAGE_MAX = 1 + 32 + 32 + P256_SALT_LEN + 32
};

// p256_nonce_message writes what is hashed to an item's nonce and returns its octets.
size_t p256_nonce_message(uint8_t out[P256_NONCE_MESSAGE_MAX], const struct p256_signing_key *key,
                          const struct p256_sign_item *item);

// p256_sign_with_nonces is p256_sign with the nonces given (32 octets each, big-endian), for tests
// with known answers; NULL derives them. An item whose nonce is not in [1, n-1] gets ERR_CRYPTO.
void p256_sign_with_nonces(const struct p256_signing_key *key, struct p256_sign_item *items,
                           const uint8_t (*nonces)[32], size_t count,
                           struct p256_sign_scratch *scratch, enum p256_kernel kernel);

// p256_sign_scalar signs one item; `nonce` as above. Never inlined: tests/ctime reads its machine
// code, and tells its calls of BoringSSL from others.
__attribute__((noinline)) void p256_sign_scalar(const struct p256_signing_key *key,
                                                struct p256_sign_item *item, const uint8_t *nonce);

// p256_sign_lanes signs up to P256_SIGN_CHUNK items eight at a time. false, and nothing of use in
// the items, when a sum of points met an exceptional case (probability below 2^-240): sign them by
// the scalar kernel. The scratch is wiped, the stack is not.
bool p256_sign_lanes(const struct p256_signing_key *key, struct p256_sign_item *items,
                     const uint8_t (*nonces)[32], size_t count, struct p256_sign_scratch *scratch);
