// schema: the migrations, embedded at build time from store/schema/*.sql, and the SQL that makes
// and drops partitions. Blocking parts are for the command and for start-up only.
#pragma once
#include <libpq-fe.h>

#include "store/leaf.h"

struct migration {
    int version;
    const char *name; // file name
    const char *sql;
};

// The migrations in order; the last one's version is STORE_SCHEMA_VERSION.
extern const struct migration migrations[];
extern const size_t migration_count;

enum { PARTITION_SQL_MAX = 1536 };
// partition_make_sql writes one statement that makes and attaches a leaf, in one transaction, where
// it is missing: CREATE with a CHECK constraint that lets ATTACH skip its scan, and a fillfactor
// that keeps updates of an order HOT. With a token other than 0 it fails unless the lease
// "partitions" is held with it.
void partition_make_sql(char out[PARTITION_SQL_MAX], enum leaf_table table, int64_t key,
                        uint64_t token);
