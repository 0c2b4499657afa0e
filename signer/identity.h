// identity: the certificate with which the signer's RPC listener shows itself. It is read from the
// ceremony's folder, and made anew in memory when it is past half of its life: at start, and while
// the signer runs. Nothing is written: the next start does the same. One thread.
#pragma once
#include "proto/tls/tls.h"
#include "signer/keystore.h"

struct identity {
    struct arena arena;
    struct slice trust; // the internal root, PEM
    int64_t not_before, not_after;
    struct tls_context *tls;
};

// identity_open reads signer.pem, signer.key and internal-root.pem in `dir`; *renewed says that it
// was made anew at once. `note` gets a sentence. ERR_SYSTEM, ERR_KEY, ERR_TLS_CONFIG.
RESULT identity_open(struct identity *out, char note[KEYSTORE_NOTE_MAX], const char *dir,
                     const struct keystore *k, int64_t now_s, bool *renewed);
// identity_renew makes it anew when it is due: `tls` is another context then, and the old one is
// the caller's to free once nothing uses it any more (*old; NULL when nothing was done).
RESULT identity_renew(struct identity *i, struct tls_context **old, char note[KEYSTORE_NOTE_MAX],
                      const struct keystore *k, int64_t now_s);
void identity_close(struct identity *i);
