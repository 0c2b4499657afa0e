// acme: a small blocking ACME client for tests, that can be made to send whatever a test wants.
// HTTP/1.1 over TLS with the rig's root trusted; one connection, reopened when it has ended. A
// failure of the connection stops the test.
#pragma once
#include "proto/base/arena.h"
#include "tests/support/make.h"

struct acme_tls;

struct acme {
    struct arena arena; // of everything that is handed out
    struct acme_tls *tls;
    unsigned port;
    char origin[64]; // "https://localhost:PORT"
    const char *tenant;
    EVP_PKEY *key;
    const char *kid; // after acme_register
    char nonce[300]; // of the last answer; empty: none
};

struct acme_answer {
    unsigned status;
    struct slice headers; // the head's text
    struct slice body;
};

// acme_init is a client with key number `key`. acme_port makes it talk to another front end.
void acme_init(struct acme *c, const char *root_pem_path, unsigned port, unsigned key);
void acme_fini(struct acme *c);
void acme_port(struct acme *c, unsigned port);

// acme_send sends any request and remembers the nonce of the answer. `host` NULL: the origin's.
struct acme_answer acme_send(struct acme *c, const char *method, const char *path, const char *host,
                             const char *content_type, struct slice body);
// acme_header is a header's value, exact spelling; empty when it is not there. acme_headers counts
// it.
struct slice acme_header(const struct acme_answer *a, const char *name);
unsigned acme_headers(const struct acme_answer *a, const char *name);
// acme_text is a member of the answer's document at a dotted path ("challenges.0.token"), as text;
// NULL when it is not there.
const char *acme_text(struct acme *c, const struct acme_answer *a, const char *path);
// acme_type is the last part of a problem's type, "" when there is none.
const char *acme_type(struct acme *c, const struct acme_answer *a);

// acme_nonce asks for a fresh nonce and makes it the next one used.
const char *acme_nonce(struct acme *c);
// acme_path makes "/acme/TENANT/..." and acme_url the URL of it.
const char *acme_path(struct acme *c, const char *rest);
const char *acme_url(struct acme *c, const char *rest);
// acme_jws signs `payload` (NULL: empty) with a header made from a template: %N the nonce, %U the
// URL of `path`, %K the kid, %J the jwk, %A the algorithm. acme_post sends it there.
struct slice acme_jws(struct acme *c, const char *path, const char *header, const char *payload);
#define ACME_KID "{\"alg\":\"%A\",\"kid\":\"%K\",\"nonce\":\"%N\",\"url\":\"%U\"}"
#define ACME_JWK "{\"alg\":\"%A\",\"jwk\":%J,\"nonce\":\"%N\",\"url\":\"%U\"}"
struct acme_answer acme_post(struct acme *c, const char *path, const char *header,
                             const char *payload);
// acme_call is acme_post with the account's key to a path or URL of ours, once more after a
// badNonce.
struct acme_answer acme_call(struct acme *c, const char *url, const char *payload);

// The steps of an issuance; each stops the test when the server refuses. acme_register makes the
// account; acme_order an order for names separated by commas; acme_authorize answers its challenges
// and waits; acme_csr is the finalize payload for these names and key number.
void acme_register(struct acme *c);
struct acme_answer acme_order(struct acme *c, const char *names);
void acme_authorize(struct acme *c, const struct acme_answer *order);
const char *acme_csr(struct acme *c, const char *names, unsigned key);
// acme_ready is an order that is ready: its URL.
const char *acme_ready(struct acme *c, const char *names);
// acme_wait polls a URL until its status is none of the two, at most `ms`.
struct acme_answer acme_wait(struct acme *c, const char *url, const char *not1, const char *not2,
                             unsigned ms);
// acme_thumbprint is the RFC 7638 thumbprint of the account's key, as text.
const char *acme_thumbprint(struct acme *c);
