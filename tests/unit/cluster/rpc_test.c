// rpc: gRPC calls and methods over real connections with mutual TLS: who may call what, what is
// refused and how, and what becomes of calls when things end.
#include "cluster/rpc/call.h"

#include <stdio.h>
#include <string.h>

#include "cluster/core/address.h"
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/core/server.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "proto/rpc/health.pb-c.h"
#include "tests/support/testca.h"
#include "tests/unit/unit.h"

#define ROLE_A "urn:certmill:role:a"
#define ROLE_B "urn:certmill:role:b"
#define ROLE_SERVER "urn:certmill:role:server"

enum { SIZE_MAX_ECHO = 1000, CALLS = 64, TURNS = 2000 };

typedef Grpc__Health__V1__HealthCheckRequest Question;
typedef Grpc__Health__V1__HealthCheckResponse Answer;

static struct log *logger;
static struct metrics *metrics;
static struct shard *shard;
static struct testca_pair root, server_pair, a_pair, b_pair;

// struct rig is one server with its methods, and a channel to it.
struct rig {
    struct tls_context *server_tls, *client_tls;
    struct rpc_service *service;
    struct server *server;
    struct rpc_channel *channel;
    struct rpc_request *held;
    unsigned port, handled;
};

// ---- the server: what it does with a question is in the question's text

static void on_echo(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    struct rig *g = ctx;
    const Question *q = (const Question *)message;
    Answer a;
    grpc__health__v1__health_check_response__init(&a);
    g->handled++;
    if (strcmp(q->service, "hold") == 0) {
        g->held = r;
        return;
    }
    if (strcmp(q->service, "refuse") == 0) {
        // The text lies in the request's own memory, and is not plain ASCII.
        rpc_fail(r, RPC_NOT_FOUND,
                 arena_printf(rpc_request_arena(r), "no %s for %s: 100 %% \xc3\xbc\n", q->service,
                              rpc_request_peer(r)));
        return;
    }
    a.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    rpc_reply(r, &a.base);
}

static const char *const only_a[] = {ROLE_A, NULL};
static const struct rpc_method methods[] = {
    {"/t/Echo", &grpc__health__v1__health_check_request__descriptor,
     &grpc__health__v1__health_check_response__descriptor, SIZE_MAX_ECHO, only_a, on_echo}};

static struct tls_context *context(bool server, const struct testca_pair *pair, const char *role)
{
    char note[256];
    struct tls_context *c;
    struct tls_options o = {.chain_pem = pair == NULL ? SLICE_NONE : slice_str(pair->cert_pem),
                            .key_pem = pair == NULL ? SLICE_NONE : slice_str(pair->key_pem),
                            .trust_pem = slice_str(root.cert_pem),
                            .peer_required = server,
                            .peer_role = role,
                            .peer_name_ignored = true,
                            .alpn_h2 = true};
    assert_ok(tls_context_new(&c, note, sizeof note, server, &o));
    return c;
}

static void server_open(struct rig *g)
{
    char note[256], text[64];
    struct server_options o = {.name = "t",
                               .tls = g->server_tls,
                               .plain_version = HTTP_2,
                               .http = {.head_size_max = 8192,
                                        .body_size_max = 1 << 16,
                                        .header_count_max = 32,
                                        .streams_max = 128,
                                        .abuse_max = 1000,
                                        .out_size_max = 1 << 20},
                               .conns_max = 16,
                               .handshake_ms = 1000,
                               .head_ms = 1000,
                               .body_ms = 1000,
                               .idle_ms = 60000,
                               .write_ms = 1000,
                               .request_ms = 30000};
    snprintf(text, sizeof text, "127.0.0.1:%u", g->port);
    assert_ok(address_parse(&o.listen, &o.listen_len, slice_str(text), 0));
    assert_ok(
        server_new(&g->server, note, sizeof note, shard, &o, rpc_service_handler(), g->service));
    g->port = server_port(g->server);
}

static struct rpc_channel *channel_open(const struct rig *g, struct tls_context *tls)
{
    char text[64];
    struct rpc_target t = {.text = "t"};
    snprintf(text, sizeof text, "127.0.0.1:%u", g->port);
    assert_ok(address_parse(&t.address, &t.address_len, slice_str(text), 0));
    return rpc_channel_new(shard, &(struct rpc_channel_options){.targets = &t,
                                                                .target_count = 1,
                                                                .tls = tls,
                                                                .service = "echo",
                                                                .response_size_max = 4096,
                                                                .connect_ms = 1000,
                                                                .backoff_ms_max = 100});
}

static void rig_start(struct rig *g, const struct testca_pair *client)
{
    *g = (struct rig){.server_tls = context(true, &server_pair, NULL),
                      .client_tls = context(false, client, ROLE_SERVER)};
    g->service = rpc_service_new(shard, methods, COUNT_OF(methods), g);
    server_open(g);
    g->channel = channel_open(g, g->client_tls);
}

static void turns(unsigned n)
{
    for (unsigned i = 0; i < n; i++) shard_turn(shard, 1);
}

static void rig_stop(struct rig *g)
{
    rpc_channel_free(g->channel);
    turns(20);
    server_free(g->server);
    turns(20);
    rpc_service_free(g->service);
    tls_context_free(g->client_tls);
    tls_context_free(g->server_tls);
}

// ---- a call

struct asked {
    struct rpc_call call;
    unsigned done;
    enum rpc_status status;
    bool serving, unsent;
    char text[512];
};

static void on_done(struct rpc_call *call, enum rpc_status status, const ProtobufCMessage *response,
                    const char *text, bool unsent)
{
    struct asked *a = LIST_OWNER(call, struct asked, call);
    a->done++;
    a->status = status;
    a->unsent = unsent;
    a->serving = response != NULL &&
                 ((const Answer *)response)->status ==
                     GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    snprintf(a->text, sizeof a->text, "%s", text);
}

static void ask(struct rpc_channel *c, struct asked *a, const char *path, const char *text,
                unsigned deadline_ms)
{
    Question q;
    grpc__health__v1__health_check_request__init(&q);
    q.service = (char *)(uintptr_t)text;
    *a = (struct asked){.call = {.done = on_done}};
    assert_ok(rpc_call_start(c, &a->call, path, &q.base,
                             &grpc__health__v1__health_check_response__descriptor, deadline_ms,
                             RPC_ANY_TARGET));
    assert_int_equal(a->done, 0); // never inside
}

static void wait_done(const struct asked *a)
{
    for (unsigned i = 0; i < TURNS && a->done == 0; i++) shard_turn(shard, 2);
    turns(5);
    assert_int_equal(a->done, 1); // once
}

static void expect(struct rpc_channel *c, const char *path, const char *text,
                   enum rpc_status status, const char *words)
{
    struct asked a;
    ask(c, &a, path, text, 2000);
    wait_done(&a);
    if (a.status != status || strstr(a.text, words) == NULL)
        fail_msg("%s %s: %d \"%s\"", path, text, (int)a.status, a.text);
}

// ---- tests

static void calls_are_answered_or_refused(void **state)
{
    (void)state;
    struct rig g;
    struct asked a;
    char large[SIZE_MAX_ECHO + 10];
    rig_start(&g, &a_pair);
    ask(g.channel, &a, "/t/Echo", "x", 2000);
    wait_done(&a);
    assert_int_equal(a.status, RPC_OK);
    assert_true(a.serving);
    expect(g.channel, "/t/Echo", "refuse", RPC_NOT_FOUND,
           "no refuse for " ROLE_A ": 100 % \xc3\xbc\n");
    expect(g.channel, "/t/Nothing", "x", RPC_UNIMPLEMENTED, "no such method");
    expect(g.channel, "/t/Echo", "\xff\xfe", RPC_INVALID_ARGUMENT, "not UTF-8");
    memset(large, 'x', sizeof large);
    large[SIZE_MAX_ECHO - 3] = 0; // with its tag and length just as much as is taken
    expect(g.channel, "/t/Echo", large, RPC_OK, "");
    memset(large, 'x', sizeof large);
    large[SIZE_MAX_ECHO - 2] = 0;
    expect(g.channel, "/t/Echo", large, RPC_RESOURCE_EXHAUSTED, "larger than this method takes");
    assert_int_equal(g.handled, 3);
    rig_stop(&g);
}

static void a_role_decides_who_may_call(void **state)
{
    (void)state;
    struct rig g;
    rig_start(&g, &b_pair);
    expect(g.channel, "/t/Echo", "x", RPC_PERMISSION_DENIED, "role");
    assert_int_equal(g.handled, 0);
    rig_stop(&g);
    rig_start(&g, NULL); // no certificate at all: no connection
    struct asked a;
    ask(g.channel, &a, "/t/Echo", "x", 300);
    wait_done(&a);
    assert_int_equal(a.status, RPC_UNAVAILABLE);
    assert_int_equal(g.handled, 0);
    rig_stop(&g);
}

static void the_callee_must_have_its_role_too(void **state)
{
    (void)state;
    struct rig g;
    struct asked a;
    rig_start(&g, &a_pair);
    struct tls_context *picky = context(false, &a_pair, "urn:certmill:role:other");
    struct rpc_channel *c = channel_open(&g, picky);
    ask(c, &a, "/t/Echo", "x", 300);
    wait_done(&a);
    assert_int_equal(a.status, RPC_UNAVAILABLE);
    assert_true(a.unsent);
    assert_non_null(strstr(a.text, "no echo can be reached"));
    rpc_channel_free(c);
    turns(20);
    tls_context_free(picky);
    rig_stop(&g);
}

static void many_calls_share_a_connection(void **state)
{
    (void)state;
    struct rig g;
    static struct asked a[CALLS];
    rig_start(&g, &a_pair);
    for (unsigned i = 0; i < CALLS; i++) ask(g.channel, &a[i], "/t/Echo", "x", 5000);
    for (unsigned i = 0; i < CALLS; i++) {
        wait_done(&a[i]);
        assert_int_equal(a[i].status, RPC_OK);
    }
    assert_int_equal(server_conn_count(g.server), 1);
    rig_stop(&g);
}

static void a_deadline_ends_a_call(void **state)
{
    (void)state;
    struct rig g;
    struct asked a;
    rig_start(&g, &a_pair);
    ask(g.channel, &a, "/t/Echo", "hold", 200);
    wait_done(&a);
    assert_int_equal(a.status, RPC_DEADLINE_EXCEEDED);
    assert_non_null(g.held); // it was told how long the caller waits
    assert_true(rpc_request_deadline_ns(g.held) > 0 &&
                rpc_request_deadline_ns(g.held) < shard_now_ns(shard) + 1000000000);
    rpc_fail(g.held, RPC_INTERNAL, "too late"); // goes nowhere, and releases
    turns(10);
    expect(g.channel, "/t/Echo", "x", RPC_OK, ""); // the connection goes on
    rig_stop(&g);
}

static void a_cancelled_call_says_nothing(void **state)
{
    (void)state;
    struct rig g;
    struct asked waiting, sent;
    rig_start(&g, &a_pair);
    ask(g.channel, &waiting, "/t/Echo", "x", 2000); // not connected yet
    rpc_call_cancel(&waiting.call);
    ask(g.channel, &sent, "/t/Echo", "hold", 2000);
    for (unsigned i = 0; i < TURNS && g.held == NULL; i++) shard_turn(shard, 2);
    rpc_call_cancel(&sent.call);
    turns(20);
    rpc_fail(g.held, RPC_INTERNAL, "nobody listens");
    turns(20);
    assert_int_equal(waiting.done + sent.done, 0);
    expect(g.channel, "/t/Echo", "x", RPC_OK, "");
    rig_stop(&g);
}

// A call in flight when its server goes is told so once; the next waits for the server to be back.
static void a_server_that_goes_and_comes_back(void **state)
{
    (void)state;
    struct rig g;
    struct asked a, next;
    rig_start(&g, &a_pair);
    ask(g.channel, &a, "/t/Echo", "hold", 5000);
    for (unsigned i = 0; i < TURNS && g.held == NULL; i++) shard_turn(shard, 2);
    server_free(g.server);
    wait_done(&a);
    assert_int_equal(a.status, RPC_UNAVAILABLE);
    assert_false(a.unsent); // it may have acted
    rpc_fail(g.held, RPC_INTERNAL, "nobody listens");
    assert_int_equal(rpc_channel_connected(g.channel), 0);
    ask(g.channel, &next, "/t/Echo", "x", 5000);
    turns(50);
    assert_int_equal(next.done, 0);
    server_open(&g); // on the same port
    wait_done(&next);
    assert_int_equal(next.status, RPC_OK);
    rig_stop(&g);
}

// A drain finishes what is open; the connection is made again for what comes after.
static void a_drain_finishes_open_calls(void **state)
{
    (void)state;
    struct rig g;
    struct asked a;
    Answer reply;
    grpc__health__v1__health_check_response__init(&reply);
    rig_start(&g, &a_pair);
    ask(g.channel, &a, "/t/Echo", "hold", 5000);
    for (unsigned i = 0; i < TURNS && g.held == NULL; i++) shard_turn(shard, 2);
    server_drain(g.server, 10, 3000);
    turns(50);
    assert_int_equal(a.done, 0);
    rpc_reply(g.held, &reply.base);
    wait_done(&a);
    assert_int_equal(a.status, RPC_OK);
    rig_stop(&g);
}

// Freeing a channel ends what waits for a connection.
static void a_freed_channel_ends_its_calls(void **state)
{
    (void)state;
    struct rig g;
    struct asked a;
    rig_start(&g, &a_pair);
    ask(g.channel, &a, "/t/Echo", "x", 5000);
    rpc_channel_free(g.channel);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.status, RPC_UNAVAILABLE);
    assert_true(a.unsent);
    g.channel = NULL;
    turns(20);
    rig_stop(&g);
}

// New certificates are for new connections: what is open goes on.
static void renewed_certificates_are_for_new_connections(void **state)
{
    (void)state;
    struct rig g;
    rig_start(&g, &a_pair);
    expect(g.channel, "/t/Echo", "x", RPC_OK, "");
    struct tls_context *other = context(false, &b_pair, ROLE_SERVER);
    rpc_channel_tls_set(g.channel, other);
    expect(g.channel, "/t/Echo", "x", RPC_OK, ""); // still as a
    server_free(g.server);
    turns(50);
    server_open(&g);
    expect(g.channel, "/t/Echo", "x", RPC_PERMISSION_DENIED, "role"); // as b now
    rig_stop(&g);
    tls_context_free(other);
}

// ---- bytes that no channel of ours would send

struct raw {
    struct dial_conn *conn;
    struct dial_call call;
    bool ready, closed;
    unsigned done, http_status;
    char grpc_status[8];
};

static void on_raw_ready(void *ctx, struct dial_conn *c)
{
    (void)c;
    ((struct raw *)ctx)->ready = true;
}

static void on_raw_closed(void *ctx, struct dial_conn *c, struct err why, const char *note)
{
    (void)c;
    (void)note;
    (void)why;
    ((struct raw *)ctx)->closed = true;
}

static void on_raw(struct dial_call *call, struct err why, const struct http_response *r,
                   bool unprocessed)
{
    struct raw *raw = LIST_OWNER(call, struct raw, call);
    (void)why;
    (void)unprocessed;
    raw->done++;
    if (r == NULL) return;
    struct slice s = http_header_find(r->headers, r->header_count, "grpc-status");
    if (s.n == 0) s = http_header_find(r->trailers, r->trailer_count, "grpc-status");
    raw->http_status = r->status;
    snprintf(raw->grpc_status, sizeof raw->grpc_status, "%.*s", SLICE_ARG(s));
}

static void wrong_bytes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        struct slice body;
        unsigned http;
        const char *grpc;
    } rows[] = {
        {"application/grpc", SLICE_LIT("\0\0\0\0\3\x0a\1x"), 200, "0"},
        {"application/grpc+proto", SLICE_LIT("\0\0\0\0\0"), 200, "0"},
        {"application/grpc", SLICE_LIT(""), 200, "3"},
        {"application/grpc", SLICE_LIT("\0\0\0\0\4\x0a\1x"), 200, "3"},         // cut off
        {"application/grpc", SLICE_LIT("\0\0\0\0\2\x0a\1x"), 200, "3"},         // more
        {"application/grpc", SLICE_LIT("\0\0\0\0\0\0\0\0\0\0"), 200, "3"},      // two
        {"application/grpc", SLICE_LIT("\1\0\0\0\3\x0a\1x"), 200, "3"},         // compressed
        {"application/grpc", SLICE_LIT("\0\0\0\0\4\x0a\1x\x0a"), 200, "3"},     // torn field
        {"application/grpc", SLICE_LIT("\0\0\0\0\5\x0a\1x\x10\1"), 200, "3"},   // unknown field
        {"application/grpc", SLICE_LIT("\0\xff\xff\xff\xff\x0a\1x"), 200, "3"}, // huge length
        {"application/json", SLICE_LIT("{}"), 415, ""},
    };
    static const struct http_limits limits = {.head_size_max = 8192,
                                              .body_size_max = 4096,
                                              .header_count_max = 32,
                                              .streams_max = 8,
                                              .abuse_max = 100,
                                              .out_size_max = 65536};
    static const struct dial_callbacks callbacks = {on_raw_ready, on_raw_closed};
    struct rig g;
    char text[64];
    struct raw raw = {0};
    rig_start(&g, &a_pair);
    struct dial_options d = {.tls = g.client_tls,
                             .version = HTTP_2,
                             .http = &limits,
                             .connect_ms = 1000,
                             .handshake_ms = 1000};
    snprintf(text, sizeof text, "127.0.0.1:%u", g.port);
    assert_ok(address_parse(&d.address, &d.address_len, slice_str(text), 0));
    raw.conn = dial_open(shard, &d, &callbacks, &raw);
    for (unsigned i = 0; i < TURNS && !raw.ready; i++) shard_turn(shard, 2);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_header type = {SLICE_LIT("content-type"), slice_str(rows[i].type)};
        struct http_request q = {.method = HTTP_POST,
                                 .path = SLICE_LIT("/t/Echo"),
                                 .authority = SLICE_LIT("localhost"),
                                 .secure = true,
                                 .headers = &type,
                                 .header_count = 1,
                                 .body = rows[i].body};
        raw.done = 0;
        raw.call = (struct dial_call){.done = on_raw};
        assert_ok(dial_send(raw.conn, &raw.call, &q, 2000));
        for (unsigned k = 0; k < TURNS && raw.done == 0; k++) shard_turn(shard, 2);
        if (raw.http_status != rows[i].http || strcmp(raw.grpc_status, rows[i].grpc) != 0)
            fail_msg("row %zu: %u \"%s\"", i, raw.http_status, raw.grpc_status);
    }
    dial_close(raw.conn);
    for (unsigned i = 0; i < TURNS && !raw.closed; i++) shard_turn(shard, 2);
    rig_stop(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_answered_or_refused),
        cmocka_unit_test(a_role_decides_who_may_call),
        cmocka_unit_test(the_callee_must_have_its_role_too),
        cmocka_unit_test(many_calls_share_a_connection),
        cmocka_unit_test(a_deadline_ends_a_call),
        cmocka_unit_test(a_cancelled_call_says_nothing),
        cmocka_unit_test(a_server_that_goes_and_comes_back),
        cmocka_unit_test(a_drain_finishes_open_calls),
        cmocka_unit_test(a_freed_channel_ends_its_calls),
        cmocka_unit_test(renewed_certificates_are_for_new_connections),
        cmocka_unit_test(wrong_bytes_are_refused),
    };
    proto_err_register();
    cluster_err_register();
    cluster_metrics_declare();
    root = testca_root("root");
    server_pair = testca_leaf(&root,
                              &(struct testca_options){.common_name = "s", .uri = ROLE_SERVER});
    a_pair = testca_leaf(&root, &(struct testca_options){.common_name = "a", .uri = ROLE_A});
    b_pair = testca_leaf(&root, &(struct testca_options){.common_name = "b", .uri = ROLE_B});
    struct log_options lo = {.level = LOG_ERROR, .fd = 2, .program = "test"};
    struct shard_options so = {.count = 1, .io = SHARD_IO_EPOLL, .name = "t"};
    if (failed(log_new(&logger, &lo)) || failed(metrics_new(&metrics, 1))) return 1;
    so.log = logger;
    so.metrics = metrics;
    if (failed(shard_new(&shard, &so, 0))) return 1;
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    shard_free(shard);
    metrics_free(metrics);
    log_free(logger);
    struct testca_pair *const pairs[] = {&root, &server_pair, &a_pair, &b_pair};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) testca_free(pairs[i]);
    return failures;
}
