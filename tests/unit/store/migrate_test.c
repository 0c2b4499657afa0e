// migrate: the schema brought up to date once, however many try, and only where it is known.
#include <openssl/sha.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"
#include "store/err.h"
#include "store/events.h"
#include "store/schema.h"
#include "tests/unit/store/fixture.h"

enum { MIGRATORS = 4 };

struct migrator {
    pthread_t thread;
    struct err err;
    int from, to;
    char note[256];
};

static void *migrate(void *arg)
{
    struct migrator *m = arg;
    m->err = store_migrate(pg.conninfo, &m->from, &m->to, m->note, sizeof m->note);
    return NULL;
}

static void without_a_schema_it_says_what_to_do(void **state)
{
    (void)state;
    char note[256];
    assert_err(store_schema_check(pg.conninfo, note, sizeof note), ERR_STORE_SCHEMA);
    assert_non_null(strstr(note, "certmill migrate"));
    struct store *s = NULL;
    struct store_options o = options_usual;
    o.conninfo = pg.conninfo;
    assert_ok(store_new(&s, shard, &o));
    state_want(s, "certmill migrate");
    assert_false(store_ready(s));
    store_free(s);
}

static void of_many_at_once_one_does_it(void **state)
{
    (void)state;
    static struct migrator m[MIGRATORS];
    unsigned did = 0;
    for (int i = 0; i < MIGRATORS; i++) pthread_create(&m[i].thread, NULL, migrate, &m[i]);
    for (int i = 0; i < MIGRATORS; i++) pthread_join(m[i].thread, NULL);
    for (int i = 0; i < MIGRATORS; i++) {
        if (failed(m[i].err)) fail_msg("%s", m[i].note);
        did += m[i].from == 0;
        assert_int_equal(m[i].to, STORE_SCHEMA_VERSION);
    }
    assert_int_equal(did, 1);
    assert_int_equal(sql_int("SELECT count(*) FROM schema_version"), STORE_SCHEMA_VERSION);
}

// version_apply does what an older program did: a migration, and its checksum kept.
static void version_apply(PGconn *c, int index)
{
    char checksum[65];
    uint8_t digest[32];
    const char *sql = migrations[index].sql;
    PGresult *r = PQexec(c, sql);
    assert_true(PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK);
    PQclear(r);
    SHA256((const uint8_t *)sql, strlen(sql), digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(checksum + 2 * i, 3, "%02x", digest[i]);
    sql_on(c, "INSERT INTO schema_version VALUES (%d, '%s', now())", migrations[index].version,
           checksum);
}

// A database of the first version has accounts, and each is found by its key afterwards.
static void accounts_of_version_1_keep_their_keys(void **state)
{
    (void)state;
    char old[512], note[256];
    int from, to;
    snprintf(old, sizeof old, "%s dbname=old", pg.conninfo);
    sql_run("CREATE DATABASE old");
    PGconn *c = PQconnectdb(old);
    assert_int_equal(PQstatus(c), CONNECTION_OK);
    sql_on(c, "CREATE TABLE schema_version (version integer PRIMARY KEY, checksum text NOT NULL, "
              "applied_at timestamptz NOT NULL)");
    version_apply(c, 0);
    sql_on(c, "INSERT INTO accounts SELECT gen_random_uuid(), 't' || i %% 2, 1, 1, '', "
              "sha256(i::text::bytea), '[]', true, '', 0 FROM generate_series(1, 10) i");
    char sql[PARTITION_SQL_MAX];
    partition_make_sql(sql, LEAF_CERTIFICATES, 400000, 0); // of 2015: a certificate that lives
    sql_on(c, "%s", sql);
    if (failed(store_migrate(old, &from, &to, note, sizeof note))) fail_msg("%s", note);
    assert_int_equal(from, 1);
    PGresult *r = PQexec(c, "SELECT count(*) FROM accounts a JOIN account_keys k ON k.account = "
                            "a.id AND k.tenant = a.tenant AND k.thumbprint = a.thumbprint");
    assert_string_equal(PQgetvalue(r, 0, 0), "10");
    PQclear(r);
    // And each of its certificates can be replaced.
    r = PQexec(c,
               "SELECT count(*) FROM pg_inherits WHERE inhrelid = "
               "to_regclass('replacements_2015081916') AND inhparent = 'replacements'::regclass");
    assert_string_equal(PQgetvalue(r, 0, 0), "1");
    PQclear(r);
    PQfinish(c);
}

// What was issued before revocations were kept may be revoked: each hour of certificates has its
// leaf, also one that is long past.
static void certificates_of_version_5_can_be_revoked(void **state)
{
    (void)state;
    char version5[512], note[256];
    int from, to;
    snprintf(version5, sizeof version5, "%s dbname=version5", pg.conninfo);
    sql_run("CREATE DATABASE version5");
    PGconn *c = PQconnectdb(version5);
    assert_int_equal(PQstatus(c), CONNECTION_OK);
    sql_on(c, "CREATE TABLE schema_version (version integer PRIMARY KEY, checksum text NOT NULL, "
              "applied_at timestamptz NOT NULL)");
    for (int i = 0; i < 5; i++) version_apply(c, i);
    sql_on(c, "CREATE TABLE certificates_2001090901 PARTITION OF certificates FOR VALUES FROM "
              "('\\x043d10') TO ('\\x043d11')");
    if (failed(store_migrate(version5, &from, &to, note, sizeof note))) fail_msg("%s", note);
    assert_int_equal(from, 5);
    sql_on(c, "INSERT INTO revocations_2001090901 VALUES ('\\x043d10ff', 1, 0, 1, 1, 1, 1)");
    PQclear(PQexec(c, "INSERT INTO revocations VALUES ('\\x043d1001', 1, 0, 1, 1, 1, 1)"));
    PGresult *r = PQexec(c, "SELECT count(*) FROM revocations");
    assert_string_equal(PQgetvalue(r, 0, 0), "2");
    PQclear(r);
    PQfinish(c);
}

static void again_changes_nothing(void **state)
{
    (void)state;
    struct migrator m = {0};
    char note[256];
    static const char hour[] = "SELECT now_us() / 3600000000";
    int64_t before, began;
    do { // in a new hour there are new partitions to make
        began = sql_int("%s", hour);
        migrate(&m);
        before = sql_int("SELECT count(*) FROM pg_class");
        migrate(&m);
        assert_ok(m.err);
        assert_int_equal(m.from, STORE_SCHEMA_VERSION);
    } while (sql_int("%s", hour) != began);
    assert_int_equal(sql_int("SELECT count(*) FROM pg_class"), before);
    assert_ok(store_schema_check(pg.conninfo, note, sizeof note));
}

// The first partitions are there: from the hours that may be backdated into to two days ahead; one
// more when an hour has begun since.
static void the_first_partitions_are_made(void **state)
{
    (void)state;
    static const char count[] = "SELECT count(*) FROM pg_inherits WHERE inhparent = '%s'::regclass";
    assert_in_range(sql_int(count, "orders"), 51, 52);
    assert_in_range(sql_int(count, "intents"), 51, 52);
    assert_in_range(sql_int(count, "certificates"), 51, 52);
    assert_in_range(sql_int(count, "replacements"), 51, 52);
    assert_in_range(sql_int(count, "revocations"), 51, 52);
    assert_in_range(sql_int(count, "authorizations"), 3, 4);
    // No index on a status, room for HOT updates on each leaf, and no DEFAULT partition.
    assert_int_equal(sql_int("SELECT count(*) FROM pg_indexes WHERE indexdef ~ 'status'"), 0);
    assert_int_equal(
        sql_int("SELECT count(*) FROM pg_class WHERE relname ~ '^orders_[0-9]' AND "
                "relkind = 'r' AND NOT coalesce(reloptions, '{}') @> '{fillfactor=70}'"),
        0);
    assert_int_equal(sql_int("SELECT count(*) FROM pg_partitioned_table WHERE partdefid <> 0"), 0);
}

static void a_newer_schema_is_refused(void **state)
{
    (void)state;
    struct migrator m = {0};
    char note[256];
    sql_run("INSERT INTO schema_version VALUES (99, 'x', now())");
    assert_err(store_schema_check(pg.conninfo, note, sizeof note), ERR_STORE_SCHEMA);
    assert_non_null(strstr(note, "99"));
    migrate(&m);
    assert_err(m.err, ERR_STORE_SCHEMA);
    assert_non_null(strstr(m.note, "99"));
    struct store *s = NULL;
    struct store_options o = options_usual;
    o.conninfo = pg.conninfo;
    assert_ok(store_new(&s, shard, &o));
    state_want(s, "99");
    assert_false(store_ready(s));
    sql_run("DELETE FROM schema_version WHERE version = 99");
    store_wait(s); // by itself
    store_free(s);
}

// Of several servers the one that takes writes is asked: the first may be a standby, or away.
static void the_server_that_takes_writes_is_migrated(void **state)
{
    (void)state;
    struct pg other;
    char conninfo[512], note[256];
    int from, to;
    assert_true(pg_init(&other));
    assert_int_equal(pg_psql(&other, "ALTER SYSTEM SET default_transaction_read_only = on"), 0);
    pg_stop(&other, SIGQUIT);
    assert_true(pg_start(&other));
    snprintf(conninfo, sizeof conninfo,
             "host=/nowhere,%s,%s port=5432 user=certmill dbname=postgres", other.dir, pg.dir);
    struct err e = store_migrate(conninfo, &from, &to, note, sizeof note);
    if (failed(e)) fail_msg("%s", note);
    assert_ok(store_schema_check(conninfo, note, sizeof note));
    snprintf(conninfo, sizeof conninfo, "host=%s port=5432 user=certmill dbname=postgres",
             other.dir);
    e = store_migrate(conninfo, &from, &to, note, sizeof note);
    pg_fini(&other);
    assert_err(e, ERR_STORE_AWAY);
    assert_non_null(strstr(note, "read-only"));
}

static void another_content_is_refused(void **state)
{
    (void)state;
    struct migrator m = {0};
    sql_run("UPDATE schema_version SET checksum = 'y' || checksum");
    migrate(&m);
    assert_err(m.err, ERR_STORE_MIGRATION);
    if (strstr(m.note, "0001") == NULL) fail_msg("%s", m.note);
    sql_run("UPDATE schema_version SET checksum = substr(checksum, 2)");
    assert_err(store_migrate("host=/nowhere", &m.from, &m.to, m.note, sizeof m.note),
               ERR_STORE_AWAY);
    assert_non_null(strstr(m.note, "/nowhere"));
}

// A migration that fails leaves nothing behind.
static void a_failed_migration_leaves_nothing(void **state)
{
    (void)state;
    char conninfo[256];
    int from, to;
    char note[256];
    sql_run("CREATE DATABASE second");
    snprintf(conninfo, sizeof conninfo, "%s dbname=second", pg.conninfo);
    PGconn *c = PQconnectdb(conninfo);
    sql_on(c, "CREATE TABLE leases (mine int)"); // in the way
    assert_err(store_migrate(conninfo, &from, &to, note, sizeof note), ERR_STORE_MIGRATION);
    assert_non_null(strstr(note, "leases"));
    PGresult *r = PQexec(c,
                         "SELECT count(*) FROM pg_class WHERE relname IN ('orders', 'accounts')");
    assert_string_equal(PQgetvalue(r, 0, 0), "0");
    PQclear(r);
    sql_on(c, "DROP TABLE leases");
    assert_ok(store_migrate(conninfo, &from, &to, note, sizeof note));
    assert_int_equal(from, 0);
    PQfinish(c);
}

// Nothing in it needs a superuser: an owner of the database is enough.
static void an_ordinary_role_is_enough(void **state)
{
    (void)state;
    char conninfo[256];
    int from, to;
    char note[256];
    sql_run("CREATE ROLE plain LOGIN");
    sql_run("CREATE DATABASE third OWNER plain");
    snprintf(conninfo, sizeof conninfo, "host=%s dbname=third user=plain", pg.dir);
    struct err e = store_migrate(conninfo, &from, &to, note, sizeof note);
    if (failed(e)) fail_msg("%s", note);
    struct store *s = store_open(conninfo, NULL);
    struct store_lease_take l = {
        .cmd = cmd(), .name = SLICE_LIT("partitions"), .node = new_id(), .ttl_ms = 60000};
    store_lease_take(s, &l);
    run();
    assert_true(l.held);
    struct store_partitions_tend t = {.cmd = cmd(), .token = l.token, .ahead_h = 50};
    store_partitions_tend(s, &t);
    run();
    assert_ok(result(&t.cmd));
    assert_true(t.made > 0);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_schema_it_says_what_to_do),
        cmocka_unit_test(of_many_at_once_one_does_it),
        cmocka_unit_test(accounts_of_version_1_keep_their_keys),
        cmocka_unit_test(certificates_of_version_5_can_be_revoked),
        cmocka_unit_test(again_changes_nothing),
        cmocka_unit_test(the_first_partitions_are_made),
        cmocka_unit_test(a_newer_schema_is_refused),
        cmocka_unit_test(the_server_that_takes_writes_is_migrated),
        cmocka_unit_test(another_content_is_refused),
        cmocka_unit_test(a_failed_migration_leaves_nothing),
        cmocka_unit_test(an_ordinary_role_is_enough),
    };
    return cmocka_run_group_tests(tests, fixture_setup_empty, fixture_teardown);
}
