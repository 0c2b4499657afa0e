#include "bench/load/responder.h"

#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

struct responder {
    struct server *server;
    struct list entries;
};

static const char prefix[] = "/.well-known/acme-challenge/";

static struct responder_entry *entry_find(struct responder *r, struct slice path)
{
    if (!slice_starts(path, slice_str(prefix))) return NULL;
    struct slice token = slice_sub(path, sizeof prefix - 1, path.n);
    LIST_EACH (node, &r->entries) {
        struct responder_entry *e = LIST_OWNER(node, struct responder_entry, node);
        if (slice_eq_str(token, e->token)) return e;
    }
    return NULL;
}

static void on_request(void *ctx, struct http_exchange *x, const struct server_peer *peer)
{
    (void)peer;
    static const struct http_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/octet-stream")}};
    struct responder_entry *e = entry_find(ctx, x->request.path);
    struct http_response response = {.status = e == NULL ? 404 : 200,
                                     .headers = headers,
                                     .header_count = 1,
                                     .body = e == NULL ? SLICE_LIT("no such token\n")
                                                       : slice_str(e->key_authorization)};
    if (e != NULL) e->served++;
    server_respond(x, &response);
}

static void on_gone(void *ctx, struct http_exchange *x)
{
    (void)ctx;
    http_exchange_release(x);
}

static const struct server_handler handler = {.request = on_request, .gone = on_gone};

struct err responder_new(struct responder **out, char *note, size_t note_size, struct shard *shard,
                         const struct sockaddr_storage *address, socklen_t address_len)
{
    struct responder *r = calloc(1, sizeof *r);
    if (r == NULL) return ERR(NO_SPACE);
    list_init(&r->entries);
    struct server_options options = {.name = "responder",
                                     .listen = *address,
                                     .listen_len = address_len,
                                     .plain_version = HTTP_1_1,
                                     .http = {.head_size_max = 8192,
                                              .body_size_max = 1024,
                                              .header_count_max = 64,
                                              .streams_max = 1,
                                              .abuse_max = 100,
                                              .out_size_max = 65536},
                                     .conns_max = 512,
                                     .handshake_ms = 5000,
                                     .head_ms = 5000,
                                     .body_ms = 5000,
                                     .idle_ms = 15000,
                                     .write_ms = 5000,
                                     .request_ms = 5000};
    struct err e = server_new(&r->server, note, note_size, shard, &options, &handler, r);
    if (failed(e)) {
        free(r);
        return e;
    }
    *out = r;
    return OK;
}

void responder_free(struct responder *r)
{
    if (r == NULL) return;
    server_free(r->server);
    free(r);
}

void responder_offer(struct responder *r, struct responder_entry *entry)
{
    list_push_back(&r->entries, &entry->node);
}

void responder_withdraw(struct responder_entry *entry)
{
    if (entry->node.next != NULL) list_remove(&entry->node);
}
