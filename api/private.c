#include "api/private.h"

#include "api/events.h"

// ready_write: a front end takes requests when its database is there and it knows what the signers
// offer. Signers that are away later do not make it unready: orders wait for them, and a load
// balancer that sent nobody here would help no one.
static void ready_write(struct edge *e, struct buf *b, unsigned *status)
{
    bool able = store_ready(e->store) && e->catalog.profile_count > 0;
    *status = able && !e->draining ? 200 : 503;
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
    else if (slice_eq_str(x->request.path, "/metrics"))
        (void)!failed(metrics_write(shard_metrics(e->shard), &b));
    else
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
