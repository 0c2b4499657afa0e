#include "proto/err.h"

void proto_err_register(void)
{
    static const struct err_entry entries[] = {
#define X(name, class, text) {#name, text},
#include "proto/err.def"
#undef X
    };
    err_register(ERR_FOLDER_PROTO, entries, sizeof entries / sizeof entries[0]);
}
