// events: what signer/ logs and counts, from events.def and metrics.def.
#pragma once
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"

#define X LOG_EVENT_DECLARE
#include "signer/events.def"
#undef X
#define X METRIC_DECLARE
#include "signer/metrics.def"
#undef X

// signer_metrics_declare declares the signer's metrics; at start, before metrics_new. Calling it
// again changes nothing.
void signer_metrics_declare(void);
