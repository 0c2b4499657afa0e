#include "store/err.h"

void store_err_register(void)
{
    static const struct err_entry entries[] = {
#define X(name, class, text) {#name, text},
#include "store/err.def"
#undef X
    };
    err_register(ERR_FOLDER_STORE, entries, sizeof entries / sizeof entries[0]);
}
