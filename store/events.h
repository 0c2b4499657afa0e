// events: what store/ logs and counts, from events.def and metrics.def.
#pragma once
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"

#define X LOG_EVENT_DECLARE
#include "store/events.def"
#undef X
#define X METRIC_DECLARE
#include "store/metrics.def"
#undef X

// store_metrics_declare declares this folder's metrics; at start, before metrics_new. Calling it
// again changes nothing.
void store_metrics_declare(void);
// store_docs appends the reference of this folder's events and metrics as Markdown. ERR_NO_SPACE.
RESULT store_docs(struct buf *out);
