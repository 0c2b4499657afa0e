// migrate: the schema brought up to date under an advisory lock, each migration in a transaction
// with its checksum kept, and the first partitions. Blocking: for the command and for start-up.
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/schema.h"
#include "store/store.h"

enum { CHECKSUM_LEN = 2 * SHA256_DIGEST_LENGTH, AHEAD_S = 48 * 3600, BEHIND_S = 2 * 3600 };

// Any number of our own: whoever migrates takes it first.
#define LOCK_SQL "SELECT pg_advisory_lock(7231044210911)"

static struct err refuse(char *note, size_t size, uint32_t code, const char *what,
                         const char *detail)
{
    size_t n = strcspn(detail, "\n");
    snprintf(note, size, "%s%s%.*s", what, detail[0] == 0 ? "" : ": ", (int)n, detail);
    return (struct err){code};
}

// connect_to connects to the first server of `conninfo` that takes writes, and gives up one that
// does not answer: what the connection string says itself, in dbname, wins.
static PGconn *connect_to(const char *conninfo, char *note, size_t size)
{
    static const char *const keywords[] = {"target_session_attrs", "connect_timeout",
                                           "fallback_application_name", "dbname", NULL};
    const char *const values[] = {"read-write", "10", "certmill", conninfo, NULL};
    PGconn *pg = PQconnectdbParams(keywords, values, 1);
    if (pg != NULL && PQstatus(pg) == CONNECTION_OK) return pg;
    (void)refuse(note, size, ERR_STORE_AWAY, "the database cannot be reached",
                 pg == NULL ? "out of memory" : PQerrorMessage(pg));
    PQfinish(pg);
    return NULL;
}

static bool run(PGconn *pg, const char *sql)
{
    PGresult *r = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(r);
    PQclear(r);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static void checksum(char out[CHECKSUM_LEN + 1], const char *sql)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)sql, strlen(sql), digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

// version_read is the newest applied version: 0 without a schema, -1 when that cannot be told.
static int version_read(PGconn *pg)
{
    PGresult *r = PQexec(
        pg, "SELECT CASE WHEN to_regclass('schema_version') IS NULL THEN 0 ELSE 1 END");
    bool exists = PQresultStatus(r) == PGRES_TUPLES_OK && strcmp(PQgetvalue(r, 0, 0), "1") == 0,
         ok = PQresultStatus(r) == PGRES_TUPLES_OK;
    PQclear(r);
    if (!ok || !exists) return ok ? 0 : -1;
    r = PQexec(pg, "SELECT coalesce(max(version), 0) FROM schema_version");
    int version = PQresultStatus(r) == PGRES_TUPLES_OK ? atoi(PQgetvalue(r, 0, 0)) : -1;
    PQclear(r);
    return version;
}

static struct err checksum_check(PGconn *pg, const struct migration *m, char *note, size_t size)
{
    char want[CHECKSUM_LEN + 1], sql[128], text[160];
    checksum(want, m->sql);
    snprintf(sql, sizeof sql, "SELECT checksum FROM schema_version WHERE version = %d", m->version);
    PGresult *r = PQexec(pg, sql);
    bool same = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1 &&
                strcmp(PQgetvalue(r, 0, 0), want) == 0;
    PQclear(r);
    if (same) return OK;
    snprintf(text, sizeof text,
             "migration %s was applied with another content than this program has", m->name);
    return refuse(note, size, ERR_STORE_MIGRATION, text, "");
}

static struct err apply(PGconn *pg, const struct migration *m, char *note, size_t size)
{
    char sum[CHECKSUM_LEN + 1], sql[256];
    checksum(sum, m->sql);
    snprintf(sql, sizeof sql, "INSERT INTO schema_version VALUES (%d, '%s', now())", m->version,
             sum);
    if (run(pg, "BEGIN") &&
        run(pg, "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, checksum "
                "text NOT NULL, applied_at timestamptz NOT NULL)") &&
        run(pg, m->sql) && run(pg, sql) && run(pg, "COMMIT"))
        return OK;
    struct err e = refuse(note, size, ERR_STORE_MIGRATION, m->name, PQerrorMessage(pg));
    (void)run(pg, "ROLLBACK");
    return e;
}

// now_read is the database's time: the one that rows carry. 0 when it cannot be read.
static int64_t now_read(PGconn *pg)
{
    PGresult *r = PQexec(pg, "SELECT now_us() / 1000000");
    int64_t now = PQresultStatus(r) == PGRES_TUPLES_OK ? atoll(PQgetvalue(r, 0, 0)) : 0;
    PQclear(r);
    return now;
}

// first_partitions makes those of the next two days, so that a front end can start before its job
// has run.
static struct err first_partitions(PGconn *pg, char *note, size_t size)
{
    int64_t now = now_read(pg);
    if (now == 0)
        return refuse(note, size, ERR_STORE_MIGRATION, "the database's time cannot be read",
                      PQerrorMessage(pg));
    for (int t = 0; t < LEAF_TABLE_COUNT; t++) {
        for (int64_t key = leaf_at((enum leaf_table)t, now - BEHIND_S);
             key <= leaf_at((enum leaf_table)t, now + AHEAD_S); key++) {
            char sql[PARTITION_SQL_MAX];
            partition_make_sql(sql, (enum leaf_table)t, key, 0);
            if (!run(pg, sql))
                return refuse(note, size, ERR_STORE_MIGRATION, "a partition could not be made",
                              PQerrorMessage(pg));
        }
    }
    return OK;
}

static struct err migrate(PGconn *pg, int *out_from, int *out_to, char *note, size_t size)
{
    (void)run(pg, "SET client_min_messages = warning");
    if (!run(pg, LOCK_SQL))
        return refuse(note, size, ERR_STORE_AWAY,
                      "the database could not be locked for the migration", PQerrorMessage(pg));
    int version = version_read(pg);
    if (version < 0)
        return refuse(note, size, ERR_STORE_MIGRATION, "the schema's version cannot be read",
                      PQerrorMessage(pg));
    if (version > STORE_SCHEMA_VERSION) {
        char text[160];
        snprintf(text, sizeof text,
                 "the database has schema version %d, this program knows up to %d: use the newer "
                 "certmill",
                 version, STORE_SCHEMA_VERSION);
        return refuse(note, size, ERR_STORE_SCHEMA, text, "");
    }
    *out_from = version;
    for (size_t i = 0; i < migration_count; i++) {
        if (migrations[i].version <= version)
            TRY(checksum_check(pg, &migrations[i], note, size));
        else
            TRY(apply(pg, &migrations[i], note, size));
    }
    *out_to = STORE_SCHEMA_VERSION;
    return first_partitions(pg, note, size);
}

struct err store_migrate(const char *conninfo, int *out_from, int *out_to, char *note,
                         size_t note_size)
{
    PGconn *pg = connect_to(conninfo, note, note_size);
    if (pg == NULL) return ERR(STORE_AWAY);
    struct err e = migrate(pg, out_from, out_to, note, note_size);
    PQfinish(pg); // ends the advisory lock
    return e;
}

struct err store_schema_check(const char *conninfo, char *note, size_t note_size)
{
    PGconn *pg = connect_to(conninfo, note, note_size);
    if (pg == NULL) return ERR(STORE_AWAY);
    int version = version_read(pg);
    PQfinish(pg);
    if (version == STORE_SCHEMA_VERSION) return OK;
    char text[200];
    snprintf(text, sizeof text, "the database has schema version %d, this program needs %d: %s",
             version, STORE_SCHEMA_VERSION,
             version < STORE_SCHEMA_VERSION ? "run `certmill migrate`" : "use the newer certmill");
    return refuse(note, note_size, ERR_STORE_SCHEMA, text, "");
}
