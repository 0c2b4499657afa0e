#include "bench/micro/p256_work.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

enum { CHECK_EVERY = 64 };

// ---- setting up

static bool octets_of(uint8_t out[32], const BIGNUM *n)
{
    return BN_bn2bin_padded(out, 32, n) == 1;
}

// words_of: octets as four words, lowest first, as crypto_mb takes them.
static void words_of(uint64_t out[4], const uint8_t octets[32])
{
    for (size_t i = 0; i < 4; i++) {
        uint64_t v;
        memcpy(&v, octets + 8 * (3 - i), sizeof v);
        out[i] = __builtin_bswap64(v);
    }
}

static bool point_of(uint8_t out[P256_POINT_LEN], const EC_KEY *key)
{
    uint8_t octets[1 + P256_POINT_LEN];
    if (EC_POINT_point2oct(EC_KEY_get0_group(key), EC_KEY_get0_public_key(key),
                           POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                           NULL) != sizeof octets)
        return false;
    memcpy(out, octets + 1, P256_POINT_LEN);
    return true;
}

static EC_KEY *key_make(void)
{
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    if (key != NULL && EC_KEY_generate_key(key) == 1) return key;
    EC_KEY_free(key);
    return NULL;
}

// account_make: one key, one digest, and the key's signature over it, in every form that is needed.
static bool account_make(struct p256_work *w, unsigned i)
{
    struct p256_verify_item *item = &w->verify[i];
    RAND_bytes(item->digest, sizeof item->digest);
    if ((w->account[i] = key_make()) == NULL || !point_of(item->point, w->account[i])) return false;
    ECDSA_SIG *sig = ECDSA_do_sign(item->digest, sizeof item->digest, w->account[i]);
    uint8_t *der = NULL;
    size_t der_len = 0;
    bool ok = sig != NULL && octets_of(item->r, ECDSA_SIG_get0_r(sig)) &&
              octets_of(item->s, ECDSA_SIG_get0_s(sig)) &&
              ECDSA_SIG_to_bytes(&der, &der_len, sig) == 1 && der_len <= P256_WORK_DER_MAX;
    if (ok) {
        memcpy(w->der[i], der, der_len);
        w->der_len[i] = (unsigned)der_len;
        words_of(w->mb_x[i], item->point);
        words_of(w->mb_y[i], item->point + 32);
    }
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    return ok;
}

static bool issuer_make(struct p256_work *w)
{
    uint8_t d[32];
    bool ok = (w->issuer = key_make()) != NULL &&
              octets_of(d, EC_KEY_get0_private_key(w->issuer)) &&
              !failed(p256_signing_key_init(&w->key, d));
    if (!ok) return false;
    words_of(w->mb_key, d);
    for (unsigned i = 0; i < CRYPTO_MB_LANES; i++) {
        RAND_bytes(d, sizeof d);
        d[0] &= 0x7f; // below n
        words_of(w->mb_nonce[i], d);
    }
    for (unsigned i = 0; i < P256_WORK_MAX; i++) {
        RAND_bytes(w->sign[i].digest, sizeof w->sign[i].digest);
        RAND_bytes(w->sign[i].salt, sizeof w->sign[i].salt);
    }
    bool on_curve;
    uint8_t point[P256_POINT_LEN];
    if (!point_of(point, w->issuer)) return false;
    p256_tables_build(w->issuer_table, &on_curve, point, 1, w->kernel);
    for (unsigned i = 0; i < P256_WORK_MAX; i++) {
        memcpy(w->own[i].point, point, P256_POINT_LEN);
        memcpy(w->own[i].digest, w->sign[i].digest, sizeof w->own[i].digest);
        w->own[i].table = w->issuer_table;
    }
    return on_curve;
}

struct err p256_work_init(struct p256_work *w, enum p256_kernel kernel,
                          const struct crypto_mb *crypto_mb)
{
    *w = (struct p256_work){.kernel = kernel, .crypto_mb = crypto_mb};
    w->tables = aligned_alloc(64, (P256_WORK_MAX + 1) * sizeof *w->tables);
    if (w->tables == NULL) return ERR(CRYPTO);
    w->issuer_table = &w->tables[P256_WORK_MAX];
    bool ok = issuer_make(w);
    for (unsigned i = 0; i < P256_WORK_MAX && ok; i++) ok = account_make(w, i);
    if (!ok) return ERR(CRYPTO);
    p256_tables(&(struct p256_way){w, P256_WORK_MAX});
    return OK;
}

void p256_work_fini(struct p256_work *w)
{
    p256_signing_key_fini(&w->key);
    EC_KEY_free(w->issuer);
    for (unsigned i = 0; i < P256_WORK_MAX; i++) EC_KEY_free(w->account[i]);
    free(w->tables);
    OPENSSL_cleanse(w, sizeof *w);
}

// ---- the ways

void p256_sign_ours(void *way)
{
    struct p256_way *y = way;
    p256_sign(&y->work->key, y->work->sign, y->count, &y->work->scratch, y->work->kernel);
}

void p256_sign_boringssl(void *way)
{
    struct p256_way *y = way;
    uint8_t out[P256_WORK_DER_MAX];
    unsigned n;
    for (unsigned i = 0; i < y->count; i++)
        CHECK(ECDSA_sign(0, y->work->sign[i].digest, 32, out, &n, y->work->issuer) == 1);
}

void p256_sign_crypto_mb(void *way)
{
    struct p256_way *y = way;
    struct p256_work *w = y->work;
    uint8_t *r[8], *s[8];
    const uint8_t *digest[8];
    const uint64_t *nonce[8], *key[8];
    for (unsigned from = 0; from < y->count; from += CRYPTO_MB_LANES) {
        for (unsigned i = 0; i < CRYPTO_MB_LANES; i++) {
            r[i] = w->mb_r[from + i], s[i] = w->mb_s[from + i];
            digest[i] = w->sign[from + i].digest, nonce[i] = w->mb_nonce[i], key[i] = w->mb_key;
        }
        CHECK(w->crypto_mb->sign(r, s, digest, nonce, key, NULL) == 0);
    }
}

void p256_verify_cached(void *way)
{
    struct p256_way *y = way;
    for (unsigned i = 0; i < y->count; i++) y->work->verify[i].table = &y->work->tables[i];
    p256_verify(y->work->verify, y->count, y->work->kernel);
}

void p256_verify_unknown(void *way)
{
    struct p256_way *y = way;
    for (unsigned i = 0; i < y->count; i++) y->work->verify[i].table = NULL;
    p256_verify(y->work->verify, y->count, y->work->kernel);
}

void p256_verify_by_boringssl(void *way)
{
    struct p256_way *y = way;
    struct p256_work *w = y->work;
    for (unsigned i = 0; i < y->count; i++)
        CHECK(ECDSA_verify(0, w->verify[i].digest, 32, w->der[i], w->der_len[i], w->account[i]) ==
              1);
}

void p256_verify_crypto_mb(void *way)
{
    struct p256_way *y = way;
    struct p256_work *w = y->work;
    const uint8_t *r[8], *s[8], *digest[8];
    const uint64_t *px[8], *py[8];
    for (unsigned from = 0; from < y->count; from += CRYPTO_MB_LANES) {
        for (unsigned i = 0; i < CRYPTO_MB_LANES; i++) {
            r[i] = w->verify[from + i].r, s[i] = w->verify[from + i].s;
            digest[i] = w->verify[from + i].digest;
            px[i] = w->mb_x[from + i], py[i] = w->mb_y[from + i];
        }
        CHECK(w->crypto_mb->verify(r, s, digest, px, py, NULL, NULL) == 0);
    }
}

void p256_tables(void *way)
{
    struct p256_way *y = way;
    struct p256_work *w = y->work;
    uint8_t points[P256_WORK_MAX][P256_POINT_LEN];
    bool ok[P256_WORK_MAX];
    for (unsigned i = 0; i < y->count; i++) memcpy(points[i], w->verify[i].point, P256_POINT_LEN);
    p256_tables_build(w->tables, ok, points[0], y->count, w->kernel);
}

void p256_sign_and_verify(void *way)
{
    struct p256_way *y = way;
    struct p256_work *w = y->work;
    p256_sign_ours(way);
    for (unsigned i = 0; i < y->count; i++) {
        memcpy(w->own[i].r, w->sign[i].signature, 32);
        memcpy(w->own[i].s, w->sign[i].signature + 32, 32);
    }
    p256_verify(w->own, y->count, w->kernel);
    for (unsigned i = 0; i < y->count; i++) CHECK(w->own[i].ok);
    for (unsigned i = 0; i < y->count; i += CHECK_EVERY) CHECK(p256_verify_boringssl(&w->own[i]));
}

// ---- are they right?

static bool verified(struct p256_work *w, void (*way)(void *))
{
    bool ok = true;
    for (unsigned i = 0; i < P256_WORK_MAX; i++) w->verify[i].ok = false;
    way(&(struct p256_way){w, P256_WORK_MAX});
    for (unsigned i = 0; i < P256_WORK_MAX; i++) ok = ok && w->verify[i].ok;
    // What is wrong must be seen, too.
    w->verify[3].s[31] ^= 1;
    way(&(struct p256_way){w, P256_WORK_MAX});
    w->verify[3].s[31] ^= 1;
    return ok && !w->verify[3].ok && w->verify[2].ok;
}

static bool signed_well(struct p256_work *w)
{
    p256_sign_and_verify(&(struct p256_way){w, P256_WORK_MAX});
    for (unsigned i = 0; i < P256_WORK_MAX; i++)
        if (!p256_verify_boringssl(&w->own[i])) return false;
    return true;
}

static bool signed_well_by_crypto_mb(struct p256_work *w)
{
    struct p256_verify_item item;
    p256_sign_crypto_mb(&(struct p256_way){w, P256_WORK_MAX});
    for (unsigned i = 0; i < P256_WORK_MAX; i++) {
        item = w->own[i];
        memcpy(item.r, w->mb_r[i], 32);
        memcpy(item.s, w->mb_s[i], 32);
        if (!p256_verify_boringssl(&item)) return false;
    }
    return true;
}

const char *p256_work_check(struct p256_work *w)
{
    if (!signed_well(w)) return "p256_sign";
    if (!verified(w, p256_verify_cached)) return "p256_verify with tables";
    if (!verified(w, p256_verify_unknown)) return "p256_verify without tables";
    if (w->crypto_mb != NULL && !signed_well_by_crypto_mb(w)) return "crypto_mb";
    return NULL;
}
