// partitions: made ahead and dropped behind, by one front end at a time: whoever holds the lease.
#include "api/events.h"
#include "api/jobs/internal.h"

// The lease outlives a run by far; a holder that dies is followed after it.
enum { FIRST_MS = 1000, LEASE_RUNS = 3 };

static void again(struct partitions *p)
{
    job_again(&p->job, p->job.edge->front->settings->jobs.partitions_ms);
}

static void on_tended(struct store_cmd *cmd, struct err err)
{
    struct partitions *p = LIST_OWNER(LIST_OWNER(cmd, struct store_partitions_tend, cmd),
                                      struct partitions, tend);
    job_failed(&p->job, "partitions could not be tended", err);
    if (!failed(err) && p->tend.made + p->tend.dropped > 0)
        LOG(shard_log(p->job.edge->shard), &EVENT_PARTITIONS_TENDED, NULL,
            LOG_INT("made", p->tend.made), LOG_INT("dropped", p->tend.dropped));
    again(p);
}

static void on_lease(struct store_cmd *cmd, struct err err)
{
    struct partitions *p = LIST_OWNER(LIST_OWNER(cmd, struct store_lease_take, cmd),
                                      struct partitions, lease);
    const struct settings *s = p->job.edge->front->settings;
    if (failed(err)) job_failed(&p->job, "the lease of the partitions could not be taken", err);
    if (failed(err) || !p->lease.held || p->job.quiet) {
        again(p);
        return;
    }
    p->tend = (struct store_partitions_tend){.cmd = {.done = on_tended, .arena = &p->job.arena},
                                             .token = p->lease.token,
                                             .ahead_h = (unsigned)s->jobs.ahead_h,
                                             .keep_extra_h = (unsigned)s->jobs.keep_h};
    store_partitions_tend(p->job.edge->store, &p->tend);
}

static void on_timer(struct timer *t)
{
    struct partitions *p = LIST_OWNER(LIST_OWNER(t, struct job, timer), struct partitions, job);
    const struct front *f = p->job.edge->front;
    job_begin(&p->job);
    p->lease = (struct store_lease_take){
        .cmd = {.done = on_lease, .arena = &p->job.arena},
        .name = SLICE_LIT("partitions"),
        .node = f->node,
        .boot = f->boot,
        .ttl_ms = (unsigned)(LEASE_RUNS * f->settings->jobs.partitions_ms)};
    store_lease_take(p->job.edge->store, &p->lease);
}

void partitions_start(struct partitions *p, struct jobs *j)
{
    job_init(&p->job, j, on_timer);
    timer_set(j->edge->shard, &p->job.timer, FIRST_MS);
}
