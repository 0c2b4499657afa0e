// events: what cluster/ logs and counts, from events.def and metrics.def. Other folders copy this
// file and events.c.
#pragma once
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"

#define X LOG_EVENT_DECLARE
#include "cluster/events.def"
#undef X
#define X METRIC_DECLARE
#include "cluster/metrics.def"
#undef X

// cluster_metrics_declare declares this folder's metrics; at start, before metrics_new. Calling it
// again changes nothing.
void cluster_metrics_declare(void);
// cluster_docs appends the reference of this folder's events and metrics as Markdown. ERR_NO_SPACE.
RESULT cluster_docs(struct buf *out);
