// challenge_types: the table: what a bit and a name stand for, and what proves what.
#include "api/challenge_types.h"

#include "tests/unit/unit.h"

static void bits_and_names_are_of_one_row_each(void **state)
{
    (void)state;
    const struct challenge_type_row *t;
    uint32_t seen = 0;
    for (size_t i = 0; (t = challenge_type_at(i)) != NULL; i++) {
        uint32_t bit = (uint32_t)t->type;
        assert_true(bit != 0 && (bit & (bit - 1)) == 0);
        assert_int_equal(seen & bit, 0);
        seen |= bit;
        assert_ptr_equal(challenge_type_row(bit), t);
        assert_ptr_equal(challenge_type_named(slice_str(t->name)), t);
        assert_true(t->proves != 0);
    }
    // What a database holds since the first version.
    assert_string_equal(challenge_type_row(1)->name, "http-01");
    assert_string_equal(challenge_type_row(4)->name, "tls-alpn-01");
    assert_null(challenge_type_row(0));
    assert_null(challenge_type_row(1u << 31));
    assert_null(challenge_type_named(SLICE_LIT("http-0")));
    assert_null(challenge_type_named(SLICE_LIT("HTTP-01")));
    assert_null(challenge_type_named(SLICE_LIT("")));
}

// RFC 8555 section 7.1.3, RFC 8738 section 7.
static void each_proves_what_it_can(void **state)
{
    (void)state;
    static const uint8_t ip[4] = {10, 0, 0, 1};
    const struct identifier name = {IDENTIFIER_DNS, SLICE_LIT("a.test")},
                            address = {IDENTIFIER_IP, {ip, sizeof ip}};
    assert_int_equal(challenge_types_for(CHALLENGE_HTTP_01, &name, false), CHALLENGE_HTTP_01);
    assert_int_equal(challenge_types_for(CHALLENGE_HTTP_01, &address, false), CHALLENGE_HTTP_01);
    assert_int_equal(challenge_types_for(CHALLENGE_HTTP_01, &name, true), 0);
    assert_int_equal(challenge_types_for(CHALLENGE_TLS_ALPN_01, &name, false),
                     CHALLENGE_TLS_ALPN_01);
    assert_int_equal(challenge_types_for(CHALLENGE_TLS_ALPN_01, &address, false),
                     CHALLENGE_TLS_ALPN_01);
    assert_int_equal(challenge_types_for(CHALLENGE_TLS_ALPN_01, &name, true), 0);
    assert_int_equal(challenge_types_for(CHALLENGE_DNS_01, &name, true), CHALLENGE_DNS_01);
    assert_int_equal(challenge_types_for(CHALLENGE_DNS_01, &name, false), CHALLENGE_DNS_01);
    assert_int_equal(challenge_types_for(CHALLENGE_DNS_01, &address, false), 0);
    assert_int_equal(challenge_types_for(UINT32_MAX, &name, true) & CHALLENGE_HTTP_01, 0);
    assert_int_equal(challenge_types_for(0, &name, false), 0);
}

static void a_wildcard_is_split(void **state)
{
    (void)state;
    static const struct {
        const char *value, *base;
        bool wildcard;
    } rows[] = {
        {"a.test", "a.test", false}, {"*.a.test", "a.test", true}, {"*a.test", "*a.test", false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct identifier id = {IDENTIFIER_DNS, slice_str(rows[i].value)};
        bool wildcard;
        struct identifier base = challenge_identifier(&wildcard, &id);
        assert_slice_str(base.value, rows[i].base);
        assert_int_equal(wildcard, rows[i].wildcard);
    }
    static const uint8_t star[4] = {'*', '.', 'a', 'b'}; // an address that looks like one
    const struct identifier id = {IDENTIFIER_IP, {star, sizeof star}};
    bool wildcard = true;
    assert_int_equal(challenge_identifier(&wildcard, &id).value.n, 4);
    assert_false(wildcard);
}

static void names_are_listed(void **state)
{
    (void)state;
    char text[64], small[4];
    challenge_types_text(text, sizeof text, 0);
    assert_string_equal(text, "");
    challenge_types_text(text, sizeof text, CHALLENGE_HTTP_01);
    assert_string_equal(text, "http-01");
    challenge_types_text(small, sizeof small, UINT32_MAX);
    assert_string_equal(small, "htt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_and_names_are_of_one_row_each),
        cmocka_unit_test(each_proves_what_it_can),
        cmocka_unit_test(a_wildcard_is_split),
        cmocka_unit_test(names_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
