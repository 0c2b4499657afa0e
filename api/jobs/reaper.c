// reaper: finishes what others left unfinished (step r1 of design.md section 4): intents of front
// ends that are dead, and old ones of anybody. The same intent gives the same certificate, so
// finishing what its owner finishes too does no harm.
#include "api/events.h"
#include "api/issuance.h"
#include "api/jobs/internal.h"

unsigned reaper_limit(int64_t issued_since)
{
    int64_t tenth = issued_since / 10;
    return tenth < REAPER_MIN ? REAPER_MIN : tenth > REAPER_MAX ? REAPER_MAX : (unsigned)tenth;
}

enum { BACKLOG_FASTER = 8 };

// again: the next run comes sooner while there was more than one run may take.
static void again(struct reaper *r, bool backlog)
{
    int64_t period_ms = r->job.edge->front->settings->jobs.reaper_ms;
    job_again(&r->job, backlog ? period_ms / BACKLOG_FASTER + 1 : period_ms);
}

static void on_claimed(struct store_cmd *cmd, struct err err)
{
    struct reaper *r = LIST_OWNER(LIST_OWNER(cmd, struct store_intents_claim, cmd), struct reaper,
                                  claim);
    struct edge *e = r->job.edge;
    size_t taken = 0;
    job_failed(&r->job, "unfinished certificates could not be looked for", err);
    for (size_t i = 0; !failed(err) && !r->job.quiet && i < r->claim.out_count; i++)
        if (!issuance_running(e, &r->claim.out[i].order))
            taken += issuance_begin(e, &r->claim.out[i], NULL, NULL) != NULL;
    if (taken > 0) {
        metric_add(shard_metrics(e->shard), shard_index(e->shard), &METRIC_REAPED, (int64_t)taken);
        LOG(shard_log(e->shard), &EVENT_REAPER_TOOK, NULL, LOG_INT("count", taken));
    }
    again(r, !failed(err) && r->claim.out_count == r->claim.limit);
}

static void on_timer(struct timer *t)
{
    struct reaper *r = LIST_OWNER(LIST_OWNER(t, struct job, timer), struct reaper, job);
    struct edge *e = r->job.edge;
    struct metrics *m = shard_metrics(e->shard);
    int64_t issued = m == NULL ? 0 : metric_total(m, &METRIC_CERTIFICATES);
    unsigned limit = reaper_limit(issued - r->issued);
    r->issued = issued;
    // What would only wait here is left to a front end that reaches a signer.
    if (!signer_client_ready(e->signer) || e->issuance_count + limit > ISSUANCES_MAX) {
        again(r, false);
        return;
    }
    job_begin(&r->job);
    r->claim = (struct store_intents_claim){
        .cmd = {.done = on_claimed, .arena = &r->job.arena},
        .node = e->front->node,
        .boot = e->front->boot,
        .limit = limit,
        .age_ms = (unsigned)e->front->settings->jobs.intent_age_ms,
        .dead_boots = r->dead,
        .dead_count = members_dead(&r->job.jobs->members, r->dead, MEMBERS_MAX)};
    store_intents_claim(e->store, &r->claim);
}

void reaper_start(struct reaper *r, struct jobs *j)
{
    job_init(&r->job, j, on_timer);
    again(r, false);
}
