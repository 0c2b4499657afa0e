// renewal: certificates of the installation's own programs made anew from the keys in the keystore:
// for the signer itself, for who asks over RPC, for the command. One thread.
#pragma once
#include "signer/keystore.h"

// renewal_make makes a certificate of `kind` for `key` with the names that the ceremony gave to
// programs of that kind, and `role` (NULL: the kind's own). Appends the PEM chain to `out_chain`
// (leaf, then the issuing certificate for a server) and the leaf's DER to `out_der`. `note` gets a
// sentence. ERR_KEY.
RESULT renewal_make(struct buf *out_chain, struct buf *out_der, char note[KEYSTORE_NOTE_MAX],
                    const struct keystore *k, enum leaf_kind kind, const char *role, EVP_PKEY *key,
                    int64_t now_s);
// renewal_main is `certmill-signer renew`: renews the files in the ceremony's folder that are past
// half of their life. Returns the exit code.
int renewal_main(int argc, char **argv);
