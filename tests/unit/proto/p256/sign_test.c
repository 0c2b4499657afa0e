// sign: both kernels give the bytes that the definition gives (computed here by BoringSSL's
// integers and group), for every size, and refuse what they must, without harm to the neighbours.
#include "proto/p256/sign.h"

#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <openssl/sha.h>

#include "proto/err.h"
#include "proto/p256/internal.h"
#include "tests/unit/proto/p256/lanes.h"

// The emulation is a hundred times slower: of the sizes up to 257 it tries fewer.
#if defined(P256_VEC_EMULATED)
enum { ITEMS = 300, SMALL = 3, STEP = 62 };
#else
enum { ITEMS = 300, SMALL = 20, STEP = 3 };
#endif

static EC_GROUP *group;
static struct p256_sign_scratch scratch;
static struct p256_sign_item items[ITEMS], others[ITEMS];
static uint8_t nonces[ITEMS][32];
static struct p256_signing_key key;
static uint8_t secret[32];
static EC_KEY *boringssl_key;
static enum p256_kernel vector; // P256_SCALAR where this processor has no other

static void fill(void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (uint8_t)lanes_random();
}

static void key_make(void)
{
    BIGNUM *d = BN_new();
    BN_rand_range_ex(d, 1, lanes_n);
    BN_bn2bin_padded(secret, sizeof secret, d);
    EC_POINT *q = EC_POINT_new(group);
    EC_POINT_mul(group, q, d, NULL, NULL, lanes_ctx);
    EC_KEY_free(boringssl_key);
    boringssl_key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EC_KEY_set_private_key(boringssl_key, d);
    EC_KEY_set_public_key(boringssl_key, q);
    EC_POINT_free(q);
    BN_free(d);
    assert_ok(p256_signing_key_init(&key, secret));
}

static void items_make(void)
{
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < ITEMS; i++) {
        fill(items[i].digest, 32);
        fill(items[i].salt, P256_SALT_LEN);
        items[i].has_random = lanes_random() % 4 == 0;
        fill(items[i].random, 32);
    }
}

static int setup(void **state)
{
    if (lanes_setup(state) != 0) return -1;
    group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    vector = p256_kernel_detect();
    if (vector == P256_SCALAR)
        print_message("this processor has no AVX-512 IFMA: the scalar kernel alone is tested\n");
    key_make();
    return 0;
}

static int teardown(void **state)
{
    p256_signing_key_fini(&key);
    static const struct p256_signing_key wiped;
    if (memcmp(&key, &wiped, sizeof key) != 0) return -1;
    EC_KEY_free(boringssl_key);
    EC_GROUP_free(group);
    return lanes_teardown(state);
}

// nonce_of is the definition: SHA-512(1, SHA-512(0, d)[0..31], digest, salt, random) mod n.
static void nonce_of(BIGNUM *out, const struct p256_sign_item *item)
{
    uint8_t m[1 + 32] = {0}, hash[64], text[113] = {1};
    memcpy(m + 1, secret, 32);
    SHA512(m, sizeof m, hash);
    memcpy(text + 1, hash, 32);
    memcpy(text + 33, item->digest, 32);
    memcpy(text + 65, item->salt, 16);
    memcpy(text + 81, item->random, 32);
    SHA512(text, item->has_random ? 113 : 81, hash);
    BN_bin2bn(hash, sizeof hash, out);
    BN_nnmod(out, out, lanes_n, lanes_ctx);
}

// signature_of is the definition of ECDSA, for a digest, a private key and a nonce.
static void signature_of(uint8_t out[64], const uint8_t digest[32], const uint8_t d[32],
                         const BIGNUM *k)
{
    BIGNUM *r = BN_new(), *s = BN_bin2bn(d, 32, NULL), *e = BN_bin2bn(digest, 32, NULL);
    EC_POINT *p = EC_POINT_new(group);
    EC_POINT_mul(group, p, k, NULL, NULL, lanes_ctx);
    EC_POINT_get_affine_coordinates(group, p, r, NULL, lanes_ctx);
    BN_nnmod(r, r, lanes_n, lanes_ctx);
    BN_mod_mul(s, s, r, lanes_n, lanes_ctx);
    BN_mod_add(s, s, e, lanes_n, lanes_ctx);
    BN_mod_inverse(e, k, lanes_n, lanes_ctx);
    BN_mod_mul(s, s, e, lanes_n, lanes_ctx);
    BN_bn2bin_padded(out, 32, r);
    BN_bn2bin_padded(out + 32, 32, s);
    BN_free(r);
    BN_free(s);
    BN_free(e);
    EC_POINT_free(p);
}

static bool verifies(const struct p256_sign_item *item)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    ECDSA_SIG_set0(sig, BN_bin2bn(item->signature, 32, NULL),
                   BN_bin2bn(item->signature + 32, 32, NULL));
    int ok = ECDSA_do_verify(item->digest, 32, sig, boringssl_key);
    ECDSA_SIG_free(sig);
    return ok == 1;
}

static void signs_as_defined(void **state)
{
    (void)state;
    uint8_t want[64];
    BIGNUM *k = BN_new();
    items_make();
    for (size_t i = 0; i < 64; i++) { // digests of all kinds
        if (i % 4 == 0) BN_bn2bin_padded(items[i].digest, 32, lanes_n);
        if (i % 4 == 1) memset(items[i].digest, i % 8 == 1 ? 0xff : 0, 32);
        if (i % 4 == 2) items[i].digest[31] ^= 1;
    }
    for (int kernel = P256_SCALAR; kernel <= (int)vector; kernel++) {
        p256_sign(&key, items, 200, &scratch, (enum p256_kernel)kernel);
        for (size_t i = 0; i < 200; i++) {
            assert_ok(items[i].err);
            nonce_of(k, &items[i]);
            signature_of(want, items[i].digest, secret, k);
            assert_memory_equal(items[i].signature, want, 64);
            assert_true(verifies(&items[i]));
            memset(items[i].signature, 0, 64);
        }
    }
    BN_free(k);
}

static void kernels_agree_for_every_size(void **state)
{
    (void)state;
    static const struct p256_sign_scratch zeros;
    for (size_t n = 0; n <= 257; n += n < SMALL || n > 254 ? 1 : STEP + lanes_random() % 5) {
        key_make();
        items_make();
        memcpy(others, items, sizeof items);
        p256_sign(&key, items, n, &scratch, vector);
        p256_sign(&key, others, n, NULL, vector); // no scratch: scalar
        for (size_t i = 0; i < n; i++) {
            assert_ok(items[i].err);
            assert_ok(others[i].err);
            assert_memory_equal(items[i].signature, others[i].signature, 64);
        }
        assert_memory_equal(&items[n], &others[n], (ITEMS - n) * sizeof *items); // untouched
        assert_memory_equal(&scratch, &zeros, sizeof zeros);
    }
}

// The same input gives the same signature; any other input another nonce, so another r.
static void repeats_itself_and_nothing_else(void **state)
{
    (void)state;
    items_make();
    struct p256_sign_item *a = &items[0];
    a->has_random = false;
    for (int i = 1; i < 16; i++) items[i] = items[0];
    items[2].digest[0] ^= 0x80;
    items[3].digest[31] ^= 1;
    items[4].salt[0] ^= 0x80;
    items[5].salt[15] ^= 1;
    items[6].has_random = items[7].has_random = items[8].has_random = true;
    items[8].random[31] ^= 1;
    memset(items[9].random, 7, 32); // not used without has_random
    for (int kernel = P256_SCALAR; kernel <= (int)vector; kernel++) {
        p256_sign(&key, items, 16, &scratch, (enum p256_kernel)kernel);
        for (int i = 0; i < 16; i++) {
            for (int j = 0; j < i; j++) {
                bool same_input = (i == 1 || i >= 9) && (j <= 1 || j >= 9);
                same_input |= i == 7 && j == 6;
                assert_int_equal(memcmp(items[i].signature, items[j].signature, 32) == 0,
                                 same_input);
                if (same_input) assert_memory_equal(items[i].signature, items[j].signature, 64);
            }
        }
    }
    uint8_t before[64];
    memcpy(before, a->signature, 64);
    key_make();
    p256_sign(&key, items, 1, &scratch, vector);
    assert_true(memcmp(before, a->signature, 32) != 0);
}

static void hex(uint8_t *out, const char *text)
{
    BIGNUM *b = NULL;
    BN_hex2bn(&b, text);
    BN_bn2bin_padded(out, 32, b);
    BN_free(b);
}

// RFC 6979 appendix A.2.5, the vectors with SHA-256 and the nonces that it lists.
static void signs_rfc_6979(void **state)
{
    (void)state;
    static const char *const d = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
    static const struct {
        const char *message, *k, *r, *s;
    } v[] = {{"sample", "A6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60",
              "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
              "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"},
             {"test", "D16B6AE827F17175E040871A1C7EC3500192C4C92677336EC2537ACAEE0008E0",
              "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
              "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"}};
    struct p256_signing_key k;
    struct p256_sign_item it[9];
    uint8_t bytes[32], want[64];
    hex(bytes, d);
    assert_ok(p256_signing_key_init(&k, bytes));
    for (int kernel = P256_SCALAR; kernel <= (int)vector; kernel++) {
        memset(it, 0, sizeof it);
        for (size_t i = 0; i < COUNT_OF(it); i++) {
            SHA256((const uint8_t *)v[i % 2].message, strlen(v[i % 2].message), it[i].digest);
            hex(nonces[i], v[i % 2].k);
        }
        p256_sign_with_nonces(&k, it, (const uint8_t(*)[32])nonces, COUNT_OF(it), &scratch,
                              (enum p256_kernel)kernel);
        for (size_t i = 0; i < COUNT_OF(it); i++) {
            hex(want, v[i % 2].r);
            hex(want + 32, v[i % 2].s);
            assert_ok(it[i].err);
            assert_memory_equal(it[i].signature, want, 64);
        }
    }
}

// edge makes a nonce that is special: near 0, n, 2^256, or powers of two, or all digits alike.
static void edge(uint8_t out[32], size_t which, bool usable)
{
    BIGNUM *k = BN_new();
    if (usable) {
        switch (which % 6) {
        case 0:
            BN_set_word(k, 1 + which / 6 % 20);
            break;
        case 1:
            BN_copy(k, lanes_n);
            BN_sub_word(k, 1 + which / 6 % 20);
            break;
        case 2:
            BN_set_bit(k, (int)(which / 6 * 7 % 256));
            break;
        case 3:
            BN_rshift1(k, lanes_n); // (n - 1) / 2
            BN_add_word(k, which / 6 % 3);
            break;
        case 4:
            BN_set_bit(k, 8 * (int)(which / 6 % 31) + 8);
            BN_sub_word(k, 1);
            break;
        default:
            BN_rand_range_ex(k, 1, lanes_n);
        }
    } else {
        switch (which % 4) {
        case 0:
            BN_zero(k);
            break;
        case 1:
            BN_copy(k, lanes_n);
            break;
        case 2:
            BN_copy(k, lanes_n);
            BN_add_word(k, 1);
            break;
        default:
            BN_set_bit(k, 256);
            BN_sub_word(k, 1);
        }
    }
    BN_bn2bin_padded(out, 32, k);
    BN_free(k);
}

static void signs_with_edge_nonces(void **state)
{
    (void)state;
    uint8_t want[64];
    BIGNUM *k = BN_new();
    items_make();
    for (size_t i = 0; i < 256; i++) edge(nonces[i], i, true);
    for (int kernel = P256_SCALAR; kernel <= (int)vector; kernel++) {
        p256_sign_with_nonces(&key, items, (const uint8_t(*)[32])nonces, 256, &scratch,
                              (enum p256_kernel)kernel);
        for (size_t i = 0; i < 256; i++) {
            BN_bin2bn(nonces[i], 32, k);
            signature_of(want, items[i].digest, secret, k);
            assert_ok(items[i].err);
            assert_memory_equal(items[i].signature, want, 64);
        }
    }
    BN_free(k);
}

static void refuses_nonces_out_of_range(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    for (size_t bad = 0; bad < 24; bad++) { // every lane, every kind
        items_make();
        for (size_t i = 0; i < 21; i++) edge(nonces[i], i, true);
        edge(nonces[bad % 21], bad, false);
        if (bad == 20) edge(nonces[3], 2, false);
        for (int kernel = P256_SCALAR; kernel <= (int)vector; kernel++) {
            p256_sign_with_nonces(&key, items, (const uint8_t(*)[32])nonces, 21, &scratch,
                                  (enum p256_kernel)kernel);
            for (size_t i = 0; i < 21; i++) {
                if (i == bad % 21 || (bad == 20 && i == 3)) {
                    assert_err(items[i].err, ERR_CRYPTO);
                    assert_memory_equal(items[i].signature, zeros, 64);
                } else {
                    assert_ok(items[i].err);
                    assert_true(verifies(&items[i]));
                }
            }
        }
    }
}

// exceptional_nonce is the one for which the last addition, of the sum over the windows of the even
// chains and that over the odd ones, meets two equal points: n with the digits of one half negated.
static void exceptional_nonce(uint8_t out[32], unsigned windows_per_chain)
{
    BIGNUM *k = BN_new(), *term = BN_new(), *m = BN_new();
    BN_copy(m, lanes_n); // digits of n: octets of (n + 2^256 - 1) / 2
    BN_set_bit(term, 256);
    BN_add(m, m, term);
    BN_sub_word(m, 1);
    BN_rshift1(m, m);
    uint8_t octets[32];
    BN_bn2bin_padded(octets, 32, m);
    BN_zero(k);
    for (unsigned w = 0; w < 32; w++) {
        int digit = 2 * octets[31 - w] - 255;
        if (w / windows_per_chain % 2 == 0) digit = -digit;
        BN_set_word(term, (BN_ULONG)(digit < 0 ? -digit : digit));
        BN_lshift(term, term, 8 * (int)w);
        (digit < 0 ? BN_sub : BN_add)(k, k, term);
    }
    assert_true(!BN_is_negative(k) && BN_cmp(k, lanes_n) < 0);
    BN_bn2bin_padded(out, 32, k);
    BN_free(k);
    BN_free(term);
    BN_free(m);
}

// lanes_sign is the vector kernel alone, without what stands in for it; false where there is none.
static bool lanes_sign(size_t n)
{
#if defined(__x86_64__) || defined(P256_VEC_EMULATED)
    return p256_sign_lanes(&key, items, (const uint8_t(*)[32])nonces, n, &scratch);
#else
    return (void)n, false;
#endif
}

static void exceptional_sums_go_to_the_scalar_kernel(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        unsigned windows_per_chain;
    } shapes[] = {{8, 2}, {64, 2}, {128, 4}};
    uint8_t want[64];
    BIGNUM *k = BN_new();
    if (vector == P256_SCALAR) skip();
    for (size_t shape = 0; shape < COUNT_OF(shapes); shape++) {
        size_t n = shapes[shape].count, at = lanes_random() % n;
        items_make();
        for (size_t i = 0; i < n; i++) edge(nonces[i], 5, true);
        assert_true(lanes_sign(n));
        exceptional_nonce(nonces[at], shapes[shape].windows_per_chain);
        assert_false(lanes_sign(n));
        p256_sign_with_nonces(&key, items, (const uint8_t(*)[32])nonces, n, &scratch, vector);
        for (size_t i = 0; i < n; i++) {
            BN_bin2bn(nonces[i], 32, k);
            signature_of(want, items[i].digest, secret, k);
            assert_ok(items[i].err);
            assert_memory_equal(items[i].signature, want, 64);
        }
    }
    BN_free(k);
}

static void keys_are_in_range(void **state)
{
    (void)state;
    struct p256_signing_key k;
    uint8_t d[32];
    for (size_t i = 0; i < 4; i++) {
        edge(d, i, false);
        assert_err(p256_signing_key_init(&k, d), ERR_CRYPTO);
    }
    items_make();
    for (size_t i = 0; i < 60; i++) { // 1, n - 1 and others at the edge sign well
        uint8_t want[64];
        BIGNUM *nonce = BN_new();
        edge(d, i, true);
        assert_ok(p256_signing_key_init(&k, d));
        BN_rand_range_ex(nonce, 1, lanes_n);
        for (int lane = 0; lane < 3; lane++) BN_bn2bin_padded(nonces[lane], 32, nonce);
        signature_of(want, items[0].digest, d, nonce);
        items[1] = items[2] = items[0];
        for (int kernel = P256_SCALAR; kernel <= (int)vector; kernel++) {
            p256_sign_with_nonces(&k, items, (const uint8_t(*)[32])nonces, 3, &scratch,
                                  (enum p256_kernel)kernel);
            for (int lane = 0; lane < 3; lane++)
                assert_memory_equal(items[lane].signature, want, 64);
        }
        BN_free(nonce);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_as_defined),
        cmocka_unit_test(kernels_agree_for_every_size),
        cmocka_unit_test(repeats_itself_and_nothing_else),
        cmocka_unit_test(signs_rfc_6979),
        cmocka_unit_test(signs_with_edge_nonces),
        cmocka_unit_test(refuses_nonces_out_of_range),
        cmocka_unit_test(exceptional_sums_go_to_the_scalar_kernel),
        cmocka_unit_test(keys_are_in_range),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
