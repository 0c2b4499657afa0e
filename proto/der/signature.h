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
// signature_algorithm_known says whether signature_verify knows `algorithm`, whatever the key: for
// clearer messages.
bool signature_algorithm_known(struct slice algorithm);
