// problem: the one place that knows ACME's problem types and their HTTP status (RFC 8555
// section 6.7, RFC 7807). Pure.
#pragma once
#include "proto/base/buf.h"

// The types that this server uses. X(ident, type, usual status)
#define PROBLEMS(X)                                              \
    X(ACCOUNT_DOES_NOT_EXIST, "accountDoesNotExist", 400)        \
    X(ALREADY_REPLACED, "alreadyReplaced", 409)                  \
    X(ALREADY_REVOKED, "alreadyRevoked", 400)                    \
    X(BAD_CSR, "badCSR", 400)                                    \
    X(BAD_NONCE, "badNonce", 400)                                \
    X(BAD_PUBLIC_KEY, "badPublicKey", 400)                       \
    X(BAD_REVOCATION_REASON, "badRevocationReason", 400)         \
    X(BAD_SIGNATURE_ALGORITHM, "badSignatureAlgorithm", 400)     \
    X(CAA, "caa", 403)                                           \
    X(COMPOUND, "compound", 400)                                 \
    X(CONNECTION, "connection", 400)                             \
    X(DNS, "dns", 400)                                           \
    X(EXTERNAL_ACCOUNT_REQUIRED, "externalAccountRequired", 403) \
    X(INCORRECT_RESPONSE, "incorrectResponse", 403)              \
    X(INVALID_CONTACT, "invalidContact", 400)                    \
    X(INVALID_PROFILE, "invalidProfile", 400)                    \
    X(MALFORMED, "malformed", 400)                               \
    X(ORDER_NOT_READY, "orderNotReady", 403)                     \
    X(RATE_LIMITED, "rateLimited", 429)                          \
    X(REJECTED_IDENTIFIER, "rejectedIdentifier", 400)            \
    X(SERVER_INTERNAL, "serverInternal", 500)                    \
    X(TLS, "tls", 400)                                           \
    X(UNAUTHORIZED, "unauthorized", 403)                         \
    X(UNSUPPORTED_CONTACT, "unsupportedContact", 400)            \
    X(UNSUPPORTED_IDENTIFIER, "unsupportedIdentifier", 400)      \
    X(USER_ACTION_REQUIRED, "userActionRequired", 403)

enum problem {
#define X(ident, type, status) PROBLEM_##ident,
    PROBLEMS(X)
#undef X
        PROBLEM_COUNT,
};

// problem_status is the usual HTTP status of a type; problem_type its URN, never NULL.
unsigned problem_status(enum problem p);
const char *problem_type(enum problem p); // "urn:ietf:params:acme:error:malformed"

struct problem_extra {
    const char *instance;    // the request's URN, or what userActionRequired sends to; NULL: none
    const char *algorithms;  // JSON array text for badSignatureAlgorithm; NULL: none
    const char *subproblems; // JSON array text (RFC 8555 section 6.7.1); NULL: none
};

// problem_write appends the document: type, detail, status and the extras. ERR_NO_SPACE.
RESULT problem_write(struct buf *out, enum problem p, unsigned status, const char *detail,
                     const struct problem_extra *extra);
// problem_write_refusal appends the document of an answer that the server makes without a request
// of ACME's (400, 405, 408, 413, 417, 431, 501, 503, 505; any other like 400). ERR_NO_SPACE.
RESULT problem_write_refusal(struct buf *out, unsigned status, const char *request);

// The URN before a request's id in "instance".
#define PROBLEM_REQUEST_URN "urn:certmill:request:"
