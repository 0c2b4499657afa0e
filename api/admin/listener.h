// listener: the admin operations over HTTP, on a listener of their own: mutual TLS, for callers
// whose certificate has the role ADMIN_ROLE (or that of a group behind it: ADMIN_ROLE ":alice"),
// JSON in and out, problem documents (RFC 9457). On the first core.
#pragma once
#include "api/admin/admin.h"

// admin_listener_new listens where the settings say; `note` gets a sentence when it cannot.
RESULT admin_listener_new(struct server **out, char *note, size_t note_size, struct edge *e);
