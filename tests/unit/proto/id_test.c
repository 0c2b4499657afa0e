// id: layout, order, and one text per id.
#include "proto/base/id.h"

#include "proto/err.h"
#include "tests/unit/unit.h"

static const uint8_t ones[10] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t zeros[10];

static void reads_back_time_and_region(void **state)
{
    (void)state;
    static const uint64_t times[] = {0, 1, 1767225600000, 0xffffffffffff};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        for (unsigned region = 0; region < 64; region++) {
            struct id low = id_make(times[i], region, zeros),
                      high = id_make(times[i], region, ones);
            assert_int_equal(id_unix_ms(&low), times[i]);
            assert_int_equal(id_unix_ms(&high), times[i]);
            assert_int_equal(id_region(&low), region);
            assert_int_equal(id_region(&high), region);
        }
    }
}

static void uses_74_random_bits(void **state)
{
    (void)state;
    struct id none = id_make(0, 0, zeros), all = id_make(0, 0, ones);
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof none.b; i++)
        bits += (unsigned)__builtin_popcount((unsigned)(none.b[i] ^ all.b[i]));
    assert_int_equal(bits, 74);
    assert_true(id_is_zero(&none));
    assert_false(id_is_zero(&all));
}

static void orders_by_time(void **state)
{
    (void)state;
    struct id older = id_make(1767225600000, 63, ones), newer = id_make(1767225600001, 0, zeros);
    assert_true(id_cmp(&older, &newer) < 0);
    assert_false(id_eq(&older, &newer));
}

static void text_round_trips(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252;
    for (int i = 0; i < 1000; i++) {
        struct id id, again;
        char text[ID_TEXT_LEN + 1];
        for (size_t k = 0; k < sizeof id.b; k++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            id.b[k] = (uint8_t)seed;
        }
        id_text(text, &id);
        assert_int_equal(strlen(text), ID_TEXT_LEN);
        assert_ok(id_parse(&again, slice_str(text)));
        assert_true(id_eq(&id, &again));
    }
}

static void text_is_base64url(void **state)
{
    (void)state;
    struct id id = {.b = {0xfb, 0xff, 0xbf, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xff}};
    char text[ID_TEXT_LEN + 1];
    id_text(text, &id);
    assert_string_equal(text, "-_-_AAECAwQFBgcICQoL_w");
}

static void refuses_other_texts(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "AAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAA+",
        "AAAAAAAAAAAAAAAAAAAAAB",
        "AAAAAAAAAAAAAAAAAAAAAI",
        "AAAAAAAAAA AAAAAAAAAAA",
        "AAAAAAAAAA/AAAAAAAAAAA",
    };
    struct id id = {.b = {1}};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_err(id_parse(&id, slice_str(bad[i])), ERR_BAD_BASE64URL);
    assert_int_equal(id.b[0], 1);
    assert_ok(id_parse(&id, SLICE_LIT("AAAAAAAAAAAAAAAAAAAAAA")));
    assert_true(id_is_zero(&id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_time_and_region),
        cmocka_unit_test(uses_74_random_bits),
        cmocka_unit_test(orders_by_time),
        cmocka_unit_test(text_round_trips),
        cmocka_unit_test(text_is_base64url),
        cmocka_unit_test(refuses_other_texts),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
