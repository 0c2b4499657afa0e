// internal: what the files of store/ share: a shard's store, a flush under way, and readers of
// result columns.
#pragma once
#include <libpq-fe.h>

#include "store/conn.h"
#include "store/err.h"
#include "store/leaf.h"
#include "store/store.h"

enum { WRITE_CONNS_MAX = 8, BATCH_MAX = 256, SQL_MAX = 8192, STEPS_MAX = CONN_GROUP_MAX };

// Kinds in the order in which a flush writes them; the reads follow.
enum cmd_kind {
    CMD_ACCOUNT_CREATE,
    CMD_ORDER_CREATE,
    CMD_AUTHZ_DECIDE,
    CMD_INTENT_CREATE,
    CMD_CERTIFICATE_COMMIT,
    CMD_ORDER_INVALIDATE,
    CMD_INTENTS_CLAIM,
    CMD_NODE_HEARTBEAT,
    CMD_LEASE_TAKE,
    CMD_WRITE_COUNT,
    CMD_ACCOUNT_GET = CMD_WRITE_COUNT,
    CMD_ORDER_GET,
    CMD_AUTHZ_GET,
    CMD_CERTIFICATE_GET,
    CMD_INTENT_GET,
    CMD_KIND_COUNT,
};

struct flush;

// struct step is one statement of a flush; `result` gets what it returned.
struct step {
    void (*result)(struct flush *f, const PGresult *r);
};

// struct flush is a group of commands on their way in one transaction (writes) or as plain
// statements (reads). It may be sent again, whole or in halves: every statement is written so that
// a repeat finds its own work and changes nothing.
struct flush {
    struct conn_group group;
    struct store *store;
    struct conn *conn;
    struct list node; // in the store's list of flushes that wait to be sent again
    struct store_cmd *cmds[BATCH_MAX];
    size_t count;
    struct step steps[STEPS_MAX];
    unsigned step_count;
    bool read;
    bool barrier; // a commit was lost: a synchronous write goes in front
    bool unsent;  // a statement did not fit: the flush is given up
    unsigned attempts;
    uint64_t due_ns;    // not sent again before
    struct timer again; // wakes the pump then
    struct arena sql;
};

struct store {
    struct shard *shard;
    struct store_options o;
    char *conninfo;
    struct conn *reader, *writers[WRITE_CONNS_MAX];
    struct list waiting_reads, waiting_writes; // commands
    size_t waiting_count;
    struct list resend; // flushes
    unsigned in_flight_writes, in_flight_reads;
    struct turn_hook pump;
    struct timer tick, linger;
    struct leaf_set leaves;
    bool leaves_loaded, leaves_stale;
    struct flush leaf_flush; // loads the leaves
    bool leaf_loading;
    uint64_t flush_count;
    void (*drained)(void *ctx);
    void *drained_ctx;
    struct maintenance *maintenance;
};

// ---- a kind of command: how its part of a flush is written. One row per kind in batch.c.
struct kind {
    const char *name;
    void (*send)(struct flush *f); // adds its statements for all commands of this kind in the flush
};
extern const struct kind kinds[CMD_KIND_COUNT];

void account_create_send(struct flush *f);
void account_get_send(struct flush *f);
void order_create_send(struct flush *f);
void order_get_send(struct flush *f);
void authz_decide_send(struct flush *f);
void authz_get_send(struct flush *f);
void intent_create_send(struct flush *f);
void intent_get_send(struct flush *f);
void intents_claim_send(struct flush *f);
void certificate_commit_send(struct flush *f);
void certificate_get_send(struct flush *f);
void order_invalidate_send(struct flush *f);
void node_heartbeat_send(struct flush *f);
void lease_take_send(struct flush *f);

// store_queue takes a command of a kind; used by the store_* functions.
void store_queue(struct store *s, struct store_cmd *cmd, enum cmd_kind kind);
// flush_add adds a statement; `fmt` is its text with leaf names filled in. The params are finished
// (params_fini) here.
void flush_add(struct flush *f, struct params *p,
               void (*result)(struct flush *f, const PGresult *r), const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// flush_each walks over the commands of a kind: index from `*at`, NULL at the end.
struct store_cmd *flush_each(struct flush *f, enum cmd_kind kind, size_t *at);
// leaf_exists: as far as this store knows; an unknown one makes it look again soon.
bool leaf_exists(struct store *s, enum leaf_table table, int64_t key);
// leaf_next finds the smallest key greater than *key among the commands of a kind; false when there
// is none. `key_of` gives a command's.
bool leaf_next(struct flush *f, enum cmd_kind kind, int64_t (*key_of)(const struct store_cmd *cmd),
               int64_t *key);

// ---- result columns, binary format
int64_t col_int(const PGresult *r, int row, int col);
bool col_bool(const PGresult *r, int row, int col);
struct id col_id(const PGresult *r, int row, int col);
struct slice col_bytes(const PGresult *r, int row, int col); // borrowed from the result
// col_dup copies into the arena; empty when it is full (out is then marked by *ok = false).
struct slice col_dup(const PGresult *r, int row, int col, struct arena *a, bool *ok);

// maintenance.c
void maintenance_free(struct store *s);
