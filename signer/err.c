#include "signer/err.h"

void signer_err_register(void)
{
    static const struct err_entry entries[] = {
#define X(name, class, text) {#name, text},
#include "signer/err.def"
#undef X
    };
    err_register(ERR_FOLDER_SIGNER, entries, sizeof entries / sizeof entries[0]);
}
