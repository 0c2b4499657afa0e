// shards: stores of two cores at work on the same orders, each on its own thread: nothing is
// shared, which ThreadSanitizer is to see, and every order is finalized once.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cluster/core/log.h"
#include "cluster/core/reactor.h"
#include "cluster/core/shard.h"
#include "store/err.h"
#include "tests/unit/store/fixture.h"

enum { CORES = 2, ORDERS = 8, EACH = 64, WAIT_MS = 20000 };

static struct order_made orders[ORDERS];
static struct id account;

// struct core is one shard's part: it finalizes all orders, EACH times in all.
struct core {
    struct store *store;
    struct arena arena;
    struct message go;
    struct store_intent_create intents[EACH];
    struct store_certificate_commit commits[EACH];
    unsigned created, won, ended, wrong;
};

static struct core cores[CORES];
static unsigned ready, finished;

static void add(unsigned *p) { __atomic_add_fetch(p, 1, __ATOMIC_SEQ_CST); }

static void core_ended(struct core *c)
{
    if (++c->ended == EACH) add(&finished);
}

static void commit_done(struct store_cmd *cmd, struct err e)
{
    struct store_certificate_commit *x = LIST_OWNER(cmd, struct store_certificate_commit, cmd);
    struct core *c = LIST_OWNER(cmd->arena, struct core, arena);
    c->won += !failed(e) && x->won;
    c->wrong += failed(e) || !x->won;
    core_ended(c);
}

static void intent_done(struct store_cmd *cmd, struct err e)
{
    struct store_intent_create *x = LIST_OWNER(cmd, struct store_intent_create, cmd);
    struct core *c = LIST_OWNER(cmd->arena, struct core, arena);
    if (failed(e) || x->outcome != INTENT_CREATED) {
        c->wrong += failed(e) || x->outcome != INTENT_ORDER_NOT_READY;
        core_ended(c);
        return;
    }
    struct store_certificate_commit *y = &c->commits[c->created++];
    y->order = x->intent.order;
    store_certificate_commit(c->store, y);
}

static void go(struct shard *on, struct message *m)
{
    struct core *c = LIST_OWNER(m, struct core, go);
    (void)on;
    for (int i = 0; i < EACH; i++) store_intent_create(c->store, &c->intents[i]);
}

static struct err start(struct shard *on, void *ctx)
{
    struct store_options o = options_usual;
    struct core *c = &cores[shard_index(on)];
    (void)ctx;
    o.conninfo = pg.conninfo;
    o.queue_age_ms = WAIT_MS;
    arena_init(&c->arena, 1 << 20);
    TRY(store_new(&c->store, on, &o));
    add(&ready);
    return OK;
}

static void stop(struct shard *on, void *ctx)
{
    struct core *c = &cores[shard_index(on)];
    (void)ctx;
    store_free(c->store);
    arena_fini(&c->arena);
}

static void core_prepare(struct core *c)
{
    for (int i = 0; i < EACH; i++) {
        c->intents[i] = intent_of(&orders[i % ORDERS], (uint8_t)(i + 1 + (c == &cores[1]) * EACH));
        c->intents[i].cmd = (struct store_cmd){.done = intent_done, .arena = &c->arena};
        c->commits[i] = commit_of(&orders[0], (uint8_t)i);
        c->commits[i].cmd = (struct store_cmd){.done = commit_done, .arena = &c->arena};
        pending -= 2;
    }
    c->go.run = go;
}

static void wait_for(const unsigned *p, unsigned count)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    for (int i = 0; i < WAIT_MS / 5 && __atomic_load_n(p, __ATOMIC_SEQ_CST) < count; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(__atomic_load_n(p, __ATOMIC_SEQ_CST), count);
}

static void two_cores_finalize_each_order_once(void **state)
{
    static const enum shard_io ios[] = {SHARD_IO_EPOLL, SHARD_IO_AUTO}; // AUTO: io_uring if allowed
    (void)state;
    for (size_t k = 0; k < COUNT_OF(ios); k++) {
        struct shards *shards;
        struct account_row a = account_make();
        struct shard_options so = {
            .count = CORES, .io = ios[k], .log = shard_log(shard), .name = "s"};
        memset(cores, 0, sizeof cores);
        ready = finished = 0;
        account = a.id;
        for (int i = 0; i < ORDERS; i++) orders[i] = order_ready(&a, 2);
        for (int i = 0; i < CORES; i++) core_prepare(&cores[i]);
        assert_ok(shards_start(&shards, &so, start, NULL));
        assert_int_equal(ready, CORES);
        for (unsigned i = 0; i < CORES; i++) shard_post(shards_at(shards, i), &cores[i].go);
        wait_for(&finished, CORES);
        shards_stop(shards);
        shards_join(shards, stop, NULL);
        assert_int_equal(cores[0].wrong + cores[1].wrong, 0);
        assert_int_equal(cores[0].created + cores[1].created, ORDERS);
        assert_int_equal(cores[0].won + cores[1].won, ORDERS);
        for (int i = 0; i < ORDERS; i++) assert_int_equal(status_of(&orders[i]), ORDER_VALID);
    }
    assert_int_equal(sql_int("SELECT count(*) FROM intents_open"), 0);
    assert_int_equal(sql_int("SELECT count(*) FROM certificates"), 2 * ORDERS);
    assert_int_equal(sql_int("SELECT count(DISTINCT order_id) FROM certificates"), 2 * ORDERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_cores_finalize_each_order_once)};
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
