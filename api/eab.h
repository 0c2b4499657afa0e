// eab: an external account binding key as it is stored (RFC 8555 section 7.3.4): its secret sealed,
// so that a dump of the database gives no secret away, and what its accounts may order. Pure but
// for the generator of random bytes; any thread.
#pragma once
#include "proto/base/arena.h"
#include "proto/der/name.h"
#include "store/store.h"

// Octets of a MAC key. Ours have as many as the longest digest that they are used with (RFC 7518
// section 3.2); imported ones at least 128 bits.
enum { EAB_SECRET_MIN = 16, EAB_SECRET_MAX = 256 };

// eab_secret_len is how long a secret of ours is for these eab_algorithm bits.
size_t eab_secret_len(uint32_t algorithms);
// eab_seal encrypts a secret with AES-256-GCM under a key derived from the cluster secret (HKDF-
// SHA-256), bound to tenant and key id; the result is in the arena. eab_open is the reverse;
// whoever opens a secret wipes it (OPENSSL_cleanse). ERR_NO_SPACE; eab_open: ERR_EAB_SEALED when it
// was sealed under another cluster secret or is of another key.
RESULT eab_seal(struct slice *out, struct arena *a, struct slice cluster_secret,
                struct slice tenant, struct slice kid, struct slice secret);
RESULT eab_open(struct slice *out, struct arena *a, struct slice cluster_secret,
                struct slice tenant, struct slice kid, struct slice sealed);

// eab_kid_wrong, eab_identifier_wrong: NULL when it can be one, else what is expected: 1 to
// EAB_KID_MAX of letters, digits, '-', '_' and '.'; a DNS name in canonical form ("corp.test": it
// and all below; ".corp.test": all below) or a range of addresses ("10.0.0.0/8").
const char *eab_kid_wrong(struct slice kid);
const char *eab_identifier_wrong(struct arena *a, struct slice entry);
// eab_allows says whether the accounts of a key may order an identifier, eab_allows_profile a
// profile; an empty list allows all. A list that cannot be read allows nothing.
bool eab_allows(const struct eab_row *key, struct arena *a, const struct identifier *id);
bool eab_allows_profile(const struct eab_row *key, struct arena *a, struct slice profile);
