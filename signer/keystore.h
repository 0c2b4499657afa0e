// keystore: what the signer holds secret: issuing keys and serial keys, opened once at start, in
// locked memory where the system allows.
#pragma once
#include <openssl/evp.h>

#include "proto/base/arena.h"
#include "proto/der/cert.h"
#include "proto/rpc/intent.h"

enum { KEYSTORE_NOTE_MAX = 512 };

struct issuer {
    uint16_t id;
    EVP_PKEY *key;
    struct slice certificate, root; // DER
    struct cert cert;               // parsed
    uint8_t certificate_hash[HASH_LEN];
    struct slice algorithm; // AlgorithmIdentifier of its signatures, DER
};

struct keystore {
    struct arena arena;
    struct issuer issuer;   // one per signer in this version; ids leave room for more
    uint8_t serial_key[32]; // generation 1
    uint32_t serial_generation;
};

// keystore_open reads the ceremony's folder. `note` gets a sentence with the cure. ERR_PASSPHRASE,
// ERR_KEY, ERR_SYSTEM, ERR_EXPIRED_CA.
RESULT keystore_open(struct keystore *out, char note[KEYSTORE_NOTE_MAX], const char *dir,
                     const char *passphrase_file, int64_t now_s);
void keystore_close(struct keystore *k);
