// rate: how fast one shard writes (printed, for people), and that it does so by the right plans: no
// statement reads a whole leaf, and updates of an order stay within its page.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/err.h"
#include "tests/unit/store/fixture.h"

enum { ROUNDS = 24, DEPTH = 512 };

static struct store *fast;
static struct order_made made[DEPTH];
static struct authz_row authzs[DEPTH][4];
static struct store_order_create creates[DEPTH];
static struct store_authz_decide decisions[DEPTH];
static struct store_intent_create intents[DEPTH];
static struct store_certificate_commit commits[DEPTH];

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t timed_run(void)
{
    uint64_t from = now_ns();
    run();
    return now_ns() - from;
}

static void rows_per_second(void **state)
{
    (void)state;
    struct account_row a = account_make();
    uint64_t ns[4] = {0};
    static const char *const names[] = {"order_create", "authz_decide", "intent_create",
                                        "certificate_commit"};
    for (int round = 0; round < ROUNDS; round++) {
        arena_reset(&arena);
        for (int i = 0; i < DEPTH; i++) {
            made[i] = (struct order_made){
                .account = a.id, .id = new_id(), .authzs = {new_id()}, .authz_count = 1};
            creates[i] = order_create_of(&made[i], authzs[i]);
            store_order_create(fast, &creates[i]);
        }
        ns[0] += timed_run();
        for (int i = 0; i < DEPTH; i++) {
            decisions[i] = decision(&made[i], 0, true);
            store_authz_decide(fast, &decisions[i]);
        }
        ns[1] += timed_run();
        for (int i = 0; i < DEPTH; i++) {
            intents[i] = intent_of(&made[i], 1);
            store_intent_create(fast, &intents[i]);
        }
        ns[2] += timed_run();
        for (int i = 0; i < DEPTH; i++) {
            commits[i] = commit_of(&made[i], 1);
            store_certificate_commit(fast, &commits[i]);
        }
        ns[3] += timed_run();
        for (int i = 0; i < DEPTH; i++) {
            assert_true(decisions[i].decided && commits[i].won);
            assert_int_equal(intents[i].outcome, INTENT_CREATED);
        }
    }
    for (int k = 0; k < 4; k++)
        print_message("%s: %.0f commands/s, one shard, %u connections, flushes of 64\n", names[k],
                      (double)ROUNDS * DEPTH * 1e9 / (double)ns[k], options_usual.write_conns);
}

// stats_want turns until PostgreSQL's statistics say so: they come a little later.
static void stats_want(const char *sql, int64_t want)
{
    int64_t got = -1;
    for (int i = 0; i < 1000 && got != want; i++) {
        turns(20);
        got = sql_int("%s", sql);
    }
    assert_int_equal(got, want);
}

static void no_statement_reads_a_whole_leaf(void **state)
{
    (void)state;
    // Statistics of a connection are sure to be there once it has ended.
    store_free(fast);
    fast = NULL;
    for (int i = 0; i < STORES; i++) {
        store_free(stores[i]);
        stores[i] = NULL;
    }
    stats_want("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'certmill'", 0);
    stats_want("SELECT sum(n_tup_ins)::bigint FROM pg_stat_user_tables WHERE relname ~ "
               "'^certificates_'",
               ROUNDS * DEPTH);
    assert_int_equal(
        sql_int("SELECT count(*) FROM pg_stat_user_tables WHERE relname ~ "
                "'^(orders|authorizations|intents|certificates)_|^(accounts|account_keys|intents_"
                "open)$' AND seq_scan > 0"),
        0);
    // An order is updated three times; nearly always within its page.
    assert_int_equal(sql_int("SELECT sum(n_tup_upd)::bigint FROM pg_stat_user_tables WHERE relname "
                             "~ '^orders_'"),
                     3 * ROUNDS * DEPTH);
    int64_t hot = sql_int("SELECT (100 * sum(n_tup_hot_upd) / sum(n_tup_upd))::bigint FROM "
                          "pg_stat_user_tables WHERE relname ~ '^orders_'");
    print_message("%d%% of the updates of orders are HOT\n", (int)hot);
    assert_true(hot >= 60);
}

static int setup(void **state)
{
    if (fixture_setup(state) != 0) return -1;
    sql_run("SELECT pg_stat_reset()"); // what the migrations scanned does not count
    struct store_options o = options_usual;
    o.queue_age_ms = 20000;
    fast = store_open(pg.conninfo, &o);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_per_second),
        cmocka_unit_test(no_statement_reads_a_whole_leaf),
    };
    return cmocka_run_group_tests(tests, setup, fixture_teardown);
}
