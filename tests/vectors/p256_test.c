// p256: every ECDSA P-256 vector of Project Wycheproof, whatever its hash, through p256_verify:
// alone and all of a file as one batch, with and without the key's table, by every kernel. DER goes
// through proto/der/signature as a request's or certificate's does.
#include "proto/p256/verify.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/der/key.h"
#include "proto/der/signature.h"
#include "tests/unit/unit.h"
#include "tests/vectors/keccak.h"
#include "tests/vectors/wycheproof.h"

enum { ITEMS_MAX = 1024 };

static struct p256_verify_item items[ITEMS_MAX];
static bool valid[ITEMS_MAX];
static struct p256_table *tables; // ITEMS_MAX of them
static size_t count, table_count;
static enum p256_kernel kernel;
static enum hash { SHA_256, SHA_512, SHA3_256, SHA3_512, SHAKE_128 } hash;
static bool p1363;

// table_of is the table of a key; the vectors of one group follow each other and have one key.
// NULL: it is no point of the curve.
static const struct p256_table *table_of(const uint8_t point[P256_POINT_LEN])
{
    static uint8_t last[P256_POINT_LEN];
    static bool usable;
    if (table_count == 0 || memcmp(last, point, P256_POINT_LEN) != 0) {
        assert_true(table_count < ITEMS_MAX);
        memcpy(last, point, P256_POINT_LEN);
        p256_tables_build(&tables[table_count++], &usable, point, 1, kernel);
    }
    return usable ? &tables[table_count - 1] : NULL;
}

// remember adds a vector to the batch of its file, with a table every other time.
static void remember(const struct p256_verify_item *item, bool result)
{
    assert_true(count < ITEMS_MAX);
    items[count] = *item;
    items[count].table = count % 2 == 0 ? table_of(item->point) : NULL;
    valid[count++] = result;
}

// verify_alone asks without and with a table; both must say the same.
static bool verify_alone(struct p256_verify_item *item)
{
    item->table = NULL;
    p256_verify(item, 1, kernel);
    bool ok = item->ok;
    item->table = table_of(item->point);
    p256_verify(item, 1, kernel);
    assert_int_equal(item->ok, ok);
    return ok;
}

// digest: of a longer hash the leftmost 256 bits count (FIPS 186-5 section 6.4.2).
static void digest(uint8_t out[P256_LEN], struct slice message)
{
    uint8_t full[SHA512_DIGEST_LENGTH];
    switch (hash) {
    case SHA_256:
        SHA256(message.p, message.n, full);
        break;
    case SHA_512:
        SHA512(message.p, message.n, full);
        break;
    case SHA3_256:
        keccak(full, 32, message.p, message.n, 136, 0x06);
        break;
    case SHA3_512:
        keccak(full, 64, message.p, message.n, 72, 0x06);
        break;
    case SHAKE_128:
        keccak(full, 32, message.p, message.n, 168, 0x1f);
        break;
    }
    memcpy(out, full, P256_LEN);
}

static bool take(struct p256_verify_item *item, struct slice spki, struct slice message,
                 struct slice signature)
{
    static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                           0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    struct signature_p256 check;
    *item = (struct p256_verify_item){0};
    if (p1363) {
        if (signature.n != 64 || !public_key_p256_point(item->point, spki)) return false;
        memcpy(item->r, signature.p, P256_LEN);
        memcpy(item->s, signature.p + P256_LEN, P256_LEN);
    } else {
        if (!signature_p256_take(&check, slice_of(ecdsa_sha256, sizeof ecdsa_sha256), spki, message,
                                 signature))
            return false;
        memcpy(item->point, check.point, P256_POINT_LEN);
        memcpy(item->r, check.r, P256_LEN);
        memcpy(item->s, check.s, P256_LEN);
    }
    digest(item->digest, message);
    assert_true(p1363 || hash != SHA_256 || memcmp(item->digest, check.digest, P256_LEN) == 0);
    return true;
}

static enum verdict verify(const struct vector *v)
{
    struct p256_verify_item item;
    if (!take(&item, wycheproof_hex(v, v->group, "publicKeyDer"), wycheproof_hex(v, v->test, "msg"),
              wycheproof_hex(v, v->test, "sig")))
        return REFUSED;
    bool ok = verify_alone(&item);
    remember(&item, strcmp(v->result, "valid") == 0);
    return ok ? ACCEPTED : REFUSED;
}

static const struct {
    const char *file;
    enum hash hash;
    bool p1363;
    unsigned least, accepted;
} files[] = {{"ecdsa_secp256r1_sha256_test.json", SHA_256, false, 450, 170},
             {"ecdsa_secp256r1_sha512_test.json", SHA_512, false, 450, 170},
             {"ecdsa_secp256r1_sha256_p1363_test.json", SHA_256, true, 250, 170},
             {"ecdsa_secp256r1_sha512_p1363_test.json", SHA_512, true, 250, 170},
             {"ecdsa_secp256r1_sha3_256_test.json", SHA3_256, false, 400, 100},
             {"ecdsa_secp256r1_sha3_512_test.json", SHA3_512, false, 400, 100},
             {"ecdsa_secp256r1_shake128_test.json", SHAKE_128, false, 400, 100},
             {"ecdsa_secp256r1_shake128_p1363_test.json", SHAKE_128, true, 200, 100}};

static void vectors_with(enum p256_kernel k)
{
    kernel = k;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        hash = files[i].hash;
        p1363 = files[i].p1363;
        count = table_count = 0;
        struct tally t = wycheproof_run(files[i].file, files[i].least, verify);
        assert_int_equal(t.wrong, 0);
        assert_true(t.accepted >= files[i].accepted);
        assert_true(count >= files[i].accepted);
        p256_verify(items, count, kernel);
        for (size_t j = 0; j < count; j++) assert_int_equal(items[j].ok, valid[j]);
    }
}

static void scalar(void **state)
{
    (void)state;
    vectors_with(P256_SCALAR);
}

static void vector(void **state)
{
    (void)state;
    if (p256_kernel_detect() == P256_IFMA) {
        vectors_with(P256_IFMA);
        return;
    }
    printf("avx512ifma: not on this processor\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scalar), cmocka_unit_test(vector)};
    tables = aligned_alloc(64, sizeof *tables * ITEMS_MAX);
    int failures = tables == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    free(tables);
    return failures;
}
