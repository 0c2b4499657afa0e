// settings: the front end's configuration: what a good file gives, and one defect per case with the
// sentence that names it.
#include "api/settings.h"

#include <stdio.h>
#include <string.h>

#include "api/challenge_types.h"
#include "cluster/err.h"
#include "tests/unit/unit.h"

static struct arena arena;

static const char good[] =
    "server: {address: '127.0.0.1:14000', chain: s.pem, key: s.key}\n"
    "private: {address: '127.0.0.1:14100'}\n"
    "database: {conninfo: 'host=/run/x dbname=certmill'}\n"
    "signer: {targets: ['127.0.0.1:1'], tls: {chain: a.pem, key: a.key, trust: r.pem}}\n"
    "cluster: {address: '127.0.0.1:2', tls: {chain: a.pem, key: a.key, trust: r.pem}, secret: c}\n"
    "tenants:\n"
    "  default: {default: true, hosts: ['acme.corp:14000'], profiles: [server, short]}\n"
    "  second: {base_url: 'https://other.corp', profiles: [short], validation: {http_port: "
    "5002}}\n";

static bool load(struct settings *out, char error[CONFIG_ERROR_MAX], const char *text)
{
    arena_reset(&arena);
    return !failed(config_parse(out, sizeof *out, settings_table, &arena, slice_str(text), "a.yaml",
                                "/etc/certmill", error));
}

static void a_good_file_gives_its_values_and_defaults(void **state)
{
    (void)state;
    struct settings s;
    char error[CONFIG_ERROR_MAX] = "";
    if (!load(&s, error, good)) fail_msg("%s", error);
    const struct tenant_settings *t = s.tenants.items;
    assert_int_equal(s.tenants.count, 2);
    assert_string_equal(t[0].name, "default");
    assert_true(t[0].is_default);
    assert_string_equal(((const char *const *)t[0].profiles.items)[1], "short");
    assert_null(t[0].base_url);
    assert_int_equal(t[0].validation.http_port, 80);
    assert_int_equal(t[0].validation.tls_alpn_port, 443);
    assert_int_equal(t[0].order_ms, 86400000);
    assert_int_equal(t[0].validation.denied.count, 7);
    assert_string_equal(t[1].base_url, "https://other.corp");
    assert_int_equal(t[1].validation.http_port, 5002);
    assert_string_equal(s.server.chain, "/etc/certmill/s.pem");
    assert_int_equal(s.finalize_wait_ms, 3000);
    assert_int_equal(s.nonce_ms, 3600000);
    assert_int_equal(s.jobs.intent_age_ms, 30000);
    assert_int_equal(s.jobs.give_up_ms, 600000);
    assert_int_equal(s.jobs.ahead_h, 48);
    assert_int_equal(s.server.body_max, 65536);
    assert_int_equal(s.cluster.advertise.len, 0);
}

// with replaces the first `from` of the good file.
static const char *with(const char *from, const char *to)
{
    static char text[sizeof good + 512];
    const char *at = strstr(good, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    return text;
}

// T29: what a validation must not reach unless an operator says so, and what it is for.
static void the_default_denies_this_host_and_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool denied;
    } rows[] = {{"127.0.0.1", true},       {"127.9.9.9", true},
                {"[::1]", true},           {"[::ffff:127.0.0.1]", true},
                {"169.254.169.254", true}, {"[fe80::1]", true},
                {"[fd00:ec2::254]", true}, {"100.100.100.200", true},
                {"168.63.129.16", true},   {"[64:ff9b::a9fe:a9fe]", true},
                {"10.0.0.1", false},       {"192.168.1.1", false},
                {"172.16.0.1", false},     {"[fd00::1]", false},
                {"[2001:db8::1]", false}};
    struct settings s;
    char error[CONFIG_ERROR_MAX] = "";
    assert_true(load(&s, error, good));
    const struct config_list *denied =
        &((const struct tenant_settings *)s.tenants.items)->validation.denied;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sockaddr_storage a;
        socklen_t len;
        bool found = false;
        assert_ok(address_parse(&a, &len, slice_str(rows[i].address), 80));
        for (size_t k = 0; k < denied->count; k++)
            found |= address_range_has(&((const struct address_range *)denied->items)[k],
                                       (const struct sockaddr *)&a);
        if (found != rows[i].denied) fail_msg("%s", rows[i].address);
    }
}

// What is offered unless a file says otherwise is what the table of challenges says.
static void the_usual_challenges_are_offered(void **state)
{
    (void)state;
    struct settings s;
    char error[CONFIG_ERROR_MAX] = "";
    assert_true(load(&s, error, good));
    const struct config_list *names =
        &((const struct tenant_settings *)s.tenants.items)->challenges;
    const struct challenge_type_row *t;
    size_t count = 0;
    for (size_t i = 0; (t = challenge_type_at(i)) != NULL; i++)
        if (t->usual) {
            assert_true(count < names->count);
            assert_string_equal(((const char *const *)names->items)[count++], t->name);
        }
    assert_int_equal(names->count, count);
}

static void hosts_are_taken_as_clients_write_them(void **state)
{
    (void)state;
    static const char *const lists[] = {"['acme.corp']", "['Acme.Corp:443', '10.0.0.1:14000']",
                                        "['[2001:db8::1]', '[::1]:14000', 'a_b', 'acme-1']"};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        struct settings s;
        char error[CONFIG_ERROR_MAX] = "";
        if (!load(&s, error, with("['acme.corp:14000']", lists[i]))) fail_msg("%s", error);
    }
}

static void each_defect_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *sentence;
    } rows[] = {
        {"profiles: [server", "challenges: [http-02], profiles: [server",
         "tenants.default.challenges[0]: \"http-02\" is no challenge that this program has; "
         "expected one of http-01"},
        {"profiles: [server", "challenges: [dns-persist-01], profiles: [server",
         "tenants.default: offers dns-persist-01, whose records name this CA; expected 1 to 10"},
        {"profiles: [server", "caa: on, profiles: [server",
         "tenants.default: looks for CAA records, but has no name that could stand in them"},
        {"profiles: [server", "caa_identities: [CA.corp], profiles: [server",
         "tenants.default.caa_identities[0]: \"CA.corp\" is no name of a CA"},
        {"default: true, ", "", "a.yaml:7:3: tenants: has not one default; expected default: true"},
        {"base_url: 'https://other.corp'", "hosts: [x], default: true",
         "a.yaml:7:3: tenants: has not one default"},
        {"  default: {", "  Default: {",
         "a.yaml:7:3: tenants.Default: is no name for a tenant, which is part of URLs; expected"},
        {"https://other.corp", "http://other.corp",
         "a.yaml:8:22: tenants.second.base_url: \"http://other.corp\" is no base of URLs; expected "
         "https://host"},
        {"https://other.corp", "https://other.corp/x", "expected https://host"},
        {"https://other.corp", "https://other.corp:", "expected https://host"},
        {"https://other.corp", "https://", "expected https://host"},
        {"https://other.corp", "https://other corp", "expected https://host"},
        {"base_url:", "terms_of_service: 'our terms', base_url:",
         "tenants.second.terms_of_service"},
        {"base_url:", "website: 'https://a b', base_url:", "tenants.second.website"},
        {"base_url:", "website: 'https://a\"', base_url:", "tenants.second.website"},
        {"base_url:", "website: 'https://', base_url:", "tenants.second.website"},
        {"base_url:", "website: 'ftp://a', base_url:", "tenants.second.website"},
        {"hosts: ['acme.corp:14000'], ", "",
         "a.yaml:7:3: tenants.default: has neither hosts nor base_url; expected hosts"},
        {"['acme.corp:14000']", "['https://acme.corp']",
         "a.yaml:7:36: tenants.default.hosts[0]: \"https://acme.corp\" is no host; expected one as "
         "clients write it"},
        {"secret: c", "secret: c, heartbeat: 2s, dead: 4s",
         "a.yaml:5:10: cluster: has a `dead` that one late heartbeat would reach; expected"},
        {"['acme.corp:14000']", "['acme.corp/']", "is no host; expected one as clients write it"},
        {"['acme.corp:14000']", "['acme.corp:']", "is no host; expected one as clients write it"},
        {"['acme.corp:14000']", "['acme.corp:1x']", "is no host; expected one as clients write it"},
        {"['acme.corp:14000']", "['[2001:db8::1']", "is no host; expected one as clients write it"},
        {"['acme.corp:14000']", "['2001:db8::1']", "is no host; expected one as clients write it"},
        {"['acme.corp:14000']", "['a\"b']", "is no host; expected one as clients write it"},
        {", profiles: [server, short]", "", "profiles"},
        {"[server, short]", "[]", "profiles"},
        {"http_port: 5002", "http_port: 0", "http_port"},
        {"http_port: 5002", "http_port: 65536", "http_port"},
        {"http_port: 5002", "http_ports: 1", "http_ports"},
        {"conninfo:", "conn:", "conn"},
        {"'127.0.0.1:14000'", "'127.0.0.1'", "server.address"},
        {"targets: ['127.0.0.1:1']", "targets: []", "signer.targets"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct settings s;
        char error[CONFIG_ERROR_MAX] = "";
        if (load(&s, error, with(rows[i].from, rows[i].to))) fail_msg("row %zu was accepted", i);
        if (strstr(error, rows[i].sentence) == NULL) fail_msg("row %zu: %s", i, error);
        if (strncmp(error, "a.yaml:", strlen("a.yaml:")) != 0 ||
            strstr(error, "; expected ") == NULL)
            fail_msg("row %zu names no place, or nothing that was expected: %s", i, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_gives_its_values_and_defaults),
        cmocka_unit_test(the_default_denies_this_host_and_metadata),
        cmocka_unit_test(the_usual_challenges_are_offered),
        cmocka_unit_test(hosts_are_taken_as_clients_write_them),
        cmocka_unit_test(each_defect_is_named),
    };
    cluster_err_register();
    arena_init(&arena, 4 << 20);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return failures;
}
