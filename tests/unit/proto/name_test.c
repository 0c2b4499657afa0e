// name: hundreds of spellings (T24), addresses, and sets of identifiers.
#include "proto/der/name.h"

#include "proto/der/alabel.h"
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

#define L63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff012"
#define L61 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff0"

static const struct {
    const char *text, *canonical;
} good[] = {
    {"a", "a"},
    {"localhost", "localhost"},
    {"example.com", "example.com"},
    {"EXAMPLE.com", "example.com"},
    {"eXaMpLe.CoM", "example.com"},
    {"a.b.c.d.e.f.g.h.i.j.k", "a.b.c.d.e.f.g.h.i.j.k"},
    {"1.com", "1.com"},
    {"1a", "1a"},
    {"1.2.3.4a", "1.2.3.4a"},
    {"0x7f", "0x7f"},
    {"a-b.c-d", "a-b.c-d"},
    {"abc--d.com", "abc--d.com"},
    {"a--b.com", "a--b.com"},
    {"123.example", "123.example"},
    {"3com.com", "3com.com"},
    {"a1.b2.c3", "a1.b2.c3"},
    {"web01.prod.internal.test", "web01.prod.internal.test"},
    {L63 ".com", L63 ".com"},
    {L63 "." L63 "." L63 "." L61, L63 "." L63 "." L63 "." L61},
    {"xn--mnchen-3ya.de", "xn--mnchen-3ya.de"},
    {"XN--MNCHEN-3YA.DE", "xn--mnchen-3ya.de"},
    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
    {"xn--fsqu00a.xn--0zwm56d", "xn--fsqu00a.xn--0zwm56d"},
    {"xn--p1ai", "xn--p1ai"},
    {"xn--strae-oqa.de", "xn--strae-oqa.de"},
    {"xn--wgv71a119e.jp", "xn--wgv71a119e.jp"},
    {"xn--3e0b707e", "xn--3e0b707e"},
    {"xn--mgberp4a5d4ar", "xn--mgberp4a5d4ar"},
    {"xn--ls8h.la", "xn--ls8h.la"},
};

static const char *const bad[] = {
    "",
    ".",
    "..",
    "a.",
    ".a",
    "a..b",
    "example.com.",
    ".example.com",
    "example..com",
    " example.com",
    "example.com ",
    "exam ple.com",
    "example.com\n",
    "\texample.com",
    "-a.com",
    "a-.com",
    "a.-b",
    "a.b-",
    "-",
    "--",
    "a.-",
    "-.a",
    "_dmarc.example.com",
    "a_b.com",
    "_",
    "a._tcp",
    "example.com_",
    "ab--c.com",
    "xx--y.com",
    "zz--.com",
    "r3---sn.example.com",
    "xn--",
    "xn--.com",
    "xn---.com",
    "xn--a",
    "xn--a.com",
    "xn--0",
    "xn--abc-",
    "xn--example-.com",
    "xn--\xc3\xbc.com",
    "xn--9999999999999999",
    "xn--zzzzzzzzzzzzzzzzzzzz",
    "xn---mnchen-3ya",
    "xn--mnchen-3y",
    "xn--a-",
    "xn--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "1",
    "123",
    "1.2.3.4",
    "127.0.0.1",
    "10.0.0.256",
    "0.0.0.0",
    "1.1",
    "a.1",
    "example.123",
    "example.0",
    "999999999",
    "::1",
    "[::1]",
    "fe80::1%eth0",
    "2001:db8::1",
    "m\xc3\xbcnchen.de",
    "\xe4\xbe\x8b.jp",
    "ex\xc2\xaa"
    "mpl.com",
    "example\xe3\x80\x82"
    "com",
    "example.com\xff",
    "\x80",
    "\xef\xbb\xbf"
    "a.com",
    "a\xc2\xad"
    "b.com",
    "a\xe2\x80\x8b.com",
    "*",
    "*.",
    "**.example.com",
    "*a.example.com",
    "a*.example.com",
    "a.*.example.com",
    "*.*.example.com",
    "example.*",
    "*.example.com",
    "*.com",
    "*example.com",
    "\\052.example.com",
    "*.1.2.3.4",
    "http://example.com",
    "example.com/",
    "example.com:443",
    "user@example.com",
    "example.com?",
    "example.com#a",
    "a,b",
    "a;b",
    "a|b",
    "a=b",
    "a+b",
    "a%20b",
    "a!b",
    "a$b",
    "a&b",
    "a'b",
    "a\"b",
    "a(b)",
    "a<b>",
    "a[b]",
    "a{b}",
    "a\\b",
    "a^b",
    "a`b",
    "a~b",
    L63 "x",
    L63 "x.com",
    "a." L63 "x",
    L63 "." L63 "." L63 "." L61 "x",
    L63 "." L63 "." L63 "." L63,
    "a." L63 "." L63 "." L63 "." L61,
};

static struct err canonical(struct slice *out, struct slice text, bool wildcard)
{
    return dns_name_canonical(out, &arena, text, wildcard);
}

static void has_one_spelling(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct slice once, twice;
        struct err e = canonical(&once, slice_str(good[i].text), false);
        if (failed(e)) print_error("%s\n", good[i].text);
        assert_ok(e);
        assert_slice_str(once, good[i].canonical);
        assert_int_equal(once.p[once.n], 0);
        assert_ok(canonical(&twice, once, false));
        assert_slice(twice, once);
        assert_ok(canonical(&twice, once, true));
        assert_slice(twice, once);
    }
}

static void refuses_other_spellings(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct slice out = SLICE_LIT("untouched");
        struct err e = canonical(&out, slice_str(bad[i]), false);
        if (!failed(e)) print_error("%s\n", bad[i]);
        assert_err(e, ERR_BAD_DNS_NAME);
        assert_slice_str(out, "untouched");
    }
}

static bool ldh(unsigned c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Each octet at the front, in the middle and at the end of a label; the dot makes two labels and
// the hyphen is fine inside.
static void judges_every_octet_in_every_place(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < 5; at++) {
            uint8_t text[] = "abcde.example";
            struct slice out, again;
            text[at] = (uint8_t)c;
            bool want = ldh(c) || (c == '-' && at > 0 && at < 4) || (c == '.' && at > 0 && at < 4);
            struct err e = canonical(&out, slice_of(text, 13), true);
            if (!want)
                assert_err(e, ERR_BAD_DNS_NAME);
            else {
                assert_ok(e);
                assert_ok(canonical(&again, out, true));
                assert_slice(again, out);
            }
        }
        uint8_t top[] = "example.1x";
        struct slice out;
        top[9] = (uint8_t)c;
        bool want = ldh(c) && !(c >= '0' && c <= '9');
        assert_int_equal(failed(canonical(&out, slice_of(top, 10), false)), !want);
    }
}

static void knows_wildcards_only_where_asked(void **state)
{
    (void)state;
    static const char *const bad_wildcards[] = {"*",     "*.",      "**.a", "*a.b", "a.*",
                                                "*.*.a", "*.a.",    "*..a", "*.1",  "*.127.0.0.1",
                                                "*.-a",  "*.xn--a", ".*.a", "*.*"};
    struct slice out;
    assert_err(canonical(&out, SLICE_LIT("*.example.com"), false), ERR_BAD_DNS_NAME);
    assert_ok(canonical(&out, SLICE_LIT("*.Example.com"), true));
    assert_slice_str(out, "*.example.com");
    assert_ok(canonical(&out, SLICE_LIT("*.corp"), true));
    for (size_t i = 0; i < COUNT_OF(bad_wildcards); i++)
        assert_err(canonical(&out, slice_str(bad_wildcards[i]), true), ERR_BAD_DNS_NAME);
    assert_ok(canonical(&out, SLICE_LIT("*." L61 "." L63 "." L63 "." L61), true));
    assert_err(canonical(&out, SLICE_LIT("*." L61 "x." L63 "." L63 "." L61), true),
               ERR_BAD_DNS_NAME);
}

static void says_so_when_the_arena_is_full(void **state)
{
    (void)state;
    struct arena small;
    struct slice out;
    arena_init(&small, 16);
    assert_err(dns_name_canonical(&out, &small, SLICE_LIT("longer.than.sixteen.octets"), false),
               ERR_NO_SPACE);
    arena_fini(&small);
}

// RFC 3492 section 7.1 (those whose text is one label in lower case) and edge cases of the decoder.
static void knows_real_a_labels(void **state)
{
    (void)state;
    static const char *const real[] = {
        "xn--ihqwcrb4cv8a8dqg056pqjye",
        "xn--ihqwctvzc91f659drss3x8bo0yb",
        "xn--egbpdaj6bu4bxfgehfvwxn",
        "xn--4dbcagdahymbxekheh6e0a7fei0b",
        "xn--i1baa7eci9glrd9b2ae1bj0hfcgg6iyaf8o0a1dig0cd",
        "xn--n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa",
        "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l",
        "xn--fiqs8s",
        "xn--fiqz9s",
        "xn--j6w193g",
        "xn--node",
        "xn--kpry57d",
        "xn--o3cw4h",
        "xn--ogbpf8fl",
        "xn--wgbh1c",
        "xn--80akhbyknj4f",
        "xn--zckzah",
    };
    static const char *const fake[] = {
        "xn--",   "xn--a", "xn--ab",       "xn--abc", "xn--www-",     "xn---",
        "xn----", "xn--0", "xn--99999999", "xn--2u",  "xn--a-ecp.ru", "example",
        "",       "xn-",   "xn--zzzzzz",   "xn--1",   "xn--aa---b"};
    for (size_t i = 0; i < COUNT_OF(real); i++) {
        if (!alabel_valid(slice_str(real[i]))) print_error("%s\n", real[i]);
        assert_true(alabel_valid(slice_str(real[i])));
    }
    for (size_t i = 0; i < COUNT_OF(fake); i++) {
        if (alabel_valid(slice_str(fake[i]))) print_error("%s\n", fake[i]);
        assert_false(alabel_valid(slice_str(fake[i])));
    }
}

static struct slice address(const char *text)
{
    struct slice out = SLICE_NONE;
    assert_ok(ip_address_parse(&out, &arena, slice_str(text)));
    return out;
}

static void reads_addresses_and_writes_them_canonically(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
    } addresses[] = {
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"10.1.2.30", "10.1.2.30"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"2001:DB8::1", "2001:db8::1"},
        {"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"0:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
        {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"::ffff:10.1.2.3", "::ffff:10.1.2.3"},
        {"::ffff:a01:203", "::ffff:10.1.2.3"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"::1.2.3.4", "::102:304"},
        {"fe80::", "fe80::"},
    };
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        struct identifier id = {IDENTIFIER_IP, address(addresses[i].text)};
        assert_string_equal(identifier_text(&arena, &id), addresses[i].canonical);
        assert_slice(address(addresses[i].canonical), id.value);
    }
}

static void refuses_other_texts_as_addresses(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        ".",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.",
        ".1.2.3",
        "1..2.3",
        "256.1.1.1",
        "01.2.3.4",
        "1.2.3.04",
        "0x1.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4/24",
        "1.2.3.a",
        "1.2.3.-4",
        "1.2.3.1000",
        ":",
        ":::",
        "1:",
        ":1",
        "1:2",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1::2::3",
        "1:::2",
        "12345::",
        "g::",
        "::1%lo",
        "[::1]",
        "::1/128",
        "1.2.3.4::",
        "::1.2.3",
        "::1.2.3.4.5",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::256.1.1.1",
        "1:2:3:4:5:6:7:",
        "example.com",
        "a",
        "::1.2.3.04",
    };
    struct slice out;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct err e = ip_address_parse(&out, &arena, slice_str(others[i]));
        if (!failed(e)) print_error("%s\n", others[i]);
        assert_err(e, ERR_BAD_IP_ADDRESS);
    }
    assert_err(ip_address_parse(&out, &arena, SLICE_LIT("1.2.3.4\0")), ERR_BAD_IP_ADDRESS);
}

static void sorts_and_drops_duplicates(void **state)
{
    (void)state;
    struct identifier ids[] = {
        {IDENTIFIER_IP, SLICE_LIT("\x0a\0\0\1")}, {IDENTIFIER_DNS, SLICE_LIT("b")},
        {IDENTIFIER_DNS, SLICE_LIT("a.b")},       {IDENTIFIER_DNS, SLICE_LIT("*.b")},
        {IDENTIFIER_DNS, SLICE_LIT("a")},         {IDENTIFIER_DNS, SLICE_LIT("b")},
        {IDENTIFIER_IP, SLICE_LIT("\x0a\0\0\1")}, {IDENTIFIER_DNS, SLICE_LIT("b")},
    };
    static const char *const want[] = {"*.b", "a", "a.b", "b", "10.0.0.1"};
    assert_int_equal(identifiers_sort(ids, COUNT_OF(ids)), COUNT_OF(want));
    for (size_t i = 0; i < COUNT_OF(want); i++)
        assert_string_equal(identifier_text(&arena, &ids[i]), want[i]);
    assert_int_equal(identifiers_sort(ids, 0), 0);
    assert_int_equal(identifiers_sort(ids, 1), 1);
}

static void encodes_and_decodes(void **state)
{
    (void)state;
    struct identifier ids[] = {{IDENTIFIER_DNS, SLICE_LIT("a.example")},
                               {IDENTIFIER_IP, SLICE_LIT("\1\2\3\4")},
                               {IDENTIFIER_IP, SLICE_LIT("0123456789abcdef")}};
    struct identifier *again = NULL;
    size_t count = 99;
    struct buf b;
    buf_init(&b, 1024);
    assert_ok(identifiers_encode(&b, ids, COUNT_OF(ids)));
    assert_slice(buf_slice(&b), SLICE_LIT("\1\0\x09"
                                          "a.example\2\0\4\1\2\3\4\2\0\x10"
                                          "0123456789abcdef"));
    assert_ok(identifiers_decode(&again, &count, &arena, buf_slice(&b)));
    assert_int_equal(count, COUNT_OF(ids));
    for (size_t i = 0; i < count; i++) assert_int_equal(identifier_cmp(&again[i], &ids[i]), 0);
    for (size_t n = 1; n < buf_len(&b); n++) { // cut anywhere but between entries, it is malformed
        bool whole = n == 12 || n == 19;
        assert_int_equal(
            failed(identifiers_decode(&again, &count, &arena, slice_sub(buf_slice(&b), 0, n))),
            !whole);
    }
    assert_ok(identifiers_decode(&again, &count, &arena, SLICE_NONE));
    assert_int_equal(count, 0);
    buf_fini(&b);
}

static void refuses_malformed_encodings(void **state)
{
    (void)state;
    static const struct slice malformed[] = {SLICE_LIT("\0\0\1a"),
                                             SLICE_LIT("\3\0\1a"),
                                             SLICE_LIT("\1\0\0"),
                                             SLICE_LIT("\2\0\3abc"),
                                             SLICE_LIT("\2\0\5abcde"),
                                             SLICE_LIT("\1\xff\xff"
                                                       "a"),
                                             SLICE_LIT("\1\0"),
                                             SLICE_LIT("\1")};
    struct identifier *ids;
    size_t count;
    for (size_t i = 0; i < COUNT_OF(malformed); i++)
        assert_err(identifiers_decode(&ids, &count, &arena, malformed[i]), ERR_BAD_DER);
}

static void encoding_respects_the_ceiling(void **state)
{
    (void)state;
    struct identifier id = {IDENTIFIER_DNS, SLICE_LIT("example")};
    struct buf b;
    buf_init(&b, 9);
    assert_err(identifiers_encode(&b, &id, 1), ERR_NO_SPACE);
    assert_int_equal(buf_len(&b), 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_one_spelling),
        cmocka_unit_test(refuses_other_spellings),
        cmocka_unit_test(judges_every_octet_in_every_place),
        cmocka_unit_test(knows_wildcards_only_where_asked),
        cmocka_unit_test(says_so_when_the_arena_is_full),
        cmocka_unit_test(knows_real_a_labels),
        cmocka_unit_test(reads_addresses_and_writes_them_canonically),
        cmocka_unit_test(refuses_other_texts_as_addresses),
        cmocka_unit_test(sorts_and_drops_duplicates),
        cmocka_unit_test(encodes_and_decodes),
        cmocka_unit_test(refuses_malformed_encodings),
        cmocka_unit_test(encoding_respects_the_ceiling),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
