// key: P-256 keys of the load generator: account keys that sign requests, leaf keys that sign CSRs.
// Any thread; one key, one thread.
#pragma once
#include "proto/base/buf.h"
#include "proto/jose/jwk.h"

struct bench_key; // private

// bench_key_new makes a fresh P-256 key; NULL without memory. bench_key_free wipes it.
struct bench_key *bench_key_new(void);
void bench_key_free(struct bench_key *k);
// bench_key_jwk is the public key. bench_key_thumbprint writes its RFC 7638 thumbprint in base64url
// and a NUL.
const struct jwk *bench_key_jwk(const struct bench_key *k);
enum { BENCH_THUMBPRINT_TEXT_LEN = 43 };
void bench_key_thumbprint(const struct bench_key *k, char out[BENCH_THUMBPRINT_TEXT_LEN + 1]);
// bench_jws_write appends a flattened ES256 JWS (RFC 8555 section 6.2): with `kid`, or with the key
// itself when kid is empty. An absent payload (p NULL) is POST-as-GET. ERR_NO_SPACE.
RESULT bench_jws_write(struct buf *out, const struct bench_key *k, struct slice kid,
                       struct slice nonce, struct slice url, struct slice payload);
// bench_csr_write appends the DER of a PKCS#10 request for `names` (DNS), empty subject.
// ERR_CRYPTO.
RESULT bench_csr_write(struct buf *out, const struct bench_key *k, const char *const *names,
                       size_t count);
// bench_key_pem appends the private key as PKCS#8 PEM. ERR_CRYPTO.
RESULT bench_key_pem(struct buf *out, const struct bench_key *k);
