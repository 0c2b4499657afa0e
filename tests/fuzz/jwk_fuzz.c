// jwk_parse, jwk_write and jwk_from_spki on any bytes, read as JSON and as SubjectPublicKeyInfo.
// Oracle: what is accepted is a key for BoringSSL, which writes the same SubjectPublicKeyInfo; its
// canonical text is read as the same key, and its hash is the thumbprint. Nothing with a private
// part is accepted.
#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#include "proto/err.h"
#include "proto/jose/jwk.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_MAX = 1 << 20, TEXT_MAX = 1024 };

static bool same(const struct jwk *a, const struct jwk *b)
{
    return a->kind.type == b->kind.type && a->kind.bits == b->kind.bits &&
           memcmp(a->thumbprint, b->thumbprint, JWK_THUMBPRINT_LEN) == 0 &&
           slice_eq(slice_of(a->spki, a->spki_len), slice_of(b->spki, b->spki_len));
}

static void library_check(const struct jwk *k)
{
    CBS in;
    CBB out;
    uint8_t *der;
    size_t n;
    CBS_init(&in, k->spki, k->spki_len);
    EVP_PKEY *key = EVP_parse_public_key(&in);
    CHECK(key != NULL && CBS_len(&in) == 0 && CBB_init(&out, 256));
    CHECK(EVP_marshal_public_key(&out, key) && CBB_finish(&out, &der, &n));
    CHECK(slice_eq(slice_of(der, n), slice_of(k->spki, k->spki_len)));
    if (k->kind.type == KEY_RSA) CHECK(EVP_PKEY_bits(key) == (int)k->kind.bits);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

static void key_check(const struct jwk *k)
{
    struct arena a;
    struct buf text;
    struct json j;
    struct jwk again;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    arena_init(&a, ARENA_MAX);
    buf_init(&text, TEXT_MAX);
    CHECK(public_key_size_allowed(k->kind));
    library_check(k);
    CHECK(!failed(jwk_write(&text, k)));
    SHA256(buf_slice(&text).p, buf_len(&text), hash);
    CHECK(memcmp(hash, k->thumbprint, sizeof hash) == 0);
    CHECK(!failed(json_parse(&j, &a, buf_slice(&text))));
    CHECK(!failed(jwk_parse(&again, j)) && same(&again, k));
    CHECK(!failed(jwk_from_spki(&again, slice_of(k->spki, k->spki_len))) && same(&again, k));
    buf_fini(&text);
    arena_fini(&a);
}

static void json_check(struct slice text)
{
    static const char *const secrets[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    struct arena a;
    struct json j;
    struct jwk k;
    arena_init(&a, ARENA_MAX);
    struct err err = json_parse(&j, &a, text);
    if (!failed(err)) {
        err = jwk_parse(&k, j);
        CHECK(!failed(err) || err_is(err, ERR_BAD_JWK));
    }
    if (!failed(err)) {
        for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
            CHECK(!json_present(json_get(j, secrets[i])));
        key_check(&k);
    }
    arena_fini(&a);
}

static void spki_check(struct slice der)
{
    struct jwk k;
    struct public_key_kind kind;
    struct err err = jwk_from_spki(&k, der);
    if (failed(err)) {
        CHECK(err_is(err, ERR_BAD_JWK));
        return;
    }
    CHECK(!failed(public_key_kind_of(&kind, der)) && kind.type == k.kind.type);
    CHECK(slice_eq(der, slice_of(k.spki, k.spki_len)));
    key_check(&k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_check(slice_of(data, size));
    spki_check(slice_of(data, size));
    return 0;
}
