// engine: TBS in, certificates out: everything of one issuer that is queued is one batch. Signing
// is by BoringSSL behind this interface, which a batch kernel can fill later; every signature is
// verified before it is released (T57). One thread.
#pragma once
#include "signer/keystore.h"

struct engine_item {
    struct slice tbs;         // in
    struct arena *arena;      // for the certificate
    struct slice certificate; // out: DER
    struct err err;           // out: ERR_SIGNATURE_FAULT, ERR_CRYPTO, ERR_NO_SPACE
};

// engine_run signs and verifies all items. A test can flip bits of every signature between the two
// through `fault`; NULL otherwise.
void engine_run(const struct issuer *issuer, struct engine_item *items, size_t count,
                void (*fault)(uint8_t *signature, size_t n));
