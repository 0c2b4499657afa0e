// key: each kind, and each way in which a SubjectPublicKeyInfo can be wrong.
#include "proto/der/key.h"

#include <openssl/evp.h>

#include "proto/der/der.h"
#include "proto/der/signature.h"
#include "proto/err.h"
#include "tests/support/make.h"
#include "tests/unit/unit.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 22);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void names_every_kind(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        unsigned bits;
        const char *text;
    } kinds[] = {{KEY_P256, 256, "P-256"},
                 {KEY_P384, 384, "P-384"},
                 {KEY_P521, 521, "P-521"},
                 {KEY_ED25519, 256, "Ed25519"},
                 {KEY_RSA, 2048, "RSA 2048"}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct public_key_kind kind;
        struct slice spki = make_spki(&arena, make_key(kinds[i].type, kinds[i].bits, 0));
        assert_ok(public_key_kind_of(&kind, spki));
        assert_int_equal(kind.type, kinds[i].type);
        assert_int_equal(kind.bits, kinds[i].bits);
        assert_string_equal(public_key_kind_text(kind), kinds[i].text);
        assert_true(public_key_size_allowed(kind));
        for (size_t n = 0; n < spki.n; n++)
            assert_err(public_key_kind_of(&kind, slice_sub(spki, 0, n)), ERR_BAD_CSR_KEY);
        assert_err(public_key_kind_of(&kind, MAKE_JOINED(&arena, spki, SLICE_LIT("\0"))),
                   ERR_BAD_CSR_KEY);
        EVP_PKEY *key = public_key_load(spki);
        assert_non_null(key);
        EVP_PKEY_free(key);
    }
    assert_string_equal(public_key_kind_text((struct public_key_kind){KEY_NONE, 0}), "no key");
    assert_false(public_key_size_allowed((struct public_key_kind){KEY_NONE, 0}));
}

static void counts_rsa_bits(void **state)
{
    (void)state;
    static const struct {
        unsigned bits;
        bool allowed;
    } sizes[] = {{512, false},  {1024, false}, {2040, false}, {2047, false},
                 {2048, true},  {2049, false}, {2056, true},  {3072, true},
                 {4095, false}, {4096, true},  {4097, false}, {8192, false}};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct public_key_kind kind;
        assert_ok(public_key_kind_of(&kind, make_rsa_spki(&arena, sizes[i].bits, "010001")));
        assert_int_equal(kind.type, KEY_RSA);
        assert_int_equal(kind.bits, sizes[i].bits);
        assert_int_equal(public_key_size_allowed(kind), sizes[i].allowed);
    }
    struct public_key_kind kind;
    assert_err(public_key_kind_of(&kind, make_rsa_spki(&arena, 8193, "010001")), ERR_BAD_CSR_KEY);
}

static void judges_rsa_exponents(void **state)
{
    (void)state;
    static const char *const good[] = {"03",         "11",         "010001",    "7fffffff",
                                       "00ffffffff", "0100000001", "01ffffffff"};
    static const char *const bad[] = {
        "00", "01", "02",         "04",         "010000",           "0003", "00010001",
        "81", "ff", "0200000001", "7fffffffff", "0100000000000001", ""};
    struct public_key_kind kind;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_ok(public_key_kind_of(&kind, make_rsa_spki(&arena, 2048, good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (!failed(public_key_kind_of(&kind, make_rsa_spki(&arena, 2048, bad[i]))))
            print_error("%s\n", bad[i]);
        assert_err(public_key_kind_of(&kind, make_rsa_spki(&arena, 2048, bad[i])), ERR_BAD_CSR_KEY);
    }
}

#define EC_P256 "301306072a8648ce3d020106082a8648ce3d030107"
#define G_X "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
#define G_Y "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
#define RSA_15 "300d06092a864886f70d0101010500"
#define SMALL_RSA                              \
    "301a021500"                               \
    "f1a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5" \
    "0201"                                     \
    "03"

static void takes_the_generator_of_the_curve(void **state)
{
    (void)state;
    struct public_key_kind kind;
    assert_ok(public_key_kind_of(&kind, make_hex(&arena, "3059" EC_P256 "03420004" G_X G_Y)));
}

static void refuses_each_defect(void **state)
{
    (void)state;
    static const struct {
        const char *defect, *hex;
    } bad[] = {
        {"compressed point", "3039" EC_P256 "03220003" G_X},
        {"hybrid point", "3059" EC_P256 "03420007" G_X G_Y},
        {"point at infinity", "3019" EC_P256 "03020000"},
        {"off the curve", "3059" EC_P256 "03420004" G_Y G_X},
        {"x is the field's prime",
         "3059" EC_P256 "03420004"
         "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff" G_Y},
        {"all zero", "3059" EC_P256 "03420004"
                     "0000000000000000000000000000000000000000000000000000000000000000"
                     "0000000000000000000000000000000000000000000000000000000000000000"},
        {"an octet too many", "305a" EC_P256 "03430004" G_X G_Y "00"},
        {"unused bits in the key",
         "3059" EC_P256 "03420104" G_X
         "b01cbd1c01e58065711814b583f061e9d431cca994cea1313449bf97c840ae0a"},
        {"bytes behind the key", "305b" EC_P256 "03420004" G_X G_Y "0500"},
        {"parameters absent", "304f"
                              "300906072a8648ce3d0201"
                              "03420004" G_X G_Y},
        {"parameters NULL", "3051"
                            "300b06072a8648ce3d02010500"
                            "03420004" G_X G_Y},
        {"explicit curve", "3062"
                           "301c06072a8648ce3d0201"
                           "3011020101300c06072a8648ce3d0101020117"
                           "03420004" G_X G_Y},
        {"another curve (secp256k1)", "3056"
                                      "301006072a8648ce3d020106052b8104000a"
                                      "03420004" G_X G_Y},
        {"P-384 with a point of P-256", "3056"
                                        "301006072a8648ce3d020106052b81040022"
                                        "03420004" G_X G_Y},
        {"two parameters", "305b"
                           "301506072a8648ce3d020106082a8648ce3d0301070500"
                           "03420004" G_X G_Y},
        {"id-ecDH", "3057"
                    "301106052b8104010c06082a8648ce3d030107"
                    "03420004" G_X G_Y},
        {"RSA without NULL", "302c"
                             "300b06092a864886f70d010101"
                             "031d00" SMALL_RSA},
        {"RSA modulus even", "302e" RSA_15 "031d00"
                             "301a021500"
                             "f1a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a4"
                             "020103"},
        {"RSA modulus negative", "302d" RSA_15 "031c00"
                                 "3019"
                                 "0214"
                                 "f1a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"
                                 "020103"},
        {"RSA modulus padded", "302f" RSA_15 "031e00"
                               "301b02160000"
                               "f1a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"
                               "020103"},
        {"RSA with a third number", "3031" RSA_15 "032000"
                                    "301d021500"
                                    "f1a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"
                                    "020103"
                                    "020101"},
        {"RSA bytes behind", "302f" RSA_15 "031e00" SMALL_RSA "00"},
        {"RSASSA-PSS key", "302e"
                           "300d06092a864886f70d01010a0500"
                           "031d00" SMALL_RSA},
        {"Ed25519 with NULL", "302c"
                              "3007"
                              "06032b65700500"
                              "032100" G_X},
        {"Ed25519 too short", "3029"
                              "3005"
                              "06032b6570"
                              "032000"
                              "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2"},
        {"Ed448", "302a"
                  "3005"
                  "06032b6571"
                  "032100" G_X},
        {"X25519", "302a"
                   "3005"
                   "06032b656e"
                   "032100" G_X},
        {"not a sequence", "0400"},
        {"nothing", ""},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct public_key_kind kind = {KEY_P521, 7};
        struct slice spki = make_hex(&arena, bad[i].hex);
        if (i + 2 < COUNT_OF(bad) && failed(der_check(spki)))
            print_error("%s: the case itself is no DER\n", bad[i].defect), fail();
        struct err e = public_key_kind_of(&kind, spki);
        if (!failed(e)) print_error("%s\n", bad[i].defect);
        assert_err(e, ERR_BAD_CSR_KEY);
        assert_int_equal(kind.bits, 7);
    }
}

// T26: every algorithm with every key, and only the pairs that fit.
static void algorithm_must_fit_the_key(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        unsigned bits;
    } kinds[] = {{KEY_P256, 0}, {KEY_P384, 0}, {KEY_P521, 0}, {KEY_RSA, 2048}, {KEY_ED25519, 0}};
    struct slice message = SLICE_LIT("message");
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        EVP_PKEY *key = make_key(kinds[k].type, kinds[k].bits, 0);
        struct slice spki = make_spki(&arena, key),
                     signature = make_signature(&arena, key, message);
        for (size_t i = 0; i < COUNT_OF(kinds); i++) {
            struct slice algorithm = make_algorithm(&arena,
                                                    make_key(kinds[i].type, kinds[i].bits, 0));
            assert_int_equal(signature_verify(algorithm, spki, message, signature), i == k);
        }
        assert_false(
            signature_verify(make_algorithm(&arena, key), spki, SLICE_LIT("messagf"), signature));
        assert_false(signature_verify(make_algorithm(&arena, key),
                                      make_spki(&arena, make_key(kinds[k].type, kinds[k].bits, 1)),
                                      message, signature));
        assert_false(signature_verify(make_algorithm(&arena, key), spki, message,
                                      slice_sub(signature, 0, signature.n - 1)));
        assert_false(signature_verify(make_algorithm(&arena, key), spki, message, SLICE_NONE));
    }
}

static void knows_no_other_algorithm(void **state)
{
    (void)state;
    static const char *const others[] = {
        "300d06092a864886f70d0101050500", // SHA-1 with RSA
        "300d06092a864886f70d0101040500", // MD5 with RSA
        "300d06092a864886f70d01010a3000", // RSASSA-PSS
        "300b06092a864886f70d01010b",     // SHA-256 with RSA, parameters absent
        "300c06082a8648ce3d0403020500",   // ECDSA with NULL
        "300906072a8648ce3d0401",         // ECDSA with SHA-1
        "300706032b65700500",             // Ed25519 with NULL
        "3080",                           // indefinite length
        "",
    };
    struct slice message = SLICE_LIT("m");
    EVP_PKEY *key = make_key(KEY_P256, 0, 0);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct slice algorithm = make_hex(&arena, others[i]);
        assert_false(signature_algorithm_known(algorithm));
        assert_false(signature_verify(algorithm, make_spki(&arena, key), message,
                                      make_signature(&arena, key, message)));
    }
    assert_true(signature_algorithm_known(make_algorithm(&arena, key)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_every_kind),
        cmocka_unit_test(counts_rsa_bits),
        cmocka_unit_test(judges_rsa_exponents),
        cmocka_unit_test(takes_the_generator_of_the_curve),
        cmocka_unit_test(refuses_each_defect),
        cmocka_unit_test(algorithm_must_fit_the_key),
        cmocka_unit_test(knows_no_other_algorithm),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
