#include "signer/engine.h"

#include <openssl/err.h>
#include <openssl/mem.h>

#include "proto/err.h"
#include "signer/err.h"
#include "signer/tbs.h"
#include "signer/vault.h"

enum { SIGNATURE_MAX = 1024 };

static struct err sign_one(const struct issuer *issuer, struct engine_item *item,
                           void (*fault)(uint8_t *signature, size_t n))
{
    uint8_t signature[SIGNATURE_MAX];
    size_t n = sizeof signature;
    EVP_MD_CTX ctx;
    struct buf der;
    const EVP_MD *md = EVP_PKEY_id(issuer->key) == EVP_PKEY_EC && EVP_PKEY_bits(issuer->key) == 384
                           ? EVP_sha384()
                           : EVP_sha256();
    vault_enter(); // what is left of a key's use is wiped there
    EVP_MD_CTX_init(&ctx);
    bool ok = EVP_DigestSignInit(&ctx, NULL, md, NULL, issuer->key) == 1 &&
              EVP_DigestSign(&ctx, signature, &n, item->tbs.p, item->tbs.n) == 1;
    EVP_MD_CTX_cleanup(&ctx);
    vault_leave();
    ERR_clear_error();
    if (!ok) return ERR(CRYPTO);
    if (fault != NULL) fault(signature, n);
    buf_init(&der, TBS_MAX + SIGNATURE_MAX);
    struct err e = certificate_build(&der, item->tbs, issuer->algorithm, slice_of(signature, n));
    if (!failed(e)) e = arena_dup(&item->certificate, item->arena, buf_slice(&der));
    buf_fini(&der);
    return e;
}

static struct err verify_one(const struct issuer *issuer, struct engine_item *item,
                             struct arena *scratch)
{
    struct cert c;
    const char *note;
    arena_reset(scratch);
    TRY(cert_parse(&c, &note, scratch, item->certificate));
    return failed(cert_verify_signed_by(&c, issuer->cert.spki)) ? ERR(SIGNATURE_FAULT) : OK;
}

void engine_run(const struct issuer *issuer, struct engine_item *items, size_t count,
                void (*fault)(uint8_t *signature, size_t n))
{
    struct arena scratch;
    arena_init(&scratch, 2 * TBS_MAX);
    for (size_t i = 0; i < count; i++) items[i].err = sign_one(issuer, &items[i], fault);
    for (size_t i = 0; i < count; i++) {
        if (!failed(items[i].err)) items[i].err = verify_one(issuer, &items[i], &scratch);
        if (failed(items[i].err)) items[i].certificate = SLICE_NONE; // nothing wrong leaves
    }
    arena_fini(&scratch);
}
