// config: values of every type, defaults, files and folders, the reference, and what a reload
// changes.
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cluster/err.h"
#include "proto/err.h"
#include "tests/unit/cluster/config_sample.h"
#include "tests/unit/unit.h"

static struct arena arena;
static char error[CONFIG_ERROR_MAX];

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct sample parsed(const char *text)
{
    struct sample s;
    struct err err = config_parse(&s, sizeof s, sample_rows, &arena, slice_str(text), "f.yaml",
                                  "/etc/x", error);
    if (failed(err)) print_error("%s\n", error);
    assert_ok(err);
    return s;
}

static void assert_address(const struct config_address *a, const char *text)
{
    char got[ADDRESS_TEXT_MAX];
    assert_true(a->len > 0);
    address_text(got, (const struct sockaddr *)&a->address);
    assert_string_equal(got, text);
}

static void reads_every_type(void **state)
{
    (void)state;
    struct sample s = parsed(
        "name: \"two words\"\n"
        "workers: 64\n"
        "timeout: 2h\n"
        "body_size: 1MiB\n"
        "verbose: true\n"
        "note: 'it''s'\n"
        "level: warn\n"
        "tls: {key: ./k.pem, chain: /abs/c.pem, handshake: 250ms, tickets: false}\n"
        "backup: {key: b.pem}\n"
        "listen:\n"
        "  - address: \"[::1]:8443\"\n"
        "    mode: fast\n"
        "  - {address: \"unix:/run/x.sock\", conns_max: 7}\n"
        "tenants:\n"
        "  acme: {title: Acme, suffixes: [a.test], rate: -10}\n"
        "  \"b c\": {title: Bc}\n"
        "resolvers: [10.0.0.53, \"10.0.0.54:5353\"]\n"
        "allowed: [10.0.0.0/8, \"fd00::/8\"]\n"
        "weights: [-3, 0, 9223372036854775807]\n");
    assert_string_equal(s.name, "two words");
    assert_int_equal(s.workers, 64);
    assert_int_equal(s.timeout_ms, 2 * 3600 * 1000);
    assert_int_equal(s.body_size, 1 << 20);
    assert_true(s.verbose);
    assert_string_equal(s.note, "it's");
    assert_int_equal(s.level, 2);
    assert_string_equal(s.tls.key, "/etc/x/k.pem");
    assert_string_equal(s.tls.chain, "/abs/c.pem");
    assert_int_equal(s.tls.handshake_ms, 250);
    assert_false(s.tls.tickets);
    assert_string_equal(s.backup.key, "/etc/x/b.pem");
    assert_string_equal(s.backup.chain, "/etc/x/chain.pem");
    const struct sample_listen *listen = s.listen.items;
    assert_int_equal(s.listen.count, 2);
    assert_address(&listen[0].address, "[::1]:8443");
    assert_int_equal(listen[0].conns_max, 1000);
    assert_string_equal(listen[0].mode, "fast");
    assert_address(&listen[1].address, "unix:/run/x.sock");
    assert_int_equal(listen[1].conns_max, 7);
    assert_null(listen[1].mode);
    const struct sample_tenant *tenants = s.tenants.items;
    assert_int_equal(s.tenants.count, 2);
    assert_string_equal(tenants[0].name, "acme");
    assert_int_equal(tenants[0].suffixes.count, 1);
    assert_string_equal(((const char *const *)tenants[0].suffixes.items)[0], "a.test");
    assert_int_equal(tenants[0].rate, -10);
    assert_string_equal(tenants[1].name, "b c");
    assert_int_equal(tenants[1].suffixes.count, 2);
    assert_string_equal(((const char *const *)tenants[1].suffixes.items)[1], "corp");
    const struct config_address *resolvers = s.resolvers.items;
    assert_int_equal(s.resolvers.count, 2);
    assert_address(&resolvers[0], "10.0.0.53:53");
    assert_address(&resolvers[1], "10.0.0.54:5353");
    const struct address_range *allowed = s.allowed.items;
    assert_int_equal(s.allowed.count, 2);
    assert_int_equal(allowed[0].bits, 96 + 8);
    assert_int_equal(allowed[1].bits, 8);
    const int64_t *weights = s.weights.items;
    assert_int_equal(s.weights.count, 3);
    assert_true(weights[0] == -3 && weights[2] == INT64_MAX);
}

static void gives_defaults(void **state)
{
    (void)state;
    struct sample s = parsed(SAMPLE_LEAST);
    assert_int_equal(s.workers, 2);
    assert_int_equal(s.timeout_ms, 1500);
    assert_int_equal(s.body_size, 65536);
    assert_false(s.verbose);
    assert_null(s.note);
    assert_int_equal(s.level, 1);
    assert_string_equal(s.tls.chain, "/etc/x/chain.pem");
    assert_int_equal(s.tls.handshake_ms, 5000);
    assert_true(s.tls.tickets);
    assert_null(s.backup.key); // an optional group that is absent is all zero
    assert_int_equal(s.backup.handshake_ms, 0);
    assert_int_equal(s.tenants.count, 0);
    assert_int_equal(s.resolvers.count, 1);
    assert_address(s.resolvers.items, "127.0.0.1:53");
    assert_int_equal(s.allowed.count, 0);
    assert_address(&((const struct sample_listen *)s.listen.items)->address, "127.0.0.1:443");
}

static void reads_units_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"0s", 0},           {"1ms", 1},
                 {"1s", 1000},        {"90s", 90000},
                 {"5m", 300000},      {"24h", 86400000},
                 {"90d", 7776000000}, {"106751991167d", 9223372036828800000}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[256];
        snprintf(text, sizeof text, SAMPLE_LEAST "timeout: %s\n", cases[i].text);
        assert_true(parsed(text).timeout_ms == cases[i].ms);
    }
    assert_int_equal(parsed(SAMPLE_LEAST "body_size: 2048\n").body_size, 2048);
    assert_int_equal(parsed(SAMPLE_LEAST "body_size: 2KiB\n").body_size, 2048);
}

// What YAML itself allows stays allowed: byte order mark, CRLF, block texts, comments, an explicit
// document start and end.
static void takes_yaml_as_people_write_it(void **state)
{
    (void)state;
    struct sample s = parsed("\xef\xbb\xbf# comment\r\n---\r\nname: x\r\ntls:\r\n  key: k # "
                             "behind\r\nlisten:\r\n- address: 127.0.0.1\r\n"
                             "note: |\r\n  one\r\n  two\r\n...\r\n");
    assert_string_equal(s.note, "one\ntwo\n");
    assert_string_equal(s.tls.key, "/etc/x/k");
    assert_string_equal(parsed(SAMPLE_LEAST "note: \"null\"\n").note, "null");
    assert_string_equal(parsed(SAMPLE_LEAST "note: \"\"\n").note, "");
    assert_string_equal(parsed(SAMPLE_LEAST "note: 12\n").note, "12");
}

static void reads_a_file_and_its_folder(void **state)
{
    (void)state;
    char folder[] = "/tmp/certmill-config-XXXXXX", path[PATH_MAX], want[PATH_MAX + 16],
         real[PATH_MAX], was[PATH_MAX];
    struct sample s;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.yaml", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(SAMPLE_LEAST, f);
    fclose(f);
    struct err err = config_load(&s, sizeof s, sample_rows, &arena, path, error);
    assert_ok(err);
    assert_non_null(realpath(folder, real));
    snprintf(want, sizeof want, "%s/k.pem", real);
    assert_string_equal(s.tls.key, want);
    assert_non_null(getcwd(was, sizeof was)); // a relative path gives the same absolute one
    assert_int_equal(chdir(folder), 0);
    assert_ok(config_load(&s, sizeof s, sample_rows, &arena, "a.yaml", error));
    assert_string_equal(s.tls.key, want);
    assert_int_equal(chdir(was), 0);
    unlink(path);
    rmdir(folder);
}

static const char *const sample_docs =
    "# Sample\n"
    "\n"
    "| key | type | default | bounds | reload | what it does |\n"
    "|---|---|---|---|---|---|\n"
    "| `name` | text | **required** |  | restart | The name. |\n"
    "| `workers` | integer | `2` | 1 to 64 | restart | Threads. |\n"
    "| `timeout` | duration | `1500ms` |  | yes | Patience. |\n"
    "| `grace` | duration | `1s` | 0s to 1d | restart | More patience. |\n"
    "| `body_size` | size | `64KiB` | 1KiB to 1MiB | restart | Bytes. |\n"
    "| `verbose` | boolean | `false` |  | yes | More words. |\n"
    "| `note` | text | absent |  | yes | Free text. |\n"
    "| `level` | choice | `info` | debug, info, warn | yes | How much. |\n"
    "| `tls` | group | **required** |  | see there | Transport security. |\n"
    "| `backup` | group | absent |  | see there | Another one. |\n"
    "| `listen` | list of groups | **required** | 1 to 3 entries | restart | Listeners. |\n"
    "| `tenants` | map | empty | 0 to 4 entries | restart | By name. |\n"
    "| `resolvers` | list of addresses | `[\"127.0.0.1:53\"]` | port 53 unless given | restart | "
    "DNS servers. |\n"
    "| `allowed` | list of ranges | absent |  | yes | Ranges. |\n"
    "| `weights` | list of integers | empty |  | restart | Numbers. |\n"
    "\n## `tls`\n\nTransport security.\n\n"
    "| key | type | default | bounds | reload | what it does |\n"
    "|---|---|---|---|---|---|\n"
    "| `key` | path | **required** |  | restart | The private key. |\n"
    "| `chain` | path | `chain.pem` |  | restart | The chain. |\n"
    "| `handshake` | duration | `5s` | 100ms to 1m | yes | How long a handshake may take. |\n"
    "| `tickets` | boolean | `true` |  | restart | Session tickets. |\n"
    "\n## `backup`\n\nAnother one.\n\n"
    "| key | type | default | bounds | reload | what it does |\n"
    "|---|---|---|---|---|---|\n"
    "| `key` | path | **required** |  | restart | The private key. |\n"
    "| `chain` | path | `chain.pem` |  | restart | The chain. |\n"
    "| `handshake` | duration | `5s` | 100ms to 1m | yes | How long a handshake may take. |\n"
    "| `tickets` | boolean | `true` |  | restart | Session tickets. |\n"
    "\n## `listen[]`\n\nListeners.\n\n"
    "| key | type | default | bounds | reload | what it does |\n"
    "|---|---|---|---|---|---|\n"
    "| `address` | address | **required** | port 443 unless given | restart | Where to listen. |\n"
    "| `conns_max` | integer | `1000` | 1 to 100000 | restart | Connections. |\n"
    "| `mode` | text | absent |  | restart | A mode. |\n"
    "\n## `tenants.<name>`\n\nBy name.\n\n"
    "| key | type | default | bounds | reload | what it does |\n"
    "|---|---|---|---|---|---|\n"
    "| `title` | text | **required** | 2 to 20 bytes | restart | For people \\| machines. |\n"
    "| `suffixes` | list of texts | `[internal.test, corp]` | at least 1 entry | restart | Names "
    "end so. |\n"
    "| `rate` | integer | `-5` | -10 to 0 | yes | Below zero. |\n";

static void docs_are_stable(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_ok(config_docs(&out, "Sample", sample_rows));
    assert_slice_str(buf_slice(&out), sample_docs);
    buf_fini(&out);
    buf_init(&out, 100);
    assert_err(config_docs(&out, "Sample", sample_rows), ERR_NO_SPACE);
    buf_fini(&out);
}

static void assert_keys_in(const struct setting *rows, const char *text)
{
    for (const struct setting *row = rows; row->key != NULL; row++) {
        char cell[128];
        snprintf(cell, sizeof cell, "| `%s` |", row->key);
        assert_non_null(strstr(text, cell));
        assert_non_null(strstr(text, row->key));
        if (row->rows != NULL) assert_keys_in(row->rows, text);
    }
}

static void docs_name_every_key(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_ok(config_docs(&out, "Sample", sample_rows));
    assert_ok(buf_add(&out, slice_of("", 1)));
    assert_keys_in(sample_rows, (const char *)buf_slice(&out).p);
    buf_fini(&out);
}

// What the reference says is a default gives the same configuration when it is written out.
static void written_defaults_change_nothing(void **state)
{
    (void)state;
    struct sample a = parsed(SAMPLE_LEAST);
    struct sample b = parsed(
        SAMPLE_LEAST "workers: 2\ntimeout: 1500ms\nbody_size: 64KiB\nverbose: false\nlevel: info\n"
                     "tenants: {}\nresolvers: [\"127.0.0.1:53\"]\nallowed: []\nweights: []\n");
    struct config_changes changes;
    struct buf keys;
    buf_init(&keys, 1024);
    assert_ok(config_diff(&changes, &keys, sample_rows, &a, &b));
    assert_int_equal(changes.reloadable + changes.restart, 0);
    assert_int_equal(buf_len(&keys), 0);
    buf_fini(&keys);
}

static void tells_a_reload_what_needs_a_restart(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        size_t reloadable;
        const char *restart;
    } cases[] = {
        {"timeout: 1s\n", "timeout: 2s\n", 1, ""},
        {"workers: 1\n", "workers: 2\n", 0, "workers"},
        {"workers: 1\ntimeout: 1s\n", "workers: 3\ntimeout: 2s\nbody_size: 1MiB\n", 1,
         "workers, body_size"},
        {"", "note: x\n", 1, ""},
        {"note: x\n", "note: x\n", 0, ""},
        {"", "verbose: true\nlevel: debug\n", 2, ""},
        {"", "backup: {key: k}\n", 1, "backup.key, backup.chain, backup.tickets"},
        {"weights: [1, 2]\n", "weights: [1, 3]\n", 0, "weights"},
        {"weights: [1, 2]\n", "weights: [1]\n", 0, "weights"},
        {"resolvers: [1.1.1.1]\n", "resolvers: [1.1.1.1:5353]\n", 0, "resolvers"},
        {"allowed: [10.0.0.0/8]\n", "allowed: [10.0.0.0/9]\n", 1, ""},
        {"tenants: {a: {title: Aa}, b: {title: Bb}}\n",
         "tenants: {b: {title: Bb}, a: {title: Aa}}\n", 0, ""},
        {"tenants: {a: {title: Aa}}\n", "tenants: {a: {title: Aa, rate: -1}}\n", 1, ""},
        {"tenants: {a: {title: Aa}}\n", "tenants: {a: {title: Ab}, c: {title: Cc}}\n", 0,
         "tenants.a.title, tenants.c"},
        {"tenants: {a: {title: Aa}}\n", "", 0, "tenants.a"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char before[512], after[512];
        struct config_changes changes;
        struct buf keys;
        buf_init(&keys, 1024);
        snprintf(before, sizeof before, SAMPLE_LEAST "%s", cases[i].before);
        snprintf(after, sizeof after, SAMPLE_LEAST "%s", cases[i].after);
        struct sample a = parsed(before), b = parsed(after);
        assert_ok(config_diff(&changes, &keys, sample_rows, &a, &b));
        assert_slice_str(buf_slice(&keys), cases[i].restart);
        assert_int_equal(changes.reloadable, cases[i].reloadable);
        assert_int_equal(changes.restart > 0, cases[i].restart[0] != 0);
        buf_fini(&keys);
    }
}

static void compares_listeners_by_position(void **state)
{
    (void)state;
    struct sample a = parsed(
        "name: x\ntls: {key: k}\nlisten: [{address: 1.1.1.1}, {address: 1.1.1.2}]\n");
    struct sample b = parsed("name: x\ntls: {key: k, handshake: 6s}\nlisten: [{address: 1.1.1.1}, "
                             "{address: 1.1.1.3}, {address: 1.1.1.4}]\n");
    struct config_changes changes;
    struct buf keys;
    buf_init(&keys, 1024);
    assert_ok(config_diff(&changes, &keys, sample_rows, &a, &b));
    assert_slice_str(buf_slice(&keys), "listen, listen[1].address");
    assert_int_equal(changes.restart, 2);
    assert_int_equal(changes.reloadable, 1);
    buf_fini(&keys);
}

int main(void)
{
    cluster_err_register();
    proto_err_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_every_type, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_units_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_yaml_as_people_write_it, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_a_file_and_its_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(docs_are_stable, setup, teardown),
        cmocka_unit_test_setup_teardown(docs_name_every_key, setup, teardown),
        cmocka_unit_test_setup_teardown(written_defaults_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_a_reload_what_needs_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(compares_listeners_by_position, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
