// signature: does a signature verify, with the algorithm named in DER as requests and certificates
// carry it? Pure; any thread.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

// signature_verify checks `signature` over `message` with the key in `spki`. `algorithm` is a whole
// AlgorithmIdentifier and must fit the key: ECDSA with SHA-256, -384 or -512 (parameters absent),
// RSA PKCS #1 v1.5 with the same hashes (parameters NULL), Ed25519 (parameters absent). Anything
// else, such as SHA-1, is false.
bool signature_verify(struct slice algorithm, struct slice spki, struct slice message,
                      struct slice signature);
// struct signature_p256 is a check of ECDSA on P-256 with SHA-256, taken apart for whoever makes
// many of them together (proto/p256/verify.h): X || Y of the key, the message's digest, r and s,
// all big-endian. Nothing in it is judged yet.
struct signature_p256 {
    uint8_t point[64], digest[32], r[32], s[32];
};
// signature_p256_take takes what signature_verify would check apart. False when it is not of that
// kind, or its signature is not the DER of RFC 3279 section 2.2.3 with r and s of at most 256 bits:
// then signature_verify gives the answer.
bool signature_p256_take(struct signature_p256 *out, struct slice algorithm, struct slice spki,
                         struct slice message, struct slice signature);
// signature_algorithm_known says whether signature_verify knows `algorithm`, whatever the key: for
// clearer messages.
bool signature_algorithm_known(struct slice algorithm);
