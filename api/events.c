#include "api/events.h"

#include "api/router.h"

#define X LOG_EVENT_DEFINE
#include "api/events.def"
#undef X
#define X METRIC_DEFINE
#include "api/metrics.def"
#undef X

void api_metrics_declare(void)
{
#define X METRIC_REGISTER
#include "api/metrics.def"
#undef X
    router_metrics_declare();
}

struct err api_docs(struct buf *out)
{
    static const struct log_event *const events[] = {
#define X LOG_EVENT_ROW
#include "api/events.def"
#undef X
    };
    static const struct metric *const metrics[] = {
#define X METRIC_ROW
#include "api/metrics.def"
#undef X
    };
    TRY(log_events_docs(out, "api", events, sizeof events / sizeof events[0]));
    return metrics_docs(out, "api", metrics, sizeof metrics / sizeof metrics[0]);
}
