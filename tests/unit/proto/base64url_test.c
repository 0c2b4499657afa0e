// base64url: exhaustive for short texts against a definition by round trip (T07), and the published
// examples.
#include "proto/text/base64url.h"

#include "proto/err.h"
#include "tests/unit/unit.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void encodes_and_decodes_the_published_examples(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *text;
    } examples[] = {
        {SLICE_LIT(""), ""}, // RFC 4648 section 10
        {SLICE_LIT("f"), "Zg"},
        {SLICE_LIT("fo"), "Zm8"},
        {SLICE_LIT("foo"), "Zm9v"},
        {SLICE_LIT("foob"), "Zm9vYg"},
        {SLICE_LIT("fooba"), "Zm9vYmE"},
        {SLICE_LIT("foobar"), "Zm9vYmFy"},
        {SLICE_LIT("\x03\xec\xff\xe0\xc1"), "A-z_4ME"}, // RFC 7515 appendix C
        {SLICE_LIT("\xfb\xef\xff"), "--__"},
    };
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        struct buf b;
        struct slice out;
        buf_init(&b, 64);
        assert_ok(base64url_encode_buf(&b, examples[i].bytes));
        assert_slice_str(buf_slice(&b), examples[i].text);
        assert_ok(base64url_decode(&out, &arena, slice_str(examples[i].text)));
        assert_slice(out, examples[i].bytes);
        buf_fini(&b);
    }
}

// one_text_per_value: a text is good exactly when encoding what it decodes to gives it back.
static bool judge(struct slice text)
{
    uint8_t out[8];
    char again[16];
    size_t n = 99;
    struct err e = base64url_decode_into(out, sizeof out, &n, text);
    if (failed(e)) {
        assert_err(e, ERR_BAD_BASE64URL);
        return false;
    }
    assert_int_equal(base64url_encoded_len(n), text.n);
    base64url_encode(again, slice_of(out, n));
    assert_memory_equal(again, text.p, text.n);
    return true;
}

static bool in_alphabet(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static void is_exact_for_all_texts_of_one_and_two(void **state)
{
    (void)state;
    unsigned good = 0;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t c = (uint8_t)i;
        assert_false(judge(slice_of(&c, 1)));
    }
    for (unsigned i = 0; i < 65536; i++) {
        uint8_t c[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        bool ok = judge(slice_of(c, 2));
        if (ok) assert_true(in_alphabet(c[0]) && in_alphabet(c[1]));
        good += ok;
    }
    assert_int_equal(good, 256); // as many texts as values of one octet
}

static void is_exact_for_three_and_four(void **state)
{
    (void)state;
    static const uint8_t sample[] = "AZaz09-_+/=. \n\r\t\0B\x80\xff";
    unsigned good = 0;
    for (unsigned i = 0; i < 256 * 64;
         i++) { // two fixed good characters, all others in the third place
        static const char alphabet[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        uint8_t c[3] = {(uint8_t)alphabet[i & 63], 'Q', (uint8_t)(i >> 6)};
        good += judge(slice_of(c, 3));
    }
    assert_int_equal(good, 64 * 16); // of the last character 4 bits count
    for (unsigned i = 0; i < 20 * 20 * 20 * 20; i++) {
        uint8_t c[4] = {sample[i % 20], sample[i / 20 % 20], sample[i / 400 % 20],
                        sample[i / 8000]};
        bool want = in_alphabet(c[0]) && in_alphabet(c[1]) && in_alphabet(c[2]) &&
                    in_alphabet(c[3]);
        assert_int_equal(judge(slice_of(c, 4)), want);
    }
}

static void refuses_padding_and_other_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Zg==", "Zm8=", "Zg=",    "=",    "====",  "Zm9v\n", "Zm 9v",
        "Zh",   "Zm9",  "Zm9vYh", "a+b/", "Zm9vY", "Zm9v.",  "Zm9v\xc3\xa9"};
    struct slice out = SLICE_LIT("untouched");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_err(base64url_decode(&out, &arena, slice_str(bad[i])), ERR_BAD_BASE64URL);
        assert_slice_str(out, "untouched");
    }
}

static void lenient_takes_padding_and_the_standard_alphabet(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } good[] = {{"Zg==", "f"},
                {"Zg", "f"},
                {"Zm8=", "fo"},
                {"++//", "\xfb\xef\xff"},
                {"--__", "\xfb\xef\xff"},
                {"+_-/", "\xfb\xff\xbf"},
                {"", ""}};
    static const char *const bad[] = {"Zg=",  "Zm9v=", "Zm9v==", "=",        "==",      "====",
                                      "Z===", "Zh==",  "Z g=",   "Zm9vZg=a", "Zg==Zg=="};
    struct slice out;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_ok(base64url_decode_lenient(&out, &arena, slice_str(good[i].text)));
        assert_slice_str(out, good[i].want);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_err(base64url_decode_lenient(&out, &arena, slice_str(bad[i])), ERR_BAD_BASE64URL);
}

static void respects_room(void **state)
{
    (void)state;
    uint8_t out[3];
    size_t n;
    struct slice s;
    struct arena small;
    struct buf b;
    assert_ok(base64url_decode_into(out, 3, &n, SLICE_LIT("Zm9v")));
    assert_err(base64url_decode_into(out, 2, &n, SLICE_LIT("Zm9v")), ERR_NO_SPACE);
    arena_init(&small, 16);
    assert_err(base64url_decode(&s, &small, SLICE_LIT("Zm9vZm9vZm9vZm9vZm9vZm9vZm9v")),
               ERR_NO_SPACE);
    arena_fini(&small);
    buf_init(&b, 3);
    assert_err(base64url_encode_buf(&b, SLICE_LIT("foo")), ERR_NO_SPACE);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_and_decodes_the_published_examples),
        cmocka_unit_test(is_exact_for_all_texts_of_one_and_two),
        cmocka_unit_test(is_exact_for_three_and_four),
        cmocka_unit_test(refuses_padding_and_other_forms),
        cmocka_unit_test(lenient_takes_padding_and_the_standard_alphabet),
        cmocka_unit_test(respects_room),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
