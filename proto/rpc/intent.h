// intent: everything a certificate is a function of. The front end writes it (store), sends it
// (signer.proto), the signer recomputes its hash and builds the certificate from it, and any node
// can finish what another began (design.md section 4). Pure; any thread.
#pragma once
#include "proto/base/arena.h"
#include "proto/base/id.h"
#include "proto/der/name.h"

enum { SERIAL_LEN = 20, SALT_LEN = 16, HASH_LEN = 32, CRL_PARTS_MAX = 64 };

struct intent {
    struct id order;     // the key
    struct slice tenant; // name of the tenant
    struct id account;
    struct id owner_node;     // not in the hash
    uint64_t owner_boot;      // not in the hash
    struct slice spki;        // whole SubjectPublicKeyInfo, DER
    struct identifier *names; // sorted, canonical
    size_t name_count;
    struct slice profile;           // name
    uint8_t profile_hash[HASH_LEN]; // of the profile's canonical text
    uint32_t template_version;
    uint16_t issuer;                    // 10 bits, in the serial
    uint8_t region;                     // 6 bits, in the serial
    uint8_t issuer_cert_hash[HASH_LEN]; // SHA-256 of the issuer certificate, DER
    uint32_t serial_key_generation;
    int64_t not_before; // seconds since 1970
    int64_t not_after;  // inclusive last second, as in the certificate
    uint32_t crl_shard; // crl_shard_of; 0: none
    uint8_t salt[SALT_LEN];
    int64_t created_at_us; // database clock; not in the hash
};

// crl_shard_of is the number of the CRL that a certificate names: the hour of its notBefore, which
// its serial begins with, too, times CRL_PARTS_MAX, plus a part of that hour. So a CRL dies with
// the certificates of its hour.
static inline uint32_t crl_shard_of(int64_t not_before, unsigned part)
{
    return (uint32_t)(not_before / 3600) * CRL_PARTS_MAX + part;
}
// intent_hash is SHA-256 over a fixed label and every field but owner and created_at,
// length-prefixed in one written order (see intent.c): never over protobuf bytes, which are not
// canonical.
void intent_hash(uint8_t out[HASH_LEN], const struct intent *in);
// intent_copy copies `in` and all it points at into the arena. ERR_NO_SPACE.
RESULT intent_copy(struct intent *out, struct arena *a, const struct intent *in);
