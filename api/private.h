// private: the listener for operators, on the first core: /livez, /readyz and /metrics. Without TLS
// and authentication: keep it private.
#pragma once
#include "api/edge.h"

// private_new listens; `note` gets a sentence on failure. The edge stays borrowed.
RESULT private_new(struct server **out, char *note, size_t note_size, struct edge *e);
