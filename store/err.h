// The errors of store/, one enumerator ERR_<name> per row of store/err.def, and store_err_register
// for err_text.
#pragma once
#include "proto/base/err.h"

enum store_err_number {
    STORE_ERR_NONE_,
#define X(name, class, text) STORE_ERR_##name,
#include "store/err.def"
#undef X
};
enum store_err {
#define X(name, class, text) \
    ERR_##name = ERR_CODE(ERR_CLASS_##class, ERR_FOLDER_STORE, STORE_ERR_##name),
#include "store/err.def"
#undef X
};

// store_err_register makes names and texts of this folder's errors known; called once at start.
void store_err_register(void);
