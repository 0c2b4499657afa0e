// The errors of cluster/, one enumerator ERR_<name> per row of cluster/err.def, and
// cluster_err_register for err_text.
#pragma once
#include "proto/base/err.h"

enum cluster_err_number {
    CLUSTER_ERR_NONE_,
#define X(name, class, text) CLUSTER_ERR_##name,
#include "cluster/err.def"
#undef X
};
enum cluster_err {
#define X(name, class, text) \
    ERR_##name = ERR_CODE(ERR_CLASS_##class, ERR_FOLDER_CLUSTER, CLUSTER_ERR_##name),
#include "cluster/err.def"
#undef X
};

// cluster_err_register makes names and texts of this folder's errors known; called once at start.
void cluster_err_register(void);
