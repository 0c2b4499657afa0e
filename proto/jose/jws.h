// jws: the flattened JSON serialisation of RFC 7515 as RFC 8555 section 6.2 narrows it. Reading
// yields what the server must check (nonce, url, kid or jwk) and verifying is apart, so that checks
// of several requests can be done as one batch. Pure; any thread.
#pragma once
#include "proto/base/arena.h"
#include "proto/jose/jwk.h"

enum jws_alg {
    JWS_ALG_NONE,
    JWS_ES256,
    JWS_ES384,
    JWS_ES512,
    JWS_RS256,
    JWS_EDDSA,
    JWS_HS256,
    JWS_HS384,
    JWS_HS512
};

// struct jws: the parsed envelope; slices live in the arena given to jws_parse.
struct jws {
    enum jws_alg alg;
    struct slice nonce; // text of the "nonce" member; empty when absent
    struct slice url;   // text of "url"; empty when absent
    struct slice kid;   // text of "kid"; empty when absent
    bool has_jwk; // else kid is there: jws_parse sees to it that a request has exactly one of them
    struct jwk jwk;             // when has_jwk
    struct slice payload;       // decoded; empty for POST-as-GET
    struct slice signing_input; // the ASCII of protected "." payload
    struct slice signature;     // decoded
};

// enum jws_use: what the message is for, which decides the members of its protected header.
// JWS_USE_PLAIN and JWS_USE_PLAIN_MAC ask for what RFC 7515 asks for and no more; published test
// vectors, which know nothing of ACME, are read with them.
enum jws_use {
    JWS_USE_REQUEST,
    JWS_USE_EAB,
    JWS_USE_KEY_CHANGE_INNER,
    JWS_USE_PLAIN,
    JWS_USE_PLAIN_MAC
};

enum { JWS_NONCE_LEN_MAX = 256 };

// jws_parse reads the envelope strictly: flattened form with exactly protected, payload, signature
// (an unprotected header or "signatures" is refused; other top-level members are refused); strict
// base64url; protected header an object without duplicates; "crit" and "b64" refused; unknown
// members ignored; alg known and fitting the use (no MAC for a request, only MAC for EAB); for a
// request: nonce, url and exactly one of jwk and kid. `note` gets a sentence for people. Errors:
// ERR_BAD_JWS, ERR_BAD_JWS_NONCE (only that is wrong: none, or too long), ERR_BAD_JWS_ALG,
// ERR_BAD_JWK, ERR_BAD_JSON and its kin, ERR_BAD_BASE64URL, ERR_NO_SPACE.
RESULT jws_parse(struct jws *out, const char **note, struct arena *a, struct slice body,
                 enum jws_use use);
// jws_verify checks the signature with `key`; alg must fit the key's kind (ERR_BAD_JWS_ALG).
// ERR_BAD_JWS_SIGNATURE.
RESULT jws_verify(const struct jws *jws, const struct jwk *key);
// jws_p256_take takes the same check apart when it is ES256 with a P-256 key and a signature of 64
// octets, so that it can be made together with others; false: jws_verify gives the answer.
struct signature_p256;
bool jws_p256_take(struct signature_p256 *out, const struct jws *jws, const struct jwk *key);
// jws_verify_mac is for external account binding: HMAC under `secret`, compared in constant time.
// ERR_BAD_JWS_SIGNATURE.
RESULT jws_verify_mac(const struct jws *jws, struct slice secret);
// jws_alg_name is "ES256" and so on. jws_alg_list is the JSON array text of request algorithms, for
// problem documents; jws_mac_list that of algorithms for external account binding.
const char *jws_alg_name(enum jws_alg alg);
const char *jws_alg_list(void);
const char *jws_mac_list(void);
