// The scalar kernel: one signature at a time, on any processor. The multiple of the generator is
// BoringSSL's, which keeps it constant-time for scalars below n and checks that the result lies on
// the curve; nonce and arithmetic modulo n are ours, since BoringSSL's own signing takes no nonce.
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <string.h>

#include "proto/err.h"
#include "proto/p256/internal.h"
#include "proto/p256/inverse.h"
#include "proto/p256/order.h"

// nonce_derive: the 512 bits of the hash, modulo n: high * 2^256 + low.
static void nonce_derive(uint64_t k[4], const struct p256_signing_key *key,
                         const struct p256_sign_item *item)
{
    uint8_t message[P256_NONCE_MESSAGE_MAX], hash[SHA512_DIGEST_LENGTH];
    uint64_t low[4];
    SHA512_CTX sha;
    size_t n = p256_nonce_message(message, key, item);
    SHA512_Init(&sha);
    SHA512_Update(&sha, message, n);
    SHA512_Final(hash, &sha);
    p256_order_load(k, hash);
    p256_order_load(low, hash + 32);
    p256_order_mul(k, k, p256_order_r2);
    p256_order_reduce(low);
    p256_order_add(k, k, low);
    OPENSSL_cleanse(message, sizeof message);
    OPENSSL_cleanse(hash, sizeof hash);
    OPENSSL_cleanse(low, sizeof low);
    OPENSSL_cleanse(&sha, sizeof sha);
}

// multiple_x is the x of k * G, big-endian. BoringSSL wipes what it frees.
static bool multiple_x(uint8_t out[32], const uint64_t k[4])
{
    uint8_t octets[32];
    p256_order_store(octets, k);
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = group != NULL ? EC_POINT_new(group) : NULL;
    BIGNUM *scalar = BN_bin2bn(octets, sizeof octets, NULL), *x = BN_new();
    bool ok = point != NULL && scalar != NULL && x != NULL &&
              EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) == 1 &&
              EC_POINT_get_affine_coordinates_GFp(group, point, x, NULL, NULL) == 1 &&
              BN_bn2bin_padded(out, 32, x) == 1;
    BN_free(scalar);
    BN_free(x);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    OPENSSL_cleanse(octets, sizeof octets);
    if (!ok) ERR_clear_error();
    return ok;
}

// finish makes s = (digest + r * d) / k. false when r or s is zero.
static bool finish(struct p256_sign_item *item, const struct p256_signing_key *key,
                   const uint64_t k[4], const uint8_t x[32])
{
    uint64_t r[4], s[4], e[4], inverse[4];
    memcpy(inverse, k, sizeof inverse);
    p256_inverse_n(inverse);
    p256_order_mul(inverse, inverse, p256_order_r2);
    p256_order_load(r, x);
    p256_order_reduce(r); // x is below p, and that below 2n
    p256_order_load(e, item->digest);
    p256_order_reduce(e);
    p256_order_mul(s, r, key->d_scalar);
    p256_order_add(s, s, e);
    p256_order_mul(s, s, inverse);
    p256_order_store(item->signature, r);
    p256_order_store(item->signature + 32, s);
    uint64_t ok = p256_order_in_range(r) & p256_order_in_range(s);
    P256_PUBLIC(&ok, sizeof ok);
    OPENSSL_cleanse(inverse, sizeof inverse);
    return ok != 0;
}

void p256_sign_scalar(const struct p256_signing_key *key, struct p256_sign_item *item,
                      const uint8_t *nonce)
{
    uint64_t k[4];
    uint8_t x[32];
    if (nonce != NULL)
        p256_order_load(k, nonce);
    else
        nonce_derive(k, key, item);
    uint64_t usable = p256_order_in_range(k);
    P256_PUBLIC(&usable, sizeof usable);
    item->err = usable != 0 && multiple_x(x, k) && finish(item, key, k, x) ? OK : ERR(CRYPTO);
    if (failed(item->err)) memset(item->signature, 0, sizeof item->signature);
    OPENSSL_cleanse(k, sizeof k);
}
