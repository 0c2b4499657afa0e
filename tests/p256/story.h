// story: what the long tests of P-256 share: numbers that a seed decides, keys, and BoringSSL's
// opinion. One thread.
#pragma once
#include <openssl/ec_key.h>

#include "proto/p256/sign.h"
#include "proto/p256/verify.h"

// story_count: how many operations the run is for: `--count N`, or `ordinary`.
unsigned long story_count(int argc, char **argv, unsigned long ordinary);
// story_random is a sequence that `*state` (the seed at first) decides; story_octets fills from it.
uint64_t story_random(uint64_t *state);
void story_octets(uint64_t *state, void *out, size_t n);
// story_key makes a private key from the sequence, and its public key as X || Y.
void story_key(uint64_t *state, uint8_t d[P256_LEN], uint8_t point[P256_POINT_LEN]);
// story_kernels: the kernels that this processor runs, the scalar one first; returns how many.
int story_kernels(enum p256_kernel out[2]);
