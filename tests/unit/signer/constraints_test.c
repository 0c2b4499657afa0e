// constraints: which names an issuing CA's constraints let through, and that what cannot be read
// lets none through.
#include "signer/constraints.h"

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
        if (constraints_permit(&ca, slice_str(rows[i].name)) != rows[i].want)
            fail_msg("row %zu: %s", i, rows[i].name);
    }
    struct cert without = {0};
    assert_true(constraints_readable(&without));
    assert_true(constraints_permit(&without, SLICE_LIT("any.test")));
    // Only addresses are constrained: DNS names are free.
    struct slice address = MAKE_SEQUENCE(
        &arena, MAKE_TLV(&arena, 0x87, make_hex(&arena, "0a000000ff000000")));
    struct cert ca = ca_of(MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0xa0, address)));
    assert_true(constraints_readable(&ca));
    assert_true(constraints_permit(&ca, SLICE_LIT("any.test")));
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
        if (constraints_readable(&ca) || constraints_permit(&ca, SLICE_LIT("a")))
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_names),
        cmocka_unit_test(lets_nothing_through_that_it_cannot_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
