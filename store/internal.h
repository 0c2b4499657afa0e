// internal: what the files of store/ share: a shard's store, a flush under way, and readers of
// result columns.
#pragma once
#include <libpq-fe.h>

#include "store/conn.h"
#include "store/err.h"
#include "store/leaf.h"
#include "store/store.h"

enum { WRITE_CONNS_MAX = 8, BATCH_MAX = 256, SQL_MAX = 16384, STEPS_MAX = CONN_GROUP_MAX };

// Kinds in the order in which a flush writes them; the reads follow.
enum cmd_kind {
    CMD_EAB_CREATE,
    CMD_EAB_CHANGE,
    CMD_ACCOUNT_CREATE,
    CMD_ACCOUNT_UPDATE,
    CMD_ACCOUNT_KEY_CHANGE,
    CMD_ORDER_CREATE,
    CMD_AUTHZ_CREATE,
    CMD_AUTHZ_DECIDE,
    CMD_INTENT_CREATE,
    CMD_CERTIFICATE_COMMIT,
    CMD_ORDER_INVALIDATE,
    CMD_INTENT_CLOSE,
    CMD_REVOKE,
    CMD_CRL_COMMIT,
    CMD_INTENTS_CLAIM,
    CMD_RATE_TAKE,
    CMD_RENEWAL_RULE_CREATE,
    CMD_RENEWAL_RULE_CANCEL,
    CMD_NODE_HEARTBEAT,
    CMD_LEASE_TAKE,
    CMD_WRITE_COUNT,
    CMD_ACCOUNT_GET = CMD_WRITE_COUNT,
    CMD_EAB_GET,
    CMD_EAB_LIST,
    CMD_ACCOUNTS_LIST,
    CMD_CERTIFICATES_LIST,
    CMD_ORDER_GET,
    CMD_ORDERS_LIST,
    CMD_AUTHZ_GET,
    CMD_CERTIFICATE_GET,
    CMD_RENEWAL_GET,
    CMD_RENEWAL_SURVEY,
    CMD_RENEWAL_RULES_LIST,
    CMD_INTENT_GET,
    CMD_REVOCATION_GET,
    CMD_CRLS_DUE,
    CMD_CRL_ENTRIES,
    CMD_CRL_GET,
    CMD_KIND_COUNT,
};

// Bits of struct store_cmd's flags.
enum {
    CMD_FULL = 1, // an output did not fit into the arena: ends with ERR_NO_SPACE
    CMD_SENT = 2, // was on its way at least once: never given up by age
};

struct flush;

// struct step is one statement of a flush: `result` gets what it returned, and the command that it
// was sent for when it was for one only.
struct step {
    void (*result)(struct flush *f, const PGresult *r, struct store_cmd *only);
    struct store_cmd *only;
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
    bool in_doubt; // a commit was lost: its work may be there already
    bool unsent;   // a statement did not fit: the flush is given up
    unsigned attempts;
    int64_t sent_us;    // wall time
    uint64_t due_ns;    // not sent again before
    struct timer again; // wakes the pump then
};

// struct store is a shard's; see the files that own the parts.
struct store {
    struct shard *shard;
    struct store_options o;
    struct hosts hosts;
    struct conn *reader, *writers[WRITE_CONNS_MAX];
    // batch.c
    struct list waiting_reads, waiting_writes, refused; // commands
    size_t waiting_count;                               // queued or in flight
    struct list resend;                                 // flushes
    unsigned in_flight_writes, in_flight_reads;
    struct turn_hook pump;
    struct timer tick, linger;
    uint64_t flush_count;
    int64_t clock_offset_us;
    void (*drained)(void *ctx);
    void *drained_ctx;
    // leaves.c
    struct leaf_set leaves;
    bool leaves_loaded, leaves_stale, leaves_loading;
    uint64_t leaves_asked_ns; // when the newest list was asked for
    struct flush leaves_flush;
    // partition.c
    struct maintenance *maintenance;
};

// ---- batch.c: the queue
// store_queue takes a command of a kind; used by the store_* functions.
void store_queue(struct store *s, struct store_cmd *cmd, enum cmd_kind kind);
// store_cmd_end runs `done` and counts.
void store_cmd_end(struct store *s, struct store_cmd *cmd, struct err e);

// ---- flush.c: one flush
struct flush *flush_new(struct store *s, bool read); // NULL without memory
void flush_send(struct flush *f, struct conn *c);
// flush_end ends all its commands with `e` (a command whose output did not fit: ERR_NO_SPACE), and
// frees it.
void flush_end(struct flush *f, struct err e);
void flush_result(struct conn_group *g, unsigned statement, const PGresult *r);
// flush_add adds a statement; `fmt` is its text with leaf names filled in. The params are finished
// (params_fini) here. flush_add_only is for a statement of one command.
void flush_add(struct flush *f, struct params *p,
               void (*result)(struct flush *f, const PGresult *r, struct store_cmd *only),
               const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void flush_add_only(struct flush *f, struct params *p,
                    void (*result)(struct flush *f, const PGresult *r, struct store_cmd *only),
                    struct store_cmd *only, const char *sql);
// flush_nothing is the result function of a statement that answers nothing.
void flush_nothing(struct flush *f, const PGresult *r, struct store_cmd *only);
// flush_each walks over the commands of a kind: index from `*at`, NULL at the end.
struct store_cmd *flush_each(struct flush *f, enum cmd_kind kind, size_t *at);
// flush_is_first is true unless an earlier command of its kind in this flush is about the same
// order (account, authorization): only the first of those is sent, the others read what became of
// it.
bool flush_is_first(const struct flush *f, const struct store_cmd *cmd,
                    const struct id *(*id_of)(const struct store_cmd *cmd));
// flush_leaf_next finds the smallest leaf key greater than *key among the commands of a kind; false
// when there is none. `key_of` gives a command's.
bool flush_leaf_next(struct flush *f, enum cmd_kind kind,
                     int64_t (*key_of)(const struct store_cmd *cmd), int64_t *key);

// One function per kind, which adds its statements for all commands of the kind in the flush.
void account_create_send(struct flush *f);
void account_get_send(struct flush *f);
void account_update_send(struct flush *f);
void account_key_change_send(struct flush *f);
void eab_create_send(struct flush *f);
void eab_change_send(struct flush *f);
void eab_get_send(struct flush *f);
void eab_list_send(struct flush *f);
void accounts_list_send(struct flush *f);
void certificates_list_send(struct flush *f);
void order_create_send(struct flush *f);
void order_get_send(struct flush *f);
void orders_list_send(struct flush *f);
void authz_create_send(struct flush *f);
void authz_decide_send(struct flush *f);
void authz_get_send(struct flush *f);
void intent_create_send(struct flush *f);
void intent_get_send(struct flush *f);
void intents_claim_send(struct flush *f);
void certificate_commit_send(struct flush *f);
void certificate_get_send(struct flush *f);
void renewal_get_send(struct flush *f);
void rate_take_send(struct flush *f);
void renewal_survey_send(struct flush *f);
void renewal_rule_create_send(struct flush *f);
void renewal_rules_list_send(struct flush *f);
void renewal_rule_cancel_send(struct flush *f);
void order_invalidate_send(struct flush *f);
void intent_close_send(struct flush *f);
void revoke_send(struct flush *f);
void revocation_get_send(struct flush *f);
// burned_send puts burned serials of one order leaf that are on a CRL among the revocations.
void burned_send(struct flush *f, int64_t order_leaf);
void crls_due_send(struct flush *f);
void crl_entries_send(struct flush *f);
void crl_commit_send(struct flush *f);
void crl_get_send(struct flush *f);
void node_heartbeat_send(struct flush *f);
void lease_take_send(struct flush *f);

// ---- account.c: rows of accounts, for the other files of that noun
#define ACCOUNT_COLUMNS                                                                          \
    "a.id, a.tenant, a.status::bigint, a.key_version::bigint, a.spki, a.thumbprint, a.contact, " \
    "a.terms_agreed, a.eab_kid, a.created_at, a.eab_binding"
// account_row_read reads row `i` of a result with those columns from column `first` on; what does
// not fit into the command's arena marks it CMD_FULL.
void account_row_read(struct account_row *out, const PGresult *r, int i, int first,
                      struct store_cmd *cmd);

// ---- authz.c: rows of authorizations, for the other files of that noun
#define AUTHZ_COLUMNS                                                                           \
    "id, account, order_id, tenant, identifier, wildcard, status::bigint, challenges::bigint, " \
    "token, decided_by::bigint, decision, validated_at, error, expires_at"
// authz_row_read reads row `i` of a result with those columns first; it marks the command CMD_FULL
// when the arena is; false when the row is not one of ours.
bool authz_row_read(struct authz_row *out, const PGresult *r, int i, struct store_cmd *cmd);

// ---- eab.c
// eab_locks_send locks the keys that accounts of this flush are made by or that are changed in it,
// in order.
void eab_locks_send(struct flush *f);

// ---- replacement.c: the part of creating an order that is about the certificate that it replaces
// replacements_mark gives the place of a certificate to its order, before the orders are inserted;
// replacements_look tells those that did not get it, after.
void replacements_mark(struct flush *f);
void replacements_look(struct flush *f);

// ---- leaves.c: which partitions there are
// leaves_want makes the store look again when a leaf that `cmd` needs is not in its list and that
// may be news: LEAVES_ASKED, try again later. LEAVES_MISSING: a row of it has no place.
enum leaves_answer { LEAVES_THERE, LEAVES_ASKED, LEAVES_MISSING };
enum leaves_answer leaves_want(struct store *s, const struct store_cmd *cmd);
bool leaves_have(const struct store *s, enum leaf_table table, int64_t key);
// leaves_load asks the idle reader for the list.
void leaves_load(struct store *s);

// ---- partition.c
// maintenance_free ends a run under way with ERR_STORE_AWAY.
void maintenance_free(struct store *s);

// ---- column.c: result columns, binary format
int64_t col_int(const PGresult *r, int row, int col);
bool col_bool(const PGresult *r, int row, int col);
struct id col_id(const PGresult *r, int row, int col);
struct slice col_bytes(const PGresult *r, int row, int col); // borrowed from the result
// col_dup copies into the command's arena; when that is full the command is marked CMD_FULL.
struct slice col_dup(const PGresult *r, int row, int col, struct store_cmd *cmd);
