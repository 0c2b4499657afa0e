// key: what kind of public key a SubjectPublicKeyInfo holds. Pure; any thread.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

struct evp_pkey_st; // BoringSSL's EVP_PKEY

enum key_type { KEY_NONE, KEY_P256, KEY_P384, KEY_P521, KEY_RSA, KEY_ED25519 };

// Sizes of RSA keys in bits: what requests and accounts may use, and what is still parsed so that a
// message can name it.
enum {
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 4096,
    RSA_BITS_PARSED_MAX = 8192,
    RSA_EXPONENT_BITS_MAX = 33
};

struct public_key_kind {
    enum key_type type;
    unsigned bits; // RSA modulus bits; for curves the field size
};

// public_key_kind_of parses a whole SubjectPublicKeyInfo strictly: known algorithm, named curve,
// uncompressed point on the curve, RSA exponent odd and 3 <= e < 2^33 (policy narrows more),
// modulus at most 8192 bits. ERR_BAD_CSR_KEY.
RESULT public_key_kind_of(struct public_key_kind *out, struct slice spki);
// public_key_size_allowed says whether a key of this kind may be certified or own an account at
// all: any known curve, RSA of RSA_BITS_MIN to RSA_BITS_MAX in whole octets. Policy narrows more.
bool public_key_size_allowed(struct public_key_kind kind);
// public_key_p256_point copies X || Y out of the one form that a P-256 key's SubjectPublicKeyInfo
// has here (named curve, uncompressed). False when it is another key; whether the point is on the
// curve is not asked.
enum { P256_POINT_OCTETS = 64 };
bool public_key_p256_point(uint8_t out[P256_POINT_OCTETS], struct slice spki);
// public_key_kind_text is "P-256", "RSA 2048" ..., a constant text; never NULL.
const char *public_key_kind_text(struct public_key_kind kind);
// public_key_load makes the library's object of a SubjectPublicKeyInfo: release it with
// EVP_PKEY_free. NULL when it cannot be used. Callers that need our strictness ask
// public_key_kind_of first.
struct evp_pkey_st *public_key_load(struct slice spki);
