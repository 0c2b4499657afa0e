// address: texts to addresses and back, ranges with the forms an IPv4 address hides in.
#include "cluster/core/address.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "cluster/err.h"
#include "tests/unit/unit.h"

static void reads_and_writes_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned port_default;
        const char *want; // NULL: refused
    } rows[] = {
        {"127.0.0.1:80", 0, "127.0.0.1:80"},
        {"[::1]:443", 0, "[::1]:443"},
        {"[2001:db8::1]", 53, "[2001:db8::1]:53"},
        {"2001:db8::1", 53, "[2001:db8::1]:53"},
        {"10.0.0.1", 53, "10.0.0.1:53"},
        {"10.0.0.1:5353", 53, "10.0.0.1:5353"},
        {"0.0.0.0:0", 0, "0.0.0.0:0"},
        {"127.0.0.1:65535", 0, "127.0.0.1:65535"},
        {"unix:/run/x.sock", 0, "unix:/run/x.sock"},
        {"127.0.0.1", 0, NULL},
        {"127.0.0.1:65536", 0, NULL},
        {"127.0.0.1:", 80, NULL},
        {"127.0.0.1:+1", 0, NULL},
        {"127.0.0.1:8 0", 0, NULL},
        {"127.0.0.1:000080", 0, NULL},
        {"127.1:80", 0, NULL},
        {"localhost:80", 0, NULL},
        {"[::1", 80, NULL},
        {"[::1]80", 80, NULL},
        {"[::1]:", 80, NULL},
        {"[127.0.0.1]:80", 0, NULL},
        {"fe80::1%eth0", 80, NULL},
        {"", 80, NULL},
        {":80", 0, NULL},
        {"unix:", 0, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sockaddr_storage a;
        socklen_t len = 0;
        char text[ADDRESS_TEXT_MAX];
        struct err e = address_parse(&a, &len, slice_str(rows[i].text), rows[i].port_default);
        if (rows[i].want == NULL) {
            if (!failed(e)) fail_msg("'%s' was accepted", rows[i].text);
            assert_err(e, ERR_BAD_ADDRESS);
            continue;
        }
        if (failed(e)) fail_msg("'%s' was refused", rows[i].text);
        address_text(text, (struct sockaddr *)&a);
        assert_string_equal(text, rows[i].want);
        assert_true(len > 0 && len <= sizeof a);
    }
}

static void refuses_nul_bytes_and_long_paths(void **state)
{
    (void)state;
    struct sockaddr_storage a;
    socklen_t len;
    char path[5 + sizeof((struct sockaddr_un *)NULL)->sun_path + 1] = "unix:";
    assert_err(address_parse(&a, &len, slice_of("127.0.0.1\0:80", 13), 0), ERR_BAD_ADDRESS);
    assert_err(address_parse(&a, &len, slice_of("unix:/a\0b", 9), 0), ERR_BAD_ADDRESS);
    memset(path + 5, 'x', sizeof path - 6);
    assert_err(address_parse(&a, &len, slice_str(path), 0), ERR_BAD_ADDRESS);
    path[sizeof path - 2] = '\0'; // 107 characters fit
    assert_ok(address_parse(&a, &len, slice_str(path), 0));
}

static void knows_what_is_in_a_range(void **state)
{
    (void)state;
    static const struct {
        const char *range, *address;
        bool in;
    } rows[] = {
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},   // mapped
        {"10.0.0.0/8", "64:ff9b::10.1.2.3", true}, // NAT64
        {"10.0.0.0/8", "64:ff9b::11.1.2.3", false},
        {"10.0.0.0/8", "64:ff9b:1::10.1.2.3", false},
        {"::ffff:10.0.0.0/104", "10.9.9.9", true},
        {"192.168.1.128/25", "192.168.1.127", false},
        {"192.168.1.128/25", "192.168.1.128", true},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4", "1.2.3.5", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::1", "::1", true},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::1", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct address_range r;
        struct sockaddr_storage a;
        socklen_t len;
        assert_ok(address_range_parse(&r, slice_str(rows[i].range)));
        assert_ok(address_parse(&a, &len, slice_str(rows[i].address), 1));
        if (address_range_has(&r, (struct sockaddr *)&a) != rows[i].in)
            fail_msg("%s in %s", rows[i].address, rows[i].range);
        struct slice octets = a.ss_family == AF_INET
                                  ? slice_of(&((struct sockaddr_in *)&a)->sin_addr, 4)
                                  : slice_of(&((struct sockaddr_in6 *)&a)->sin6_addr, 16);
        assert_int_equal(address_range_has_octets(&r, octets), rows[i].in);
        assert_false(address_range_has_octets(&r, slice_sub(octets, 1, octets.n)));
        // What is written is read again as the same.
        char text[ADDRESS_TEXT_MAX];
        struct address_range again;
        address_range_text(text, &r);
        assert_ok(address_range_parse(&again, slice_str(text)));
        assert_memory_equal(&again, &r, sizeof r);
    }
    static const char *const bad[] = {"10.0.0.0/33",  "10.1.0.0/8",   "::1/129", "10.0.0.0/",
                                      "10.0.0.0/-1",  "/8",           "",        "x",
                                      "64:ff9b::/96", "10.0.0.0/8/8", "unix:/x"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct address_range r;
        if (!failed(address_range_parse(&r, slice_str(bad[i]))))
            fail_msg("range '%s' was accepted", bad[i]);
    }
    struct address_range all;
    struct sockaddr_storage u;
    socklen_t len;
    assert_ok(address_range_parse(&all, SLICE_LIT("::/0")));
    assert_ok(address_parse(&u, &len, SLICE_LIT("unix:/x"), 0));
    assert_false(address_range_has(&all, (struct sockaddr *)&u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_addresses),
        cmocka_unit_test(refuses_nul_bytes_and_long_paths),
        cmocka_unit_test(knows_what_is_in_a_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
