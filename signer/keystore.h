// keystore: what the signer holds secret: issuing keys, the internal root's key and serial keys,
// opened once at start, in locked memory where the system allows.
#pragma once
#include <openssl/evp.h>

#include "proto/base/arena.h"
#include "proto/der/cert.h"
#include "proto/p256/cpu.h"
#include "proto/rpc/intent.h"
#include "signer/leaf.h"

enum { KEYSTORE_NOTE_MAX = 512, ISSUERS_MAX = 8, ISSUER_FILES_MAX = 99 };

struct engine;

// struct issuer_chain is a further chain of an issuing CA (signer/chains.h).
struct issuer_chain {
    const struct slice
        *certificates; // DER, from one for the issuing CA's key upwards, without root
    size_t count;
    struct slice root; // DER
};
enum { ISSUER_CHAINS_MAX = 8 };

struct issuer {
    uint16_t id;
    EVP_PKEY *key;
    struct slice certificate, root; // DER
    struct cert cert;               // parsed
    struct slice root_spki;         // key of the root: neither is ever certified as a leaf
    int64_t root_not_before, root_not_after;
    uint8_t certificate_hash[HASH_LEN];
    struct slice algorithm;                        // AlgorithmIdentifier of its signatures, DER
    struct issuer_chain chains[ISSUER_CHAINS_MAX]; // beside `certificate` alone
    size_t chain_count;
    struct engine *engine; // of a P-256 key (signer/engine.h); NULL: BoringSSL signs
};

// struct leaf_ca: what certificates of our own programs are made with (signer/leaf.h).
struct leaf_ca {
    X509 *cert;
    EVP_PKEY *key; // of the issuer: the one of struct issuer
};

struct keystore {
    struct arena arena;
    struct issuer issuer; // the first that is in force: our own servers' certificates are its
    struct issuer further[ISSUERS_MAX - 1];
    size_t further_count;
    struct leaf_ca internal, server;
    int64_t internal_not_before, internal_not_after; // of the internal root
    struct leaf_names server_names, signer_names;    // as the ceremony gave them
    bool serves;                                     // there is a server certificate to renew
    uint8_t *serial_key;                             // generation 1: 32 octets in the vault
    uint32_t serial_generation;
};

// keystore_open reads the ceremony's folder. `note` gets a sentence with the cure. `kernel` is what
// a P-256 key signs and checks with. ERR_PASSPHRASE, ERR_KEY, ERR_SYSTEM, ERR_EXPIRED_CA.
RESULT keystore_open(struct keystore *out, char note[KEYSTORE_NOTE_MAX], const char *dir,
                     const char *passphrase_file, int64_t now_s, enum p256_kernel kernel);
void keystore_close(struct keystore *k);
// keystore_issuer finds an issuing CA by id; NULL: it is not here. keystore_issuer_at is the i-th
// of them, NULL behind the last.
const struct issuer *keystore_issuer(const struct keystore *k, uint32_t id);
const struct issuer *keystore_issuer_at(const struct keystore *k, size_t i);
