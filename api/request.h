// request: one HTTP request on its way through the front end, from the router to its answer. It
// lives in its exchange's arena and ends with exactly one answer (request_respond*, request_fail*);
// the peer may be gone by then.
#pragma once
#include "api/edge.h"
#include "api/problem.h"
#include "api/redeem.h"
#include "proto/jose/jws.h"

enum route_methods { ROUTE_GET = 1, ROUTE_POST = 2 };
enum route_auth { AUTH_NONE, AUTH_JWK, AUTH_KID, AUTH_EITHER };
enum { ROUTE_SEGMENT_COUNT_MAX = 2 };

struct request;

struct route {
    const char *pattern;
    unsigned methods;
    enum route_auth auth;
    void (*handle)(struct request *r);
};

struct request {
    struct http_exchange *x;
    struct edge *edge;
    const struct tenant *tenant;
    const struct route *route;
    struct sockaddr_storage peer;                   // the client's address
    struct slice segments[ROUTE_SEGMENT_COUNT_MAX]; // what each "*" stood for
    const char *origin;                             // "https://host:port"
    const char *base;                               // "https://host:port/acme/<tenant>"
    char id[REQUEST_ID_LEN + 1];                    // for people and logs
    uint64_t started_ns, stage_ns; // for the histograms of the stages: clock_monotonic_ns
    struct verify_job verify;
    struct err verify_err; // of the JWS that did not verify
    // after the envelope
    struct jws jws;
    struct redemption redemption;
    struct jwk key;         // that verified the request
    bool has_account;       // signed by an account (kid), not by a key alone (jwk)
    bool account_is_cached; // as it was some seconds ago at most
    struct id account;
    enum account_status account_status;
    uint32_t key_version;
    char eab_kid[EAB_KID_MAX + 1]; // the account's external account binding key; empty: none
    struct json payload;           // absent for POST-as-GET
    void *user;                    // the handler's, between its steps
    // for the answer
    const char *location, *link_up, *link_next, *link_help;
    const char *const *link_alternates; // URLs of the certificate's other chains
    size_t link_alternate_count;        // at most SIGNER_CHAINS_MAX
    const char *terms;                  // URL of the terms to agree to, with userActionRequired
    const char *algorithms;             // of badSignatureAlgorithm, JSON; NULL: those of requests
    unsigned retry_after;               // seconds; 0: none
    const char *subproblems; // JSON array, of what is wrong with single identifiers; NULL: none
    const char *allow;       // of a 405
    unsigned max_age;        // seconds a cache may keep the answer; 0: says nothing
    bool fresh_nonce;        // also where it is not a POST that is answered
};

// request_arena is the exchange's arena.
static inline struct arena *request_arena(const struct request *r) { return r->x->arena; }
// request_url makes an absolute URL below the tenant: request_url(r, "order/%s", id). Never NULL.
const char *request_url(struct request *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
// request_respond answers; `content_type` NULL: without a body. The body is copied.
void request_respond(struct request *r, unsigned status, const char *content_type,
                     struct slice body);
// request_respond_json answers with the document that `o` has written, or 500 when it could not be
// written.
void request_respond_json(struct request *r, unsigned status, struct json_out *o);
// request_fail answers with a problem document; its usual status, or another by
// request_fail_status. `fmt` is for people.
void request_fail(struct request *r, enum problem p, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void request_fail_status(struct request *r, enum problem p, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// request_fail_err answers for something of ours that failed: of class BUSY 503 with Retry-After,
// else 500.
void request_fail_err(struct request *r, struct err e);
// request_fail_absent answers 404 for what is not there and for what is another account's, alike.
void request_fail_absent(struct request *r, const char *what);
// REQUEST_NEW is a zeroed struct in the request's arena; request_new answers 503 when that is full.
void *request_new(struct request *r, size_t size);
#define REQUEST_NEW(r, type) ((type *)request_new((r), sizeof(type)))
// request_stage observes the time since the last stage in a histogram of `metric` and begins the
// next stage.
struct metric;
void request_stage(struct request *r, const struct metric *metric);
// request_fail_account answers 401 for an account that was deactivated or revoked (RFC 8555
// section 7.3.6); `status` is which.
void request_fail_account(struct request *r, const char *status);
// request_object parses the id in the path (the first segment); false when it is none: then it has
// been answered as an object that is not there (`what`: "order"), which a client with a URL of long
// ago survives.
bool request_object(struct request *r, struct id *out, const char *what);
// request_text is a slice as NUL-terminated text in the arena, for messages; bytes that are no text
// are the message's writer's to escape.
const char *request_text(struct request *r, struct slice s);
// request_put_identifier writes {"type":...,"value":...}.
void request_put_identifier(struct request *r, struct json_out *o, const struct identifier *id);
// request_time writes RFC 3339 in UTC with whole seconds.
enum { TIME_TEXT_LEN = 20 };
void request_time(char out[TIME_TEXT_LEN + 1], int64_t unix_s);
