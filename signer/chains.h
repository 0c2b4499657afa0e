// chains: further chains of an issuing CA, to roots of others: files issuer-N-chain-2.pem to
// issuer-N-chain-9.pem in the ceremony's folder, each with the certificates from one for the
// issuing CA's key up to a root. Clients choose among them (RFC 8555 section 7.4.2). Read once at
// start.
#pragma once
#include "signer/keystore.h"

// chains_read fills issuer->chains with those that are there and in force; one whose time is over,
// or has not come, is left out. The issuer's certificate must be parsed. `note` gets a sentence
// with the cure. ERR_KEY, ERR_SYSTEM.
RESULT chains_read(struct issuer *issuer, struct arena *a, char note[KEYSTORE_NOTE_MAX], int dir,
                   int64_t now_s);
