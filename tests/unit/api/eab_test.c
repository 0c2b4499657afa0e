// eab: sealed secrets, key ids, and what a key's lists allow.
#include "api/eab.h"

#include <string.h>

#include "api/err.h"
#include "proto/err.h"
#include "tests/unit/unit.h"

static struct arena a;
static const struct slice cluster = SLICE_LIT("0123456789abcdef0123456789abcdef"),
                          tenant = SLICE_LIT("default"), kid = SLICE_LIT("k1"),
                          secret = SLICE_LIT("the secret of the key");

static void a_sealed_secret_is_opened_by_its_own_cluster_and_name_only(void **state)
{
    (void)state;
    struct slice sealed, again, out;
    arena_init(&a, 1 << 16);
    assert_ok(eab_seal(&sealed, &a, cluster, tenant, kid, secret));
    assert_ok(eab_seal(&again, &a, cluster, tenant, kid, secret));
    assert_false(slice_eq(sealed, again)); // another nonce each time
    assert_null(memmem(sealed.p, sealed.n, "secret", 6));
    assert_ok(eab_open(&out, &a, cluster, tenant, kid, sealed));
    assert_slice(out, secret);
    assert_err(eab_open(&out, &a, SLICE_LIT("another"), tenant, kid, sealed), ERR_EAB_SEALED);
    assert_err(eab_open(&out, &a, cluster, SLICE_LIT("other"), kid, sealed), ERR_EAB_SEALED);
    assert_err(eab_open(&out, &a, cluster, tenant, SLICE_LIT("k2"), sealed), ERR_EAB_SEALED);
    // Tenant and key id do not run into one another.
    assert_err(eab_open(&out, &a, cluster, SLICE_LIT("defaultk"), SLICE_LIT("1"), sealed),
               ERR_EAB_SEALED);
    assert_err(eab_open(&out, &a, cluster, tenant, kid, SLICE_NONE), ERR_EAB_SEALED);
    for (size_t n = 0; n < sealed.n; n++)
        assert_err(eab_open(&out, &a, cluster, tenant, kid, slice_sub(sealed, 0, n)),
                   ERR_EAB_SEALED);
    for (size_t i = 0; i < sealed.n; i++) {
        ((uint8_t *)(uintptr_t)sealed.p)[i] ^= 1;
        assert_err(eab_open(&out, &a, cluster, tenant, kid, sealed), ERR_EAB_SEALED);
        ((uint8_t *)(uintptr_t)sealed.p)[i] ^= 1;
    }
    struct arena small;
    arena_init(&small, 8);
    assert_err(eab_open(&out, &small, cluster, tenant, kid, sealed), ERR_NO_SPACE);
    arena_fini(&small);
    arena_fini(&a);
}

// RFC 7518 section 3.2: as long as the digest, or longer.
static void a_secret_is_as_long_as_its_longest_digest(void **state)
{
    (void)state;
    assert_int_equal(eab_secret_len(EAB_HS256), 32);
    assert_int_equal(eab_secret_len(EAB_HS256 | EAB_HS384), 48);
    assert_int_equal(eab_secret_len(EAB_HS256 | EAB_HS384 | EAB_HS512), 64);
}

#define SIXTEEN "0123456789012345"

static void key_ids_are_plain(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "A-b_c.9", SIXTEEN SIXTEEN SIXTEEN SIXTEEN},
                             *const bad[] = {"", "a b", "a/b", "\xc3\xa4",
                                             SIXTEEN SIXTEEN SIXTEEN SIXTEEN "6"};
    for (size_t i = 0; i < COUNT_OF(good); i++) assert_null(eab_kid_wrong(slice_str(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++) assert_non_null(eab_kid_wrong(slice_str(bad[i])));
    assert_non_null(eab_kid_wrong(SLICE_LIT("a\0b")));
}

static bool name_allowed(const char *list, const char *name)
{
    struct eab_row key = {.identifiers = slice_str(list)};
    struct identifier id = {IDENTIFIER_DNS, slice_str(name)};
    return eab_allows(&key, &a, &id);
}

static bool address_allowed(const char *list, const char *text)
{
    struct eab_row key = {.identifiers = slice_str(list)};
    struct identifier id = {.type = IDENTIFIER_IP};
    assert_ok(ip_address_parse(&id.value, &a, slice_str(text)));
    return eab_allows(&key, &a, &id);
}

static void lists_allow_what_they_name(void **state)
{
    (void)state;
    arena_init(&a, 1 << 18);
    static const char names[] = "[\"corp.test\",\".only.below\",\"10.0.0.0/8\",\"fd00::/8\"]";
    assert_true(name_allowed(names, "corp.test"));
    assert_true(name_allowed(names, "a.corp.test"));
    assert_true(name_allowed(names, "a.b.corp.test"));
    assert_true(name_allowed(names, "*.corp.test"));
    assert_true(name_allowed(names, "a.only.below"));
    assert_true(name_allowed(names, "*.only.below"));
    assert_false(name_allowed(names, "only.below"));
    assert_false(name_allowed(names, "xcorp.test"));
    assert_false(name_allowed(names, "corp.test.evil"));
    assert_false(name_allowed(names, "test"));
    assert_false(name_allowed(names, "*.test"));
    assert_false(name_allowed("[\"a.corp.test\"]", "*.corp.test"));
    assert_true(address_allowed(names, "10.1.2.3"));
    assert_true(address_allowed(names, "fd00::1"));
    assert_true(address_allowed("[\"192.0.2.1\"]", "192.0.2.1"));
    assert_false(address_allowed(names, "11.0.0.1"));
    assert_false(address_allowed(names, "2001:db8::1"));
    assert_false(address_allowed("[\"corp.test\"]", "10.1.2.3"));
    assert_true(name_allowed("[]", "anything.test"));
    assert_true(address_allowed("[]", "10.1.2.3"));
    // What cannot be read allows nothing.
    assert_false(name_allowed("", "corp.test"));
    assert_false(name_allowed("{}", "corp.test"));
    assert_false(name_allowed("[1,\"corp.test\"]", "corp.test"));
    struct eab_row key = {.profiles = SLICE_LIT("[\"server\"]")},
                   all = {.profiles = SLICE_LIT("[]")};
    assert_true(eab_allows_profile(&key, &a, SLICE_LIT("server")));
    assert_false(eab_allows_profile(&key, &a, SLICE_LIT("serve")));
    assert_true(eab_allows_profile(&all, &a, SLICE_LIT("any")));
    arena_fini(&a);
}

static void entries_of_lists_are_canonical(void **state)
{
    (void)state;
    static const char *const good[] = {"corp.test",  ".corp.test",    "a-b.test",
                                       "10.0.0.0/8", "2001:db8::/32", "192.0.2.7"},
                             *const bad[] = {
                                 "",           ".",          "Corp.test", "*.corp.test",
                                 "corp.test.", "10.0.0.1/8", "corp test", "..corp.test"};
    arena_init(&a, 1 << 16);
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_null(eab_identifier_wrong(&a, slice_str(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_non_null(eab_identifier_wrong(&a, slice_str(bad[i])));
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_secret_is_opened_by_its_own_cluster_and_name_only),
        cmocka_unit_test(a_secret_is_as_long_as_its_longest_digest),
        cmocka_unit_test(key_ids_are_plain),
        cmocka_unit_test(lists_allow_what_they_name),
        cmocka_unit_test(entries_of_lists_are_canonical),
    };
    proto_err_register();
    api_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
