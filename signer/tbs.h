// tbs: the TBSCertificate of an intent under a profile and issuer, and the serial that is a
// function of the intent (design.md section 4). Everything in it comes from the intent and the
// profile; nothing is copied from a client. Pure.
#pragma once
#include "signer/keystore.h"
#include "signer/profile.h"

enum { TBS_MAX = 65536 };

// serial_make: hour of not_before, issuer and region in front, then 15 octets of HMAC-SHA-256 over
// the intent's hash.
void serial_make(uint8_t out[SERIAL_LEN], const uint8_t key[32], const struct intent *in,
                 const uint8_t hash[HASH_LEN]);
// tbs_build appends the DER. ERR_NO_SPACE, ERR_CRYPTO.
RESULT tbs_build(struct buf *out, const struct intent *in, const struct profile *p,
                 const struct issuer *issuer, const uint8_t serial[SERIAL_LEN]);
// certificate_build appends SEQUENCE { tbs, algorithm, signature }. ERR_NO_SPACE.
RESULT certificate_build(struct buf *out, struct slice tbs, struct slice algorithm,
                         struct slice signature);
