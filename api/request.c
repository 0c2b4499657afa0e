#include "api/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "api/events.h"
#include "api/router.h"
#include "cluster/core/clock.h"
#include "proto/err.h"

enum {
    HEADERS_MAX = 10 + SIGNER_CHAINS_MAX,
    BUSY_RETRY_S = 2,
    URL_TAIL_MAX = 256,
    DETAIL_MAX = 1024
};

const char *request_url(struct request *r, const char *fmt, ...)
{
    char tail[URL_TAIL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(tail, sizeof tail, fmt, ap);
    va_end(ap);
    return arena_printf(request_arena(r), "%s/%s", r->base, tail);
}

const char *request_text(struct request *r, struct slice s)
{
    return arena_printf(request_arena(r), "%" SLICE_FMT, SLICE_ARG(s));
}

void request_put_identifier(struct request *r, struct json_out *o, const struct identifier *id)
{
    json_object_begin(o);
    json_key(o, "type");
    json_put_str(o, id->type == IDENTIFIER_IP ? "ip" : "dns");
    json_key(o, "value");
    json_put_str(o, identifier_text(request_arena(r), id));
    json_object_end(o);
}

void request_time(char out[TIME_TEXT_LEN + 1], int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, TIME_TEXT_LEN + 1, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void request_stage(struct request *r, const struct metric *metric)
{
    // Not the turn's time: most stages begin and end in one turn.
    uint64_t now = clock_monotonic_ns();
    metric_observe_us(shard_metrics(r->edge->shard), shard_index(r->edge->shard), metric,
                      (now - r->stage_ns) / 1000);
    r->stage_ns = now;
}

void *request_new(struct request *r, size_t size)
{
    void *p = arena_calloc(request_arena(r), size);
    if (p == NULL) request_fail_err(r, ERR(NO_SPACE));
    return p;
}

// ---- answers

struct out_headers {
    struct http_header rows[HEADERS_MAX];
    size_t count;
};

static void header_add(struct out_headers *h, const char *name, const char *value)
{
    CHECK(h->count < HEADERS_MAX);
    h->rows[h->count++] = (struct http_header){slice_str(name), slice_str(value)};
}

static void common_headers(struct request *r, struct out_headers *h, char nonce[NONCE_TEXT_LEN + 1])
{
    if (r->x->request.method == HTTP_POST || r->fresh_nonce) {
        edge_nonce(r->edge, nonce);
        header_add(h, "Replay-Nonce", nonce);
        header_add(h, "Cache-Control", "no-store");
    }
    if (r->max_age > 0)
        header_add(h, "Cache-Control",
                   arena_printf(request_arena(r), "public, max-age=%u", r->max_age));
    if (r->tenant != NULL)
        header_add(h, "Link",
                   arena_printf(request_arena(r), "<%s/directory>;rel=\"index\"", r->base));
    if (r->link_next != NULL)
        header_add(h, "Link", arena_printf(request_arena(r), "<%s>;rel=\"next\"", r->link_next));
    for (size_t i = 0; i < r->link_alternate_count; i++)
        header_add(h, "Link",
                   arena_printf(request_arena(r), "<%s>;rel=\"alternate\"", r->link_alternates[i]));
    if (r->link_help != NULL)
        header_add(h, "Link", arena_printf(request_arena(r), "<%s>;rel=\"help\"", r->link_help));
    if (r->link_up != NULL)
        header_add(h, "Link", arena_printf(request_arena(r), "<%s>;rel=\"up\"", r->link_up));
    if (r->terms != NULL)
        header_add(h, "Link",
                   arena_printf(request_arena(r), "<%s>;rel=\"terms-of-service\"", r->terms));
    if (r->location != NULL) header_add(h, "Location", r->location);
    if (r->retry_after > 0)
        header_add(h, "Retry-After", arena_printf(request_arena(r), "%u", r->retry_after));
    if (r->allow != NULL) header_add(h, "Allow", r->allow);
    header_add(h, "X-Request-Id", r->id);
}

void request_respond(struct request *r, unsigned status, const char *content_type,
                     struct slice body)
{
    struct edge *e = r->edge;
    struct out_headers h = {0};
    char nonce[NONCE_TEXT_LEN + 1];
    common_headers(r, &h, nonce);
    if (content_type != NULL) header_add(&h, "Content-Type", content_type);
    r->stage_ns = r->started_ns;
    request_stage(r, &METRIC_STAGE_TOTAL);
    edge_count(e, router_metric(r->route, status));
    e->request_count--;
    // r is gone after this.
    server_respond(r->x,
                   &(struct http_response){
                       .status = status, .headers = h.rows, .header_count = h.count, .body = body});
    edge_quiet_check(e);
}

void request_respond_json(struct request *r, unsigned status, struct json_out *o)
{
    struct err e = json_out_end(o);
    if (failed(e))
        request_fail(r, PROBLEM_SERVER_INTERNAL, "the document could not be written: %s",
                     err_text(e));
    else
        request_respond(r, status, "application/json", buf_slice(o->buf));
}

// ---- problems

static void fail(struct request *r, enum problem p, unsigned status, const char *detail)
{
    struct buf *b = edge_scratch(r->edge);
    struct problem_extra extra = {
        .subproblems = r->subproblems,
        .instance = r->terms != NULL
                        ? r->terms
                        : arena_printf(request_arena(r), PROBLEM_REQUEST_URN "%s", r->id),
        .algorithms = p != PROBLEM_BAD_SIGNATURE_ALGORITHM ? NULL
                      : r->algorithms != NULL              ? r->algorithms
                                                           : jws_alg_list()};
    if (failed(problem_write(b, p, status, detail, &extra))) buf_clear(b); // the status must do
    edge_count(r->edge, &METRIC_PROBLEMS);
    LOG(shard_log(r->edge->shard),
        status >= 500 && status != 503 ? &EVENT_REQUEST_FAILED : &EVENT_REQUEST_REFUSED, detail,
        LOG_STR("request", r->id), LOG_STR("type", problem_type(p)), LOG_INT("status", status),
        LOG_SLICE("path", r->x->request.path));
    request_respond(r, status, "application/problem+json", buf_slice(b));
}

void request_fail(struct request *r, enum problem p, const char *fmt, ...)
{
    char detail[DETAIL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    fail(r, p, problem_status(p), detail);
}

void request_fail_status(struct request *r, enum problem p, unsigned status, const char *fmt, ...)
{
    char detail[DETAIL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    fail(r, p, status, detail);
}

void request_fail_err(struct request *r, struct err e)
{
    if (err_class(e) != ERR_CLASS_BUSY) {
        request_fail(r, PROBLEM_SERVER_INTERNAL, "%s", err_text(e));
        return;
    }
    r->retry_after = BUSY_RETRY_S;
    request_fail_status(r, PROBLEM_SERVER_INTERNAL, 503, "%s; try again in %d s", err_text(e),
                        BUSY_RETRY_S);
}

void request_fail_absent(struct request *r, const char *what)
{
    request_fail_status(r, PROBLEM_UNAUTHORIZED, 404, "this account has no such %s", what);
}

bool request_object(struct request *r, struct id *out, const char *what)
{
    if (!failed(id_parse(out, r->segments[0]))) return true;
    request_fail_absent(r, what);
    return false;
}

void request_fail_account(struct request *r, const char *status)
{
    request_fail_status(r, PROBLEM_UNAUTHORIZED, 401,
                        "the account is %s: nothing can be done with it or its key any more",
                        status);
}
