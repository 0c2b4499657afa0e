#include "api/admin/operations.h"

const struct admin_operation admin_operations[] = {
#define X(noun, verb, method, path, status, flags, params, schema, handler, summary) \
    {noun, verb, method, path, status, flags, params, &(schema), handler, summary},
#include "api/admin/operations.def"
#undef X
};
const size_t admin_operation_count = sizeof admin_operations / sizeof admin_operations[0];
