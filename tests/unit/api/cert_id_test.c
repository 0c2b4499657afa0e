// cert_id: the strict form of RFC 9773 section 4.1.
#include "api/acme/cert_id.h"

#include "proto/err.h"
#include "tests/unit/unit.h"

// 20 octets each: 01 02 .. 14, and 07 with 19 octets behind it.
#define AKI "AQIDBAUGBwgJCgsMDQ4PEBESExQ"
#define SERIAL "BwIDBAUGBwgJCgsMDQ4PEBESExQ"

static void a_good_one_is_read(void **state)
{
    (void)state;
    struct cert_id id;
    assert_ok(cert_id_parse(&id, SLICE_LIT(AKI "." SERIAL)));
    assert_int_equal(id.aki_len, 20);
    assert_int_equal(id.aki[0], 1);
    assert_int_equal(id.aki[19], 20);
    assert_true(id.ours);
    assert_int_equal(id.serial[0], 7);
    assert_int_equal(id.serial[19], 20);
    // A zero octet in front, as some clients write it.
    struct cert_id same;
    assert_ok(cert_id_parse(&same, SLICE_LIT(AKI ".AAcCAwQFBgcICQoLDA0ODxAREhMU")));
    assert_true(same.ours);
    assert_memory_equal(same.serial, id.serial, SERIAL_LEN);
}

// The example of the RFC is another server's: well formed, and nothing that we have issued.
static void anothers_is_read_and_not_ours(void **state)
{
    (void)state;
    static const char *const texts[] = {"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", AKI ".AA", AKI ".AQ",
                                        AKI ".APcCAwQFBgcICQoLDA0ODxAREhMU"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct cert_id id;
        assert_ok(cert_id_parse(&id, slice_str(texts[i])));
        if (id.ours) fail_msg("%s", texts[i]);
    }
}

static void everything_else_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ".",
        AKI,
        AKI ".",
        "." SERIAL,
        AKI "=." SERIAL,
        AKI "." SERIAL "=",
        AKI "." SERIAL "." SERIAL,
        AKI ".." SERIAL,
        AKI " ." SERIAL,
        AKI "." SERIAL " ",
        AKI "." SERIAL "\n",
        "AQIDBAUGBwgJCgsMDQ4PEBESEx+." SERIAL,
        AKI ".BwIDBAUGBwgJCgsMDQ4PEBESExR", // bits behind the last octet
        AKI ".gAID",                        // negative
        AKI ".AAAHAgMEBQYHCAkKCwwNDg8QERITFA",
        AKI ".BwcCAwQFBgcICQoLDA0ODxAREhMU", // 21 octets without a zero
        AKI AKI AKI AKI "." SERIAL,          // a key identifier of 81 octets
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct cert_id id = {.aki_len = 99};
        if (!failed(cert_id_parse(&id, slice_str(texts[i])))) fail_msg("%s was taken", texts[i]);
        assert_int_equal(id.aki_len, 99); // nothing is written
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one_is_read),
        cmocka_unit_test(anothers_is_read_and_not_ours),
        cmocka_unit_test(everything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
