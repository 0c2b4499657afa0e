// signer_double: stands in for signer/client.c in tests of the front end: an issuing CA in the
// process, which can be away, refuse, or lie in each way that step e3 must notice. A signer that
// lies cannot be had from the real one. It keeps to the real one's promises where it does not lie:
// the same order gets the same certificate, and what was burned is not signed.
#pragma once
#include <stdbool.h>

#include "proto/base/slice.h"

enum double_mode {
    DOUBLE_HONEST,
    DOUBLE_AWAY,    // no signer can be reached
    DOUBLE_BUSY,    // answers "too much to do"
    DOUBLE_REFUSES, // policy refuses for good
    DOUBLE_NEVER,   // signs nothing, but burns
    DOUBLE_NOTHING, // signs nothing and burns nothing, and is in reach
    // Lies: a certificate that is signed well and is not the one that was asked for ...
    DOUBLE_OTHER_KEY,
    DOUBLE_NAME_MISSING,
    DOUBLE_NAME_MORE,
    DOUBLE_NAME_OTHER,
    DOUBLE_NAME_TWICE, // as many names as asked for, one of them twice
    DOUBLE_NAME_URI,
    DOUBLE_EARLY,
    DOUBLE_LONG,
    DOUBLE_OTHER_SERIAL,
    DOUBLE_CA,
    // ... and one that is not even that.
    DOUBLE_OTHER_ISSUER,
    DOUBLE_BAD_SIGNATURE,
    DOUBLE_TRAILING,
    DOUBLE_GARBAGE,
    DOUBLE_MODE_COUNT
};
#define DOUBLE_FIRST_LIE DOUBLE_OTHER_KEY
// The subject key identifier of its issuing certificate.
#define SIGNER_DOUBLE_KEY_ID "the double's key id."

// signer_double_init makes the CA; before the front end starts. signer_double_fini frees it.
void signer_double_init(void);
void signer_double_fini(void);
// The functions below may be called by any thread at any time.
void signer_double_set(enum double_mode mode);
// signer_double_asked counts sign and burn calls, signer_double_accused those that the front end
// reported as wrong, signer_double_signed the different orders that got a certificate.
unsigned signer_double_asked(void);
unsigned signer_double_accused(void);
unsigned signer_double_signed(void);
// signer_double_issuer is the issuing certificate, DER.
struct slice signer_double_issuer(void);
