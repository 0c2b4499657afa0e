#include "bench/err.h"

void bench_err_register(void)
{
    static const struct err_entry entries[] = {
#define X(name, class, text) {#name, text},
#include "bench/err.def"
#undef X
    };
    err_register(ERR_FOLDER_BENCH, entries, sizeof entries / sizeof entries[0]);
}
