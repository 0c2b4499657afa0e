#include "proto/der/signature.h"

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "proto/der/der.h"
#include "proto/der/internal.h"
#include "proto/der/key.h"

// struct scheme: one algorithm, told apart by the whole content of its AlgorithmIdentifier.
struct scheme {
    struct slice content;
    int key_id; // EVP_PKEY_* of the key that it needs
    const EVP_MD *(*hash)(void);
};

#define OBJECT(n, oid) "\x06" n oid
#define NULL_PARAMETERS "\x05\x00"

static const struct scheme *scheme_of(struct slice algorithm)
{
    static const struct scheme schemes[] = {
        {SLICE_LIT(OBJECT("\x08", "\x2a\x86\x48\xce\x3d\x04\x03\x02")), EVP_PKEY_EC, EVP_sha256},
        {SLICE_LIT(OBJECT("\x08", "\x2a\x86\x48\xce\x3d\x04\x03\x03")), EVP_PKEY_EC, EVP_sha384},
        {SLICE_LIT(OBJECT("\x08", "\x2a\x86\x48\xce\x3d\x04\x03\x04")), EVP_PKEY_EC, EVP_sha512},
        {SLICE_LIT(OBJECT("\x09", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b") NULL_PARAMETERS),
         EVP_PKEY_RSA, EVP_sha256},
        {SLICE_LIT(OBJECT("\x09", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c") NULL_PARAMETERS),
         EVP_PKEY_RSA, EVP_sha384},
        {SLICE_LIT(OBJECT("\x09", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d") NULL_PARAMETERS),
         EVP_PKEY_RSA, EVP_sha512},
        {SLICE_LIT(OBJECT("\x03", "\x2b\x65\x70")), EVP_PKEY_ED25519, NULL},
    };
    CBS in = cbs_of_slice(algorithm), content;
    if (!CBS_get_asn1(&in, &content, CBS_ASN1_SEQUENCE) || CBS_len(&in) != 0) return NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (cbs_is(&content, schemes[i].content)) return &schemes[i];
    }
    return NULL;
}

bool signature_algorithm_known(struct slice algorithm) { return scheme_of(algorithm) != NULL; }

static bool verify_with(EVP_PKEY *key, const struct scheme *scheme, struct slice message,
                        struct slice signature)
{
    EVP_MD_CTX ctx;
    const EVP_MD *hash = scheme->hash == NULL ? NULL : scheme->hash();
    if (EVP_PKEY_id(key) != scheme->key_id) return false;
    EVP_MD_CTX_init(&ctx);
    bool ok = EVP_DigestVerifyInit(&ctx, NULL, hash, NULL, key) == 1 &&
              EVP_DigestVerify(&ctx, signature.p, signature.n, message.p, message.n) == 1;
    EVP_MD_CTX_cleanup(&ctx);
    return ok;
}

// take_scalar reads an INTEGER of 0 to 2^256 - 1 in its shortest form.
static bool take_scalar(uint8_t out[32], CBS *in)
{
    CBS integer;
    if (!CBS_get_asn1(in, &integer, CBS_ASN1_INTEGER) || !CBS_is_unsigned_asn1_integer(&integer))
        return false;
    const uint8_t *p = CBS_data(&integer);
    size_t n = CBS_len(&integer);
    if (p[0] == 0) p++, n--;
    if (n > 32) return false;
    memset(out, 0, 32 - n);
    if (n > 0) memcpy(out + 32 - n, p, n);
    return true;
}

bool signature_p256_take(struct signature_p256 *out, struct slice algorithm, struct slice spki,
                         struct slice message, struct slice signature)
{
    static const struct slice ecdsa_sha256 = SLICE_LIT(
        "\x30\x0a" OBJECT("\x08", "\x2a\x86\x48\xce\x3d\x04\x03\x02"));
    struct signature_p256 take;
    CBS in = cbs_of_slice(signature), pair;
    if (!slice_eq(algorithm, ecdsa_sha256) || !public_key_p256_point(take.point, spki) ||
        !CBS_get_asn1(&in, &pair, CBS_ASN1_SEQUENCE) || CBS_len(&in) != 0 ||
        !take_scalar(take.r, &pair) || !take_scalar(take.s, &pair) || CBS_len(&pair) != 0)
        return false;
    SHA256(message.p, message.n, take.digest);
    *out = take;
    return true;
}

bool signature_verify(struct slice algorithm, struct slice spki, struct slice message,
                      struct slice signature)
{
    const struct scheme *scheme = scheme_of(algorithm);
    EVP_PKEY *key = scheme == NULL ? NULL : public_key_load(spki);
    bool ok = key != NULL && verify_with(key, scheme, message, signature);
    EVP_PKEY_free(key);
    if (!ok) ERR_clear_error();
    return ok;
}
