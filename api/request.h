// request: one HTTP request on its way through the front end, from the router to its answer. It
// lives in its exchange's arena and ends with exactly one request_respond_* call; the peer may be
// gone by then.
#pragma once
#include "api/edge.h"
#include "api/problem.h"
#include "proto/jose/jws.h"

enum route_methods { ROUTE_GET = 1, ROUTE_POST = 2 };
enum route_auth { AUTH_NONE, AUTH_JWK, AUTH_KID };
enum { REQUEST_ID_LEN = 16, REQUEST_PATH_SEGMENTS = 4 };

struct request;

struct route {
    const char *name, *pattern;
    unsigned methods;
    enum route_auth auth;
    void (*handle)(struct request *r);
};

struct request {
    struct http_exchange *x;
    struct edge *edge;
    const struct tenant *tenant;
    const struct route *route;
    struct slice segment;        // what "*" stood for
    const char *base;            // "https://host:port/acme/<tenant>"
    char id[REQUEST_ID_LEN + 1]; // for people and logs
    uint64_t started_ns, stage_ns;
    struct list node; // in edge->verify_queue
    // after the envelope
    struct jws jws;
    struct nonce nonce;
    struct jwk key;              // that verified the request
    const struct id *account_id; // KID routes
    struct id account;
    uint32_t key_version;
    enum account_status account_status;
    struct json payload; // absent for POST-as-GET
    void *state;         // of the handler
    // for the answer
    const char *location, *link_up;
    unsigned retry_after; // seconds; 0: none
    const char *allow;    // of a 405
};

// request_arena is the exchange's arena.
static inline struct arena *request_arena(const struct request *r) { return r->x->arena; }
// request_url makes an absolute URL below the tenant: request_url(r, "order/%s", id). Never NULL.
const char *request_url(struct request *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
// request_respond_json answers with a document; request_respond_bytes with anything;
// request_respond_empty with no body.
void request_respond_json(struct request *r, unsigned status, struct slice body);
void request_respond_bytes(struct request *r, unsigned status, const char *content_type,
                           struct slice body);
// request_fail answers with a problem document; its usual status, or another by
// request_fail_status. `fmt` is for people.
void request_fail(struct request *r, enum problem p, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void request_fail_status(struct request *r, enum problem p, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// request_fail_store answers for a store command that failed: 503 with Retry-After, or 500.
void request_fail_store(struct request *r, struct err e);
// request_stage observes the time since the last stage in a histogram of `metric` and begins the
// next stage.
struct metric;
void request_stage(struct request *r, const struct metric *metric);
// request_object parses the id in the path; false (and answered with 404) when it is none.
bool request_object(struct request *r, struct id *out);
// request_time writes RFC 3339 in UTC with whole seconds.
enum { TIME_TEXT_LEN = 20 };
void request_time(char out[TIME_TEXT_LEN + 1], int64_t unix_s);
