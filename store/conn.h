// conn: one libpq connection on a shard's reactor, in pipeline mode: statements are prepared once
// per text and sent in groups that end with a sync; results come back in order. It never blocks,
// and connects again by itself, with growing pauses, to the next of its hosts. Its shard's thread.
//
// A connection is usable once the server has said that it takes writes, is new enough and has our
// schema, and once a synchronous write has gone through: after a crash a row may be visible that no
// standby has, and that write's commit is behind it (reliability.md 3.1).
#pragma once
#include <libpq-fe.h>

#include "cluster/core/shard.h"
#include "store/hosts.h"
#include "store/params.h"

enum {
    CONN_GROUP_MAX = 512,     // statements in a group
    CONN_PREPARED_KEEP = 128, // above so many prepared statements all are dropped before a group
    CONN_NOTE_MAX = 256,
};

// CONN_IDLE may begin a group; below it the connection is not usable.
enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_SETUP, CONN_IDLE, CONN_BUSY };

struct conn;

// How a group ended. CONN_ENDED_REFUSED: a statement failed (`sqlstate`), nothing of a transaction
// was committed. CONN_ENDED_LOST: the connection ended, or a standby did not confirm: whether it
// was committed is unknown.
enum conn_ended { CONN_ENDED_OK, CONN_ENDED_REFUSED, CONN_ENDED_LOST };

// struct conn_group is a run of statements ended by one sync; its owner's until `done`.
struct conn_group {
    // result runs for each statement in order, counted from 0, with what it returned:
    // PGRES_TUPLES_OK or PGRES_COMMAND_OK only.
    void (*result)(struct conn_group *g, unsigned statement, const PGresult *r);
    // done runs once; `sqlstate` is "" unless refused. conn_text says the server's message.
    void (*done)(struct conn_group *g, enum conn_ended ended, const char *sqlstate);
};

struct conn_options {
    const struct hosts *hosts; // borrowed
    bool writes;               // for transactions; otherwise the session is read-only
    unsigned group_ms_max; // a group without an answer for so long ends the connection; 0: never
    // changed runs when the connection becomes usable (CONN_IDLE) or is lost (CONN_DOWN).
    void (*changed)(void *ctx, struct conn *c);
    void *ctx;
};

// conn_new begins to connect in the next turn; NULL without memory. conn_free ends a group under
// way as lost. NULL is fine.
struct conn *conn_new(struct shard *shard, const struct conn_options *options);
void conn_free(struct conn *c);
enum conn_state conn_state(const struct conn *c);
// conn_text is a sentence on where it stands, valid until the next change.
const char *conn_text(const struct conn *c);
// conn_clock_offset_us is the database's clock minus ours, measured when connected.
int64_t conn_clock_offset_us(const struct conn *c);
// conn_begin starts a group on an idle connection. conn_add adds a statement (taking nothing:
// params may be finished by the caller at once); false when it cannot be sent: the group then ends
// as lost, in the next turn at the latest. conn_submit sends it off.
void conn_begin(struct conn *c, struct conn_group *g);
bool conn_add(struct conn *c, const char *sql, struct params *params);
void conn_submit(struct conn *c);
// conn_reset drops the connection, for a reason, and connects anew.
void conn_reset(struct conn *c, const char *reason);
