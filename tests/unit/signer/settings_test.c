// settings: the signer's configuration: what a good file gives, and one defect per case with the
// sentence that names it and its place.
#include "signer/settings.h"

#include <stdio.h>
#include <string.h>

#include "cluster/err.h"
#include "tests/unit/unit.h"

static struct arena arena;

static const char good[] = "dir: ca\n"
                           "journal: journal\n"
                           "address: 127.0.0.1:1\n"
                           "private_address: 127.0.0.1:2\n"
                           "profiles:\n"
                           "  server: {keys: [P-256, RSA-2048], names: [corp.example]}\n"
                           "  short: {keys: [P-256], validity: 1h, backdate: 2m}\n";

static bool load(struct signer_settings *out, char error[CONFIG_ERROR_MAX], const char *text)
{
    arena_reset(&arena);
    return !failed(config_parse(out, sizeof *out, signer_settings_table, &arena, slice_str(text),
                                "s.yaml", "/etc/certmill", error));
}

static void a_good_file_gives_its_values_and_defaults(void **state)
{
    (void)state;
    struct signer_settings s;
    char error[CONFIG_ERROR_MAX] = "";
    if (!load(&s, error, good)) fail_msg("%s", error);
    const struct profile_settings *p = s.profiles.items;
    assert_int_equal(s.profiles.count, 2);
    assert_string_equal(p[0].name, "server");
    assert_int_equal(p[0].validity_ms, 86400000);
    assert_int_equal(p[0].backdate_ms, 60000);
    assert_string_equal(((const char *const *)p[0].key_kinds.items)[1], "RSA-2048");
    assert_int_equal(p[1].validity_ms, 3600000);
    assert_int_equal(p[1].backdate_ms, 120000);
    assert_string_equal(s.dir, "/etc/certmill/ca");
    assert_true(s.sandbox);
}

static const char *with(const char *from, const char *to)
{
    static char text[sizeof good + 512];
    const char *at = strstr(good, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    return text;
}

static void each_defect_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *sentence;
    } rows[] = {
        {"[P-256, RSA-2048]", "[P-256, P-257]",
         "s.yaml:6:26: profiles.server.keys[1]: \"P-257\" is no key kind; expected P-256"},
        {"[P-256, RSA-2048]", "[]", "s.yaml:6:18: profiles.server.keys: has 0 entries; expected"},
        {"[corp.example]", "[.corp.example]",
         "s.yaml:6:45: profiles.server.names[0]: \".corp.example\" is no DNS suffix; expected"},
        {"[corp.example]", "[Corp.example]", "is no DNS suffix; expected lower-case"},
        {"validity: 1h", "validity: 3600500ms",
         "s.yaml:7:36: profiles.short.validity: \"3600500ms\" has a part of a second; expected"},
        {"backdate: 2m", "backdate: 1500ms", "profiles.short.backdate: \"1500ms\" has a part"},
        {"validity: 1h, backdate: 2m", "validity: 2m, backdate: 2m",
         "s.yaml:7:3: profiles.short: has a backdate not shorter than its validity"},
        {"  short:", "  'sh ort':",
         "s.yaml:7:3: profiles.\"sh ort\": is no name for a profile; expected 1 to 64"},
        {"validity: 1h", "validitee: 1h", "profiles.short.validitee: is not a known key (did you"},
        {"journal: journal\n", "", "s.yaml:1:1: journal: is missing; expected a path"},
        {"dir: ca", "database: host=x", "s.yaml:1:1: database: is not a known key; expected"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct signer_settings s;
        char error[CONFIG_ERROR_MAX] = "";
        if (load(&s, error, with(rows[i].from, rows[i].to))) fail_msg("row %zu was accepted", i);
        if (strstr(error, rows[i].sentence) == NULL) fail_msg("row %zu: %s", i, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_gives_its_values_and_defaults),
        cmocka_unit_test(each_defect_is_named),
    };
    cluster_err_register();
    arena_init(&arena, 4 << 20);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return failures;
}
