// The errors of bench/, one enumerator ERR_<name> per row of bench/err.def, and bench_err_register
// for err_text.
#pragma once
#include "proto/base/err.h"

enum bench_err_number {
    BENCH_ERR_NONE_,
#define X(name, class, text) BENCH_ERR_##name,
#include "bench/err.def"
#undef X
};
enum bench_err {
#define X(name, class, text) \
    ERR_##name = ERR_CODE(ERR_CLASS_##class, ERR_FOLDER_BENCH, BENCH_ERR_##name),
#include "bench/err.def"
#undef X
};

// bench_err_register makes names and texts of this folder's errors known; called once at start.
void bench_err_register(void);
