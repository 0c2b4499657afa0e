#include "api/err.h"

void api_err_register(void)
{
    static const struct err_entry entries[] = {
#define X(name, class, text) {#name, text},
#include "api/err.def"
#undef X
    };
    err_register(ERR_FOLDER_API, entries, sizeof entries / sizeof entries[0]);
}
