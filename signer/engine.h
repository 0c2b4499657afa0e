// engine: TBS in, certificates out: everything of one issuer that is queued is one batch. Under a
// P-256 key the batch is signed and verified together by proto/p256, the nonce being a function of
// key, digest and the intent's salt, so that a repeat gives the same octets (design.md section 4);
// other keys sign one by one in BoringSSL, whose nonces are its own. Nothing is released that was
// not read again and verified (T57): all by the batch verifier, every ENGINE_SAMPLE-th and all that
// it refuses by BoringSSL, whose word decides. One thread.
#pragma once
#include "proto/p256/cpu.h"
#include "signer/keystore.h"

enum { ENGINE_SAMPLE = 64 };

struct engine_item {
    struct slice tbs;         // in; the engine hashes it itself
    uint8_t salt[SALT_LEN];   // in: the intent's
    struct arena *arena;      // for the certificate
    struct slice certificate; // out: DER
    struct err err;           // out: ERR_SIGNATURE_FAULT, ERR_CRYPTO, ERR_NO_SPACE
};

// struct engine: a P-256 key made ready for batches, with what a batch works in, in the vault.
struct engine;
// engine_open prepares `key`, whose SubjectPublicKeyInfo is `spki`, for a kernel. NULL and success
// for keys of other kinds. ERR_KEY when the vault is full or the key does not fit.
RESULT engine_open(struct engine **out, EVP_PKEY *key, struct slice spki, enum p256_kernel kernel);
// engine_close wipes and frees it. NULL is fine.
void engine_close(struct engine *e);

// engine_sign_crl signs a TBSCertList with 32 fresh random octets in the nonce (a CRL is never
// repeated), appends the CRL and checks it by BoringSSL before it is anybody's. ERR_CRYPTO,
// ERR_SIGNATURE_FAULT, ERR_NO_SPACE.
RESULT engine_sign_crl(struct buf *out, const struct issuer *issuer, struct slice tbs,
                       void (*fault)(uint8_t *signature, size_t n));
// engine_run signs and verifies all items, by issuer->engine where there is one. A test can flip
// bits of every signature between the two through `fault`; NULL otherwise.
void engine_run(const struct issuer *issuer, struct engine_item *items, size_t count,
                void (*fault)(uint8_t *signature, size_t n));
