// metrics: counters, gauges and histograms declared in <folder>/metrics.def (name, kind, unit,
// help), kept per core without atomic read-modify-write, summed when the private listener reads
// them, printed as Prometheus text.
//
// The pattern for a folder: <folder>/metrics.def with rows X(ident, "name", labels or NULL, kind,
// "help"), declared, defined and registered by including it under METRIC_DECLARE (events.h),
// METRIC_DEFINE and METRIC_REGISTER (events.c), as cluster/events.c does; used as metric_add(m,
// core, &METRIC_ident, 1). Rows of one family (same name) have the same kind and help.
#pragma once
#include "proto/base/buf.h"

struct metrics;

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM_US
}; // histogram: microseconds, log-linear buckets

// struct metric is one row of a metrics.def. `id` is assigned by metrics_declare.
struct metric {
    const char *name;   // "certmill_stage_seconds"
    const char *labels; // "stage=\"parse\"" or NULL
    enum metric_kind kind;
    const char *help;
    unsigned id;
};

enum {
    METRICS_MAX = 512,   // rows that a program may declare
    METRIC_BUCKETS = 88, // of a histogram: 4 per octave, from 20 us to 67 s; above that only +Inf
    METRIC_BUCKET_FIRST_OCTAVE = 4, // the first bucket's octave begins at 2^4 us
};

#define METRIC_DECLARE(ident, name_, labels_, kind_, help_) extern struct metric METRIC_##ident;
#define METRIC_DEFINE(ident, name_, labels_, kind_, help_) \
    struct metric METRIC_##ident = {name_, labels_, METRIC_##kind_, help_, 0};
#define METRIC_REGISTER(ident, name_, labels_, kind_, help_) metrics_declare(&METRIC_##ident, 1);
#define METRIC_ROW(ident, name_, labels_, kind_, help_) &METRIC_##ident,

// metrics_declare makes rows known (again: no change); they are borrowed for ever. CHECKs that
// there are at most METRICS_MAX. metrics_new makes per-core storage for `cores` cores; declare
// every metric before it (at start, one thread).
void metrics_declare(struct metric *rows, size_t count);
RESULT metrics_new(struct metrics **out, unsigned cores);
void metrics_free(struct metrics *m);
// metric_bucket is the index of the first bucket whose bound is at least `us`; METRIC_BUCKETS when
// it is above all. metric_bound_us is the bound of a bucket.
unsigned metric_bucket(uint64_t us);
uint64_t metric_bound_us(unsigned bucket);
// The updates: on core `core`'s own thread only. A NULL `m` is fine: nothing is counted.
void metric_add(struct metrics *m, unsigned core, const struct metric *metric, int64_t delta);
void metric_set(struct metrics *m, unsigned core, const struct metric *metric, int64_t value);
void metric_observe_us(struct metrics *m, unsigned core, const struct metric *metric, uint64_t us);
// metric_total sums over cores (any thread; counts may lag by an instant).
int64_t metric_total(const struct metrics *m, const struct metric *metric);
// metrics_write appends the Prometheus text exposition format, version 0.0.4. Any thread.
// ERR_NO_SPACE.
RESULT metrics_write(const struct metrics *m, struct buf *out);
// metrics_docs appends a Markdown table of rows: the reference page.
RESULT metrics_docs(struct buf *out, const char *folder, const struct metric *const *rows,
                    size_t count);
