#include "api/private.h"

#include "api/events.h"

static void ready_write(struct edge *e, struct buf *b, unsigned *status)
{
    bool store = store_ready(e->store), signer = signer_client_ready(e->signer);
    *status = store && signer && !e->draining ? 200 : 503;
    (void)!failed(buf_printf(b, "%s\ndatabase: %s\nsigner: %s\n",
                             e->draining      ? "draining"
                             : *status == 200 ? "ready"
                                              : "not ready",
                             store_state_text(e->store), signer_client_state_text(e->signer)));
}

static void on_request(void *ctx, struct http_exchange *x, const struct server_peer *peer)
{
    struct edge *e = ctx;
    static const struct http_header text[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("text/plain; version=0.0.4; charset=utf-8")}};
    struct buf b;
    unsigned status = 200;
    (void)peer;
    buf_init(&b, 8 << 20);
    if (slice_eq_str(x->request.path, "/livez"))
        (void)!failed(buf_add_str(&b, "ok\n"));
    else if (slice_eq_str(x->request.path, "/readyz"))
        ready_write(e, &b, &status);
    else if (slice_eq_str(x->request.path, "/metrics")) {
        metric_set(shard_metrics(e->shard), shard_index(e->shard), &METRIC_FLUSHES,
                   (int64_t)store_flush_count(e->store));
        (void)!failed(metrics_write(shard_metrics(e->shard), &b));
    } else
        status = 404;
    server_respond(
        x, &(struct http_response){
               .status = status, .headers = text, .header_count = 1, .body = buf_slice(&b)});
    buf_fini(&b);
}

static void on_gone(void *ctx, struct http_exchange *x)
{
    (void)ctx;
    http_exchange_release(x);
}

struct err private_new(struct server **out, char *note, size_t note_size, struct edge *e)
{
    static const struct server_handler handler = {.request = on_request, .gone = on_gone};
    const struct config_address *address = &e->front->settings->private_server.address;
    struct server_options o = {.name = "private",
                               .listen = address->address,
                               .listen_len = address->len,
                               .plain_version = HTTP_1_1,
                               .http = {.head_size_max = 8192,
                                        .body_size_max = 1024,
                                        .header_count_max = 64,
                                        .streams_max = 8,
                                        .abuse_max = 100,
                                        .out_size_max = 16 << 20},
                               .conns_max = 64,
                               .handshake_ms = 5000,
                               .head_ms = 5000,
                               .body_ms = 5000,
                               .idle_ms = 60000,
                               .write_ms = 10000,
                               .request_ms = 5000};
    return server_new(out, note, note_size, e->shard, &o, &handler, e);
}
