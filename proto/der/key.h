// key: what kind of public key a SubjectPublicKeyInfo holds. Pure; any thread.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

enum key_type { KEY_NONE, KEY_P256, KEY_P384, KEY_P521, KEY_RSA, KEY_ED25519 };

struct public_key_kind {
    enum key_type type;
    unsigned bits; // RSA modulus bits; for curves the field size
};

// public_key_kind_of parses a whole SubjectPublicKeyInfo strictly: known algorithm, named curve, uncompressed point on the
// curve, RSA exponent odd and 3 <= e < 2^33 (policy narrows more), modulus at most 8192 bits. ERR_BAD_CSR_KEY.
RESULT public_key_kind_of(struct public_key_kind *out, struct slice spki);
// public_key_kind_text is "P-256", "RSA 2048" ..., in a static buffer per kind; never NULL.
const char *public_key_kind_text(struct public_key_kind kind);
