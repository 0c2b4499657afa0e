// p256_signing_key_init and p256_sign on every kernel of this processor: a private key and up to 40
// items of any octets. Oracle: the key is taken if BoringSSL takes it; the kernels give the same
// octets, alone and in a batch; BoringSSL verifies every signature.
#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <string.h>

#include "proto/p256/sign.h"
#include "proto/p256/verify.h"
#include "tests/fuzz/fuzz.h"

enum { ITEMS_MAX = 40 };

static void take(void *out, size_t n, struct slice *in)
{
    struct slice raw = slice_sub(*in, 0, n);
    *in = slice_sub(*in, raw.n, in->n);
    memset(out, 0, n);
    if (raw.n > 0) memcpy(out, raw.p, raw.n);
}

// public_of writes the public key; false when BoringSSL refuses the private one.
static bool public_of(uint8_t point[P256_POINT_LEN], const uint8_t d[32])
{
    uint8_t octets[1 + P256_POINT_LEN];
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    CHECK(key != NULL);
    EC_POINT *q = EC_POINT_new(EC_KEY_get0_group(key));
    bool ok = EC_KEY_oct2priv(key, d, 32) == 1 &&
              EC_POINT_mul(EC_KEY_get0_group(key), q, EC_KEY_get0_private_key(key), NULL, NULL,
                           NULL) == 1 &&
              EC_POINT_point2oct(EC_KEY_get0_group(key), q, POINT_CONVERSION_UNCOMPRESSED, octets,
                                 sizeof octets, NULL) == sizeof octets;
    if (ok) memcpy(point, octets + 1, P256_POINT_LEN);
    EC_POINT_free(q);
    EC_KEY_free(key);
    return ok;
}

static size_t items_read(struct p256_sign_item items[ITEMS_MAX], struct slice *in)
{
    size_t n = 0;
    for (; in->n > 0 && n < ITEMS_MAX; n++) {
        uint8_t control;
        take(&control, 1, in);
        memset(&items[n], 0, sizeof items[n]);
        items[n].has_random = control & 1;
        // Much of one kind: a digest of one octet throughout, or like the one before.
        if (control & 2)
            memset(items[n].digest, control, sizeof items[n].digest);
        else
            take(items[n].digest, sizeof items[n].digest, in);
        if (control & 4 && n > 0) memcpy(items[n].digest, items[n - 1].digest, 32);
        if (control & 8) take(items[n].salt, sizeof items[n].salt, in);
        if (control & 16) take(items[n].random, sizeof items[n].random, in);
    }
    return n;
}

static bool verifies(const struct p256_sign_item *item, const uint8_t point[P256_POINT_LEN])
{
    struct p256_verify_item v = {.table = NULL};
    memcpy(v.point, point, P256_POINT_LEN);
    memcpy(v.digest, item->digest, P256_LEN);
    memcpy(v.r, item->signature, P256_LEN);
    memcpy(v.s, item->signature + P256_LEN, P256_LEN);
    return p256_verify_boringssl(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct p256_sign_scratch scratch;
    static struct p256_sign_item batch[ITEMS_MAX], scalar[ITEMS_MAX], alone;
    struct slice in = slice_of(data, size);
    struct p256_signing_key key;
    uint8_t d[32], point[P256_POINT_LEN];
    take(d, sizeof d, &in);
    bool usable = public_of(point, d);
    CHECK(usable == !failed(p256_signing_key_init(&key, d)));
    if (!usable) return 0;
    size_t n = items_read(batch, &in);
    memcpy(scalar, batch, sizeof scalar);
    p256_sign(&key, batch, n, &scratch, p256_kernel_detect());
    p256_sign(&key, scalar, n, NULL, P256_SCALAR);
    for (size_t i = 0; i < n; i++) {
        CHECK(!failed(batch[i].err) && !failed(scalar[i].err));
        CHECK(memcmp(batch[i].signature, scalar[i].signature, sizeof batch[i].signature) == 0);
        CHECK(verifies(&batch[i], point));
    }
    if (n > 0) {
        alone = batch[n - 1];
        memset(alone.signature, 0, sizeof alone.signature);
        p256_sign(&key, &alone, 1, &scratch, p256_kernel_detect());
        CHECK(memcmp(alone.signature, batch[n - 1].signature, sizeof alone.signature) == 0);
    }
    for (size_t i = 0; i < sizeof scratch; i++) CHECK(scratch.bytes[i] == 0); // wiped
    p256_signing_key_fini(&key);
    return 0;
}
