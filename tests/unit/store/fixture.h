// fixture: what the store's tests share: a PostgreSQL of their own with our schema, two stores on
// one shard that is turned by hand, and makers of accounts, orders and what follows. One thread.
#pragma once
#include <libpq-fe.h>

#include "api/challenge_types.h"
#include "cluster/core/metrics.h"
#include "store/store.h"
#include "tests/support/pg.h"
#include "tests/unit/unit.h"

enum { STORES = 2 };

extern struct pg pg;
extern struct shard *shard;
extern struct store *stores[STORES];
extern struct metrics *metrics;
extern struct arena arena; // of all commands
extern unsigned pending;   // commands made by cmd() that have not ended

// fixture_setup and fixture_teardown are cmocka's for the group.
int fixture_setup(void **state);
int fixture_setup_empty(void **state); // without schema and stores
int fixture_teardown(void **state);

// cmd makes the head of a command that counts in `pending`; result is its error once it has ended.
struct store_cmd cmd(void);
struct err result(const struct store_cmd *c);
// run turns the shard until nothing is pending; turns does it for some time.
void run(void);
void turns(unsigned ms);
// store_open makes one more store and waits until it is ready; store_wait waits for that.
struct store *store_open(const char *conninfo, const struct store_options *changes);
void store_wait(const struct store *s);
// state_want waits until the store says so (store_state_text), unready_want until it is not ready,
// metric_want until the metric has grown to so much. Load on the machine makes them slow, not
// wrong.
void state_want(const struct store *s, const char *text);
void unready_want(const struct store *s);
void metric_want(const struct metric *m, int64_t least);
extern const struct store_options options_usual; // conninfo is empty

struct id new_id(void); // of now
int64_t now_us(void);

struct order_made {
    struct id account, id, authzs[4];
    size_t authz_count;
};

struct account_row account_make(void);
// order_make: pending, with so many pending authorizations. order_ready: all are valid;
// order_processing: with an intent too.
struct order_made order_make(const struct account_row *account, size_t authz_count);
struct order_made order_ready(const struct account_row *account, size_t authz_count);
struct order_made order_processing(const struct account_row *account);
// order_create_of fills the command that creates an order as `m` says, which is borrowed.
struct store_order_create order_create_of(const struct order_made *m, struct authz_row authzs[4]);
struct store_authz_decide decision(const struct order_made *m, size_t i, bool valid);
struct store_intent_create intent_of(const struct order_made *m, uint8_t salt);
struct store_certificate_commit commit_of(const struct order_made *m, uint8_t last);
enum order_status status_of(const struct order_made *m);

// sql_run and sql_int talk to PostgreSQL on a connection of the test's own. sql_open makes another,
// to hold locks. uuid_text is the text form of an id in SQL.
enum { UUID_TEXT_SIZE = 37 };
PGconn *sql_open(void);
void sql_on(PGconn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sql_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int64_t sql_int(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
// waiters_want turns until so many backends wait for a lock.
void waiters_want(int64_t count);
const char *uuid_text(char out[UUID_TEXT_SIZE], const struct id *id);
