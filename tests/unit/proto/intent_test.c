// intent: every field but three is in the hash, no two different intents meet in it by moving bytes
// between fields, and the hash of a fixed intent never changes.
#include "proto/rpc/intent.h"

#include <stdio.h>

#include "proto/err.h"
#include "tests/unit/unit.h"

static struct identifier names[2];

static struct intent example(void)
{
    names[0] = (struct identifier){IDENTIFIER_DNS, SLICE_LIT("a.example")};
    names[1] = (struct identifier){IDENTIFIER_IP, SLICE_LIT("\x0a\1\2\3")};
    return (struct intent){
        .order = {{1}},
        .tenant = SLICE_LIT("default"),
        .account = {{2}},
        .owner_node = {{3}},
        .owner_boot = 4,
        .spki = SLICE_LIT("spki"),
        .names = names,
        .name_count = 2,
        .profile = SLICE_LIT("tls"),
        .profile_hash = {5},
        .template_version = 6,
        .issuer = 7,
        .region = 8,
        .issuer_cert_hash = {9},
        .serial_key_generation = 10,
        .not_before = 11,
        .not_after = 12,
        .crl_shard = 13,
        .salt = {14},
        .created_at_us = 15,
    };
}

static bool same_hash(const struct intent *a, const struct intent *b)
{
    uint8_t x[HASH_LEN], y[HASH_LEN];
    intent_hash(x, a);
    intent_hash(y, b);
    return memcmp(x, y, HASH_LEN) == 0;
}

#define CHANGES(field, value)                          \
    do {                                               \
        struct intent was = example(), is = example(); \
        is.field = value;                              \
        assert_false(same_hash(&was, &is));            \
    } while (0)
#define KEEPS(field, value)                            \
    do {                                               \
        struct intent was = example(), is = example(); \
        is.field = value;                              \
        assert_true(same_hash(&was, &is));             \
    } while (0)

static void every_sealed_field_counts(void **state)
{
    (void)state;
    CHANGES(order.b[15], 1);
    CHANGES(tenant, SLICE_LIT("defaulu"));
    CHANGES(account.b[0], 3);
    CHANGES(spki, SLICE_LIT("spkj"));
    CHANGES(spki, SLICE_NONE);
    CHANGES(name_count, 1);
    CHANGES(name_count, 0);
    CHANGES(profile, SLICE_LIT("tlt"));
    CHANGES(profile_hash[31], 1);
    CHANGES(template_version, 7);
    CHANGES(issuer, 8);
    CHANGES(region, 9);
    CHANGES(issuer_cert_hash[31], 1);
    CHANGES(serial_key_generation, 11);
    CHANGES(not_before, -11);
    CHANGES(not_after, 13);
    CHANGES(crl_shard, 14);
    CHANGES(salt[15], 1);
    KEEPS(owner_node.b[0], 9);
    KEEPS(owner_boot, 99);
    KEEPS(created_at_us, 99);
}

static void names_count_by_type_and_value(void **state)
{
    (void)state;
    struct intent was = example(), is = example();
    struct identifier other[2] = {names[0], names[1]};
    is.names = other;
    assert_true(same_hash(&was, &is));
    other[1].type = IDENTIFIER_DNS;
    assert_false(same_hash(&was, &is));
    other[1] = (struct identifier){IDENTIFIER_IP, SLICE_LIT("\x0a\1\2\4")};
    assert_false(same_hash(&was, &is));
}

static void bytes_do_not_move_between_fields(void **state)
{
    (void)state;
    struct intent a = example(), b = example();
    a.tenant = SLICE_LIT("ab");
    a.profile = SLICE_LIT("c");
    b.tenant = SLICE_LIT("a");
    b.profile = SLICE_LIT("bc");
    assert_false(same_hash(&a, &b));
    struct identifier one[1] = {{IDENTIFIER_DNS, SLICE_LIT("a.exampleb.example")}},
                      two[2] = {{IDENTIFIER_DNS, SLICE_LIT("a.example")},
                                {IDENTIFIER_DNS, SLICE_LIT("b.example")}};
    a = b = example();
    a.names = one, a.name_count = 1;
    b.names = two, b.name_count = 2;
    assert_false(same_hash(&a, &b));
}

// Signers of two versions must agree, so this value may only change together with the label.
static void hash_is_fixed_for_ever(void **state)
{
    (void)state;
    struct intent in = example();
    uint8_t hash[HASH_LEN];
    char text[2 * HASH_LEN + 1];
    intent_hash(hash, &in);
    for (size_t i = 0; i < HASH_LEN; i++) snprintf(text + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(text, "614ee34377b17a7cbfd430b8dfee087872b4795322b4053ab97862a870441e64");
}

static void copies_deeply(void **state)
{
    (void)state;
    struct arena a;
    struct intent in = example(), out = {.issuer = 99};
    char tenant[] = "moving";
    in.tenant = slice_str(tenant);
    arena_init(&a, 1 << 16);
    assert_ok(intent_copy(&out, &a, &in));
    assert_true(same_hash(&in, &out));
    assert_int_equal(out.owner_boot, in.owner_boot);
    assert_int_equal(out.created_at_us, in.created_at_us);
    assert_ptr_not_equal(out.names, in.names);
    memset(tenant, 'x', 6);
    assert_slice_str(out.tenant, "moving");
    arena_fini(&a);
    for (size_t ceiling = 0; ceiling < 64; ceiling += 16) {
        struct intent untouched = {.issuer = 99};
        arena_init(&a, ceiling);
        assert_err(intent_copy(&untouched, &a, &in), ERR_NO_SPACE);
        assert_int_equal(untouched.issuer, 99);
        arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sealed_field_counts),
        cmocka_unit_test(names_count_by_type_and_value),
        cmocka_unit_test(bytes_do_not_move_between_fields),
        cmocka_unit_test(hash_is_fixed_for_ever),
        cmocka_unit_test(copies_deeply),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
