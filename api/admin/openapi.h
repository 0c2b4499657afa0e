// openapi: the admin operations as an OpenAPI 3.1 document, from their table: docs/openapi.json.
#pragma once
#include "api/admin/admin.h"

// admin_openapi_write appends the document, indented for people. ERR_NO_SPACE.
RESULT admin_openapi_write(struct buf *out);
