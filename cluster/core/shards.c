// shards: the threads of a program, one shard each. The one file besides main that makes threads.
#define _GNU_SOURCE 1 // pthread_setaffinity_np
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster/core/clock.h"
#include "cluster/core/internal.h"
#include "cluster/core/log.h"
#include "cluster/core/seam.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"

enum { TURN_WAIT_MS = 60000, THREAD_NAME_SIZE = 16 };

struct shard_thread {
    struct shards *shards;
    unsigned index;
    pthread_t thread;
    bool exists; // pthread_create succeeded
    bool stop;   // its loop returns; set on the thread itself
    struct shard *shard;
    struct err result; // of start
};

struct shards {
    struct shard_options options;
    struct err (*start)(struct shard *shard, void *ctx);
    void *start_ctx;

    pthread_mutex_t lock; // protects what follows
    pthread_cond_t changed;
    unsigned made;      // shards that exist, or never will
    unsigned ready;     // starts that have run
    unsigned left;      // threads that have come to each of the two points of leaving
    bool making_failed; // set before the last of `made` is counted, so that all threads agree
    bool start_failed;  // likewise for `ready`
    bool joining;
    void (*stop)(struct shard *shard, void *ctx);
    void *stop_ctx;

    unsigned count;
    struct shard **members; // written by each thread before it is counted in `made`
    struct shard_thread *threads;
};

struct call_message {
    struct message message;
    void (*run)(struct shard *shard, void *ctx);
    void *ctx;
};

static void pin(const struct shards *s, unsigned index)
{
    cpu_set_t allowed, one;
    if (!s->options.pin || sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
        CPU_COUNT(&allowed) == 0)
        return;
    unsigned nth = index % (unsigned)CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- != 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        // Without it the thread runs all the same, only further from its memory.
        (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
        return;
    }
}

// meet counts this thread in and waits until `target` have come this far.
static void meet(struct shards *s, unsigned *counter, unsigned target)
{
    pthread_mutex_lock(&s->lock);
    ++*counter;
    pthread_cond_broadcast(&s->changed);
    while (*counter < target) pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void flag_set(struct shards *s, bool *flag)
{
    pthread_mutex_lock(&s->lock);
    *flag = true;
    pthread_mutex_unlock(&s->lock);
}

// thread_make and thread_start say whether this thread goes on; every thread gets the same answer.
static bool thread_make(struct shards *s, struct shard_thread *t)
{
    t->result = shard_new(&t->shard, &s->options, t->index);
    if (failed(t->result))
        flag_set(s, &s->making_failed);
    else
        shard_group_set(t->shard, (struct shard_group){s->members, s->count});
    s->members[t->index] = t->shard;
    meet(s, &s->made, s->count);
    return !s->making_failed;
}

static bool thread_start(struct shards *s, struct shard_thread *t)
{
    t->result = s->start(t->shard, s->start_ctx);
    if (failed(t->result)) flag_set(s, &s->start_failed);
    meet(s, &s->ready, s->count);
    return !s->start_failed;
}

static void thread_leave(struct shards *s, struct shard_thread *t, bool started)
{
    pthread_mutex_lock(&s->lock);
    while (!s->joining) pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    if (started && s->stop != NULL) s->stop(t->shard, s->stop_ctx);
    meet(s, &s->left, s->count); // now nobody posts but in answer to a message
    if (t->shard != NULL) shard_turn(t->shard, 0);
    meet(s, &s->left, 2 * s->count); // now nobody posts
    shard_free(t->shard);
}

static void *thread_main(void *arg)
{
    struct shard_thread *t = arg;
    struct shards *s = t->shards;
    char name[THREAD_NAME_SIZE];
    snprintf(name, sizeof name, "%.10s-%u", s->options.name == NULL ? "shard" : s->options.name,
             t->index);
    pthread_setname_np(pthread_self(), name);
    pin(s, t->index);
    bool going = thread_make(s, t) && thread_start(s, t);
    while (going && !t->stop) shard_turn(t->shard, TURN_WAIT_MS);
    thread_leave(s, t, going);
    return NULL;
}

static void shards_free(struct shards *s)
{
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->members);
    free(s->threads);
    free(s);
}

static unsigned count_default(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) == 0) return 1;
    return (unsigned)CPU_COUNT(&allowed);
}

static struct err shards_new(struct shards **out, const struct shard_options *options)
{
    struct shards *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR(NO_SPACE);
    s->options = *options;
    s->count = options->count != 0 ? options->count : count_default();
    s->members = calloc(s->count, sizeof(struct shard *));
    s->threads = calloc(s->count, sizeof *s->threads);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (s->members == NULL || s->threads == NULL) {
        shards_free(s);
        return ERR(NO_SPACE);
    }
    *out = s;
    return OK;
}

// threads_create makes the threads with every signal blocked. Those that cannot be made are counted
// in at every meeting point.
static struct err threads_create(struct shards *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    unsigned missing = 0;
    for (unsigned i = 0; i < s->count; i++) {
        s->threads[i].shards = s;
        s->threads[i].index = i;
        s->threads[i].exists = missing == 0 && pthread_create(&s->threads[i].thread, NULL,
                                                              thread_main, &s->threads[i]) == 0;
        if (!s->threads[i].exists) missing++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (missing == 0) return OK;
    pthread_mutex_lock(&s->lock);
    s->making_failed = true;
    s->made += missing;
    s->left += missing; // one of two points: the rest follows when the others are there
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return ERR(SYSTEM);
}

static void started_wait(struct shards *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->made < s->count || (!s->making_failed && s->ready < s->count))
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

// started_say logs what an operator wants to know of the cores, once.
static void started_say(const struct shards *s)
{
    const char *note = shard_io_note(s->members[0]);
    if (note[0] != '\0')
        LOG(s->options.log, &EVENT_RING_REFUSED, note, LOG_STR("io", shards_io_name(s)));
    seam_clock_say(s->options.log);
    metric_set(s->options.metrics, 0, &METRIC_CLOCK_OFFSET, clock_offset_s());
    LOG(s->options.log, &EVENT_SHARDS_STARTED, NULL, LOG_INT("shards", s->count),
        LOG_STR("io", shards_io_name(s)));
}

struct err shards_start(struct shards **out, const struct shard_options *options,
                        struct err (*start)(struct shard *shard, void *ctx), void *ctx)
{
    CHECK(options->io != SHARD_IO_SIM); // simulated shards share one thread and one clock
    struct shards *s;
    TRY(clock_start());
    TRY(shards_new(&s, options));
    s->start = start;
    s->start_ctx = ctx;
    struct err e = threads_create(s);
    started_wait(s);
    for (unsigned i = 0; i < s->count && !failed(e); i++) e = s->threads[i].result;
    if (failed(e)) {
        shards_join(s, NULL, NULL);
        return e;
    }
    started_say(s);
    *out = s;
    return OK;
}

static void call_run(struct shard *shard, struct message *m)
{
    struct call_message *call = (struct call_message *)m;
    call->run(shard, call->ctx);
    free(call);
}

void shards_post_all(struct shards *s, void (*run)(struct shard *shard, void *ctx), void *ctx)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct call_message *call = malloc(sizeof *call);
        CHECK(call != NULL); // a few bytes, at reload or stop
        *call = (struct call_message){.message.run = call_run, .run = run, .ctx = ctx};
        shard_post(s->members[i], &call->message);
    }
}

static void stop_run(struct shard *shard, void *ctx)
{
    struct shards *s = ctx;
    s->threads[shard_index(shard)].stop = true;
}

void shards_stop(struct shards *s) { shards_post_all(s, stop_run, s); }

void shards_join(struct shards *s, void (*stop)(struct shard *shard, void *ctx), void *ctx)
{
    if (s == NULL) return;
    unsigned missing = 0;
    for (unsigned i = 0; i < s->count; i++) missing += !s->threads[i].exists;
    pthread_mutex_lock(&s->lock);
    s->stop = stop;
    s->stop_ctx = ctx;
    s->joining = true;
    pthread_cond_broadcast(&s->changed);
    while (s->left < s->count) pthread_cond_wait(&s->changed, &s->lock);
    s->left += missing;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->count; i++)
        if (s->threads[i].exists) pthread_join(s->threads[i].thread, NULL);
    shards_free(s);
}

unsigned shards_count(const struct shards *s) { return s->count; }

struct shard *shards_at(struct shards *s, unsigned index)
{
    CHECK(index < s->count);
    return s->members[index];
}

const char *shards_io_name(const struct shards *s) { return shard_io_name(s->members[0]); }
