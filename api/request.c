#include "api/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "api/events.h"
#include "store/err.h"

enum { HEADERS_MAX = 10, STORE_RETRY_S = 2 };

const char *request_url(struct request *r, const char *fmt, ...)
{
    char tail[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(tail, sizeof tail, fmt, ap);
    va_end(ap);
    return arena_printf(request_arena(r), "%s/%s", r->base, tail);
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
    uint64_t now = shard_now_ns(r->edge->shard);
    metric_observe_us(shard_metrics(r->edge->shard), shard_index(r->edge->shard), metric,
                      (now - r->stage_ns) / 1000);
    r->stage_ns = now;
}

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
    bool post = r->x->request.method == HTTP_POST,
         new_nonce = r->route != NULL && r->route->auth == AUTH_NONE &&
                     r->route->methods == ROUTE_GET && r->route->pattern[0] == 'n';
    if (post || new_nonce) {
        edge_nonce(r->edge, nonce);
        metric_add(shard_metrics(r->edge->shard), shard_index(r->edge->shard),
                   &METRIC_NONCES_ISSUED, 1);
        header_add(h, "Replay-Nonce", nonce);
        header_add(h, "Cache-Control", "no-store");
    }
    if (r->tenant != NULL)
        header_add(h, "Link",
                   arena_printf(request_arena(r), "<%s/directory>;rel=\"index\"", r->base));
    if (r->link_up != NULL)
        header_add(h, "Link", arena_printf(request_arena(r), "<%s>;rel=\"up\"", r->link_up));
    if (r->location != NULL) header_add(h, "Location", r->location);
    if (r->retry_after > 0)
        header_add(h, "Retry-After", arena_printf(request_arena(r), "%u", r->retry_after));
    if (r->allow != NULL) header_add(h, "Allow", r->allow);
    header_add(h, "X-Request-Id", r->id);
}

static void respond(struct request *r, unsigned status, const char *content_type, struct slice body)
{
    struct out_headers h = {0};
    char nonce[NONCE_TEXT_LEN + 1];
    common_headers(r, &h, nonce);
    if (content_type != NULL) header_add(&h, "Content-Type", content_type);
    struct http_response response = {
        .status = status, .headers = h.rows, .header_count = h.count, .body = body};
    r->stage_ns = r->started_ns;
    request_stage(r, &METRIC_STAGE_TOTAL);
    r->edge->request_count--;
    server_respond(r->x, &response); // r is gone now
}

void request_respond_json(struct request *r, unsigned status, struct slice body)
{
    respond(r, status, "application/json", body);
}

void request_respond_bytes(struct request *r, unsigned status, const char *content_type,
                           struct slice body)
{
    respond(r, status, content_type, body);
}

static void fail(struct request *r, enum problem p, unsigned status, const char *detail)
{
    struct buf b;
    struct log *log = shard_log(r->edge->shard);
    struct problem_extra extra = {
        .request_id = arena_printf(request_arena(r), "urn:certmill:request:%s", r->id),
        .algorithms = p == PROBLEM_BAD_SIGNATURE_ALGORITHM ? jws_alg_list() : NULL};
    buf_init(&b, 16384);
    if (failed(problem_write(&b, p, status, detail, &extra)))
        (void)!failed(buf_add_str(&b, problem_static(status)));
    metric_add(shard_metrics(r->edge->shard), shard_index(r->edge->shard), &METRIC_PROBLEMS, 1);
    LOG(log, status >= 500 && status != 503 ? &EVENT_REQUEST_FAILED : &EVENT_REQUEST_REFUSED,
        detail, LOG_STR("request", r->id), LOG_STR("type", problem_type(p)),
        LOG_INT("status", status), LOG_SLICE("path", r->x->request.path));
    respond(r, status, "application/problem+json", buf_slice(&b));
    buf_fini(&b);
}

void request_fail(struct request *r, enum problem p, const char *fmt, ...)
{
    char detail[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    fail(r, p, problem_status(p), detail);
}

void request_fail_status(struct request *r, enum problem p, unsigned status, const char *fmt, ...)
{
    char detail[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    fail(r, p, status, detail);
}

void request_fail_store(struct request *r, struct err e)
{
    bool busy = err_class(e) == ERR_CLASS_BUSY;
    r->retry_after = busy ? STORE_RETRY_S : 0;
    if (busy)
        request_fail_status(r, PROBLEM_SERVER_INTERNAL, 503, "%s; try again in %d s", err_text(e),
                            STORE_RETRY_S);
    else
        request_fail(r, PROBLEM_SERVER_INTERNAL, "%s", err_text(e));
}

bool request_object(struct request *r, struct id *out)
{
    if (!failed(id_parse(out, r->segment))) return true;
    request_fail_status(r, PROBLEM_MALFORMED, 404, "there is nothing at this URL");
    return false;
}
