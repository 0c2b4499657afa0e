// jwk: public account keys as RFC 7517 JSON, their SubjectPublicKeyInfo and their RFC 7638
// thumbprint. Pure; any thread.
#pragma once
#include "proto/base/buf.h"
#include "proto/der/key.h"
#include "proto/text/json.h"

enum { JWK_THUMBPRINT_LEN = 32, JWK_SPKI_MAX = 1100 };

// struct jwk holds the key by value: it can be copied and cached. The SPKI is the one stored form
// of the key.
struct jwk {
    struct public_key_kind kind;
    uint8_t thumbprint[JWK_THUMBPRINT_LEN]; // SHA-256, RFC 7638
    uint16_t spki_len;
    uint8_t spki[JWK_SPKI_MAX]; // DER SubjectPublicKeyInfo
};

// jwk_parse takes EC P-256, P-384, P-521; RSA 2048 to 4096 bits with e of at most 33 bits; OKP
// Ed25519. A private member
// ("d") is refused. Unknown members are ignored. ERR_BAD_JWK.
RESULT jwk_parse(struct jwk *out, struct json j);
// jwk_from_spki is the reverse of the stored form. ERR_BAD_JWK.
RESULT jwk_from_spki(struct jwk *out, struct slice spki);
// jwk_write appends the canonical RFC 7638 JSON of the key (required members in lexical order).
// ERR_NO_SPACE.
RESULT jwk_write(struct buf *out, const struct jwk *jwk);
