#include "proto/p256/verify.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <string.h>

#include "proto/p256/verify_lanes.h"

// Items of a group that are not worth eight lanes: up to so many, BoringSSL is quicker.
enum { ALONE_TABLED_MAX = 0, ALONE_MAX = 1 };

// key_load makes the library's key of a point, NULL when it is not on the curve (or memory is out).
static EC_KEY *key_load(const uint8_t point[P256_POINT_LEN])
{
    uint8_t octets[1 + P256_POINT_LEN] = {4}; // uncompressed: SEC 1 section 2.3.3
    memcpy(octets + 1, point, P256_POINT_LEN);
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    if (key != NULL && EC_KEY_oct2key(key, octets, sizeof octets, NULL) == 1) return key;
    EC_KEY_free(key);
    ERR_clear_error();
    return NULL;
}

static ECDSA_SIG *signature_load(const struct p256_verify_item *item)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(item->r, P256_LEN, NULL), *s = BN_bin2bn(item->s, P256_LEN, NULL);
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) return sig;
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return NULL;
}

bool p256_verify_boringssl(const struct p256_verify_item *item)
{
    EC_KEY *key = key_load(item->point);
    ECDSA_SIG *sig = signature_load(item);
    bool ok = key != NULL && sig != NULL &&
              ECDSA_do_verify(item->digest, P256_LEN, sig, key) == 1; // checks r and s, too
    ECDSA_SIG_free(sig);
    EC_KEY_free(key);
    if (!ok) ERR_clear_error();
    return ok;
}

#if P256_HAS_VECTOR
// struct chunk gathers items of one kind until there are enough for a call of the vector kernel.
struct chunk {
    struct p256_verify_item *items[P256_VERIFY_CHUNK];
    size_t count;
    bool tabled;
};

static void chunk_run(struct chunk *c)
{
    bool undecided[P256_VERIFY_CHUNK];
    size_t alone = c->count % P256_LANES;
    // A group of eight costs the same however many of its lanes are in use: so few are cheaper
    // alone.
    if (alone > (c->tabled ? ALONE_TABLED_MAX : ALONE_MAX)) alone = 0;
    for (; alone > 0; alone--) {
        struct p256_verify_item *item = c->items[--c->count];
        item->ok = p256_verify_boringssl(item);
    }
    if (c->count > 0) p256_verify_lanes(c->items, undecided, c->count, c->tabled);
    for (size_t i = 0; i < c->count; i++)
        if (undecided[i]) c->items[i]->ok = p256_verify_boringssl(c->items[i]);
    c->count = 0;
}

static void verify_chunks(struct p256_verify_item *items, size_t count)
{
    struct chunk chunks[2] = {{.tabled = false}, {.tabled = true}};
    for (size_t i = 0; i < count; i++) {
        struct chunk *c = &chunks[items[i].table != NULL];
        c->items[c->count++] = &items[i];
        if (c->count == P256_VERIFY_CHUNK) chunk_run(c);
    }
    chunk_run(&chunks[0]);
    chunk_run(&chunks[1]);
}
#endif

void p256_verify(struct p256_verify_item *items, size_t count, enum p256_kernel kernel)
{
#if P256_HAS_VECTOR
    if (kernel == P256_IFMA) {
        verify_chunks(items, count);
        return;
    }
#endif
    (void)kernel;
    for (size_t i = 0; i < count; i++) items[i].ok = p256_verify_boringssl(&items[i]);
}

void p256_tables_build(struct p256_table *tables, bool *out_ok, const uint8_t *points, size_t count,
                       enum p256_kernel kernel)
{
#if P256_HAS_VECTOR
    if (kernel == P256_IFMA) {
        for (size_t i = 0; i < count; i += P256_LANES) {
            size_t n = count - i < P256_LANES ? count - i : P256_LANES;
            p256_tables_lanes(tables + i, out_ok + i, points + i * P256_POINT_LEN, n);
        }
        return;
    }
#endif
    (void)kernel;
    for (size_t i = 0; i < count; i++) {
        EC_KEY *key = key_load(points + i * P256_POINT_LEN);
        out_ok[i] = key != NULL;
        memset(&tables[i], 0, sizeof tables[i]);
        EC_KEY_free(key);
    }
}
