// p256_work: what the micro-benchmark of P-256 signs and verifies, and one function for each way of
// doing so. Everything is made from fresh random keys; each way's results are checked once before
// anything is timed.
#pragma once
#include <openssl/ec_key.h>

#include "bench/micro/crypto_mb.h"
#include "proto/base/err.h"
#include "proto/p256/sign.h"
#include "proto/p256/verify.h"

enum {
    P256_WORK_MAX = 128, // signatures in the largest batch
    P256_WORK_DER_MAX = 80,
};

// struct p256_work: 128 digests under one signing key (of an issuer), and as many signatures of 128
// other keys (of accounts) to verify. `count` is how many of them a call of a way below takes.
struct p256_work {
    enum p256_kernel kernel;
    EC_KEY *issuer;
    struct p256_signing_key key;
    struct p256_sign_scratch scratch;
    struct p256_sign_item sign[P256_WORK_MAX];
    struct p256_verify_item verify[P256_WORK_MAX]; // with tables
    struct p256_verify_item own[P256_WORK_MAX];    // the issuer's own signatures
    struct p256_table *tables, *issuer_table;
    EC_KEY *account[P256_WORK_MAX];
    uint8_t der[P256_WORK_MAX][P256_WORK_DER_MAX]; // the accounts' signatures
    unsigned der_len[P256_WORK_MAX];
    const struct crypto_mb *crypto_mb; // NULL: none
    uint64_t mb_nonce[CRYPTO_MB_LANES][4], mb_key[4];
    uint64_t mb_x[P256_WORK_MAX][4], mb_y[P256_WORK_MAX][4];
    uint8_t mb_r[P256_WORK_MAX][32], mb_s[P256_WORK_MAX][32];
};

// struct p256_way: the context of a sample_case: this much of the work in one call.
struct p256_way {
    struct p256_work *work;
    unsigned count;
};

// p256_work_init makes keys, digests, signatures and tables. ERR_CRYPTO. p256_work_fini frees them.
RESULT p256_work_init(struct p256_work *w, enum p256_kernel kernel,
                      const struct crypto_mb *crypto_mb);
void p256_work_fini(struct p256_work *w);
// p256_work_check runs every way once on everything and has BoringSSL look at the results. Returns
// the name of the first way that is wrong, or NULL.
const char *p256_work_check(struct p256_work *w);

// The ways; each takes a struct p256_way.
void p256_sign_ours(void *way);
void p256_sign_boringssl(void *way);
void p256_sign_crypto_mb(void *way);
void p256_verify_cached(void *way);
void p256_verify_unknown(void *way);
void p256_verify_by_boringssl(void *way);
void p256_verify_crypto_mb(void *way);
void p256_tables(void *way);
// p256_sign_and_verify signs, verifies all under the issuer's table, and every 64th by BoringSSL:
// what a certificate costs in the signer.
void p256_sign_and_verify(void *way);
