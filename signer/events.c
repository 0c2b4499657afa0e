#include "signer/events.h"

#define X LOG_EVENT_DEFINE
#include "signer/events.def"
#undef X
#define X METRIC_DEFINE
#include "signer/metrics.def"
#undef X

void signer_metrics_declare(void)
{
#define X METRIC_REGISTER
#include "signer/metrics.def"
#undef X
}
