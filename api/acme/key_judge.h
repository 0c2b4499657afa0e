// key_judge: which public keys this server has nothing to do with, as keys of accounts or of
// certificates: weak ones, and those on its list of blocked keys. Pure but for the list.
#pragma once
#include "api/request.h"

// key_judge returns NULL for a key that may be used, else a clause for people, constant: "its
// modulus has small factors". `spki` is that of a jwk or of a csr that were read.
const char *key_judge(const struct request *r, struct slice spki);
