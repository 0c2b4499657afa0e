// constraints: which names an issuing CA's constraints let through, and that what cannot be read
// lets none through.
#include "signer/constraints.h"

#include <stdio.h>

#include "proto/der/der.h"
#include "tests/unit/signer/fixture.h"

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

// subtrees is a list of dNSName bases separated by commas, behind a tag.
static struct slice subtrees(uint8_t tag, const char *bases)
{
    struct slice all = SLICE_NONE;
    for (size_t n; bases != NULL && *bases != 0; bases += n + (bases[n] == ',')) {
        n = strcspn(bases, ",");
        struct slice base = slice_of(bases, slice_eq_str(slice_of(bases, n), "-") ? 0 : n);
        all = MAKE_JOINED(&arena, all, MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x82, base)));
    }
    return bases == NULL ? SLICE_NONE : MAKE_TLV(&arena, tag, all);
}

static struct cert ca_of(struct slice value)
{
    struct cert_extension *e = ARENA_NEW(&arena, struct cert_extension);
    *e = (struct cert_extension){OID_NAME_CONSTRAINTS, true, value};
    return (struct cert){.extensions = e, .extension_count = 1};
}

static bool permits(const struct cert *ca, const char *name)
{
    return constraints_permit(ca, &(struct identifier){IDENTIFIER_DNS, slice_str(name)});
}

// networks is a list of iPAddress bases in hexadecimal, separated by commas, behind a tag.
static struct slice networks(uint8_t tag, const char *bases)
{
    struct slice all = SLICE_NONE;
    char one[80];
    for (size_t n; bases != NULL && *bases != 0; bases += n + (bases[n] == ',')) {
        n = strcspn(bases, ",");
        snprintf(one, sizeof one, "%.*s", (int)n, bases);
        all = MAKE_JOINED(&arena, all,
                          MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x87, make_hex(&arena, one))));
    }
    return bases == NULL ? SLICE_NONE : MAKE_TLV(&arena, tag, all);
}

static void judges_addresses(void **state)
{
    (void)state;
#define V6_LOOP "00000000000000000000000000000001"
#define V6_64 "ffffffffffffffff0000000000000000"
    static const struct {
        const char *permitted, *excluded, *address;
        bool want;
    } rows[] = {
        {"0a000000ff000000", NULL, "0a010203", true},
        {"0a000000ff000000", NULL, "0b010203", false},
        {"0a010203ffffffff", NULL, "0a010203", true},
        {"0a000000ff000000,c0a80000ffff0000", NULL, "c0a80101", true},
        {"0000000000000000", NULL, "08080808", true},
        {"0a000000ff000000", NULL, V6_LOOP, false}, // another family
        {"fd000000000000000000000000000000" V6_64, NULL, "fd00000000000000ffffffffffffffff", true},
        {"fd000000000000000000000000000000" V6_64, NULL, "fd000000000000010000000000000000", false},
        {"fd000000000000000000000000000000" V6_64, NULL, "0a010203", false},
        {NULL, "0a000000ff000000", "0a010203", false},
        {NULL, "0a000000ff000000", "0b010203", true},
        {NULL, "0a000000ff000000", V6_LOOP, true},
        {"0a000000ff000000", "0a010000ffff0000", "0a010203", false},
        {"0a000000ff000000", "0a010000ffff0000", "0a020203", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cert ca = ca_of(MAKE_SEQUENCE(&arena, networks(0xa0, rows[i].permitted),
                                             networks(0xa1, rows[i].excluded)));
        const struct identifier id = {IDENTIFIER_IP, make_hex(&arena, rows[i].address)};
        assert_true(constraints_readable(&ca));
        if (constraints_permit(&ca, &id) != rows[i].want) fail_msg("row %zu", i);
    }
    // DNS names alone are constrained: addresses are free.
    struct cert names = ca_of(MAKE_SEQUENCE(&arena, subtrees(0xa0, "corp.example")));
    const struct identifier id = {IDENTIFIER_IP, SLICE_LIT("\x0a\1\2\3")};
    assert_true(constraints_permit(&names, &id));
    // No network: a mask with holes, lengths that no address has.
    static const char *const broken[] = {"0a000000ff00ff00", "0a000000", "0a000000ff0000", "00",
                                         V6_LOOP};
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct cert ca = ca_of(MAKE_SEQUENCE(&arena, networks(0xa0, broken[i])));
        assert_false(constraints_readable(&ca));
        assert_false(constraints_permit(&ca, &id));
        assert_false(permits(&ca, "any.test"));
    }
}

static void judges_names(void **state)
{
    static const struct {
        const char *permitted, *excluded, *name; // "-": an empty base
        bool want;
    } rows[] = {
        {"corp.example", NULL, "corp.example", true},
        {"corp.example", NULL, "a.corp.example", true},
        {"corp.example", NULL, "a.b.corp.example", true},
        {"Corp.EXAMPLE", NULL, "a.corp.example", true},
        {"corp.example", NULL, "evilcorp.example", false},
        {"corp.example", NULL, "example", false},
        {"corp.example", NULL, "corp.example.test", false},
        {".corp.example", NULL, "a.corp.example", true},
        {".corp.example", NULL, "corp.example", false},
        {"corp.example,other.test", NULL, "a.other.test", true},
        {"-", NULL, "any.test", true},
        {NULL, "bad.test", "any.test", true},
        {NULL, "bad.test", "bad.test", false},
        {NULL, "bad.test", "a.bad.test", false},
        {"test", "bad.test", "good.test", true},
        {"test", "bad.test", "a.bad.test", false},
        {"test", "-", "good.test", false},
        // Wildcards: below a permitted tree as a whole, and for no name of an excluded one.
        {"corp.example", NULL, "*.corp.example", true},
        {"corp.example", NULL, "*.a.corp.example", true},
        {"a.corp.example", NULL, "*.corp.example", false},
        {"corp.example", NULL, "*.example", false},
        {NULL, "bad.test", "*.bad.test", false},
        {NULL, "bad.test", "*.test", false},
        {NULL, "Bad.TEST", "*.test", false},
        {NULL, "a.bad.test", "*.test", true},
        {NULL, "bad.test", "*.other", true},
        {NULL, "bad.test", "*.a.test", true},
        {NULL, ".bad.test", "*.test", true},
        {NULL, "test", "*.test", false},
        {NULL, "test", "*.a", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cert ca = ca_of(MAKE_SEQUENCE(&arena, subtrees(0xa0, rows[i].permitted),
                                             subtrees(0xa1, rows[i].excluded)));
        assert_true(constraints_readable(&ca));
        if (permits(&ca, rows[i].name) != rows[i].want) fail_msg("row %zu: %s", i, rows[i].name);
    }
    struct cert without = {0};
    assert_true(constraints_readable(&without));
    assert_true(permits(&without, "any.test"));
    // Only addresses are constrained: DNS names are free.
    struct slice address = MAKE_SEQUENCE(
        &arena, MAKE_TLV(&arena, 0x87, make_hex(&arena, "0a000000ff000000")));
    struct cert ca = ca_of(MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0xa0, address)));
    assert_true(constraints_readable(&ca));
    assert_true(permits(&ca, "any.test"));
}

static void lets_nothing_through_that_it_cannot_read(void **state)
{
    static const char *const values[] = {
        "",                         // nothing
        "3000",                     // no list at all
        "3002a000",                 // an empty list
        "3008a0063004820161",       // a list that is cut
        "3008a006300482016100",     // bytes behind
        "300aa0083006820161800101", // minimum, which RFC 5280 forbids
        "3008a2063004820161"
        "00", // another list
        "300aa1063004820161"
        "3000",                 // something behind the lists
        "0408a006300482016100", // no SEQUENCE
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct cert ca = ca_of(make_hex(&arena, values[i]));
        if (constraints_readable(&ca) || permits(&ca, "a")) fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_names),
        cmocka_unit_test(judges_addresses),
        cmocka_unit_test(lets_nothing_through_that_it_cannot_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
