// events: what api/ logs and counts, from events.def and metrics.def.
#pragma once
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"

#define X LOG_EVENT_DECLARE
#include "api/events.def"
#undef X
#define X METRIC_DECLARE
#include "api/metrics.def"
#undef X

// api_metrics_declare declares this folder's metrics; at start, before metrics_new. Calling it
// again changes nothing.
void api_metrics_declare(void);
// api_docs appends the reference of this folder's events and metrics as Markdown. ERR_NO_SPACE.
RESULT api_docs(struct buf *out);
