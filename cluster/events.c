#include "cluster/events.h"

#define X LOG_EVENT_DEFINE
#include "cluster/events.def"
#undef X
#define X METRIC_DEFINE
#include "cluster/metrics.def"
#undef X

void cluster_metrics_declare(void)
{
#define X METRIC_REGISTER
#include "cluster/metrics.def"
#undef X
}

struct err cluster_docs(struct buf *out)
{
    static const struct log_event *const events[] = {
#define X LOG_EVENT_ROW
#include "cluster/events.def"
#undef X
    };
    static const struct metric *const metrics[] = {
#define X METRIC_ROW
#include "cluster/metrics.def"
#undef X
    };
    TRY(log_events_docs(out, "cluster", events, sizeof events / sizeof events[0]));
    return metrics_docs(out, "cluster", metrics, sizeof metrics / sizeof metrics[0]);
}
