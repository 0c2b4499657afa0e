#include "cluster/err.h"

void cluster_err_register(void)
{
    static const struct err_entry entries[] = {
#define X(name, class, text) {#name, text},
#include "cluster/err.def"
#undef X
    };
    err_register(ERR_FOLDER_CLUSTER, entries, sizeof entries / sizeof entries[0]);
}
