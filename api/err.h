// The errors of api/, one enumerator ERR_<name> per row of api/err.def, and api_err_register for
// err_text.
#pragma once
#include "proto/base/err.h"

enum api_err_number {
    API_ERR_NONE_,
#define X(name, class, text) API_ERR_##name,
#include "api/err.def"
#undef X
};
enum api_err {
#define X(name, class, text) \
    ERR_##name = ERR_CODE(ERR_CLASS_##class, ERR_FOLDER_API, API_ERR_##name),
#include "api/err.def"
#undef X
};

// api_err_register makes names and texts of this folder's errors known; called once at start.
void api_err_register(void);
