#include "api/jobs/jobs.h"

#include <stdlib.h>

#include "api/events.h"
#include "api/issuance.h"
#include "api/node_rpc.h"
#include "cluster/core/address.h"

enum { ARENA_MAX = 4 << 20, REAP_MAX = 256, LEASE_MS = 60000, DEAD_MAX = 64 };

struct jobs {
    struct edge *edge;
    bool stopping;
    char address[ADDRESS_TEXT_MAX];

    struct timer heartbeat_timer;
    struct store_node_heartbeat heartbeat;
    struct arena heartbeat_arena;
    bool heartbeat_busy;
    void (*left)(void *ctx);
    void *left_ctx;

    struct timer reaper_timer;
    struct store_intents_claim claim;
    struct arena claim_arena;
    uint64_t dead[DEAD_MAX];
    bool claim_busy;

    struct timer partitions_timer;
    struct store_lease_take lease;
    struct store_partitions_tend tend;
    struct arena lease_arena;
    bool lease_busy;
};

static void failed_job(struct jobs *j, const char *what, struct err err)
{
    LOG(shard_log(j->edge->shard), &EVENT_JOB_FAILED, what, LOG_ERR("error", err));
}

// ---- heartbeat

static void heartbeat_send(struct jobs *j, bool leaving)
{
    const struct settings *s = j->edge->front->settings;
    arena_reset(&j->heartbeat_arena);
    j->heartbeat.self = (struct node_row){.node = j->edge->front->node,
                                          .boot = j->edge->front->boot,
                                          .region = (unsigned)s->region,
                                          .rpc_address = slice_str(j->address)};
    j->heartbeat.keep_ms = (unsigned)s->cluster.dead_ms;
    j->heartbeat.leaving = leaving;
    j->heartbeat_busy = true;
    store_node_heartbeat(j->edge->store, &j->heartbeat);
}

static void on_heartbeat(struct store_cmd *cmd, struct err err)
{
    struct jobs *j = LIST_OWNER(LIST_OWNER(cmd, struct store_node_heartbeat, cmd), struct jobs,
                                heartbeat);
    j->heartbeat_busy = false;
    if (!failed(err) && !j->heartbeat.leaving)
        node_rpc_members(j->edge->node_rpc, j->heartbeat.out, j->heartbeat.out_count);
    if (j->left == NULL) {
        if (!j->stopping)
            timer_set(j->edge->shard, &j->heartbeat_timer,
                      (uint64_t)j->edge->front->settings->cluster.heartbeat_ms);
        return;
    }
    if (!j->heartbeat.leaving) {
        heartbeat_send(j, true);
        return;
    }
    void (*left)(void *) = j->left;
    j->left = NULL;
    left(j->left_ctx);
}

static void on_heartbeat_timer(struct timer *t)
{
    heartbeat_send(LIST_OWNER(t, struct jobs, heartbeat_timer), false);
}

void jobs_leave(struct jobs *j, void (*done)(void *ctx), void *ctx)
{
    j->stopping = true;
    timer_cancel(&j->heartbeat_timer);
    timer_cancel(&j->reaper_timer);
    timer_cancel(&j->partitions_timer);
    j->left = done;
    j->left_ctx = ctx;
    if (!j->heartbeat_busy) heartbeat_send(j, true);
}

// ---- reaper: r1 of design.md section 4

static void on_claimed(struct store_cmd *cmd, struct err err)
{
    struct jobs *j = LIST_OWNER(LIST_OWNER(cmd, struct store_intents_claim, cmd), struct jobs,
                                claim);
    struct edge *e = j->edge;
    size_t taken = 0;
    j->claim_busy = false;
    if (failed(err)) failed_job(j, "unfinished certificates could not be looked for", err);
    for (size_t i = 0; !failed(err) && i < j->claim.out_count; i++) {
        if (issuance_running(e, &j->claim.out[i].order)) continue;
        taken += issuance_begin(e, &j->claim.out[i], NULL, NULL) != NULL;
    }
    if (taken > 0) {
        metric_add(shard_metrics(e->shard), shard_index(e->shard), &METRIC_REAPED, (int64_t)taken);
        LOG(shard_log(e->shard), &EVENT_REAPER_TOOK, NULL, LOG_INT("count", taken));
    }
    if (!j->stopping)
        timer_set(e->shard, &j->reaper_timer, (uint64_t)e->front->settings->jobs.reaper_ms);
}

static void on_reaper_timer(struct timer *t)
{
    struct jobs *j = LIST_OWNER(t, struct jobs, reaper_timer);
    struct edge *e = j->edge;
    arena_reset(&j->claim_arena);
    j->claim = (struct store_intents_claim){
        .cmd = {.done = on_claimed, .arena = &j->claim_arena},
        .node = e->front->node,
        .boot = e->front->boot,
        .limit = REAP_MAX,
        .age_ms = (unsigned)e->front->settings->jobs.intent_age_ms,
        .dead_boots = j->dead,
        .dead_count = node_rpc_dead_boots(e->node_rpc, j->dead, DEAD_MAX)};
    j->claim_busy = true;
    store_intents_claim(e->store, &j->claim);
}

// ---- partitions

static void partitions_again(struct jobs *j)
{
    j->lease_busy = false;
    if (!j->stopping)
        timer_set(j->edge->shard, &j->partitions_timer,
                  (uint64_t)j->edge->front->settings->jobs.partitions_ms);
}

static void on_tended(struct store_cmd *cmd, struct err err)
{
    struct jobs *j = LIST_OWNER(LIST_OWNER(cmd, struct store_partitions_tend, cmd), struct jobs,
                                tend);
    if (failed(err))
        failed_job(j, "partitions could not be tended", err);
    else if (j->tend.made + j->tend.dropped > 0)
        LOG(shard_log(j->edge->shard), &EVENT_PARTITIONS_TENDED, NULL,
            LOG_INT("made", j->tend.made), LOG_INT("dropped", j->tend.dropped));
    partitions_again(j);
}

static void on_lease(struct store_cmd *cmd, struct err err)
{
    struct jobs *j = LIST_OWNER(LIST_OWNER(cmd, struct store_lease_take, cmd), struct jobs, lease);
    const struct settings *s = j->edge->front->settings;
    if (failed(err) || !j->lease.held || j->stopping) {
        partitions_again(j);
        return;
    }
    j->tend = (struct store_partitions_tend){.cmd = {.done = on_tended, .arena = &j->lease_arena},
                                             .token = j->lease.token,
                                             .ahead_h = (unsigned)s->jobs.ahead_h,
                                             .keep_extra_h = (unsigned)s->jobs.keep_h};
    store_partitions_tend(j->edge->store, &j->tend);
}

static void on_partitions_timer(struct timer *t)
{
    struct jobs *j = LIST_OWNER(t, struct jobs, partitions_timer);
    arena_reset(&j->lease_arena);
    j->lease_busy = true;
    j->lease = (struct store_lease_take){.cmd = {.done = on_lease, .arena = &j->lease_arena},
                                         .name = SLICE_LIT("partitions"),
                                         .node = j->edge->front->node,
                                         .boot = j->edge->front->boot,
                                         .ttl_ms = LEASE_MS};
    store_lease_take(j->edge->store, &j->lease);
}

// ----

struct jobs *jobs_start(struct edge *e)
{
    struct jobs *j = calloc(1, sizeof *j);
    if (j == NULL) return NULL;
    j->edge = e;
    address_text(j->address, (const struct sockaddr *)&e->front->settings->cluster.address.address);
    arena_init(&j->heartbeat_arena, ARENA_MAX);
    arena_init(&j->claim_arena, ARENA_MAX);
    arena_init(&j->lease_arena, ARENA_MAX);
    j->heartbeat.cmd = (struct store_cmd){.done = on_heartbeat, .arena = &j->heartbeat_arena};
    j->heartbeat_timer.fire = on_heartbeat_timer;
    j->reaper_timer.fire = on_reaper_timer;
    j->partitions_timer.fire = on_partitions_timer;
    timer_set(e->shard, &j->heartbeat_timer, 0);
    if (shard_index(e->shard) == 0) {
        timer_set(e->shard, &j->reaper_timer, (uint64_t)e->front->settings->jobs.reaper_ms);
        timer_set(e->shard, &j->partitions_timer, 1000);
    }
    return j;
}

void jobs_stop(struct jobs *j)
{
    if (j == NULL) return;
    timer_cancel(&j->heartbeat_timer);
    timer_cancel(&j->reaper_timer);
    timer_cancel(&j->partitions_timer);
    arena_fini(&j->heartbeat_arena);
    arena_fini(&j->claim_arena);
    arena_fini(&j->lease_arena);
    free(j);
}
