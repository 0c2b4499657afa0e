// metrics: counters, gauges and histograms declared in <folder>/metrics.def (name, kind, unit, help), kept per core without
// atomic read-modify-write, summed when the private listener reads them, printed as Prometheus text.
#pragma once
#include "proto/base/buf.h"

struct metrics;

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM_US }; // histogram: microseconds, log-linear buckets

// struct metric is one row of a metrics.def. `id` is assigned by metrics_declare.
struct metric {
    const char *name;   // "certmill_stage_seconds"
    const char *labels; // "stage=\"parse\"" or NULL
    enum metric_kind kind;
    const char *help;
    unsigned id;
};

// metrics_new makes per-core storage for `cores` cores; declare every metric before it (at start, one thread).
void metrics_declare(struct metric *rows, size_t count);
RESULT metrics_new(struct metrics **out, unsigned cores);
void metrics_free(struct metrics *m);
// The updates: on core `core`'s own thread only.
void metric_add(struct metrics *m, unsigned core, const struct metric *metric, int64_t delta);
void metric_set(struct metrics *m, unsigned core, const struct metric *metric, int64_t value);
void metric_observe_us(struct metrics *m, unsigned core, const struct metric *metric, uint64_t us);
// metric_total sums over cores (any thread; counts may lag by an instant).
int64_t metric_total(const struct metrics *m, const struct metric *metric);
// metrics_write appends the Prometheus text exposition format, version 0.0.4. Any thread. ERR_NO_SPACE.
RESULT metrics_write(const struct metrics *m, struct buf *out);
