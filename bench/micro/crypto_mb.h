// crypto_mb: Intel's multi-buffer library, loaded at run time where scripts/setup --group bench has
// unpacked it (or the host has it), to be measured beside our kernel. Nothing of certmill links it.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { CRYPTO_MB_LANES = 8 };

// struct crypto_mb: the two functions, on eight lanes. Messages and signatures are big-endian
// octets, keys and coordinates four 64-bit words, lowest first. Zero is success in all lanes.
struct crypto_mb {
    uint32_t (*sign)(uint8_t *r[8], uint8_t *s[8], const uint8_t *const message[8],
                     const uint64_t *const nonce[8], const uint64_t *const key[8], uint8_t *buffer);
    uint32_t (*verify)(const uint8_t *const r[8], const uint8_t *const s[8],
                       const uint8_t *const message[8], const uint64_t *const x[8],
                       const uint64_t *const y[8], const uint64_t *const z[8], uint8_t *buffer);
    char name[64]; // the file's name, which carries the version
};

// crypto_mb_load finds the library below the folder `deps` (NULL: only the host's) and its
// functions. False when there is none, or the processor lacks what it needs.
bool crypto_mb_load(struct crypto_mb *out, const char *deps);
