#include "signer/engine.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "proto/der/crl.h"
#include "proto/der/key.h"
#include "proto/der/signature.h"
#include "proto/err.h"
#include "proto/p256/sign.h"
#include "proto/p256/verify.h"
#include "signer/err.h"
#include "signer/tbs.h"
#include "signer/vault.h"

enum { SIGNATURE_MAX = 1024, SIGNATURE_P256_MAX = 72, CHUNK = P256_SIGN_CHUNK };

_Static_assert((int)P256_SALT_LEN == (int)SALT_LEN, "the intent's salt is the nonce's");

struct engine {
    struct p256_sign_scratch scratch;
    struct p256_table table; // of the public key, for the check
    struct p256_signing_key key;
    struct p256_sign_item sign[CHUNK];
    struct p256_verify_item verify[CHUNK];
    size_t index[CHUNK]; // which item is verify[i]
    uint8_t point[P256_POINT_LEN];
    enum p256_kernel kernel;
    uint32_t checks; // counts what was verified
    void *block;     // what the vault gave: this struct lies in it at a multiple of 64
};

// ---- the key

static bool key_take(struct engine *e, EVP_PKEY *key)
{
    uint8_t d[32];
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);
    const BIGNUM *number = ec != NULL ? EC_KEY_get0_private_key(ec) : NULL;
    bool ok = number != NULL && BN_bn2bin_padded(d, sizeof d, number) == 1 &&
              !failed(p256_signing_key_init(&e->key, d));
    OPENSSL_cleanse(d, sizeof d);
    return ok;
}

struct err engine_open(struct engine **out, EVP_PKEY *key, struct slice spki,
                       enum p256_kernel kernel)
{
    uint8_t point[P256_POINT_LEN];
    bool ok;
    *out = NULL;
    if (!public_key_p256_point(point, spki)) return OK;
    uint8_t *block = vault_alloc(sizeof(struct engine) + 63);
    if (block == NULL) return ERR(KEY);
    struct engine *e = (struct engine *)(void *)(block + (-(uintptr_t)block & 63));
    e->block = block;
    e->kernel = kernel;
    memcpy(e->point, point, sizeof point);
    p256_tables_build(&e->table, &ok, point, 1, kernel);
    if (ok && key_take(e, key)) {
        *out = e;
        return OK;
    }
    engine_close(e);
    return ERR(KEY);
}

void engine_close(struct engine *e)
{
    if (e == NULL) return;
    p256_signing_key_fini(&e->key);
    vault_free(e->block); // which wipes all of it
}

// ---- signing

static struct err certificate_make(const struct issuer *issuer, struct engine_item *item,
                                   uint8_t *signature, size_t n,
                                   void (*fault)(uint8_t *signature, size_t n))
{
    struct buf der;
    if (fault != NULL) fault(signature, n);
    buf_init(&der, TBS_MAX + SIGNATURE_MAX);
    struct err e = certificate_build(&der, item->tbs, issuer->algorithm, slice_of(signature, n));
    if (!failed(e)) e = arena_dup(&item->certificate, item->arena, buf_slice(&der));
    buf_fini(&der);
    return e;
}

// library_sign signs by BoringSSL, whose nonces are its own.
static bool library_sign(const struct issuer *issuer, uint8_t *signature, size_t *n,
                         struct slice tbs)
{
    EVP_MD_CTX ctx;
    const EVP_MD *md = EVP_PKEY_id(issuer->key) == EVP_PKEY_EC && EVP_PKEY_bits(issuer->key) == 384
                           ? EVP_sha384()
                           : EVP_sha256();
    vault_enter(); // what is left of a key's use is wiped there
    EVP_MD_CTX_init(&ctx);
    bool ok = EVP_DigestSignInit(&ctx, NULL, md, NULL, issuer->key) == 1 &&
              EVP_DigestSign(&ctx, signature, n, tbs.p, tbs.n) == 1;
    EVP_MD_CTX_cleanup(&ctx);
    vault_leave();
    ERR_clear_error();
    return ok;
}

static struct err sign_one(const struct issuer *issuer, struct engine_item *item,
                           void (*fault)(uint8_t *signature, size_t n))
{
    uint8_t signature[SIGNATURE_MAX];
    size_t n = sizeof signature;
    bool ok = library_sign(issuer, signature, &n, item->tbs);
    return ok ? certificate_make(issuer, item, signature, n, fault) : ERR(CRYPTO);
}

// integer_put writes an INTEGER of 32 big-endian octets in its shortest form, and returns its end.
static uint8_t *integer_put(uint8_t *p, const uint8_t number[P256_LEN])
{
    size_t from = 0;
    while (from < P256_LEN - 1 && number[from] == 0) from++;
    size_t sign = number[from] >> 7, n = P256_LEN - from;
    *p++ = 0x02;
    *p++ = (uint8_t)(sign + n);
    if (sign != 0) *p++ = 0;
    memcpy(p, number + from, n);
    return p + n;
}

// signature_der makes ECDSA-Sig-Value (RFC 3279 section 2.2.3) of r || s and returns its octets.
static size_t signature_der(uint8_t out[SIGNATURE_P256_MAX], const uint8_t signature[2 * P256_LEN])
{
    uint8_t *end = integer_put(integer_put(out + 2, signature), signature + P256_LEN);
    out[0] = 0x30;
    out[1] = (uint8_t)(end - out - 2);
    return (size_t)(end - out);
}

static void chunk_sign(const struct issuer *issuer, struct engine_item *items, size_t count,
                       void (*fault)(uint8_t *signature, size_t n))
{
    struct engine *e = issuer->engine;
    uint8_t der[SIGNATURE_P256_MAX];
    for (size_t i = 0; i < count; i++) {
        e->sign[i].has_random = false;
        memcpy(e->sign[i].salt, items[i].salt, SALT_LEN);
        SHA256(items[i].tbs.p, items[i].tbs.n, e->sign[i].digest);
    }
    vault_enter(); // the scalar kernel lets BoringSSL allocate
    p256_sign(&e->key, e->sign, count, &e->scratch, e->kernel);
    vault_leave();
    for (size_t i = 0; i < count; i++) {
        items[i].err = e->sign[i].err;
        if (failed(items[i].err)) continue;
        size_t n = signature_der(der, e->sign[i].signature);
        items[i].err = certificate_make(issuer, &items[i], der, n, fault);
    }
}

// ---- the check before release

static struct err verify_one(const struct issuer *issuer, const struct engine_item *item,
                             struct arena *scratch)
{
    struct cert c;
    const char *note;
    arena_reset(scratch);
    TRY(cert_parse(&c, &note, scratch, item->certificate));
    return failed(cert_verify_signed_by(&c, issuer->cert.spki)) ? ERR(SIGNATURE_FAULT) : OK;
}

// verify_take reads a certificate for the batch verifier: what is checked is what would leave,
// under the key of the issuer's certificate. False when it cannot be one of ours.
static bool verify_take(struct p256_verify_item *out, const struct issuer *issuer,
                        const struct engine_item *item, struct arena *scratch)
{
    struct cert c;
    const char *note;
    struct signature_p256 s;
    arena_reset(scratch);
    if (failed(cert_parse(&c, &note, scratch, item->certificate)) ||
        !signature_p256_take(&s, c.algorithm, issuer->cert.spki, c.tbs, c.signature))
        return false;
    out->table = &issuer->engine->table;
    memcpy(out->point, issuer->engine->point, sizeof out->point);
    memcpy(out->digest, s.digest, sizeof out->digest);
    memcpy(out->r, s.r, sizeof out->r);
    memcpy(out->s, s.s, sizeof out->s);
    return true;
}

static void chunk_verify(const struct issuer *issuer, struct engine_item *items, size_t count,
                         struct arena *scratch)
{
    struct engine *e = issuer->engine;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (failed(items[i].err)) continue;
        if (verify_take(&e->verify[n], issuer, &items[i], scratch))
            e->index[n++] = i;
        else
            items[i].err = verify_one(issuer, &items[i], scratch); // says what is wrong
    }
    p256_verify(e->verify, n, e->kernel);
    for (size_t k = 0; k < n; k++) {
        bool sample = e->checks++ % ENGINE_SAMPLE == 0;
        if (e->verify[k].ok && !sample) continue;
        struct engine_item *item = &items[e->index[k]];
        item->err = verify_one(issuer, item, scratch);
    }
}

// each_sign is for keys that have no engine.
static void each_sign(const struct issuer *issuer, struct engine_item *items, size_t count,
                      void (*fault)(uint8_t *signature, size_t n), struct arena *scratch)
{
    for (size_t i = 0; i < count; i++) {
        items[i].err = sign_one(issuer, &items[i], fault);
        if (!failed(items[i].err)) items[i].err = verify_one(issuer, &items[i], scratch);
    }
}

void engine_run(const struct issuer *issuer, struct engine_item *items, size_t count,
                void (*fault)(uint8_t *signature, size_t n))
{
    struct arena scratch;
    arena_init(&scratch, 2 * TBS_MAX);
    for (size_t from = 0; from < count; from += CHUNK) {
        size_t n = count - from < CHUNK ? count - from : CHUNK;
        if (issuer->engine != NULL) {
            chunk_sign(issuer, items + from, n, fault);
            chunk_verify(issuer, items + from, n, &scratch);
        } else
            each_sign(issuer, items + from, n, fault, &scratch);
    }
    for (size_t i = 0; i < count; i++)
        if (failed(items[i].err)) items[i].certificate = SLICE_NONE; // nothing wrong leaves
    arena_fini(&scratch);
}

// ---- CRLs

// crl_sign_p256: one signature, in the first place of the batch.
static bool crl_sign_p256(struct engine *e, uint8_t signature[SIGNATURE_P256_MAX], size_t *n,
                          struct slice tbs)
{
    struct p256_sign_item *item = &e->sign[0];
    item->has_random = true;
    RAND_bytes(item->random, sizeof item->random);
    memset(item->salt, 0, sizeof item->salt);
    SHA256(tbs.p, tbs.n, item->digest);
    vault_enter();
    p256_sign(&e->key, item, 1, &e->scratch, e->kernel);
    vault_leave();
    OPENSSL_cleanse(item->random, sizeof item->random);
    if (failed(item->err)) return false;
    *n = signature_der(signature, item->signature);
    return true;
}

struct err engine_sign_crl(struct buf *out, const struct issuer *issuer, struct slice tbs,
                           void (*fault)(uint8_t *signature, size_t n))
{
    uint8_t signature[SIGNATURE_MAX];
    size_t n = sizeof signature, before = buf_len(out);
    struct crl crl;
    const char *note;
    bool ok = issuer->engine != NULL ? crl_sign_p256(issuer->engine, signature, &n, tbs)
                                     : library_sign(issuer, signature, &n, tbs);
    if (!ok) return ERR(CRYPTO);
    if (fault != NULL) fault(signature, n);
    TRY(certificate_build(out, tbs, issuer->algorithm, slice_of(signature, n)));
    struct slice der = slice_sub(buf_slice(out), before, buf_len(out));
    if (failed(crl_parse(&crl, &note, der)) || !slice_eq(crl.tbs, tbs) ||
        failed(crl_verify_signed_by(&crl, issuer->cert.spki))) {
        buf_clear(out); // nothing wrong leaves
        return ERR(SIGNATURE_FAULT);
    }
    return OK;
}
