// The errors of signer/, one enumerator ERR_<name> per row of signer/err.def, and
// signer_err_register for err_text.
#pragma once
#include "proto/base/err.h"

enum signer_err_number {
    SIGNER_ERR_NONE_,
#define X(name, class, text) SIGNER_ERR_##name,
#include "signer/err.def"
#undef X
};
enum signer_err {
#define X(name, class, text) \
    ERR_##name = ERR_CODE(ERR_CLASS_##class, ERR_FOLDER_SIGNER, SIGNER_ERR_##name),
#include "signer/err.def"
#undef X
};

// signer_err_register makes names and texts of this folder's errors known; called once at start.
void signer_err_register(void);
