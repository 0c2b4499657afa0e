#include "cluster/rpc/call.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster/core/address.h"
#include "cluster/err.h"
#include "cluster/rpc/message.h"
#include "proto/err.h"
#include "proto/grpc/frame.h"

enum {
    WAITING_MAX = 65536,
    STREAMS_MAX = 256,
    EJECT_AFTER = 5,
    BACKOFF_MS_MIN = 50,
    NOTE_MAX = 256,
    RESPONSE_ARENA_MAX = 16 * 1024 * 1024
};

struct target {
    struct rpc_channel *channel;
    unsigned index;
    struct sockaddr_storage address;
    socklen_t address_len;
    char text[ADDRESS_TEXT_MAX];
    struct dial_conn *conn;
    bool ready;
    unsigned pending, failures, backoff_ms;
    uint64_t aside_until_ns;
    struct timer retry;
    char note[NOTE_MAX];
};

struct rpc_channel {
    struct shard *shard;
    struct rpc_channel_options o;
    struct http_limits limits;
    struct target *targets;
    size_t count, waiting_count, open_conns;
    struct list waiting;
    struct turn_hook pump;
    bool freed;
};

static void target_connect(struct target *t);

static void channel_release(struct rpc_channel *c)
{
    if (!c->freed || c->open_conns > 0) return;
    turn_hook_disarm(&c->pump); // a call that has just failed armed it
    free(c->targets);
    free(c);
}

// ---- ending a call

static void call_done(struct rpc_call *call, enum rpc_status status,
                      const ProtobufCMessage *response, const char *text, bool unsent)
{
    timer_cancel(&call->wait);
    free(call->body);
    call->body = NULL;
    call->channel = NULL;
    call->done(call, status, response, text, unsent);
}

static void target_failed(struct target *t)
{
    t->failures++;
    if (t->failures < EJECT_AFTER) return;
    // Put aside for longer each time; a success forgives.
    unsigned ms = 100u << (t->failures - EJECT_AFTER > 6 ? 6 : t->failures - EJECT_AFTER);
    t->aside_until_ns = shard_now_ns(t->channel->shard) + ms * 1000000ull;
}

static enum rpc_status status_of(const struct http_response *r, struct slice *message)
{
    struct slice s = http_header_find(r->trailers, r->trailer_count, "grpc-status");
    *message = http_header_find(r->trailers, r->trailer_count, "grpc-message");
    if (s.n == 0) {
        s = http_header_find(r->headers, r->header_count, "grpc-status");
        *message = http_header_find(r->headers, r->header_count, "grpc-message");
    }
    if (r->status != 200 || s.n == 0 || s.n > 2) return RPC_UNAVAILABLE;
    int v = 0;
    for (size_t i = 0; i < s.n; i++) v = v * 10 + (s.p[i] - '0');
    return v >= 0 && v <= 16 ? (enum rpc_status)v : RPC_UNKNOWN;
}

static void response_take(struct rpc_call *call, struct target *t, const struct http_response *r)
{
    struct arena a;
    struct slice message, body, text = SLICE_NONE;
    enum rpc_status status = status_of(r, &message);
    arena_init(&a, RESPONSE_ARENA_MAX);
    (void)!failed(grpc_message_decode(&text, &a, message));
    const ProtobufCMessage *m = NULL;
    if (status == RPC_OK &&
        !failed(grpc_frame_read(&body, r->body, call->channel->o.response_size_max)))
        m = message_decode(&a, call->response_type, body);
    if (status == RPC_OK && m == NULL) status = RPC_INTERNAL;
    if (status == RPC_UNAVAILABLE || status == RPC_INTERNAL)
        target_failed(t);
    else
        t->failures = 0;
    const char *note = status == RPC_OK
                           ? ""
                           : arena_printf(&a, "%s %s: %.*s (status %d)", call->channel->o.service,
                                          t->text, SLICE_ARG(text), status);
    call_done(call, status, m, note, false);
    arena_fini(&a);
}

static void on_answer(struct dial_call *d, struct err why, const struct http_response *r,
                      bool unprocessed)
{
    struct rpc_call *call = LIST_OWNER(d, struct rpc_call, dial);
    struct rpc_channel *c = call->channel;
    struct target *t = &c->targets[call->target];
    t->pending--;
    turn_hook_arm(c->shard, &c->pump);
    if (r != NULL) {
        response_take(call, t, r);
        return;
    }
    char text[NOTE_MAX];
    target_failed(t);
    snprintf(text, sizeof text, "%s %s: %s", c->o.service, t->text, err_text(why));
    call_done(call, err_is(why, ERR_DEADLINE) ? RPC_DEADLINE_EXCEEDED : RPC_UNAVAILABLE, NULL, text,
              unprocessed);
}

// ---- choosing and sending

static struct target *target_best(struct rpc_channel *c, int wanted)
{
    struct target *best = NULL;
    uint64_t now = shard_now_ns(c->shard);
    for (size_t i = 0; i < c->count; i++) {
        struct target *t = &c->targets[i];
        if ((wanted >= 0 && (unsigned)wanted != i) || !t->ready || !dial_can_send(t->conn))
            continue;
        if (t->aside_until_ns > now && wanted < 0 && c->count > 1) continue;
        if (best == NULL || t->pending < best->pending) best = t;
    }
    return best;
}

static bool call_send(struct rpc_channel *c, struct rpc_call *call, struct target *t)
{
    char timeout[GRPC_TIMEOUT_TEXT_MAX];
    uint64_t now = shard_now_ns(c->shard),
             left = call->deadline_ns > now ? (call->deadline_ns - now) / 1000000 + 1 : 1;
    grpc_timeout_format(timeout, left);
    struct http_header headers[] = {{SLICE_LIT("content-type"), SLICE_LIT("application/grpc")},
                                    {SLICE_LIT("te"), SLICE_LIT("trailers")},
                                    {SLICE_LIT("grpc-timeout"), slice_str(timeout)},
                                    {SLICE_LIT("user-agent"), SLICE_LIT("certmill")}};
    struct http_request request = {
        .method = HTTP_POST,
        .path = slice_str(call->path),
        .authority = slice_str(t->address.ss_family == AF_UNIX ? "localhost" : t->text),
        .secure = c->o.tls != NULL,
        .headers = headers,
        .header_count = 4,
        .body = slice_of(call->body, call->body_len)};
    call->dial = (struct dial_call){.done = on_answer};
    if (failed(dial_send(t->conn, &call->dial, &request, (unsigned)left))) return false;
    timer_cancel(&call->wait);
    call->target = t->index;
    call->sent = true;
    t->pending++;
    free(call->body);
    call->body = NULL;
    return true;
}

static void on_pump(struct turn_hook *hook)
{
    struct rpc_channel *c = LIST_OWNER(hook, struct rpc_channel, pump);
    LIST_EACH (node, &c->waiting) {
        struct rpc_call *call = LIST_OWNER(node, struct rpc_call, node);
        struct target *t = target_best(c, (int)call->target);
        if (t == NULL || !call_send(c, call, t)) continue;
        list_remove(&call->node);
        c->waiting_count--;
    }
}

static void on_wait_over(struct timer *timer)
{
    struct rpc_call *call = LIST_OWNER(timer, struct rpc_call, wait);
    struct rpc_channel *c = call->channel;
    char text[2 * NOTE_MAX];
    list_remove(&call->node);
    c->waiting_count--;
    snprintf(text, sizeof text, "no %s can be reached: %s", c->o.service,
             c->count > 0 ? c->targets[0].note : "none is configured");
    call_done(call, RPC_UNAVAILABLE, NULL, text, true);
}

struct err rpc_call_start(struct rpc_channel *c, struct rpc_call *call, const char *path,
                          const ProtobufCMessage *request,
                          const ProtobufCMessageDescriptor *response_type, unsigned deadline_ms,
                          int target)
{
    if (c->waiting_count >= WAITING_MAX) return ERR(NO_SPACE);
    size_t n = protobuf_c_message_get_packed_size(request);
    uint8_t *body = malloc(n + GRPC_PREFIX_LEN);
    if (body == NULL) return ERR(NO_SPACE);
    const uint8_t prefix[GRPC_PREFIX_LEN] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
                                             (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(body, prefix, sizeof prefix);
    protobuf_c_message_pack(request, body + GRPC_PREFIX_LEN);
    void (*done)(struct rpc_call *, enum rpc_status, const ProtobufCMessage *, const char *,
                 bool) = call->done;
    *call = (struct rpc_call){.done = done,
                              .response_type = response_type,
                              .path = path,
                              .body = body,
                              .body_len = n + GRPC_PREFIX_LEN,
                              .channel = c,
                              .deadline_ns = shard_now_ns(c->shard) +
                                             (uint64_t)deadline_ms * 1000000,
                              .wait = {.fire = on_wait_over},
                              .target = (unsigned)target};
    list_push_back(&c->waiting, &call->node);
    c->waiting_count++;
    timer_set(c->shard, &call->wait, deadline_ms);
    turn_hook_arm(c->shard, &c->pump);
    return OK;
}

void rpc_call_cancel(struct rpc_call *call)
{
    struct rpc_channel *c = call->channel;
    if (c == NULL) return;
    if (call->sent) {
        c->targets[call->target].pending--;
        dial_cancel(&call->dial);
    } else {
        list_remove(&call->node);
        c->waiting_count--;
    }
    timer_cancel(&call->wait);
    free(call->body);
    call->body = NULL;
    call->channel = NULL;
}

// ---- connections

static void on_ready(void *ctx, struct dial_conn *conn)
{
    struct target *t = ctx;
    (void)conn;
    t->ready = true;
    t->backoff_ms = 0;
    snprintf(t->note, sizeof t->note, "connected to %s", t->text);
    turn_hook_arm(t->channel->shard, &t->channel->pump);
}

static void on_closed(void *ctx, struct dial_conn *conn, struct err why, const char *note)
{
    struct target *t = ctx;
    struct rpc_channel *c = t->channel;
    (void)conn;
    (void)why;
    t->conn = NULL;
    t->ready = false;
    c->open_conns--;
    snprintf(t->note, sizeof t->note, "%s", note);
    if (c->freed) {
        channel_release(c);
        return;
    }
    uint8_t jitter;
    shard_random(c->shard, &jitter, 1);
    t->backoff_ms = t->backoff_ms == 0                        ? BACKOFF_MS_MIN
                    : t->backoff_ms * 2 > c->o.backoff_ms_max ? c->o.backoff_ms_max
                                                              : t->backoff_ms * 2;
    timer_set(c->shard, &t->retry, t->backoff_ms + t->backoff_ms * jitter / 512);
}

static const struct dial_callbacks callbacks = {on_ready, on_closed};

static void on_retry(struct timer *timer)
{
    target_connect(LIST_OWNER(timer, struct target, retry));
}

static void target_connect(struct target *t)
{
    struct rpc_channel *c = t->channel;
    struct dial_options d = {.address = t->address,
                             .address_len = t->address_len,
                             .tls = c->o.tls,
                             .server_name = NULL,
                             .version = HTTP_2,
                             .http = &c->limits,
                             .connect_ms = c->o.connect_ms,
                             .handshake_ms = c->o.connect_ms};
    t->conn = dial_open(c->shard, &d, &callbacks, t);
    if (t->conn != NULL)
        c->open_conns++;
    else
        timer_set(c->shard, &t->retry, c->o.backoff_ms_max);
}

struct rpc_channel *rpc_channel_new(struct shard *shard, const struct rpc_channel_options *options)
{
    struct rpc_channel *c = calloc(1, sizeof *c);
    if (c == NULL || (c->targets = calloc(options->target_count + 1, sizeof *c->targets)) == NULL) {
        free(c);
        return NULL;
    }
    c->shard = shard;
    c->o = *options;
    c->count = options->target_count;
    c->limits = (struct http_limits){.head_size_max = 16384,
                                     .body_size_max = options->response_size_max + GRPC_PREFIX_LEN,
                                     .header_count_max = 64,
                                     .streams_max = STREAMS_MAX,
                                     .abuse_max = 100000,
                                     .out_size_max = 4 * 1024 * 1024};
    c->pump.run = on_pump;
    list_init(&c->pump.node);
    list_init(&c->waiting);
    for (size_t i = 0; i < c->count; i++) {
        struct target *t = &c->targets[i];
        *t = (struct target){.channel = c,
                             .index = (unsigned)i,
                             .address = options->targets[i].address,
                             .address_len = options->targets[i].address_len,
                             .retry = {.fire = on_retry}};
        address_text(t->text, (const struct sockaddr *)&t->address);
        snprintf(t->note, sizeof t->note, "%.200s: not connected yet", t->text);
        target_connect(t);
    }
    return c;
}

void rpc_channel_tls_set(struct rpc_channel *c, struct tls_context *tls) { c->o.tls = tls; }

void rpc_channel_free(struct rpc_channel *c)
{
    if (c == NULL) return;
    while (!list_empty(&c->waiting)) {
        struct rpc_call *call = LIST_OWNER(list_pop_front(&c->waiting), struct rpc_call, node);
        call_done(call, RPC_UNAVAILABLE, NULL, "shutting down", true);
    }
    turn_hook_disarm(&c->pump);
    c->freed = true;
    for (size_t i = 0; i < c->count; i++) {
        timer_cancel(&c->targets[i].retry);
        if (c->targets[i].conn != NULL) dial_close(c->targets[i].conn);
    }
    channel_release(c);
}

size_t rpc_channel_connected(const struct rpc_channel *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->count; i++) n += c->targets[i].ready;
    return n;
}

void rpc_channel_eject(struct rpc_channel *c, unsigned target, unsigned for_ms)
{
    if (target < c->count)
        c->targets[target].aside_until_ns = shard_now_ns(c->shard) + (uint64_t)for_ms * 1000000;
}

const char *rpc_channel_text(const struct rpc_channel *c)
{
    return c->count > 0 ? c->targets[0].note : "no target is configured";
}
