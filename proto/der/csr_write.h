// csr_write: makes a PKCS#10 certification request (RFC 2986). Pure but for the library's random
// numbers; any thread.
#pragma once
#include "proto/base/buf.h"

struct evp_pkey_st; // BoringSSL's EVP_PKEY

// csr_write appends the DER of a request for a P-256 key, with an empty subject and one DNS name,
// signed by the key with SHA-256. ERR_CRYPTO, ERR_NO_SPACE.
RESULT csr_write(struct buf *out, struct evp_pkey_st *key, const char *dns_name);
