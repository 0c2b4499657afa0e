// limits: what names and addresses are counted as.
#include "api/acme/limits.h"

#include "cluster/core/address.h"
#include "tests/unit/unit.h"

static void names_are_counted_by_their_end(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned labels;
        const char *end;
    } rows[] = {{"a.b.corp.test", 2, "corp.test"},
                {"corp.test", 2, "corp.test"},
                {"test", 2, "test"},
                {"a.b.corp.test", 1, "test"},
                {"a.b.corp.test", 3, "b.corp.test"},
                {"a.b.corp.test", 32, "a.b.corp.test"},
                {"*.corp.test", 2, "corp.test"},
                {"*.corp.test", 3, "corp.test"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_slice_str(limits_name_end(slice_str(rows[i].name), rows[i].labels), rows[i].end);
}

static void addresses_are_counted_by_block(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        int64_t v4, v6;
        const char *block; // NULL: none
    } rows[] = {{"192.0.2.77:1", 24, 48, "192.0.2.0/24"},
                {"192.0.2.77:1", 32, 48, "192.0.2.77/32"},
                {"192.0.2.77:1", 27, 48, "192.0.2.64/27"},
                {"192.0.2.77:1", 8, 48, "192.0.0.0/8"},
                {"[2001:db8:1:2:3::4]:1", 24, 48, "2001:db8:1::/48"},
                {"[2001:db8:1:2:3::4]:1", 24, 64, "2001:db8:1:2::/64"},
                {"[2001:db8:1:2:3::4]:1", 24, 128, "2001:db8:1:2:3::4/128"},
                {"[2001:db8:ffff::]:1", 24, 33, "2001:db8:8000::/33"},
                {"[::ffff:192.0.2.77]:1", 24, 48, "192.0.2.0/24"},
                {"unix:/x", 24, 48, NULL}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sockaddr_storage a;
        socklen_t n;
        char block[LIMITS_BLOCK_MAX];
        struct limit_settings l = {.v4_bits = rows[i].v4, .v6_bits = rows[i].v6};
        assert_ok(address_parse(&a, &n, slice_str(rows[i].address), 0));
        bool ok = limits_block(block, (const struct sockaddr *)&a, &l);
        assert_int_equal(ok, rows[i].block != NULL);
        if (ok) assert_string_equal(block, rows[i].block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_counted_by_their_end),
        cmocka_unit_test(addresses_are_counted_by_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
