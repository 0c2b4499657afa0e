// p256_cases: ECDSA P-256 signatures for tests, good ones and ones built around an edge, by plain
// BIGNUM arithmetic and without the code that they test. A refusal by the library stops the test.
#pragma once
#include "proto/p256/verify.h"

// struct p256_case: one item and what must be said of it.
struct p256_case {
    struct p256_verify_item item; // without a table
    bool valid;
    char what[96];
};

enum { P256_CASES_MAX = 1024 };

// p256_key_point writes the public key of the private key `d` (big-endian, in [1, n-1]).
void p256_key_point(uint8_t out[P256_POINT_LEN], const uint8_t d[P256_LEN]);
// p256_sign_with makes a signature over `digest` with the private key `d` and the nonce `k`, all
// big-endian, as FIPS 186-5 section 6.4.1 says. False when r or s is zero.
bool p256_sign_with(struct p256_verify_item *out, const uint8_t d[P256_LEN],
                    const uint8_t digest[P256_LEN], const uint8_t k[P256_LEN]);
// p256_signed_fill fills `count` items with good signatures over random digests, under keys that
// take turns: `keys` different ones.
void p256_signed_fill(struct p256_verify_item *items, size_t count, size_t keys);
// p256_cases_make fills `out` with every edge: keys, nonces and digests around 0 and n, sums that
// meet doubling, cancellation and infinity, R.x at and above n, r and s out of range, points off
// the curve. Returns how many.
size_t p256_cases_make(struct p256_case out[P256_CASES_MAX]);
// p256_spoil changes the item so that it cannot be valid any more, in the `way`-th of
// P256_SPOIL_WAYS ways.
enum { P256_SPOIL_WAYS = 6 };
void p256_spoil(struct p256_verify_item *item, unsigned way);
