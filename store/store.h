// store: all durable state, as typed commands. The only door to PostgreSQL; no SQL outside this
// folder.
//
// Each shard has its own store: a few connections, one for reads and some for writes. State changes
// of a shard are gathered into array statements, one transaction per flush; a flush starts when
// none is in flight, or 64 commands wait, or 4 ms have passed. A command's `done` runs only after
// the synchronous commit (design.md sections 4 and 5). Reads go to the primary, up to 64 of a kind
// in one statement.
//
// Every command embeds struct store_cmd. The caller fills the inputs, calls the store_* function,
// and borrows everything it points at to the store until `done` runs, exactly once, on the same
// shard. Outputs are valid when the error is OK; what they point at lives in `arena`. Errors:
// ERR_STORE_BUSY (too many commands wait), ERR_STORE_AWAY (PostgreSQL cannot be reached; nothing
// was sent), ERR_STORE_DATA (this row was refused by the database: a bug; the other rows went
// through), ERR_STORE_LEAF (no partition for the time of a new row: the clock is wrong, or nobody
// makes partitions), ERR_NO_SPACE (an output did not fit into `arena`; a write was committed all
// the same). `done` never runs inside the call. A commit whose answer was lost is resolved by key
// before `done` runs: callers never see "unknown", and a command that was sent may take as long as
// PostgreSQL is away.
#pragma once
#include "cluster/core/shard.h"
#include "proto/base/arena.h"
#include "proto/base/id.h"
#include "proto/rpc/intent.h"

struct store;

enum { STORE_SCHEMA_VERSION = 8 }; // the version this program needs

struct store_options {
    const char *conninfo;  // libpq connection string or URI, see store_conninfo_check
    unsigned write_conns;  // per shard, 1..8
    unsigned batch_max;    // commands in one flush (64); at most 256
    unsigned linger_us;    // longest wait for company while a flush is in flight (4000)
    unsigned queue_max;    // commands waiting per shard; above: ERR_STORE_BUSY
    unsigned queue_age_ms; // a command that waits longer fails with ERR_STORE_BUSY or
                           // ERR_STORE_AWAY (never one that was sent)
    unsigned region;       // 0..63
};

struct store_cmd {
    void (*done)(struct store_cmd *cmd, struct err err);
    struct arena *arena; // for outputs; borrowed until the caller drops it
    struct list node;    // the store's own from here on
    uint64_t queued_ns;
    uint8_t kind, flags;
    uint16_t attempt;
};

// store_conninfo_check says whether a store can use a connection string: it may name several
// servers, each by socket folder or address (host, or hostaddr beside host), because libpq resolves
// names blocking. ERR_STORE_CONNINFO with a sentence in `note`. store_conninfo_resolve writes one
// with the names resolved, an entry for each address: it blocks, so before shards run; also
// ERR_STORE_AWAY.
RESULT store_conninfo_check(const char *conninfo, char *note, size_t note_size);
RESULT store_conninfo_resolve(char *out, size_t out_size, const char *conninfo, char *note,
                              size_t note_size);

// store_new connects in the background and returns at once; store_ready says whether commands would
// be taken now. ERR_STORE_CONNINFO, ERR_STORE_BUSY (no memory). store_metrics_declare (events.h)
// comes before, at start.
RESULT store_new(struct store **out, struct shard *shard, const struct store_options *options);
// store_drain runs `drained` when nothing waits or is in flight. store_free cuts connections:
// waiting commands fail with ERR_STORE_AWAY first.
void store_drain(struct store *s, void (*drained)(void *ctx), void *ctx);
void store_free(struct store *s);
bool store_ready(const struct store *s);
// store_state_text is a sentence for /readyz: "connected to ..." when ready, else what keeps it
// from being so, as PostgreSQL or the system said it. Valid until the next turn.
const char *store_state_text(const struct store *s);
// store_flush_count is the number of committed flushes of this shard since start;
// store_clock_offset_us the database clock minus ours, as of the last connect or heartbeat.
uint64_t store_flush_count(const struct store *s);
int64_t store_clock_offset_us(const struct store *s);

// ---- accounts (RFC 8555 section 7.1.2)
enum account_status { ACCOUNT_VALID = 1, ACCOUNT_DEACTIVATED, ACCOUNT_REVOKED };

struct account_row {
    struct id id;
    struct slice tenant;
    enum account_status status;
    uint32_t key_version;   // grows with each key change
    struct slice spki;      // the account key
    uint8_t thumbprint[32]; // RFC 7638, SHA-256
    struct slice contact;   // JSON array text
    bool terms_agreed;
    struct slice eab_kid;     // key of the external account binding; empty: none
    struct slice eab_binding; // the binding as the client sent it, JSON; empty: none
    int64_t created_at_us;
};

// enum eab_refusal: why an external account binding key makes no account.
enum eab_refusal {
    EAB_UNKNOWN = 1,
    EAB_NOT_ENABLED,
    EAB_EXPIRED,
    EAB_USED_UP, // accounts_max is reached
    EAB_ROTATED, // the secret that verified the binding is not the key's any more
};

// store_account_create inserts `row` unless the tenant has an account with this thumbprint. `out`
// is the row that is there now. With an eab_kid the account is made only where that key allows it,
// decided and counted in the same commit: of two accounts that race for the last place one is made.
// `refused` says why there is none; `out` is empty then.
struct store_account_create {
    struct store_cmd cmd;
    struct account_row row;   // in; created_at_us is set by the database
    struct slice eab_secret;  // in: the sealed secret that verified the binding; empty: no binding
    struct account_row out;   // out
    bool created;             // out: false when it existed
    enum eab_refusal refused; // out: 0: not
};
void store_account_create(struct store *s, struct store_account_create *c);

// store_account_get reads by id (by_id) or by tenant and thumbprint. `found` false leaves `out`
// empty.
struct store_account_get {
    struct store_cmd cmd;
    bool by_id;
    struct id id;
    struct slice tenant;
    uint8_t thumbprint[32];
    bool found;
    struct account_row out;
};
void store_account_get(struct store *s, struct store_account_get *c);

// enum account_outcome: what became of a change of an account. Both changes lock the account, then
// decide: it is valid, and its key is the one that verified the request (`key_version`).
enum account_outcome {
    ACCOUNT_CHANGED = 1,
    ACCOUNT_UNKNOWN,
    ACCOUNT_NOT_VALID,   // `out.status` says what it is
    ACCOUNT_KEY_CHANGED, // the request was verified with an older key
    ACCOUNT_KEY_TAKEN,   // `taken_by` has the new key
};

// store_account_update sets what is asked for, or all of it not (RFC 8555 sections 7.3.2
// and 7.3.6). `revoke` is the server's own end of an account (section 7.1.2), whatever its key: a
// valid one becomes revoked, another stays. `out` is the row as it is after the commit, also when
// nothing was changed; empty when there is none.
struct store_account_update {
    struct store_cmd cmd;
    struct id id;
    uint32_t key_version;
    bool set_contact, deactivate, revoke;
    struct slice contact; // JSON array text, when set_contact
    enum account_outcome outcome;
    struct account_row out;
};
void store_account_update(struct store *s, struct store_account_update *c);

// store_accounts_list reads accounts newest first that are older than `before` (all-zero: from the
// newest), of one tenant and binding key unless these are empty, of one status unless it is 0; at
// most `limit`, 1..ADMIN_PAGE_MAX. `next` is `before` of the next page, all-zero: there is none; a
// page may be short, or empty, and have a next one.
enum { ADMIN_PAGE_MAX = 1000 };
struct store_accounts_list {
    struct store_cmd cmd;
    struct slice tenant, eab_kid;
    enum account_status status;
    struct id before;
    unsigned limit;
    struct account_row *out;
    size_t out_count;
    struct id next;
};
void store_accounts_list(struct store *s, struct store_accounts_list *c);

// store_account_key_change gives the account another key and sets the old one free, unless an
// account of the tenant has the new key (RFC 8555 section 7.3.5). The version grows by one. Of
// several changes of one account that meet in one flush the first is made; the others get
// ACCOUNT_KEY_CHANGED.
struct store_account_key_change {
    struct store_cmd cmd;
    struct id id;
    uint32_t key_version; // of the old key
    struct slice spki;    // the new key
    uint8_t thumbprint[32];
    enum account_outcome outcome;
    struct id taken_by;
    struct account_row out;
};
void store_account_key_change(struct store *s, struct store_account_key_change *c);

// ---- external account binding keys (RFC 8555 section 7.3.4)
enum eab_status { EAB_ENABLED = 1, EAB_DISABLED };
enum eab_algorithm { EAB_HS256 = 1, EAB_HS384 = 2, EAB_HS512 = 4 }; // bits: which are taken
enum { EAB_KID_MAX = 64, EAB_IMPORT_MAX = 10000 };

struct eab_row {
    struct slice tenant, kid;
    struct id id; // of its creation
    enum eab_status status;
    uint32_t algorithms;   // eab_algorithm bits
    struct slice secret;   // sealed (api/eab_seal.h): the store never sees it open
    struct slice previous; // the one before the last rotation, sealed; empty: none
    int64_t secret_at_us;  // when the present secret was made
    int64_t previous_until_us;
    int64_t accounts_max, accounts_used; // max 0: no bound; used: made by it ever
    int64_t expires_at_us;               // 0: never
    struct slice identifiers, profiles;  // JSON array text
    struct slice comment;
    int64_t created_at_us;
};

// store_eab_create inserts 1 to EAB_IMPORT_MAX keys, all or none: `conflict` is the place, from 1,
// of the first whose tenant and kid are taken; 0: all are there. The kids must differ among
// themselves. created_at and secret_at are set by the database.
struct store_eab_create {
    struct store_cmd cmd;
    const struct eab_row *rows;
    size_t count;
    size_t conflict;
};
void store_eab_create(struct store *s, struct store_eab_create *c);

struct store_eab_get {
    struct store_cmd cmd;
    struct slice tenant, kid;
    bool found;
    struct eab_row out;
};
void store_eab_get(struct store *s, struct store_eab_get *c);

// store_eab_list reads keys in the order of tenant and kid, behind (after_tenant, after_kid), both
// empty: from the first; of one tenant unless `tenant` is empty; at most `limit`,
// 1..ADMIN_PAGE_MAX. `more` says that there are others.
struct store_eab_list {
    struct store_cmd cmd;
    struct slice tenant, after_tenant, after_kid;
    unsigned limit;
    struct eab_row *out;
    size_t out_count;
    bool more;
};
void store_eab_list(struct store *s, struct store_eab_list *c);

// store_eab_change sets what `what` asks for (eab_change bits). A new secret makes the present one
// the previous one, taken for `overlap_us` more; 0: it is gone. `found` false: no such key.
enum eab_change {
    EAB_SET_STATUS = 1,
    EAB_SET_SECRET = 2,
    EAB_SET_EXPIRES = 4,
    EAB_SET_ACCOUNTS_MAX = 8,
    EAB_SET_IDENTIFIERS = 16,
    EAB_SET_PROFILES = 32,
    EAB_SET_COMMENT = 64,
    EAB_SET_ALGORITHMS = 128
};
struct store_eab_change {
    struct store_cmd cmd;
    struct eab_row row; // tenant, kid, and what is set
    uint32_t what;
    int64_t overlap_us;
    bool found;
    struct eab_row out;
};
void store_eab_change(struct store *s, struct store_eab_change *c);

// ---- orders and authorizations (RFC 8555 sections 7.1.3 and 7.1.4)
enum order_status { ORDER_PENDING = 1, ORDER_READY, ORDER_PROCESSING, ORDER_VALID, ORDER_INVALID };
enum authz_status {
    AUTHZ_PENDING = 1,
    AUTHZ_VALID,
    AUTHZ_INVALID,
    AUTHZ_DEACTIVATED,
    AUTHZ_EXPIRED,
    AUTHZ_REVOKED
};

struct authz_row {
    struct id id;
    struct id account;
    struct id order; // the order that made it and waits for it; itself: it was asked for alone
    struct slice tenant;
    struct identifier identifier; // without "*."
    bool wildcard;
    enum authz_status status; // as stored: the caller compares expires_at_us with the clock
    uint32_t challenges;      // those offered: bits of the caller's
    uint8_t token[32];        // the one token of all its challenges; base64url in documents
    uint32_t decided_by;      // the bit of one of them; 0: none yet
    int64_t validated_at_us;  // 0: not
    struct slice error;       // problem document JSON of the failed challenge, empty: none
    int64_t expires_at_us;
};

struct order_row {
    struct id id;
    struct id account;
    struct slice tenant;
    enum order_status status;
    struct slice identifiers; // identifiers_encode form
    struct id *authzs;
    size_t authz_count;
    uint32_t authzs_pending;       // counter that the deciding statement decrements; 0: ready
    uint32_t authzs_held;          // those taken over from other orders
    struct slice profile;          // name
    int64_t not_before, not_after; // asked for, seconds; 0: not asked
    struct slice error;            // problem document JSON, empty: none
    bool has_serial;
    uint8_t serial[SERIAL_LEN]; // of the certificate, once valid
    int64_t expires_at_us;
    int64_t created_at_us;
    struct slice replaces; // the certificate's identifier as the client wrote it; empty: none
};

// store_order_create inserts the order with an authorization for each identifier: one that the
// account holds already, for the same identifier and wildcard, valid for at least `reuse_left_us`
// more and made since `reuse_since_us` (at most 64 days are looked through, and 16 of a day), or
// else the pending one that is offered in `authzs`; what an order waits for is its own alone. An
// order that waits for none is READY. It ends with the first authorization that was taken over. The
// account must be valid and its key the one that verified the request. With `replacing` it takes
// the place of the certificate `replaced` in the same commit (RFC 9773 section 5), which must be
// the account's: the place is free, or is that of the order `instead_of`, which the caller has seen
// to have ended. Of several that meet one gets it; the others get ORDER_REPLACED.
enum order_create_outcome { ORDER_CREATED = 1, ORDER_ACCOUNT_NOT_VALID, ORDER_REPLACED };
struct store_order_create {
    struct store_cmd cmd;
    // In: what it is. Out: authzs (in place: they are as many as `authzs` below), authzs_pending,
    // authzs_held, status, expires_at_us and created_at_us as they were made.
    struct order_row order;
    uint32_t key_version;
    struct authz_row *authzs; // pending ones, one for each identifier
    size_t authz_count;
    int64_t reuse_since_us, reuse_left_us; // left 0: nothing is taken over
    bool reuse_alone;                      // only what was asked for alone (store_authz_create)
    bool replacing;
    uint8_t replaced[SERIAL_LEN];
    struct id instead_of; // all-zero: nobody's
    enum order_create_outcome outcome;
    struct id replaced_by; // out, with ORDER_REPLACED: who has the place
};
void store_order_create(struct store *s, struct store_order_create *c);

struct store_order_get {
    struct store_cmd cmd;
    struct id id;
    bool found;
    struct order_row out;
};
void store_order_get(struct store *s, struct store_order_get *c);

// store_orders_list reads the ids of an account's orders, newest first, that are older than
// `before` (all-zero: from the newest) and not invalid: at most `limit`, 1..ORDERS_LIST_MAX. `more`
// says that there are others. One statement a command over all leaves: for people and for rare
// clients.
enum { ORDERS_LIST_MAX = 1000 };
struct store_orders_list {
    struct store_cmd cmd;
    struct id account;
    struct id before;
    unsigned limit;
    struct id *out;
    size_t out_count;
    bool more;
};
void store_orders_list(struct store *s, struct store_orders_list *c);

// store_authz_create inserts a pending authorization that no order waits for (RFC 8555
// section 7.4.1), unless the account holds one for the identifier already that lasts
// `reuse_left_us` more and was made since `reuse_since_us`: a valid one, or a pending one that was
// asked for in this way. `out` is that one, or the new one. The account must be valid and its key
// the one that verified the request.
enum authz_create_outcome { AUTHZ_CREATED = 1, AUTHZ_HELD, AUTHZ_ACCOUNT_NOT_VALID };
struct store_authz_create {
    struct store_cmd cmd;
    struct authz_row row; // id, account, tenant, identifier, challenges, token, expires_at_us
    uint32_t key_version;
    int64_t reuse_since_us, reuse_left_us;
    bool reuse_alone; // not a valid one of an order
    enum authz_create_outcome outcome;
    struct authz_row out;
};
void store_authz_create(struct store *s, struct store_authz_create *c);

struct store_authz_get {
    struct store_cmd cmd;
    struct id id;
    bool found;
    struct authz_row out;
};
void store_authz_get(struct store *s, struct store_authz_get *c);

// store_authz_decide moves a pending, unexpired authorization to valid or invalid, or a pending or
// valid one to deactivated (RFC 8555 sections 7.1.6 and 7.5.2) and, in the same commit, its order:
// the counter of pending authorizations is decremented (READY at 0), or the order, when it is
// PENDING, or READY and the authorization was deactivated, becomes INVALID with `order_error`. A
// lost race leaves all as it was: `decided` false and `out` is the row as it is; all zero when
// there is no such authorization of this order. Of two decisions about one authorization that meet
// in one flush the first is made.
struct store_authz_decide {
    struct store_cmd cmd;
    struct id id;
    struct id order;          // of the authorization: locked first
    int64_t tag;              // the store's own: a repeat of the command recognises its own work
    enum authz_status to;     // AUTHZ_VALID, AUTHZ_INVALID or AUTHZ_DEACTIVATED
    uint32_t by;              // the bit of the challenge that decided; not for AUTHZ_DEACTIVATED
    struct slice error;       // problem JSON of the failed challenge; not for AUTHZ_DEACTIVATED
    struct slice order_error; // problem JSON of the order when it ends with this
    int64_t valid_until_us;   // new expires_at of a valid one
    bool decided;
    struct authz_row out;
};
void store_authz_decide(struct store *s, struct store_authz_decide *c);

// ---- finalize: exactly once (design.md section 4)
// store_intent_create is e2: locks the order, then decides: account valid and key_version as given,
// its external account binding key, where it has one, enabled, order READY and unexpired and of
// this account, every authorization valid and unexpired and of this account; then READY ->
// PROCESSING and the intent inserted. An order with an authorization that is not becomes INVALID
// (RFC 8555 section 7.1.6).
enum intent_outcome {
    INTENT_CREATED = 1,
    INTENT_ORDER_UNKNOWN,   // no such order, or another account's
    INTENT_ORDER_NOT_READY, // `order_status` says what it is
    INTENT_ORDER_EXPIRED,
    INTENT_ACCOUNT_NOT_VALID,
    INTENT_KEY_CHANGED,     // the request was verified with an older key
    INTENT_AUTHZ_NOT_VALID, // `authz` names the first that is not; zero: `authzs` differs, and the
                            // order is as it was
    INTENT_EAB_NOT_ENABLED, // the account's external account binding key is disabled or gone
};
struct store_intent_create {
    struct store_cmd cmd;
    struct intent intent;    // created_at_us is set by the database
    const struct id *authzs; // of the order, as read: must be those that the order names
    size_t authz_count;
    uint32_t authzs_held;     // of the order, as read: not 0, and they are locked, too
    struct slice authz_error; // problem JSON of an order with an authorization that is not valid
    uint32_t key_version;
    enum intent_outcome outcome;
    enum order_status order_status;
    struct id authz;
};
void store_intent_create(struct store *s, struct store_intent_create *c);

// store_certificate_commit is e4: PROCESSING -> VALID with this serial and the certificate
// inserted, in one statement. `won` false: the order was no longer PROCESSING; order_status (0: no
// such order) and order_serial say what is there. Repeating a commit that won is won again (same
// serial).
struct store_certificate_commit {
    struct store_cmd cmd;
    struct id order;
    struct id account;
    struct slice tenant;
    struct slice profile;
    uint8_t serial[SERIAL_LEN];
    uint16_t issuer;
    int64_t not_before, not_after;
    uint8_t spki_hash[HASH_LEN];
    uint32_t crl_shard; // the intent's
    struct slice der;   // the certificate
    bool won;
    enum order_status order_status;
    uint8_t order_serial[SERIAL_LEN];
};
void store_certificate_commit(struct store *s, struct store_certificate_commit *c);

// store_certificate_get reads by serial. Issuer and account are the caller's to compare.
struct store_certificate_get {
    struct store_cmd cmd;
    uint8_t serial[SERIAL_LEN];
    bool found;
    struct id order, account;
    uint16_t issuer;
    int64_t not_before, not_after;
    struct slice der, tenant, profile;
};
void store_certificate_get(struct store *s, struct store_certificate_get *c);

// ---- renewal (RFC 9773)
// store_renewal_get reads by serial what renewal information is made of, without the certificate:
// so in every storage mode. `moved`: a rule that is in force moves its window to somewhere in
// moved_from..moved_until (seconds); of several the one that begins first. `replaced_by` is the
// order that has its place, all-zero: none.
struct store_renewal_get {
    struct store_cmd cmd;
    uint8_t serial[SERIAL_LEN];
    bool found;
    struct id order, account;
    struct slice tenant, profile;
    uint16_t issuer;
    int64_t not_before, not_after;
    bool moved;
    int64_t moved_from, moved_until;
    int64_t revoked_at_us; // 0: not revoked
    struct id replaced_by;
};
void store_renewal_get(struct store *s, struct store_renewal_get *c);

// struct renewal_set says which certificates a rule is about. What is empty or 0 leaves open.
struct renewal_set {
    struct slice tenant, profile;
    uint16_t issuer;
    int64_t issued_from, issued_until; // seconds, inclusive: compared with not_before
    const uint8_t (*serials)[SERIAL_LEN];
    size_t serial_count; // at most RENEWAL_SERIALS_MAX; 0: by the other members
};
enum { RENEWAL_SERIALS_MAX = 10000, RENEWAL_RULES_MAX = 1000 };

// store_renewal_survey counts the certificates of a set that are valid now and lie in the first
// partition (hour of their serial) behind `after_hour`; `hour` is that partition, 0: there is no
// more. So a survey of everything is a row of short statements: begin with after_hour 0.
struct store_renewal_survey {
    struct store_cmd cmd;
    struct renewal_set set;
    int64_t after_hour;
    int64_t hour;       // out
    int64_t count;      // out: of the set
    int64_t not_after;  // out: the last end of these, seconds
    int64_t minute_max; // out: most certificates of all kinds that one minute of the hour has seen
};
void store_renewal_survey(struct store *s, struct store_renewal_survey *c);

// struct renewal_rule moves the windows of a set into starts_at..ends_at (seconds).
struct renewal_rule {
    struct id id;
    struct renewal_set set; // of a rule that was read: without the serials, but their number
    int64_t starts_at, ends_at;
    struct slice comment;
    int64_t certificates; // as surveyed
    int64_t keep_until;   // seconds: the rule may be forgotten
    int64_t created_at_us, cancelled_at_us;
};

// store_renewal_rule_create inserts `rule`; its times are the database's.
struct store_renewal_rule_create {
    struct store_cmd cmd;
    struct renewal_rule rule;
};
void store_renewal_rule_create(struct store *s, struct store_renewal_rule_create *c);
// store_renewal_rules_list reads the rules that are kept, newest first, at most RENEWAL_RULES_MAX.
struct store_renewal_rules_list {
    struct store_cmd cmd;
    struct renewal_rule *out;
    size_t out_count;
};
void store_renewal_rules_list(struct store *s, struct store_renewal_rules_list *c);
// store_renewal_rule_cancel ends a rule; `found` false: there is none. One that is cancelled
// already stays as it is.
struct store_renewal_rule_cancel {
    struct store_cmd cmd;
    struct id id;
    bool found;
    struct renewal_rule out;
};
void store_renewal_rule_cancel(struct store *s, struct store_renewal_rule_cancel *c);

// ---- revocation (RFC 8555 section 7.6)
// A revocation is a row beside its certificate, in a partition of the same hour, and dies with it.
// A certificate that names a CRL has a shard (crl_shard_of), as its intent says; 0: it names none.
enum revocation_outcome {
    REVOCATION_MADE = 1,
    REVOCATION_ALREADY, // `reason` and `revoked_at_us` are of the first
    REVOCATION_UNKNOWN, // no such certificate
    REVOCATION_EXPIRED, // by the primary's clock
    REVOCATION_ACCOUNT_NOT_VALID,
    REVOCATION_KEY_CHANGED, // the request was verified with an older key
    REVOCATION_NOT_ALLOWED, // another account's, and no authorizations for all names
};

// struct revocation: what is kept of one.
struct revocation {
    unsigned reason; // of RFC 5280 section 5.3.1
    int64_t revoked_at_us;
};

// store_revoke revokes a certificate that has not expired. `by_account`: it must be the account's
// own, or the account must hold valid authorizations for all of `names` (the certificate's, with
// "*." where it has one); else the caller has proved the certificate's key, or is an operator. The
// first revocation stays as it is. Its CRL is made anew soon.
struct store_revoke {
    struct store_cmd cmd;
    uint8_t serial[SERIAL_LEN];
    bool by_account;
    struct id account;
    uint32_t key_version;
    const struct identifier *names; // borrowed
    size_t name_count;
    unsigned reason;
    int64_t tag; // the store's own: a repeat of the command recognises its own work
    enum revocation_outcome outcome;
    struct revocation out; // when made, or already there
};
void store_revoke(struct store *s, struct store_revoke *c);

// store_revocation_get reads by serial.
struct store_revocation_get {
    struct store_cmd cmd;
    uint8_t serial[SERIAL_LEN];
    bool found;
    struct revocation out;
};
void store_revocation_get(struct store *s, struct store_revocation_get *c);

// ---- CRLs (RFC 5280 section 5)
// store_crls_due reads which CRLs of an issuer have to be made: those of the hours around now that
// are not there yet (`parts` of each), those of which a third of their time has passed, and those
// that have changed: at most `limit`, who ends first in front.
struct crl_due {
    uint32_t shard;
    uint64_t number; // of the one that is there; 0: none
    bool late;       // half of its time has passed
};
struct store_crls_due {
    struct store_cmd cmd;
    uint16_t issuer;
    unsigned parts, limit;
    struct crl_due *out;
    size_t out_count;
};
void store_crls_due(struct store *s, struct store_crls_due *c);

// store_crl_entries reads what stands on a CRL, sorted by serial, at most `limit`. Whatever was
// committed before `now_us`, the database's clock, is among it. `there` false: the hour has gone.
struct crl_row {
    uint8_t serial[SERIAL_LEN];
    unsigned reason;
    int64_t revoked_at_us;
};
struct store_crl_entries {
    struct store_cmd cmd;
    uint16_t issuer;
    uint32_t shard;
    unsigned limit;
    bool there;
    int64_t now_us;
    struct crl_row *entries;
    size_t count;
    struct id *changes; // that these entries hold: for store_crl_commit
    size_t change_count;
};
void store_crl_entries(struct store *s, struct store_crl_entries *c);

// store_crl_commit keeps a CRL in place of the one with number `before` (0: none), unless the lease
// "crls" with this token has been lost, or another was kept meanwhile: `kept` false.
struct store_crl_commit {
    struct store_cmd cmd;
    uint16_t issuer;
    uint32_t shard;
    uint64_t before, number;
    int64_t this_update, next_update; // seconds
    struct slice der;
    uint64_t token;
    const struct id *changes;
    size_t change_count;
    bool kept;
};
void store_crl_commit(struct store *s, struct store_crl_commit *c);

// store_crl_get reads the newest CRL of a shard.
struct store_crl_get {
    struct store_cmd cmd;
    uint16_t issuer;
    uint32_t shard;
    bool found;
    uint64_t number;
    int64_t this_update, next_update; // seconds
    struct slice der;
};
void store_crl_get(struct store *s, struct store_crl_get *c);

// ---- rate limits (RFC 8555 section 6.6)
// struct rate_item is one limit that something counts towards, by the generic cell rate algorithm:
// what was taken is earned back at one every step_us, and no more than room_us / step_us can be
// owed at once.
enum rate_how {
    RATE_TAKE = 1, // takes one, or refuses
    RATE_LOOK,     // refuses when none could be taken
    RATE_CHARGE    // takes one whether there is one or not
};
struct rate_item {
    struct id key; // hash of the limit and of what it counts
    int64_t step_us, room_us;
    enum rate_how how;
};
enum { RATE_ITEMS_MAX = 2048 };

// store_rate_take takes from all items (a key twice: once), or from none: then `refused` is the one
// that takes the longest, and `until_us` when it would be taken. Exact over all front ends; a take
// whose answer was lost may count twice.
struct store_rate_take {
    struct store_cmd cmd;
    const struct rate_item *items;
    size_t count; // 1..RATE_ITEMS_MAX
    bool taken;
    size_t refused;
    int64_t until_us;
};
void store_rate_take(struct store *s, struct store_rate_take *c);

// store_certificates_list reads certificates, those of the newest orders first; `before` and `next`
// are ids of orders, as in store_accounts_list. What is not empty or zero bounds the list: tenant,
// profile, account, one identifier, the time of not_before (from, until; seconds), or one serial.
// Without `with_der` their DER stays empty.
struct certificate_row {
    struct id order, account;
    struct slice tenant, profile;
    struct slice identifiers; // of the order, identifiers_encode form
    uint8_t serial[SERIAL_LEN];
    uint16_t issuer;
    int64_t not_before, not_after;
    struct slice der;
};
struct store_certificates_list {
    struct store_cmd cmd;
    struct slice tenant, profile;
    struct id account;
    struct identifier identifier;
    int64_t issued_from, issued_until;
    bool by_serial, with_der;
    uint8_t serial[SERIAL_LEN];
    struct id before;
    unsigned limit;
    struct certificate_row *out;
    size_t out_count;
    struct id next;
};
void store_certificates_list(struct store *s, struct store_certificates_list *c);

// store_order_invalidate moves PROCESSING -> INVALID with `error` (reaper, or the signer refused
// for good). `done_now` false: it was not PROCESSING, `order_status` says what it is (0: no such
// order). From here on no certificate of the order can be committed; its serial is burned next, and
// store_intents_claim goes on to give out the intent until store_intent_close.
struct store_order_invalidate {
    struct store_cmd cmd;
    struct id order;
    struct slice error;
    bool done_now;
    enum order_status order_status;
};
void store_order_invalidate(struct store *s, struct store_order_invalidate *c);

// store_intent_close ends the intent of an INVALID order: nobody claims it any more. `has_burned`:
// the serial that the signer burned is recorded with it; without, the signer refuses it for good.
// `closed` false: the order is not INVALID (or not there), and nothing has changed. What is
// recorded stays when it is repeated.
struct store_intent_close {
    struct store_cmd cmd;
    struct id order;
    bool has_burned;
    uint8_t burned_serial[SERIAL_LEN];
    bool closed;
};
void store_intent_close(struct store *s, struct store_intent_close *c);

// store_intents_claim is the reaper's read: up to `limit` intents whose order is PROCESSING, or
// INVALID with a serial that is not burned yet, and whose owner is dead or that are older than
// `age_ms` by the primary's clock, FOR UPDATE SKIP LOCKED; they become owned by (node, boot) with a
// fresh claim time, so another reaper leaves them alone for `age_ms`. Oldest orders first. What was
// claimed by a flush that died is claimed again after `age_ms`.
struct store_intents_claim {
    struct store_cmd cmd;
    struct id node;
    uint64_t boot;
    unsigned limit;
    unsigned age_ms;            // 30000
    const uint64_t *dead_boots; // boots that are known to be gone: claimed at any age
    size_t dead_count;
    struct intent *out;
    size_t out_count;
};
void store_intents_claim(struct store *s, struct store_intents_claim *c);
// store_intent_get reads one (order, intent) by order id.
struct store_intent_get {
    struct store_cmd cmd;
    struct id order;
    bool found;
    struct intent out;
};
void store_intent_get(struct store *s, struct store_intent_get *c);

// ---- nodes and leases
struct node_row {
    struct id node;
    uint64_t boot;
    unsigned region;
    struct slice rpc_address; // where other front ends reach it
    int64_t seen_at_us;       // database clock
    int64_t now_us;           // database clock of this read
};
// store_node_heartbeat upserts `self` (seen_at = database now) and returns every node seen within
// `keep_ms`.
struct store_node_heartbeat {
    struct store_cmd cmd;
    struct node_row self;
    bool leaving; // delete the row instead
    unsigned keep_ms;
    struct node_row *out;
    size_t out_count;
};
void store_node_heartbeat(struct store *s, struct store_node_heartbeat *c);

// store_lease_take takes or renews the lease `name` for `ttl_ms`. `held` and the fencing `token`
// (grows with each new holder) are the answer.
struct store_lease_take {
    struct store_cmd cmd;
    struct slice name;
    struct id node;
    uint64_t boot;
    unsigned ttl_ms;
    bool release;
    bool held;
    uint64_t token;
};
void store_lease_take(struct store *s, struct store_lease_take *c);

// store_partitions_tend makes partitions `ahead_h` hours ahead and drops those whose last order and
// certificate plus 24 h are past. Run under the lease "partitions"; `token` fences it. Runs on its
// own connection, statement by statement (DETACH CONCURRENTLY cannot be in a transaction). One run
// at a time: ERR_STORE_BUSY, also when a step failed, which the next run does again.
// ERR_STORE_AWAY. A partition that an operator detached is left alone.
struct store_partitions_tend {
    struct store_cmd cmd;
    uint64_t token;
    unsigned ahead_h;       // 48
    unsigned keep_extra_h;  // 24
    unsigned made, dropped; // out
    bool fenced;            // out: the lease was lost, so it stopped
};
void store_partitions_tend(struct store *s, struct store_partitions_tend *c);

// ---- schema (blocking; for `certmill migrate`, `certmill dev` and start-up checks, before shards
// run; of several servers that `conninfo` names the one that takes writes is asked) store_migrate
// brings the database to STORE_SCHEMA_VERSION under an advisory lock; `from` and
// `to` are told. `note` gets a sentence on failure.
RESULT store_migrate(const char *conninfo, int *out_from, int *out_to, char *note,
                     size_t note_size);
// store_schema_check refuses a schema that this program does not know: ERR_STORE_SCHEMA with a
// sentence naming both versions and what to do.
RESULT store_schema_check(const char *conninfo, char *note, size_t note_size);
