// The errors of proto/, one enumerator ERR_<name> per row of proto/err.def, and proto_err_register
// for err_text.
#pragma once
#include "proto/base/err.h"

enum proto_err_number {
    PROTO_ERR_NONE_,
#define X(name, class, text) PROTO_ERR_##name,
#include "proto/err.def"
#undef X
};
enum proto_err {
#define X(name, class, text) \
    ERR_##name = ERR_CODE(ERR_CLASS_##class, ERR_FOLDER_PROTO, PROTO_ERR_##name),
#include "proto/err.def"
#undef X
};

// proto_err_register makes names and texts of this folder's errors known; called once at start.
void proto_err_register(void);
