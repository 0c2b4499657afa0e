#include "api/verifier.h"

#include <string.h>

#include "api/events.h"
#include "cluster/core/metrics.h"

enum way { WITH_TABLE, WITHOUT_TABLE, ALONE };

// ---- one batch

// batch_fill turns the jobs of the batch that the kernel can check into items, in their order.
static size_t batch_fill(struct verifier *v, struct list *batch)
{
    size_t n = 0;
    LIST_EACH (node, batch) {
        struct verify_job *job = LIST_OWNER(node, struct verify_job, node);
        if (job->alone != NULL) continue;
        struct p256_verify_item *item = &v->items[n++];
        item->table = key_tables_find(&v->tables, job->p256.point);
        memcpy(item->point, job->p256.point, sizeof item->point);
        memcpy(item->digest, job->p256.digest, sizeof item->digest);
        memcpy(item->r, job->p256.r, sizeof item->r);
        memcpy(item->s, job->p256.s, sizeof item->s);
        v->checked[item->table != NULL ? WITH_TABLE : WITHOUT_TABLE]++;
    }
    return n;
}

static void batch_check(struct verifier *v, struct list *batch)
{
    size_t n = batch_fill(v, batch), i = 0;
    p256_verify(v->items, n, v->kernel);
    v->batches += n > 0;
    LIST_EACH (node, batch) {
        struct verify_job *job = LIST_OWNER(node, struct verify_job, node);
        if (job->alone != NULL) {
            v->checked[ALONE]++;
            job->ok = job->alone(job);
            continue;
        }
        job->ok = v->items[i++].ok;
        if (job->ok && job->recurring) key_tables_used(&v->tables, job->p256.point);
    }
}

// batch_end tells the owners. One of them may cancel the job of another.
static void batch_end(struct list *batch)
{
    while (!list_empty(batch)) {
        struct verify_job *job = LIST_OWNER(list_pop_front(batch), struct verify_job, node);
        job->done(job, job->ok);
    }
}

// ---- a turn

static void on_turn(struct turn_hook *hook)
{
    struct verifier *v = LIST_OWNER(hook, struct verifier, hook);
    struct list turn, batch; // what is added meanwhile belongs to the next round
    list_init(&turn);
    list_init(&batch);
    while (!list_empty(&v->queue)) list_push_back(&turn, list_pop_front(&v->queue));
    while (!list_empty(&turn)) {
        for (size_t n = 0; n < VERIFIER_BATCH_MAX && !list_empty(&turn); n++)
            list_push_back(&batch, list_pop_front(&turn));
        batch_check(v, &batch);
        batch_end(&batch);
    }
    key_tables_make(&v->tables);
}

void verifier_add(struct verifier *v, struct verify_job *job)
{
    list_push_back(&v->queue, &job->node);
    turn_hook_arm(v->shard, &v->hook);
}

void verify_job_cancel(struct verify_job *job)
{
    if (job->node.next != NULL) list_remove(&job->node);
}

// ---- life

struct err verifier_init(struct verifier *v, struct shard *shard, enum p256_kernel kernel,
                         size_t tables_max, const uint8_t seed[MAP_SEED_LEN])
{
    *v = (struct verifier){.shard = shard, .kernel = kernel, .hook = {.run = on_turn}};
    list_init(&v->queue);
    list_init(&v->hook.node);
    return key_tables_init(&v->tables, kernel, tables_max, seed);
}

void verifier_fini(struct verifier *v)
{
    if (v->shard == NULL) return;
    turn_hook_disarm(&v->hook);
    while (!list_empty(&v->queue)) list_pop_front(&v->queue);
    key_tables_fini(&v->tables);
}

void verifier_metrics(const struct verifier *v)
{
    struct metrics *m = shard_metrics(v->shard);
    unsigned core = shard_index(v->shard);
    metric_set(m, core, &METRIC_CHECKED_TABLE, (int64_t)v->checked[WITH_TABLE]);
    metric_set(m, core, &METRIC_CHECKED_UNKNOWN, (int64_t)v->checked[WITHOUT_TABLE]);
    metric_set(m, core, &METRIC_CHECKED_ALONE, (int64_t)v->checked[ALONE]);
    metric_set(m, core, &METRIC_CHECK_BATCHES, (int64_t)v->batches);
    metric_set(m, core, &METRIC_KEY_TABLES, (int64_t)v->tables.count);
    metric_set(m, core, &METRIC_KEY_TABLES_MADE, (int64_t)v->tables.built);
    metric_set(m, core, &METRIC_KEY_TABLES_EVICTED, (int64_t)v->tables.evicted);
}
