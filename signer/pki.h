// pki: certificates and key files that are made rarely: by the ceremony and by renewals.
// BoringSSL's X.509 objects are good enough here. One thread.
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "proto/base/buf.h"

enum pki_key { PKI_P256, PKI_P384, PKI_RSA2048, PKI_RSA3072, PKI_RSA4096 };

// pki_key_make makes a key pair; NULL when the library refuses. pki_key_parse reads "p256",
// "rsa3072" ...; false for others.
EVP_PKEY *pki_key_make(enum pki_key kind);
bool pki_key_parse(enum pki_key *out, const char *text);

struct pki_request {
    const char *common_name, *organization; // organization may be NULL
    int64_t not_before, not_after;          // seconds, inclusive end
    bool ca;
    int path_len; // of a CA
    const char *const
        *permit_dns; // name constraints of a CA (critical), NULL-terminated; NULL: none
    const char *const *dns, *const *ips; // SAN of a leaf, NULL-terminated; NULL: none
    const char *uri;                     // SAN URI of a leaf: its role
};

// pki_cert_make signs a certificate for `key` by `issuer`/`issuer_key` (NULL: self-signed). NULL
// with a sentence in `note`.
X509 *pki_cert_make(const struct pki_request *r, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                    char *note, size_t note_size);
// The PEM and DER forms append to `out`. pki_key_seal writes PKCS#8 encrypted with PBES2 (PBKDF2,
// AES-256-CBC), readable by `openssl pkey`. ERR_CRYPTO.
RESULT pki_cert_pem(struct buf *out, X509 *cert);
RESULT pki_cert_der(struct buf *out, X509 *cert);
RESULT pki_key_pem(struct buf *out, EVP_PKEY *key);
RESULT pki_key_seal(struct buf *out, EVP_PKEY *key, struct slice passphrase);
// pki_key_open reads an encrypted (or plain) PKCS#8 PEM. ERR_PASSPHRASE, ERR_KEY.
RESULT pki_key_open(EVP_PKEY **out, struct slice pem, struct slice passphrase);
X509 *pki_cert_parse(struct slice pem); // the first of a PEM text; NULL
// pki_secret_seal and pki_secret_open keep 32 random bytes under the passphrase: "CMSEAL1", salt,
// iterations, nonce, AES-256-GCM. ERR_CRYPTO, ERR_PASSPHRASE.
enum { PKI_SECRET_LEN = 32 };
RESULT pki_secret_seal(struct buf *out, const uint8_t secret[PKI_SECRET_LEN],
                       struct slice passphrase);
RESULT pki_secret_open(uint8_t out[PKI_SECRET_LEN], struct slice sealed, struct slice passphrase);
