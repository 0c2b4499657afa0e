#include <stdlib.h>

#include "api/events.h"
#include "api/jobs/internal.h"

void job_init(struct job *b, struct jobs *j, void (*fire)(struct timer *t))
{
    *b = (struct job){.edge = j->edge, .jobs = j, .timer = {.fire = fire}};
    arena_init(&b->arena, JOB_ARENA_MAX);
}

void job_begin(struct job *b)
{
    arena_reset(&b->arena);
    b->busy = true;
}

void job_again(struct job *b, int64_t period_ms)
{
    b->busy = false;
    if (!b->quiet) timer_set(b->edge->shard, &b->timer, (uint64_t)period_ms);
}

void job_quiesce(struct job *b)
{
    b->quiet = true;
    timer_cancel(&b->timer);
}

void job_failed(struct job *b, const char *what, struct err err)
{
    if (failed(err) && !b->failing)
        LOG(shard_log(b->edge->shard), &EVENT_JOB_FAILED, what, LOG_ERR("error", err));
    b->failing = failed(err);
}

void job_fini(struct job *b)
{
    job_quiesce(b);
    arena_fini(&b->arena);
}

struct jobs *jobs_start(struct edge *e)
{
    struct jobs *j = calloc(1, sizeof *j);
    if (j == NULL) return NULL;
    j->edge = e;
    heartbeat_start(&j->heartbeat, j);
    reaper_start(&j->reaper, j);
    partitions_start(&j->partitions, j);
    crl_refresh_start(&j->crl_refresh, j);
    return j;
}

void jobs_quiesce(struct jobs *j)
{
    job_quiesce(&j->reaper.job);
    job_quiesce(&j->partitions.job);
    job_quiesce(&j->crl_refresh.job);
}

void jobs_leave(struct jobs *j, void (*done)(void *ctx), void *ctx)
{
    jobs_quiesce(j);
    heartbeat_leave(&j->heartbeat, done, ctx);
}

void jobs_stop(struct jobs *j)
{
    if (j == NULL) return;
    jobs_quiesce(j);
    job_quiesce(&j->heartbeat.job);
    j->heartbeat.left = NULL;
}

void jobs_free(struct jobs *j)
{
    if (j == NULL) return;
    job_fini(&j->heartbeat.job);
    job_fini(&j->reaper.job);
    job_fini(&j->partitions.job);
    job_fini(&j->crl_refresh.job);
    free(j);
}
