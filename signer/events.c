#include "signer/events.h"

#define X LOG_EVENT_DEFINE
#include "signer/events.def"
#undef X
