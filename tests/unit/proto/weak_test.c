// weak: keys that are known to be weak are found, each for its reason, and good keys of every kind
// are not. The moduli were made for this test: the first as the chips of ROCA make theirs (primes
// k * M + 65537^a mod M, M the product of the first 71 primes).
#include "proto/der/weak.h"

#include <stdio.h>

#include "proto/err.h"
#include "tests/support/make.h"
#include "tests/unit/unit.h"

static const char roca[] =
    "c8c188f1e6a475051713bdac71fe3090214780a4678f4b5c73b9e9b465e320d164360613642bad73693b7c057a"
    "892781ae24108625895714fbfcef716acd632a38286fd77913532c044e2c882e488f8eef96b6f46bd22c209832"
    "27b71da3d0b664dd2a4f6b47c253a8951ce39aa98761bdf91951d9d681a4b66aa22e840e7c73d3e29150a4e4a0"
    "e4b605210f405ab75434443c6a8148a263971d1d5cb634a5a643a6c09c2c6a7052bb1515812c57d930ad6ca0f3"
    "dd58708a6b21c61ff4e641536b81b7fa1458b95ba6d99edcdb89088451fd8d554dc3b0dae1414b40e57d52db3a"
    "fef502c790576b67cf99848f760c96e28c91354ddb32c4a5ec366706db6f9f";

// p and q differ by 2^400 or so; by so much that 90 and 399 steps are needed; not at all.
static const char close_400_bits[] =
    "fcf872ccc774b2e1f746be6a48433b200cbb72eb9f7320a9b27e0f6dee2cfb868335be26fbecfc2d08e80dcc08"
    "61a0d3756259ca62d23660684daf1b756b9a65f7adc7f8f2602406ac1928905b1e172397ff4d474fff2f32f4df"
    "60b242f0707f1ca51d570d57bdf587395447cff5f3e42b20f9375ef4be97bf9c5e22af061d91ebe4a0f4dbdaa6"
    "b53affcf533b1b661a2e27bac525d9cfb5a10733e2bcc584b8beb5a9a392127d6446c411408161a59c1a107ce8"
    "4f9f8ae715155960438d510a1fa0dae2565d9639c059b8ea79f652dea01611ba360ee3b820189f74affde120af"
    "7fa3f47095313e770c61e52fb78ab0587d3f566355c239d97776e071e5cb45";
static const char close_90_steps[] =
    "fcf872ccc774b2e1f746be6a48433b200cbb72eb9f7320a9b27e0f6dee2cfb868335be26fbecfc2d08e80dcc08"
    "61a0d3756259ca62d23660684daf1b756b9a808fd25104d13f903e053c9523c7b73bd88d37cf68d51ef10bbbc1"
    "c6d1446b77b1b85ddc6052771b97bed06b325261164883f5d72a6ad5ab1eb915786629063f282867e5790ad5c2"
    "8d216dda56898b9b23f2bc95161868115abec918877589386c65bb80035d5ba7b817c5270d6abacfd44b68ff87"
    "cba4548ab1a38f84192330bbb86bc6ae90f4d83ee7485284866b5941cd43099366a9b4b6510dd73d9f3fe10c9a"
    "7ada1f9f0eb5537b55e6626dc90b775b0406de856637e8895a0bcae388d927";
static const char close_399_steps[] =
    "fcf872ccc774b2e1f746be6a48433b200cbb72eb9f7320a9b27e0f6dee2cfb868335be26fbecfc2d08e80dcc08"
    "61a0d3756259ca62d23660684daf1b756b9a9e0881005a2c730a3e410b20d4ba84b19d1d2a8da1c98df8fbf32b"
    "e4b6468d22dd2beea5fbfdf01cf392acca39c978b95c30e801bf2091d07a0ec481ad9027a02f9fa7c39268b6d6"
    "f25e4461aa05bc82444ce849f9976108e878d0d3428c1ee075dfb38b0fc970db03aaa469fff286e3ea91f2108e"
    "11abc250d02c7f2b8be1af6912a1a9f8dc36351b3cad8f41982355bf1b55d8f09c54f8ae03cd9b194b71505fd2"
    "0cd09a4dc6aa2e5e60195110f71b8258d10e17ce650bcc0b250828261ae32f";
static const char square[] =
    "fcf872ccc774b2e1f746be6a48433b200cbb72eb9f7320a9b27e0f6dee2cfb868335be26fbecfc2d08e80dcc08"
    "61a0d3756259ca62d23660684daf1b756b9a65f7adc7f8f2602406ac1928905b1d18a8860a20a15bc053fc23da"
    "3dcea9ad56d40e651618243efc5d279d1c16d7bb91f9cabe565bbb370ee4934e343691a12c3164412574740c05"
    "2d9ce34dcbafa342a2fee93393b0544deb2f9a72f2b6cc8b02172914b5061222efbe7308a0e3656241abb00865"
    "7964283954e2c794e2f7f473aa8403c62c608aa66101a6e1f837a30131ddf5b2f5d358f0b618cf68ac749e84f0"
    "3860c695498f8cbd8d9222ec1ed2d7dcf1ad3f0aec5a431a71ecb346879709";

static const char factor_751[] =
    "0198c870072dee4cb17cc17262fa9e8dca4a7c4d035797ea6a3c0231628f40de5180dd73583037c7d19c49e68b"
    "869eb31275324add5ecb8353f16ae0aaae01ade061dbb2aa17293757263e928850ab4704bcd2ab8313c9215d82"
    "4e06b44f4cd21951b184a9f7908d1e7f42755a2c1a2e69283493edd04fddae23a42c4fd52ee60ee94f59211cf6"
    "4e1cfb93b965c570cef4d0972e0f4a3271c2caf1311ee3d6138a7b17d74828b91c421e0f88b39785d2417188c6"
    "ee08d13c32d57f41315a92c3b766bcc94f28c50f155e78eaf6678d102ecb90b5d077b57b51d1520c6a68637b75"
    "1e5cc47a8808ceb476cfc448215ea2f48bb3230c866f37e523ed42a79990c567";
static const char good[] =
    "b385692ba27f5c78524cefc5e0530b1664c60ebda4d23f90612f7a55d35ec770b01ea03dcf7196e1f7bb384218"
    "7ede1581c9a699bc134eb7fd5136206d68bdfdd0d96e3afd30b7a0fd657cc4690cbabf7ef9e976ec8f5715f84a"
    "5af37077f73a08556aff18f7ccdf1250fa094e1bd478957e373250e7d86bab86063a025156b66514da4241bbfe"
    "831db91be4a5a0bba7b316adf650fd998894e59a45e73dd6e7c5a3006413ea7ab052fc63311edae6a229efa79d"
    "4b68bddc6aa4a4dbf7204f4ffdae3e3ed9f721669c9b85996096cfe5a7239377ff24f8ea298105e8a4f4fe62bb"
    "7f1db2b22620b7d2667a252fdab6b15a82f2e5ba69fc843d52428582ab2963";

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

// rsa is the SubjectPublicKeyInfo of a modulus and an exponent in hexadecimal.
static struct slice rsa(const char *modulus, const char *exponent)
{
    struct arena *a = &arena;
    struct slice n = make_hex(a, modulus), zero = SLICE_LIT("\0");
    if (n.p[0] < 0x80) zero = SLICE_NONE;
    struct slice key = MAKE_SEQUENCE(a, MAKE_TLV(a, 0x02, zero, n),
                                     MAKE_TLV(a, 0x02, make_hex(a, exponent)));
    return MAKE_SEQUENCE(a, make_hex(a, "300d06092a864886f70d0101010500"),
                         MAKE_TLV(a, 0x03, SLICE_LIT("\0"), key));
}

static void expect(struct slice spki, const char *want)
{
    struct public_key_kind kind;
    assert_ok(public_key_kind_of(&kind, spki));
    const char *got = key_weakness(spki);
    if (want == NULL ? got != NULL : got == NULL || strstr(got, want) == NULL)
        fail_msg("want %s, got %s", want == NULL ? "nothing" : want, got == NULL ? "nothing" : got);
}

static void weak_rsa_keys_are_found(void **state)
{
    (void)state;
    expect(rsa(good, "010001"), NULL);
    expect(rsa(roca, "010001"), "ROCA");
    expect(rsa(close_400_bits, "010001"), "close together");
    expect(rsa(close_90_steps, "010001"), "close together");
    expect(rsa(square, "010001"), "close together");
    expect(rsa(close_399_steps, "010001"), NULL); // beyond the bound: nobody is made to wait
    expect(rsa(factor_751, "010001"), "small factors");
    static const char *const small[] = {"03", "05", "11", "0101", "00ffff"};
    for (size_t i = 0; i < COUNT_OF(small); i++) expect(rsa(good, small[i]), "exponent");
    expect(rsa(good, "010003"), NULL);
    expect(rsa(good, "00ffffffff"), NULL);
}

// Each odd prime up to the bound is found as a factor, the next one is not.
static void every_small_factor_is_found(void **state)
{
    (void)state;
    char text[16 + sizeof good];
    for (unsigned p = 3; p < 760; p += 2) {
        bool prime = true;
        for (unsigned d = 3; d * d <= p; d += 2) prime &= p % d != 0;
        if (!prime) continue;
        // good * p by schoolbook, from its last digits upwards.
        size_t n = strlen(good);
        unsigned carry = 0;
        text[n + 4] = 0;
        for (size_t i = n; i-- > 0;) {
            unsigned digit = (unsigned)(good[i] <= '9' ? good[i] - '0' : good[i] - 'a' + 10);
            carry += digit * p;
            text[i + 4] = "0123456789abcdef"[carry & 15];
            carry >>= 4;
        }
        for (size_t i = 4; i-- > 0; carry >>= 4) text[i] = "0123456789abcdef"[carry & 15];
        size_t skip = text[0] == '0' && text[1] == '0' ? 2 : 0;
        expect(rsa(text + skip, "010001"), p <= WEAK_FACTOR_MAX ? "small factors" : NULL);
    }
}

static void points_of_small_order_are_found(void **state)
{
    static const char *const points[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(points); i++)
        expect(MAKE_JOINED(&arena, make_hex(&arena, "302a300506032b6570032100"),
                           make_hex(&arena, points[i])),
               "small order");
}

static void good_keys_are_left_alone(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        unsigned bits;
    } kinds[] = {{KEY_P256, 0},   {KEY_P384, 0},   {KEY_P521, 0},  {KEY_ED25519, 0},
                 {KEY_RSA, 2048}, {KEY_RSA, 3072}, {KEY_RSA, 4096}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        for (unsigned k = 0; k < (kinds[i].type == KEY_RSA ? 2 : 4); k++)
            expect(make_spki(&arena, make_key(kinds[i].type, kinds[i].bits, k)), NULL);
    // What is no key says nothing.
    struct slice spki = rsa(roca, "010001");
    for (size_t n = 0; n < spki.n; n++) (void)key_weakness(slice_of(spki.p, n));
    assert_null(key_weakness(SLICE_NONE));
    assert_null(key_weakness(rsa("00", "010001")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weak_rsa_keys_are_found),
        cmocka_unit_test(every_small_factor_is_found),
        cmocka_unit_test(points_of_small_order_are_found),
        cmocka_unit_test(good_keys_are_left_alone),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
