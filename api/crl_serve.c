#include "api/crl_serve.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/events.h"

enum { MAX_AGE_S = 60, RETRY_S = 2, HEADERS_MAX = 8, TIME_MAX = 40 };

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct crl_request {
    struct store_crl_get get;
    struct http_exchange *x;
    struct edge *edge;
};

bool crl_path(struct slice path) { return slice_starts(path, SLICE_LIT("/crl/")); }

// number_take reads a decimal number without leading zeros from the front of `s`, up to `most`.
static bool number_take(uint64_t *out, struct slice *s, uint64_t most)
{
    size_t n = 0;
    *out = 0;
    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9' && *out <= most; n++)
        *out = *out * 10 + (uint64_t)(s->p[n] - '0');
    bool ok = n > 0 && *out <= most && (n == 1 || s->p[0] != '0');
    *s = slice_sub(*s, n, s->n);
    return ok;
}

static bool path_parse(uint16_t *out_issuer, uint32_t *out_shard, struct slice path)
{
    uint64_t issuer, shard;
    struct slice rest = slice_sub(path, 5, path.n);
    if (!number_take(&issuer, &rest, 1023) || !slice_starts(rest, SLICE_LIT("/"))) return false;
    rest = slice_sub(rest, 1, rest.n);
    if (!number_take(&shard, &rest, UINT32_MAX) || !slice_eq_str(rest, ".crl")) return false;
    *out_issuer = (uint16_t)issuer;
    *out_shard = (uint32_t)shard;
    return true;
}

// ---- answers

struct answer {
    struct http_header headers[HEADERS_MAX];
    size_t count;
};

static void header(struct answer *a, const char *name, const char *value)
{
    a->headers[a->count++] = (struct http_header){slice_str(name), slice_str(value)};
}

static void respond(struct edge *e, struct http_exchange *x, unsigned status,
                    const struct answer *a, struct slice body)
{
    edge_count(e, status < 400 ? &METRIC_CRL_ANSWERS_OK : &METRIC_CRL_ANSWERS_OTHER);
    e->request_count--;
    server_respond(
        x, &(struct http_response){
               .status = status, .headers = a->headers, .header_count = a->count, .body = body});
    edge_quiet_check(e);
}

static void refuse(struct edge *e, struct http_exchange *x, unsigned status, const char *text)
{
    struct answer a = {0};
    char retry[8];
    header(&a, "Content-Type", "text/plain; charset=utf-8");
    header(&a, "Cache-Control", "no-store");
    if (status == 405) header(&a, "Allow", "GET, HEAD");
    snprintf(retry, sizeof retry, "%d", RETRY_S);
    if (status == 503) header(&a, "Retry-After", retry);
    respond(e, x, status, &a, slice_str(text));
}

// http_date is RFC 9110 section 5.6.7, whatever the locale.
static void http_date(char out[TIME_MAX], int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    snprintf(out, TIME_MAX, "%s, %02d %s %d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void found(struct crl_request *q)
{
    const struct store_crl_get *c = &q->get;
    const struct http_request *r = &q->x->request;
    struct answer a = {0};
    char etag[32], cache[64], modified[TIME_MAX], expires[TIME_MAX];
    int64_t left = c->next_update - edge_db_now_us(q->edge) / 1000000;
    int64_t age = left < 0 ? 0 : left < MAX_AGE_S ? left : MAX_AGE_S;
    snprintf(etag, sizeof etag, "\"%llu\"", (unsigned long long)c->number);
    snprintf(cache, sizeof cache, "public, max-age=%lld", (long long)age);
    http_date(modified, c->this_update);
    http_date(expires, edge_db_now_us(q->edge) / 1000000 + age);
    header(&a, "Content-Type", "application/pkix-crl"); // RFC 5280 section 4.2.1.13
    header(&a, "Cache-Control", cache);
    header(&a, "Expires", expires);
    header(&a, "ETag", etag);
    header(&a, "Last-Modified", modified);
    if (slice_eq_str(http_header_find(r->headers, r->header_count, "if-none-match"), etag))
        respond(q->edge, q->x, 304, &a, SLICE_NONE);
    else
        respond(q->edge, q->x, 200, &a, c->der);
}

static void on_got(struct store_cmd *cmd, struct err err)
{
    struct crl_request *q = LIST_OWNER(LIST_OWNER(cmd, struct store_crl_get, cmd),
                                       struct crl_request, get);
    if (failed(err))
        refuse(q->edge, q->x, err_class(err) == ERR_CLASS_BUSY ? 503 : 500,
               "the CRL cannot be read just now\n");
    else if (!q->get.found)
        refuse(q->edge, q->x, 404, "there is no such CRL\n");
    else
        found(q);
}

void crl_answer(struct edge *e, struct http_exchange *x)
{
    enum http_method m = x->request.method;
    uint16_t issuer;
    uint32_t shard;
    struct crl_request *q;
    e->request_count++;
    if (m != HTTP_GET && m != HTTP_HEAD)
        refuse(e, x, 405, "a CRL is fetched with GET\n");
    else if (!path_parse(&issuer, &shard, x->request.path))
        refuse(e, x, 404, "there is no such CRL\n");
    else if (e->stopping || (q = ARENA_NEW(x->arena, struct crl_request)) == NULL)
        refuse(e, x, 503, "the CRL cannot be read just now\n");
    else {
        *q = (struct crl_request){
            .get = {.cmd = {.done = on_got, .arena = x->arena}, .issuer = issuer, .shard = shard},
            .x = x,
            .edge = e};
        store_crl_get(e->store, &q->get);
    }
}

// ---- the listener without TLS

static void on_request(void *ctx, struct http_exchange *x, const struct server_peer *peer)
{
    struct edge *e = ctx;
    (void)peer;
    if (crl_path(x->request.path)) {
        crl_answer(e, x);
        return;
    }
    e->request_count++;
    refuse(e, x, 404, "CRLs are at /crl/ISSUER/SHARD.crl\n");
}

static void on_gone(void *ctx, struct http_exchange *x)
{
    (void)ctx;
    (void)x; // its answer releases it
}

struct err crl_listener_new(struct server **out, char *note, size_t note_size, struct edge *e)
{
    static const struct server_handler handler = {.request = on_request, .gone = on_gone};
    const struct settings *s = e->front->settings;
    struct server_options o = {.name = "crl",
                               .listen = s->crl.address.address,
                               .listen_len = s->crl.address.len,
                               .plain_version = HTTP_1_1,
                               .http = {.head_size_max = 8192,
                                        .body_size_max = 1024,
                                        .header_count_max = 64,
                                        .streams_max = 8,
                                        .abuse_max = 100,
                                        .out_size_max = 4 << 20},
                               .conns_max = 1024,
                               .conns_per_peer_max = (unsigned)s->server.conns_per_peer_max,
                               .handshake_ms = (unsigned)s->server.handshake_ms,
                               .head_ms = (unsigned)s->server.head_ms,
                               .body_ms = (unsigned)s->server.body_ms,
                               .idle_ms = (unsigned)s->server.idle_ms,
                               .write_ms = (unsigned)s->server.write_ms,
                               .request_ms = (unsigned)s->server.request_ms};
    return server_new(out, note, note_size, e->shard, &o, &handler, e);
}
