// program: the life of a front end: the database goes and comes back, the configuration is read
// again, the program ends in order, and what operators see of it.
#include "api/program.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/err.h"
#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/support/signer_double.h"
#include "tests/unit/unit.h"

static struct front_rig rig;
static struct acme client;

static const char extra[] = "finalize_wait: 2s\njobs: {reaper: 50ms, intent_age: 400ms}\n";

static void pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static void operators_see_life_readiness_and_numbers(void **state)
{
    (void)state;
    static char text[1 << 20];
    assert_int_equal(front_private_get(&rig, 0, "/livez", text, sizeof text), 200);
    assert_int_equal(front_private_get(&rig, 0, "/readyz", text, sizeof text), 200);
    assert_non_null(strstr(text, "database: connected"));
    assert_int_equal(front_private_get(&rig, 0, "/nothing", text, sizeof text), 404);
    (void)acme_ready(&client, "a.internal.test");
    assert_int_equal(front_private_get(&rig, 0, "/metrics", text, sizeof text), 200);
    static const char *const wanted[] = {
        "certmill_stage_seconds_bucket{stage=\"parse\"",
        "certmill_stage_seconds_bucket{stage=\"verify\"",
        "certmill_stage_seconds_bucket{stage=\"store\"",
        "certmill_stage_seconds_bucket{stage=\"validate\"",
        "certmill_stage_seconds_bucket{stage=\"sign\"",
        "certmill_stage_seconds_bucket{stage=\"total\"",
        "certmill_acme_requests_total{route=\"new-order\",class=\"2xx\"} 1\n",
        "certmill_validations_total{result=\"valid\"} 1\n",
        "certmill_accounts_created_total 1\n",
    };
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (strstr(text, wanted[i]) == NULL) fail_msg("no %s", wanted[i]);
}

// wait_ready waits until /readyz answers so: it speaks for the first core, which may be behind.
static void wait_ready(unsigned want)
{
    char text[4096];
    for (int i = 0; i < 500 && front_private_get(&rig, 0, "/readyz", text, sizeof text) != want;
         i++)
        pause_ms(20);
    assert_int_equal(front_private_get(&rig, 0, "/readyz", text, sizeof text), want);
}

static void without_its_database_it_answers_503_and_recovers(void **state)
{
    (void)state;
    char text[4096];
    const char *order = acme_ready(&client, "b.internal.test");
    pg_stop(&rig.pg, SIGQUIT);
    struct acme_answer a = acme_call(&client, order, NULL);
    assert_int_equal(a.status, 503);
    assert_string_equal(acme_type(&client, &a), "serverInternal");
    assert_int_equal(acme_headers(&a, "Retry-After"), 1);
    assert_int_equal(acme_headers(&a, "Replay-Nonce"), 1);
    a = acme_send(&client, "GET", "/directory", NULL, NULL, SLICE_NONE);
    assert_int_equal(a.status, 200);
    wait_ready(503);
    assert_int_equal(front_private_get(&rig, 0, "/livez", text, sizeof text), 200);
    assert_true(pg_start(&rig.pg));
    for (int i = 0; i < 500; i++) {
        a = acme_call(&client, order, NULL);
        if (a.status == 200) break;
        assert_int_equal(a.status, 503);
        pause_ms(20);
    }
    assert_string_equal(acme_text(&client, &a, "status"), "ready"); // nothing was lost
    wait_ready(200);
}

// ---- reload

static unsigned directory_of(const char *tenant, const char *profile)
{
    char path[128], member[64];
    snprintf(path, sizeof path, "/acme/%s/directory", tenant);
    snprintf(member, sizeof member, "meta.profiles.%s", profile);
    struct acme_answer a = acme_send(&client, "GET", path, NULL, NULL, SLICE_NONE);
    return a.status != 200 ? a.status : acme_text(&client, &a, member) != NULL ? 200 : 1;
}

static unsigned wait_directory(const char *tenant, const char *profile, unsigned want)
{
    unsigned got = 0;
    for (int i = 0; i < 100 && (got = directory_of(tenant, profile)) != want; i++) {
        acme_port(&client, rig.ports[0]); // another core may not have heard of it yet
        pause_ms(10);
    }
    return got;
}

static void tenants_are_read_again(void **state)
{
    (void)state;
    assert_int_equal(directory_of("new", "server"), 404);
    const char *order = acme_ready(&client, "c.internal.test");
    front_config(&rig, 0,
                 "  default:\n    default: true\n    profiles: [server]\n"
                 "  new:\n    profiles: [server]\n");
    program_reload(rig.programs[0]);
    assert_int_equal(wait_directory("new", "server", 200), 200);
    assert_int_equal(wait_directory("other", "short", 404), 404);
    assert_int_equal(wait_directory("default", "short", 1), 1);
    struct acme_answer a = acme_call(&client, order, NULL); // the account and its orders stay
    assert_int_equal(a.status, 200);
}

static void a_broken_file_changes_nothing(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "  default:\n    default: true\n    profiles: []\n",
        "  default:\n    profiles: [server]\n",
        "  default:\n    default: true\n    profiles: [server]\n    nonsense: 1\n",
    };
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        front_config(&rig, 0, broken[i]);
        program_reload(rig.programs[0]);
        pause_ms(30);
        assert_int_equal(wait_directory("new", "server", 200), 200);
    }
    front_config(&rig, 0, NULL);
    program_reload(rig.programs[0]);
    assert_int_equal(wait_directory("default", "short", 200), 200);
}

// ---- the end

struct waiting {
    const char *order;
    unsigned status;
    char answer[4096];
};

static void *finalize_run(void *arg)
{
    struct waiting *w = arg;
    struct acme_answer a = acme_call(
        &client, (const char *)make_text(&client.arena, "%s/finalize", w->order).p,
        acme_csr(&client, "d.internal.test", 20));
    w->status = a.status;
    snprintf(w->answer, sizeof w->answer, "%.*s", SLICE_ARG(a.body));
    return NULL;
}

// A finalize that waits for its certificate is answered before the program ends; then there is
// nobody at the address, and the order can be read elsewhere.
static void a_drain_loses_no_request(void **state)
{
    (void)state;
    char text[256];
    struct waiting w = {.order = acme_ready(&client, "d.internal.test")};
    pthread_t thread;
    front_start(&rig, 1);
    (void)make_key(KEY_P256, 0, 20);
    signer_double_set(DOUBLE_AWAY);
    assert_int_equal(pthread_create(&thread, NULL, finalize_run, &w), 0);
    for (int i = 0; i < 500; i++) { // until the intent is there
        assert_true(
            pg_value(&rig.pg, "SELECT count(*) FROM orders WHERE status = 3", text, sizeof text));
        if (strcmp(text, "1") == 0) break;
        pause_ms(10);
    }
    assert_string_equal(text, "1");
    front_drain(&rig, 0);
    pthread_join(thread, NULL);
    assert_int_equal(w.status, 200);
    assert_non_null(strstr(w.answer, "\"status\":\"processing\""));
    signer_double_set(DOUBLE_HONEST);
    assert_true(pg_value(&rig.pg, "SELECT count(*) FROM nodes", text, sizeof text));
    assert_string_equal(text, "1"); // it has left
    const char *path = strchr(w.order + 8, '/');
    acme_port(&client, rig.ports[1]);
    acme_register(&client);
    struct acme_answer a = acme_wait(&client, path, "processing", NULL, 10000);
    assert_string_equal(acme_text(&client, &a, "status"), "valid"); // finished by the other
    front_drain(&rig, 1);
}

// ---- what stops a start, in one sentence

static void a_start_says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *find, *put, *sentence;
        uint32_t code;
    } rows[] = {
        {"secret: secret", "secret: nowhere", "nowhere (No such file or directory)",
         ERR_BAD_CONFIG},
        {"secret: secret", "secret: root.pem, x: 1", "cluster.x", ERR_BAD_CONFIG},
        {"chain: server.pem", "chain: server.key", "server.key", 0},
        {"secret: secret", "secret: short", "fewer than 32 bytes", ERR_BAD_CONFIG},
    };
    char path[128], text[8192], command[256];
    snprintf(command, sizeof command, "echo x > %s/short", rig.dir);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/acme-2.yaml", rig.dir);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char note[PROGRAM_NOTE_MAX] = "";
        struct program *p = NULL;
        front_config(&rig, 2, NULL);
        FILE *f = fopen(path, "r");
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = 0;
        fclose(f);
        const char *at = strstr(text, rows[i].find);
        assert_non_null(at);
        f = fopen(path, "w");
        fprintf(f, "%.*s%s%s", (int)(at - text), text, rows[i].put, at + strlen(rows[i].find));
        fclose(f);
        struct err e = program_load(&p, path, note);
        if (!failed(e)) e = program_start(p, false, note);
        assert_true(failed(e));
        if (rows[i].code != 0) assert_err(e, rows[i].code);
        if (strstr(note, rows[i].sentence) == NULL) fail_msg("row %zu: %s", i, note);
        program_free(p);
    }
}

static int setup(void **state)
{
    (void)state;
    front_start(&rig, 0);
    acme_init(&client, rig.root_pem_path, rig.ports[0], 1);
    acme_register(&client);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    acme_fini(&client);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_see_life_readiness_and_numbers),
        cmocka_unit_test(without_its_database_it_answers_503_and_recovers),
        cmocka_unit_test(tenants_are_read_again),
        cmocka_unit_test(a_broken_file_changes_nothing),
        cmocka_unit_test(a_drain_loses_no_request),
        cmocka_unit_test(a_start_says_what_is_wrong),
    };
    if (!front_rig_init(&rig, extra)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, teardown);
    front_rig_fini(&rig);
    return failures;
}
