// p256_verify and p256_tables_build, on every kernel of this processor, on batches of up to 40
// items. An item is a control octet and what it asks for: a valid signature of one of four keys,
// spoiled or not; edge values (0, 1, n-1, n, 2^256-1 and the like) for r, s, the digest and the
// coordinates; or plain octets of the input. Oracle: BoringSSL has the same opinion of each item.
#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <string.h>

#include "proto/p256/verify.h"
#include "tests/fuzz/fuzz.h"

enum { KEYS = 4, ITEMS_MAX = 40, KERNELS = 2 };

static struct p256_verify_item valid[KEYS]; // of each key one, the same in every run
static struct p256_table tables[KERNELS][KEYS];

// The edges of both fields, big-endian.
static const char *const edges[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000001",
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550", // n - 1
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", // n
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552", // n + 1
    "ffffffff00000001000000000000000000000000fffffffffffffffffffffffe", // p - 1
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", // p
    "000000000000000000000000000000004319055358e8617b0c46353d039cdaae", // p - n
    "0000000000000000000000000000000100000000000000000000000000000000", // 2^128
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

static void edge_write(uint8_t out[P256_LEN], size_t which)
{
    BIGNUM *n = NULL;
    CHECK(BN_hex2bn(&n, edges[which % (sizeof edges / sizeof edges[0])]) > 0 &&
          BN_bn2bin_padded(out, P256_LEN, n) == 1);
    BN_free(n);
}

static void valid_make(struct p256_verify_item *out, uint8_t number)
{
    uint8_t d[P256_LEN] = {number, 1}, nonce[P256_LEN] = {number, 2}, octets[65];
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    CHECK(key != NULL && EC_KEY_oct2priv(key, d, sizeof d) == 1);
    EC_POINT *point = EC_POINT_new(EC_KEY_get0_group(key));
    CHECK(point != NULL &&
          EC_POINT_mul(EC_KEY_get0_group(key), point, EC_KEY_get0_private_key(key), NULL, NULL,
                       NULL) == 1 &&
          EC_KEY_set_public_key(key, point) == 1 &&
          EC_POINT_point2oct(EC_KEY_get0_group(key), point, POINT_CONVERSION_UNCOMPRESSED, octets,
                             sizeof octets, NULL) == sizeof octets);
    memcpy(out->point, octets + 1, P256_POINT_LEN);
    memset(out->digest, number, P256_LEN);
    ECDSA_SIG *sig = ECDSA_sign_with_nonce_and_leak_private_key_for_testing(
        out->digest, P256_LEN, key, nonce, sizeof nonce);
    CHECK(sig != NULL && BN_bn2bin_padded(out->r, P256_LEN, ECDSA_SIG_get0_r(sig)) == 1 &&
          BN_bn2bin_padded(out->s, P256_LEN, ECDSA_SIG_get0_s(sig)) == 1);
    CHECK(p256_verify_boringssl(out));
    ECDSA_SIG_free(sig);
    EC_POINT_free(point);
    EC_KEY_free(key);
}

static enum p256_kernel kernel_of(int i) { return i == 0 ? P256_SCALAR : p256_kernel_detect(); }

static void once(void)
{
    static bool done;
    uint8_t points[KEYS][P256_POINT_LEN];
    bool ok[KEYS];
    if (done) return;
    done = true;
    for (int i = 0; i < KEYS; i++) {
        valid_make(&valid[i], (uint8_t)i);
        memcpy(points[i], valid[i].point, P256_POINT_LEN);
    }
    for (int k = 0; k < KERNELS; k++) {
        p256_tables_build(tables[k], ok, points[0], KEYS, kernel_of(k));
        for (int i = 0; i < KEYS; i++) CHECK(ok[i]);
    }
}

static struct slice take(struct slice *in, size_t n)
{
    struct slice out = slice_sub(*in, 0, n);
    *in = slice_sub(*in, out.n, in->n);
    return out;
}

static void number_read(uint8_t out[P256_LEN], struct slice *in)
{
    struct slice raw = take(in, P256_LEN);
    memset(out, 0, P256_LEN);
    if (raw.n > 0) memcpy(out, raw.p, raw.n);
}

// item_read takes one item from the input. Bits of the control octet: 0-1 the key, 2 its table, 3-4
// what is changed: nothing, one octet somewhere, one number to an edge, all to plain octets.
static void item_read(struct p256_verify_item *out, int *key, struct slice *in)
{
    uint8_t control = take(in, 1).p[0];
    *key = control & 3;
    *out = valid[*key];
    uint8_t *numbers[] = {out->digest, out->r, out->s, out->point, out->point + P256_LEN};
    struct slice how = control & 8 ? take(in, 2) : SLICE_NONE;
    if ((control & 24) == 8 && how.n == 2)
        numbers[how.p[0] >> 5 < 5 ? how.p[0] >> 5 : 1][how.p[0] & 31] ^= how.p[1];
    if ((control & 24) == 24 && how.n == 2) edge_write(numbers[how.p[0] % 5], how.p[1]);
    if ((control & 24) == 16)
        for (size_t i = 0; i < 5; i++) number_read(numbers[i], in);
    // A table belongs to the point that it was made of.
    if (!(control & 4) || memcmp(out->point, valid[*key].point, P256_POINT_LEN) != 0) *key = -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    struct p256_verify_item items[ITEMS_MAX];
    uint8_t points[ITEMS_MAX][P256_POINT_LEN];
    static struct p256_table made[ITEMS_MAX];
    bool want[ITEMS_MAX], ok[ITEMS_MAX];
    int keys[ITEMS_MAX];
    size_t n = 0;
    once();
    for (; in.n > 0 && n < ITEMS_MAX; n++) {
        item_read(&items[n], &keys[n], &in);
        memcpy(points[n], items[n].point, P256_POINT_LEN);
        want[n] = p256_verify_boringssl(&items[n]);
    }
    for (int k = 0; k < KERNELS; k++) {
        for (size_t i = 0; i < n; i++) items[i].table = keys[i] < 0 ? NULL : &tables[k][keys[i]];
        p256_verify(items, n, kernel_of(k));
        for (size_t i = 0; i < n; i++) CHECK(items[i].ok == want[i]);
        // Tables of whatever points the input gave: a point that is refused verifies nothing.
        p256_tables_build(made, ok, points[0], n, kernel_of(k));
        for (size_t i = 0; i < n; i++) {
            items[i].table = ok[i] ? &made[i] : NULL;
            CHECK(ok[i] || !want[i]);
        }
        p256_verify(items, n, kernel_of(k));
        for (size_t i = 0; i < n; i++) CHECK(items[i].ok == want[i]);
    }
    return 0;
}
