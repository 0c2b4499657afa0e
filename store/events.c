#include "store/events.h"

#define X LOG_EVENT_DEFINE
#include "store/events.def"
#undef X
#define X METRIC_DEFINE
#include "store/metrics.def"
#undef X

void store_metrics_declare(void)
{
#define X METRIC_REGISTER
#include "store/metrics.def"
#undef X
}

struct err store_docs(struct buf *out)
{
    static const struct log_event *const events[] = {
#define X LOG_EVENT_ROW
#include "store/events.def"
#undef X
    };
    static const struct metric *const metrics[] = {
#define X METRIC_ROW
#include "store/metrics.def"
#undef X
    };
    TRY(log_events_docs(out, "store", events, sizeof events / sizeof events[0]));
    return metrics_docs(out, "store", metrics, sizeof metrics / sizeof metrics[0]);
}
