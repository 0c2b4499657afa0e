// lint: an independent reading of what is about to be signed: the builder is not trusted. Pure.
#pragma once
#include "signer/keystore.h"
#include "signer/profile.h"

// lint_tbs re-parses a TBSCertificate and compares every field with the intent, the profile and the
// issuer; extensions beyond the template's, another order of dates, a serial out of its rules are
// refused. NULL when it passes, else a sentence.
const char *lint_tbs(struct arena *a, struct slice tbs, const struct intent *in,
                     const struct profile *p, const struct issuer *issuer,
                     const uint8_t serial[SERIAL_LEN]);
