// conn: one libpq connection on a shard's reactor, in pipeline mode: statements are prepared once
// per text and sent in groups that end with a sync; results come back in order. It never blocks
// (host names are not resolved: conninfo names sockets or hostaddr).
#pragma once
#include <libpq-fe.h>

#include "cluster/core/shard.h"
#include "store/params.h"

enum { CONN_GROUP_MAX = 512, CONN_PREPARED_MAX = 512, CONN_NOTE_MAX = 256 };

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_SETUP, CONN_IDLE, CONN_BUSY };

struct conn;

// struct conn_group is a run of statements ended by one sync; its owner's until `done`.
struct conn_group {
    // result runs for each statement in order, with what it returned: PGRES_TUPLES_OK or
    // PGRES_COMMAND_OK only.
    void (*result)(struct conn_group *g, unsigned statement, const PGresult *r);
    // done runs once. sqlstate "" and lost false: all went through. A sqlstate: the first failing
    // statement's; nothing was committed if the group is one transaction. lost: the connection
    // ended, or the commit's replication was not confirmed: whether it was committed is unknown.
    void (*done)(struct conn_group *g, const char *sqlstate, bool lost);
};

struct conn_options {
    const char *conninfo;
    bool writes; // synchronous_commit, lock_timeout, no statement_timeout
    // changed runs when the connection becomes usable (CONN_IDLE) or is lost.
    void (*changed)(void *ctx, struct conn *c);
    void *ctx;
};

struct conn *conn_new(struct shard *shard, const struct conn_options *options);
void conn_free(struct conn *c);
enum conn_state conn_state(const struct conn *c);
// conn_text is a sentence on where it stands. conn_clock_offset_us: database clock minus ours,
// measured when connected.
const char *conn_text(const struct conn *c);
int64_t conn_clock_offset_us(const struct conn *c);
// conn_begin starts a group on an idle connection; conn_add adds a statement (taking nothing:
// params may be finished by the caller at once); false when it cannot be sent: the group then ends
// as lost. conn_end sends it off.
void conn_begin(struct conn *c, struct conn_group *g);
bool conn_add(struct conn *c, const char *sql, struct params *params);
void conn_end(struct conn *c);
// conn_reset drops the connection and connects anew (after a result that cannot be trusted).
void conn_reset(struct conn *c);
