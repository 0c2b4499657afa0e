// router: which path, host and origin is what. Which method and content type a route takes is
// tested over the wire (front_test.c).
#include "api/router.h"

#include <stdio.h>
#include <string.h>

#include "cluster/core/metrics.h"
#include "tests/unit/unit.h"

static struct arena arena;

static void paths_split_into_tenant_and_rest(void **state)
{
    (void)state;
    static const struct {
        const char *path, *tenant, *rest; // rest NULL: refused
    } rows[] = {
        {"/directory", "", "directory"},
        {"/dir", "", "directory"},
        {"/acme/default/directory", "default", "directory"},
        {"/acme/t/order/AAAA/finalize", "t", "order/AAAA/finalize"},
        {"/acme/t/", "t", ""},
        {"/", NULL, NULL},
        {"", NULL, NULL},
        {"/directory/", NULL, NULL},
        {"/Directory", NULL, NULL},
        {"/acme", NULL, NULL},
        {"/acme/", NULL, NULL},
        {"/acme//directory", NULL, NULL},
        {"/acme/default", NULL, NULL},
        {"//acme/default/directory", NULL, NULL},
        {"*", NULL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice tenant, rest;
        bool ok = router_path_split(slice_str(rows[i].path), &tenant, &rest);
        if (ok != (rows[i].rest != NULL)) fail_msg("%s", rows[i].path);
        if (!ok) continue;
        assert_slice_str(tenant, rows[i].tenant);
        assert_slice_str(rest, rows[i].rest);
    }
}

static void routes_match_whole_segments(void **state)
{
    (void)state;
    static const struct {
        const char *rest, *pattern, *segments; // pattern NULL: none
    } rows[] = {
        {"directory", "directory", ""},
        {"new-nonce", "new-nonce", ""},
        {"new-account", "new-account", ""},
        {"acct/abc", "acct/*", "abc"},
        {"acct/abc/orders", "acct/*/orders", "abc"},
        {"acct/abc/order", NULL, NULL},
        {"key-change", "key-change", ""},
        {"order/abc", "order/*", "abc"},
        {"order/abc/finalize", "order/*/finalize", "abc"},
        {"chall/abc/http-01", "chall/*/*", "abc http-01"},
        {"chall/abc/", NULL, NULL},
        {"chall/abc/x/y", NULL, NULL},
        {"cert/x-_", "cert/*", "x-_"},
        {"renewal-info", "renewal-info", ""},
        {"renewal-info/a.b", "renewal-info/*", "a.b"},
        {"renewal-info/a.b/", NULL, NULL},
        {"revoke-cert", "revoke-cert", ""}, // clients.md 8
        {"cert/x-_/2", "cert/*/*", "x-_ 2"},
        {"order/", NULL, NULL},
        {"order", NULL, NULL},
        {"order//finalize", NULL, NULL},
        {"order/abc/", NULL, NULL},
        {"order/abc/finalize/", NULL, NULL},
        {"order/abc/Finalize", NULL, NULL},
        {"directory ", NULL, NULL},
        {"", NULL, NULL},
        {"new-authz", "new-authz", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice segments[ROUTE_SEGMENT_COUNT_MAX] = {SLICE_NONE};
        const struct route *r = route_find(slice_str(rows[i].rest), segments);
        if ((r == NULL) != (rows[i].pattern == NULL)) fail_msg("%s", rows[i].rest);
        if (r == NULL) continue;
        assert_string_equal(r->pattern, rows[i].pattern);
        char got[64];
        snprintf(got, sizeof got, "%.*s%s%.*s", SLICE_ARG(segments[0]),
                 segments[1].n > 0 ? " " : "", SLICE_ARG(segments[1]));
        assert_string_equal(got, rows[i].segments);
    }
}

static const char *origin(const char *base_url, const char *const *hosts, size_t count,
                          const char *authority)
{
    const struct tenant_settings t = {.base_url = base_url,
                                      .hosts = {(void *)(uintptr_t)hosts, count}};
    return router_origin(&arena, &t, slice_str(authority));
}

// T04: URLs are made of what is configured, never of what a header says.
static void origins_are_configured(void **state)
{
    (void)state;
    static const char *const hosts[] = {"acme.corp", "acme.corp:14000", "[2001:db8::1]:14000"};
    static const struct {
        const char *authority, *origin; // NULL: refused
    } rows[] = {
        {"acme.corp", "https://acme.corp"},
        {"ACME.Corp:14000", "https://acme.corp:14000"},
        {"[2001:DB8::1]:14000", "https://[2001:db8::1]:14000"},
        {"acme.corp:443", "https://acme.corp"},
        {"acme.corp:443:443", NULL},
        {"evil.example:443", NULL},
        {":443", NULL},
        {"acme.corp.", NULL},
        {"acme.corp:14001", NULL},
        {"evil.example", NULL},
        {"acme.corp@evil.example", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *got = origin(NULL, hosts, 3, rows[i].authority);
        if (rows[i].origin == NULL)
            assert_null(got);
        else
            assert_string_equal(got, rows[i].origin);
    }
}

static void a_base_url_stands_for_every_host(void **state)
{
    (void)state;
    static const char *const hosts[] = {"inside:8443"};
    const char *base = "https://acme.corp";
    assert_string_equal(origin(base, hosts, 1, "inside:8443"), base);
    assert_string_equal(origin(base, hosts, 1, "acme.corp"), base);
    assert_null(origin(base, hosts, 1, "other"));
    assert_string_equal(origin(base, NULL, 0, "Acme.Corp"), base);
    assert_null(origin(base, NULL, 0, "inside:8443"));
}

static void answers_are_counted_by_route_and_class(void **state)
{
    (void)state;
    struct slice segments[ROUTE_SEGMENT_COUNT_MAX];
    const struct route *order = route_find(SLICE_LIT("order/x"), segments);
    assert_string_equal(router_metric(order, 200)->labels, "route=\"order/*\",class=\"2xx\"");
    assert_string_equal(router_metric(order, 404)->labels, "route=\"order/*\",class=\"4xx\"");
    assert_string_equal(router_metric(order, 503)->labels, "route=\"order/*\",class=\"5xx\"");
    assert_string_equal(router_metric(NULL, 404)->labels, "route=\"none\",class=\"4xx\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_split_into_tenant_and_rest),
        cmocka_unit_test(routes_match_whole_segments),
        cmocka_unit_test(origins_are_configured),
        cmocka_unit_test(a_base_url_stands_for_every_host),
        cmocka_unit_test(answers_are_counted_by_route_and_class),
    };
    arena_init(&arena, 1 << 20);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return failures;
}
