// operations: the handlers of operations.def and the documents that they write; each in a file of
// its noun.
#pragma once
#include "api/admin/admin.h"

#define X(noun, verb, method, path, status, flags, params, schema, handler, summary) \
    void handler(struct admin_call *c);                                              \
    extern const struct admin_param params[];                                        \
    extern const struct admin_schema schema;
#include "api/admin/operations.def"
#undef X
