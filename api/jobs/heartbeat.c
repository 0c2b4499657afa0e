// heartbeat: this front end tells that it lives and hears who else does, by the database's clock.
#include <stdlib.h>

#include "api/events.h"
#include "api/jobs/internal.h"
#include "api/node_rpc.h"

// A row stays readable so long after its last heartbeat, so that a front end that starts knows the
// dead of the last days; then whoever sees it removes it.
enum { KEEP_MS = 24 * 3600 * 1000, SWEEP_MS = KEEP_MS / 2 };

// struct news carries the member table to one core.
struct news {
    struct message message;
    struct members members;
};

static void on_news(struct shard *shard, struct message *m)
{
    struct news *n = LIST_OWNER(m, struct news, message);
    struct edge *e = edge_of(shard);
    if (e->node_rpc != NULL) node_rpc_members(e->node_rpc, &n->members);
    free(n);
}

static void news_spread(struct jobs *j)
{
    struct shard *shard = j->edge->shard;
    for (unsigned i = 0; i < shard_count(shard); i++) {
        struct news *n = malloc(sizeof *n);
        if (n == NULL) continue; // the next change reaches it
        *n = (struct news){.message = {.run = on_news}, .members = j->members};
        shard_post(shard_sibling(shard, i), &n->message);
    }
}

static void members_hear(struct heartbeat *h)
{
    struct jobs *j = h->job.jobs;
    const struct front *f = j->edge->front;
    struct members fresh;
    members_take(&fresh, h->beat.out, h->beat.out_count, f->boot,
                 f->settings->cluster.dead_ms * 1000);
    if (members_equal(&fresh, &j->members)) return;
    j->members = fresh;
    news_spread(j);
    LOG(shard_log(j->edge->shard), &EVENT_MEMBERS_CHANGED, NULL, LOG_INT("known", fresh.count),
        LOG_INT("dead", members_dead(&fresh, (uint64_t[MEMBERS_MAX]){0}, MEMBERS_MAX)));
}

// ---- rows of the long dead

static void on_swept(struct store_cmd *cmd, struct err err)
{
    struct heartbeat *h = LIST_OWNER(LIST_OWNER(cmd, struct store_node_heartbeat, cmd),
                                     struct heartbeat, sweep);
    (void)failed(err); // the next run finds the row again
    h->sweeping = false;
}

static void sweep(struct heartbeat *h)
{
    for (size_t i = 0; i < h->beat.out_count && !h->sweeping; i++) {
        const struct node_row *r = &h->beat.out[i];
        if (r->now_us - r->seen_at_us < (int64_t)SWEEP_MS * 1000) continue;
        h->sweeping = true;
        h->sweep = (struct store_node_heartbeat){.cmd = {.done = on_swept, .arena = &h->job.arena},
                                                 .self = {.node = r->node, .boot = r->boot},
                                                 .leaving = true};
        store_node_heartbeat(h->job.edge->store, &h->sweep);
    }
}

// ---- one heartbeat

static void beat_send(struct heartbeat *h, bool leaving)
{
    const struct front *f = h->job.edge->front;
    h->beat.self = (struct node_row){.node = f->node,
                                     .boot = f->boot,
                                     .region = (unsigned)f->settings->region,
                                     .rpc_address = slice_str(h->address)};
    h->beat.leaving = leaving;
    h->beat.keep_ms = KEEP_MS;
    job_begin(&h->job);
    store_node_heartbeat(h->job.edge->store, &h->beat);
}

static void on_beat(struct store_cmd *cmd, struct err err)
{
    struct heartbeat *h = LIST_OWNER(LIST_OWNER(cmd, struct store_node_heartbeat, cmd),
                                     struct heartbeat, beat);
    const struct settings *s = h->job.edge->front->settings;
    if (h->beat.leaving) {
        h->job.busy = false;
        if (h->left != NULL) h->left(h->ctx);
        return;
    }
    job_failed(&h->job, "the heartbeat could not be written", err);
    if (!failed(err) && !h->job.quiet) {
        members_hear(h);
        sweep(h);
    }
    job_again(&h->job, s->cluster.heartbeat_ms);
    if (h->left != NULL) beat_send(h, true);
}

static void on_timer(struct timer *t)
{
    struct heartbeat *h = LIST_OWNER(LIST_OWNER(t, struct job, timer), struct heartbeat, job);
    if (h->sweeping) // its row points into the arena of the last run
        job_again(&h->job, h->job.edge->front->settings->cluster.heartbeat_ms);
    else
        beat_send(h, false);
}

void heartbeat_leave(struct heartbeat *h, void (*done)(void *ctx), void *ctx)
{
    job_quiesce(&h->job);
    h->left = done;
    h->ctx = ctx;
    if (!h->job.busy) beat_send(h, true);
}

void heartbeat_start(struct heartbeat *h, struct jobs *j)
{
    const struct settings *s = j->edge->front->settings;
    const struct config_address *a = s->cluster.advertise.len > 0 ? &s->cluster.advertise
                                                                  : &s->cluster.address;
    job_init(&h->job, j, on_timer);
    h->beat.cmd = (struct store_cmd){.done = on_beat, .arena = &h->job.arena};
    address_text(h->address, (const struct sockaddr *)&a->address);
    timer_set(j->edge->shard, &h->job.timer, 0);
}
