// events: what signer/ logs, from events.def.
#pragma once
#include "cluster/core/log.h"

#define X LOG_EVENT_DECLARE
#include "signer/events.def"
#undef X
