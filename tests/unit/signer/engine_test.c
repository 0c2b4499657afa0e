// engine: batches of certificates under each kind of key: what is released verifies, a repeat has
// the same octets, and of what a fault touched nothing is released.
#include "signer/engine.h"

#include <openssl/mem.h>
#include <openssl/sha.h>

#include "proto/der/signature.h"
#include "proto/err.h"
#include "signer/err.h"
#include "signer/tbs.h"
#include "tests/unit/signer/fixture.h"

enum { ITEMS = 257 };

static struct arena arena;
static struct issuer issuer;
static struct fixture_profile profile;
static struct engine_item items[ITEMS];

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 256 << 20);
    fixture_issuer(&issuer, &arena, KEY_P256, 0, 400ll * 86400);
    fixture_profile_init(&profile, "server");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

// engine_of opens the issuer's engine for a kernel; false where this processor has it not.
static bool engine_of(enum p256_kernel kernel)
{
    if (kernel > p256_kernel_detect()) return false;
    assert_ok(engine_open(&issuer.engine, issuer.key, issuer.cert.spki, kernel));
    assert_non_null(issuer.engine);
    return true;
}

static void engine_gone(void)
{
    engine_close(issuer.engine);
    issuer.engine = NULL;
}

// items_make fills `count` items with certificates of their own.
static void items_make(const struct issuer *ca, size_t count)
{
    struct slice spki = make_spki(&arena, make_key(KEY_P256, 0, 0));
    for (size_t i = 0; i < count; i++) {
        struct intent in = fixture_intent(&arena, &profile.profile, ca, spki, 1 + i % 3,
                                          FIXTURE_NOW_S);
        uint8_t serial[SERIAL_LEN] = {7, (uint8_t)(i >> 8), (uint8_t)i};
        struct buf b;
        buf_init(&b, TBS_MAX);
        assert_ok(tbs_build(&b, &in, &profile.profile, ca, serial));
        items[i] = (struct engine_item){.arena = &arena};
        assert_ok(arena_dup(&items[i].tbs, &arena, buf_slice(&b)));
        memset(items[i].salt, (int)i, SALT_LEN);
        buf_fini(&b);
    }
}

// released: BoringSSL takes the certificate, and it is that of the TBS.
static void released(const struct issuer *ca, const struct engine_item *item)
{
    struct cert c;
    const char *note = "";
    assert_ok(item->err);
    assert_ok(cert_parse(&c, &note, &arena, item->certificate));
    assert_slice(c.tbs, item->tbs);
    assert_ok(cert_verify_signed_by(&c, ca->cert.spki));
}

static void signs_batches_of_every_size(void **state)
{
    (void)state;
    for (int kernel = P256_SCALAR; kernel <= P256_IFMA; kernel++) {
        if (!engine_of((enum p256_kernel)kernel)) continue;
        for (size_t n = 0; n <= ITEMS; n += n < 18 ? 1 : n < 120 ? 37 : n == 255 ? 1 : 15) {
            items_make(&issuer, n);
            engine_run(&issuer, items, n, NULL);
            for (size_t i = 0; i < n; i++) released(&issuer, &items[i]);
        }
        engine_gone();
    }
}

static void signs_with_keys_of_other_kinds(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        unsigned bits;
    } kinds[] = {{KEY_P384, 0}, {KEY_RSA, 2048}};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        struct issuer other;
        fixture_issuer(&other, &arena, kinds[k].type, kinds[k].bits, 400ll * 86400);
        assert_ok(engine_open(&other.engine, other.key, other.cert.spki, P256_SCALAR));
        assert_null(other.engine);
        items_make(&other, 5);
        engine_run(&other, items, 5, NULL);
        for (size_t i = 0; i < 5; i++) released(&other, &items[i]);
    }
}

static void refuses_a_key_that_does_not_fit(void **state)
{
    (void)state;
    struct engine *e;
    struct slice spki = make_spki(&arena, make_key(KEY_P256, 0, 0)), bad;
    assert_err(engine_open(&e, make_key(KEY_P384, 0, 0), spki, P256_SCALAR), ERR_KEY);
    assert_ok(arena_dup(&bad, &arena, spki)); // a point off the curve
    ((uint8_t *)(uintptr_t)bad.p)[bad.n - 1] ^= 1;
    assert_err(engine_open(&e, make_key(KEY_P256, 0, 0), bad, P256_SCALAR), ERR_KEY);
    assert_null(e);
}

// A repeat, on another signer, in another batch, by another kernel, has the same octets; another
// salt, another signature of the same TBS.
static void repeats_are_byte_identical(void **state)
{
    (void)state;
    struct slice first[ITEMS];
    items_make(&issuer, 150);
    assert_true(engine_of(P256_SCALAR));
    engine_run(&issuer, items, 150, NULL);
    for (size_t i = 0; i < 150; i++) first[i] = items[i].certificate;
    engine_gone();
    for (int kernel = P256_SCALAR; kernel <= P256_IFMA; kernel++) {
        for (size_t n = 1; n <= 150; n = 3 * n + 1) {
            if (!engine_of((enum p256_kernel)kernel)) continue;
            engine_run(&issuer, items + 150 - n, n, NULL);
            for (size_t i = 150 - n; i < 150; i++) {
                assert_ok(items[i].err);
                assert_slice(items[i].certificate, first[i]);
            }
            engine_gone();
        }
    }
    assert_true(engine_of(P256_SCALAR));
    items[3].salt[15] ^= 1;
    engine_run(&issuer, items, 5, NULL);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(slice_eq(items[i].certificate, first[i]), i != 3);
    engine_gone();
}

// ---- faults between signing and the check

static struct {
    size_t call, at, bit;
} flip;

static void flip_one(uint8_t *signature, size_t n)
{
    if (flip.call++ == flip.at) signature[flip.bit / 8 % n] ^= (uint8_t)(1 << flip.bit % 8);
}

static void flip_none(uint8_t *signature, size_t n) { (void)signature, (void)n; }

// Every bit of a signature, at many places of a batch: that item alone is not released.
static void releases_nothing_that_a_fault_touched(void **state)
{
    (void)state;
    enum { N = 20 };
    for (int kernel = P256_SCALAR; kernel <= P256_IFMA; kernel++) {
        if (!engine_of((enum p256_kernel)kernel)) continue;
        items_make(&issuer, N);
        engine_run(&issuer, items, N, flip_none);
        for (size_t i = 0; i < N; i++) released(&issuer, &items[i]);
        for (size_t bit = 0; bit < 70 * 8; bit += kernel == P256_SCALAR ? 7 : 1) {
            flip.call = 0;
            flip.bit = bit;
            flip.at = bit % N;
            engine_run(&issuer, items, N, flip_one);
            assert_int_equal(flip.call, N);
            for (size_t i = 0; i < N; i++) {
                if (i != flip.at) {
                    assert_ok(items[i].err);
                    continue;
                }
                assert_true(failed(items[i].err));
                assert_int_equal(items[i].certificate.n, 0);
            }
        }
        engine_gone();
    }
}

// A TBS that changes while it is signed (by a fault of memory): what was hashed for the signature
// is not what would leave.
static struct slice changing;

static void change_tbs(uint8_t *signature, size_t n)
{
    (void)signature, (void)n;
    ((uint8_t *)(uintptr_t)changing.p)[changing.n / 2] ^= 0x10;
}

static void releases_nothing_whose_tbs_changed(void **state)
{
    (void)state;
    for (int kernel = P256_SCALAR; kernel <= P256_IFMA; kernel++) {
        if (!engine_of((enum p256_kernel)kernel)) continue;
        items_make(&issuer, 1);
        changing = items[0].tbs;
        engine_run(&issuer, items, 1, change_tbs);
        assert_true(failed(items[0].err));
        assert_int_equal(items[0].certificate.n, 0);
        engine_gone();
    }
}

// A key that went wrong in memory signs what does not verify.
static void releases_nothing_of_another_key(void **state)
{
    (void)state;
    struct issuer other;
    fixture_issuer(&other, &arena, KEY_P256, 0, 400ll * 86400);
    for (int kernel = P256_SCALAR; kernel <= P256_IFMA; kernel++) {
        if (kernel > (int)p256_kernel_detect()) continue;
        assert_ok(engine_open(&other.engine, make_key(KEY_P256, 0, 7), other.cert.spki,
                              (enum p256_kernel)kernel));
        items_make(&other, 130);
        engine_run(&other, items, 130, NULL);
        for (size_t i = 0; i < 130; i++) {
            assert_err(items[i].err, ERR_SIGNATURE_FAULT);
            assert_int_equal(items[i].certificate.n, 0);
        }
        engine_close(other.engine);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_batches_of_every_size),
        cmocka_unit_test(signs_with_keys_of_other_kinds),
        cmocka_unit_test(refuses_a_key_that_does_not_fit),
        cmocka_unit_test(repeats_are_byte_identical),
        cmocka_unit_test(releases_nothing_that_a_fault_touched),
        cmocka_unit_test(releases_nothing_whose_tbs_changed),
        cmocka_unit_test(releases_nothing_of_another_key),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
