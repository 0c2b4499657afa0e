#include "cluster/core/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

enum { HISTOGRAM_SLOTS = METRIC_BUCKETS + 2, LINE_ALIGN = 64 }; // buckets, +Inf, sum

// One program declares one set of rows: a row's id is its place here plus one, first[] its first
// slot in a core's array.
static struct {
    struct metric *rows[METRICS_MAX];
    unsigned first[METRICS_MAX];
    unsigned count;
    unsigned slots;
} declared;

struct metrics {
    unsigned cores;
    unsigned rows, slots;
    // Per core an array of its own cache lines. Its thread alone writes; readers see each word
    // whole (relaxed atomics, no lock prefix).
    int64_t *values[];
};

static unsigned slots_of(const struct metric *row)
{
    return row->kind == METRIC_HISTOGRAM_US ? HISTOGRAM_SLOTS : 1;
}

void metrics_declare(struct metric *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].id != 0) continue;
        CHECK(declared.count < METRICS_MAX);
        declared.rows[declared.count] = &rows[i];
        declared.first[declared.count] = declared.slots;
        declared.slots += slots_of(&rows[i]);
        rows[i].id = ++declared.count;
    }
}

struct err metrics_new(struct metrics **out, unsigned cores)
{
    struct metrics *m = calloc(1, sizeof *m + cores * sizeof m->values[0]);
    if (m == NULL) return ERR(NO_SPACE);
    *m = (struct metrics){.cores = cores, .rows = declared.count, .slots = declared.slots};
    size_t size = (m->slots * sizeof(int64_t) + LINE_ALIGN) / LINE_ALIGN * LINE_ALIGN;
    for (unsigned c = 0; c < cores; c++) {
        m->values[c] = aligned_alloc(LINE_ALIGN, size);
        if (m->values[c] == NULL) {
            metrics_free(m);
            return ERR(NO_SPACE);
        }
        memset(m->values[c], 0, size);
    }
    *out = m;
    return OK;
}

void metrics_free(struct metrics *m)
{
    if (m == NULL) return;
    for (unsigned c = 0; c < m->cores; c++) free(m->values[c]);
    free(m);
}

// slot is where a row's `i`th word of core `core` lives. A row declared after metrics_new has no
// room: that is a bug of start.
static int64_t *slot(const struct metrics *m, unsigned core, const struct metric *row, unsigned i)
{
    CHECK(row->id != 0 && row->id <= m->rows && core < m->cores);
    return m->values[core] + declared.first[row->id - 1] + i;
}

static int64_t word_get(const int64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static void word_set(int64_t *p, int64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static void word_add(int64_t *p, int64_t delta)
{
    word_set(p, word_get(p) + delta);
} // one writer: no read-modify-write needed

void metric_add(struct metrics *m, unsigned core, const struct metric *row, int64_t delta)
{
    if (m != NULL) word_add(slot(m, core, row, 0), delta);
}

void metric_set(struct metrics *m, unsigned core, const struct metric *row, int64_t value)
{
    if (m != NULL) word_set(slot(m, core, row, 0), value);
}

unsigned metric_bucket(uint64_t us)
{
    const unsigned first = METRIC_BUCKET_FIRST_OCTAVE;
    if (us <= UINT64_C(1) << first) return 0;
    uint64_t v = us - 1; // bounds are inclusive
    unsigned octave = 63 - (unsigned)__builtin_clzll(v);
    unsigned bucket = (octave - first) * 4 + (unsigned)(v >> (octave - 2) & 3);
    return bucket < METRIC_BUCKETS ? bucket : METRIC_BUCKETS;
}

uint64_t metric_bound_us(unsigned bucket)
{
    unsigned octave = METRIC_BUCKET_FIRST_OCTAVE + bucket / 4;
    return (UINT64_C(1) << octave) + ((uint64_t)(bucket % 4 + 1) << (octave - 2));
}

void metric_observe_us(struct metrics *m, unsigned core, const struct metric *row, uint64_t us)
{
    if (m == NULL) return;
    CHECK(row->kind == METRIC_HISTOGRAM_US);
    word_add(slot(m, core, row, metric_bucket(us)), 1);
    word_add(slot(m, core, row, METRIC_BUCKETS + 1), (int64_t)us);
}

static int64_t sum_of(const struct metrics *m, const struct metric *row, unsigned i)
{
    int64_t sum = 0;
    for (unsigned c = 0; c < m->cores; c++) sum += word_get(slot(m, c, row, i));
    return sum;
}

int64_t metric_total(const struct metrics *m, const struct metric *row)
{
    if (row->kind != METRIC_HISTOGRAM_US) return sum_of(m, row, 0);
    int64_t count = 0;
    for (unsigned i = 0; i <= METRIC_BUCKETS; i++) count += sum_of(m, row, i);
    return count;
}

static struct err histogram_write(const struct metrics *m, const struct metric *row,
                                  struct buf *out)
{
    const char *labels = row->labels == NULL ? "" : row->labels;
    const char *comma = labels[0] == '\0' ? "" : ",";
    int64_t count = 0;
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        uint64_t bound = metric_bound_us(i);
        count += sum_of(m, row, i);
        TRY(buf_printf(out, "%s_bucket{%s%sle=\"%llu.%06llu\"} %lld\n", row->name, labels, comma,
                       (unsigned long long)(bound / 1000000), (unsigned long long)(bound % 1000000),
                       (long long)count));
    }
    count += sum_of(m, row, METRIC_BUCKETS);
    int64_t us = sum_of(m, row, METRIC_BUCKETS + 1);
    TRY(buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", row->name, labels, comma,
                   (long long)count));
    const char *open = labels[0] == '\0' ? "" : "{", *close = labels[0] == '\0' ? "" : "}";
    TRY(buf_printf(out, "%s_sum%s%s%s %lld.%06lld\n", row->name, open, labels, close,
                   (long long)(us / 1000000), (long long)(us % 1000000)));
    return buf_printf(out, "%s_count%s%s%s %lld\n", row->name, open, labels, close,
                      (long long)count);
}

static struct err row_write(const struct metrics *m, const struct metric *row, struct buf *out)
{
    if (row->kind == METRIC_HISTOGRAM_US) return histogram_write(m, row, out);
    long long value = sum_of(m, row, 0);
    if (row->labels == NULL) return buf_printf(out, "%s %lld\n", row->name, value);
    return buf_printf(out, "%s{%s} %lld\n", row->name, row->labels, value);
}

static const char *kind_name(enum metric_kind kind)
{
    return kind == METRIC_COUNTER ? "counter" : kind == METRIC_GAUGE ? "gauge" : "histogram";
}

// family_first is the first declared row with this row's name: it writes the whole family, so HELP
// and TYPE come once.
static bool family_first(const struct metrics *m, unsigned at)
{
    for (unsigned i = 0; i < at && i < m->rows; i++)
        if (strcmp(declared.rows[i]->name, declared.rows[at]->name) == 0) return false;
    return true;
}

struct err metrics_write(const struct metrics *m, struct buf *out)
{
    for (unsigned i = 0; i < m->rows; i++) {
        const struct metric *row = declared.rows[i];
        if (!family_first(m, i)) continue;
        TRY(buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                       kind_name(row->kind)));
        for (unsigned j = i; j < m->rows; j++)
            if (strcmp(declared.rows[j]->name, row->name) == 0)
                TRY(row_write(m, declared.rows[j], out));
    }
    return OK;
}

struct err metrics_docs(struct buf *out, const char *folder, const struct metric *const *rows,
                        size_t count)
{
    TRY(buf_printf(out,
                   "### Metrics of %s\n\n| metric | labels | kind | meaning |\n|---|---|---|---|\n",
                   folder));
    for (size_t i = 0; i < count; i++)
        TRY(buf_printf(out, "| `%s` | %s | %s | %s |\n", rows[i]->name,
                       rows[i]->labels == NULL ? "" : rows[i]->labels, kind_name(rows[i]->kind),
                       rows[i]->help));
    return buf_add_str(out, "\n");
}
