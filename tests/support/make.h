// make: builds what tests send: DER pieces, keys, certification requests, certificates and JWS,
// good ones and ones with a chosen defect. Everything lives in the arena that is passed; running
// out of it, or a refusal by the library, stops the test program.
#pragma once
#include <openssl/base.h>

#include "proto/base/arena.h"
#include "proto/der/key.h"

// make_tlv is one DER value: a tag octet, the shortest length, the parts one behind the other.
struct slice make_tlv(struct arena *a, uint8_t tag, const struct slice *parts, size_t count);
// MAKE_TLV(a, tag, parts...) and MAKE_SEQUENCE(a, parts...) take the parts as arguments; MAKE_EMPTY
// has none.
#define MAKE_TLV(a, tag, ...)                                 \
    make_tlv((a), (tag), (const struct slice[]){__VA_ARGS__}, \
             sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))
#define MAKE_SEQUENCE(a, ...) MAKE_TLV((a), 0x30, __VA_ARGS__)
#define MAKE_EMPTY(a, tag) make_tlv((a), (tag), NULL, 0)
// make_joined puts slices one behind the other.
struct slice make_joined(struct arena *a, const struct slice *parts, size_t count);
#define MAKE_JOINED(a, ...)                               \
    make_joined((a), (const struct slice[]){__VA_ARGS__}, \
                sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))
// make_hex reads hexadecimal text; spaces are skipped.
struct slice make_hex(struct arena *a, const char *text);
// make_text is printf into the arena.
struct slice make_text(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// make_key returns a private key that is made once per program and kind and is never freed; `bits`
// counts for RSA only. Two calls with another `number` give two keys.
EVP_PKEY *make_key(enum key_type type, unsigned bits, unsigned number);
// make_spki is its SubjectPublicKeyInfo.
struct slice make_spki(struct arena *a, EVP_PKEY *key);
// make_rsa_spki is the SubjectPublicKeyInfo of an RSA key of any size that nobody holds the private
// half of.
struct slice make_rsa_spki(struct arena *a, unsigned bits, const char *exponent_hex);
// make_algorithm is the AlgorithmIdentifier that make_signature uses for the key: SHA-256, -384,
// -512 with P-256, -384, -521, SHA-256 with RSA, or Ed25519.
struct slice make_algorithm(struct arena *a, EVP_PKEY *key);
// make_signature signs as certificates do (ECDSA in DER); make_signature_jws as JWS does (r and s).
struct slice make_signature(struct arena *a, EVP_PKEY *key, struct slice message);
struct slice make_signature_jws(struct arena *a, EVP_PKEY *key, struct slice message);

// make_extension is one Extension around the value's content; make_alt_names one subjectAltName of
// dNSNames separated by commas.
struct slice make_extension(struct arena *a, struct slice oid, bool critical, struct slice value);
struct slice make_alt_names(struct arena *a, const char *names);
// make_rdn is one RelativeDistinguishedName of one attribute. `oid` is content octets, `tag` the
// string type.
struct slice make_rdn(struct arena *a, struct slice oid, uint8_t tag, struct slice value);

// struct make_csr: the parts of a request. What is left empty gets its default; `key` must be
// given.
struct make_csr {
    EVP_PKEY *key;
    EVP_PKEY *signer;        // default: key
    struct slice version;    // default: INTEGER 0
    struct slice subject;    // Name; default: empty SEQUENCE
    struct slice spki;       // default: of key
    struct slice extensions; // Extensions, one behind the other, that become an extensionRequest;
                             // default: none
    struct slice attributes; // whole content of [0]; default: from `extensions`
    bool no_attributes;      // leave [0] out
    struct slice info_tail;  // bytes behind the attributes
    struct slice algorithm;  // default: make_algorithm
    struct slice signature; // BIT STRING content with its count of unused bits; default: a good one
    struct slice tail;      // bytes behind the signature, inside
};
struct slice make_csr(struct arena *a, const struct make_csr *parts);
// make_csr_for is a good request with these dNSNames, separated by commas.
struct slice make_csr_for(struct arena *a, EVP_PKEY *key, const char *names);

// make_jws is the flattened JSON of a protected header (text) and a payload, signed with the key.
struct slice make_jws(struct arena *a, EVP_PKEY *key, struct slice protected, struct slice payload);
// make_jws_mac is the same under an HMAC-SHA-256, -384 or -512 secret; `bits` chooses.
struct slice make_jws_mac(struct arena *a, unsigned bits, struct slice secret,
                          struct slice protected, struct slice payload);
// make_jws_parts is the flattened JSON of three parts that are encoded here and nothing else.
struct slice make_jws_parts(struct arena *a, struct slice protected, struct slice payload,
                            struct slice signature);
// make_jwk is the JWK text of the public key. make_alg is the JWS name of the algorithm that fits
// it.
struct slice make_jwk(struct arena *a, EVP_PKEY *key);
const char *make_alg(EVP_PKEY *key);

// struct make_cert: the parts of a certificate. What is left empty gets its default; `key` (of the
// subject) and `issuer_key` must be given.
struct make_cert {
    EVP_PKEY *key;
    EVP_PKEY *issuer_key;
    struct slice version;         // whole [0]; default: version 3
    struct slice serial;          // whole INTEGER; default: 0x0102
    struct slice algorithm;       // inside; default: make_algorithm of issuer_key
    struct slice issuer;          // Name; default: CN=Issuer
    struct slice validity;        // default: 2026-01-01 to 2026-01-02
    struct slice subject;         // Name; default: empty SEQUENCE
    struct slice spki;            // default: of key
    struct slice extensions;      // Extensions, one behind the other; default: none
    struct slice tbs_tail;        // in place of [3], or behind it
    struct slice outer_algorithm; // default: make_algorithm of issuer_key
    struct slice signature;       // BIT STRING content; default: a good one
    struct slice tail;            // bytes behind the signature, inside
};
struct slice make_cert(struct arena *a, const struct make_cert *parts);
