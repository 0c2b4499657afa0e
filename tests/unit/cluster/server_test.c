// server: the server and dialed connections over real sockets: versions, TLS, deadlines, PROXY,
// drain.
#include "cluster/core/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/address.h"
#include "cluster/core/dial.h"
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "tests/support/testca.h"
#include "tests/unit/unit.h"

static struct log *logger;
static struct metrics *metrics;
static struct shard *shard;
static struct testca_pair root, leaf;
static const enum shard_io backends[] = {SHARD_IO_URING, SHARD_IO_EPOLL};

struct rig {
    struct server *server;
    struct tls_context *server_tls, *client_tls;
    bool hold, drained;
    struct http_exchange *held;
    char peer[ADDRESS_TEXT_MAX];
    struct dial_conn *conn;
    bool ready, closed, busy;
    struct err closed_err;
    struct dial_call calls[32];
    unsigned sent, answers, ok, failures, refusals;
};

static void on_request(void *ctx, struct http_exchange *x, const struct server_peer *peer)
{
    struct rig *g = ctx;
    address_text(g->peer, (const struct sockaddr *)&peer->address);
    if (g->hold)
        g->held = x;
    else
        server_respond(x, &(struct http_response){.status = 200, .body = x->request.body});
}

static void on_gone(void *ctx, struct http_exchange *x)
{
    struct rig *g = ctx;
    if (g->held != x) http_exchange_release(x);
}

static void on_drained(void *ctx) { ((struct rig *)ctx)->drained = true; }

static void on_refusal(void *ctx, struct http_response *r)
{
    struct rig *g = ctx;
    r->body = SLICE_LIT("late");
    g->refusals += r->status == 503;
}

static void on_ready(void *ctx, struct dial_conn *c)
{
    (void)c;
    ((struct rig *)ctx)->ready = true;
}

static void on_closed(void *ctx, struct dial_conn *c, struct err why, const char *note)
{
    struct rig *g = ctx;
    (void)c;
    (void)note;
    g->closed = true;
    g->closed_err = why;
    g->conn = NULL;
}

static const struct http_limits limits = {.head_size_max = 16384,
                                          .body_size_max = 65536,
                                          .header_count_max = 64,
                                          .streams_max = 64,
                                          .abuse_max = 100,
                                          .out_size_max = 1 << 20};
static const struct server_handler handler = {on_request, on_gone, on_drained, on_refusal};
static const struct dial_callbacks callbacks = {on_ready, on_closed};
static struct rig *current;
static const struct address_range *proxied; // for the next rig; NULL: no proxies
static unsigned per_peer;                   // for the next rig; 0: no bound

static void on_answer(struct dial_call *call, struct err why, const struct http_response *r,
                      bool unprocessed)
{
    (void)call;
    (void)unprocessed;
    current->answers++;
    current->ok += r != NULL && r->status == 200;
    current->failures += failed(why);
}

static void turns(struct rig *g, bool (*done)(struct rig *g))
{
    for (int i = 0; i < 3000 && !done(g); i++) shard_turn(shard, 2);
    if (!done(g)) fail_msg("did not happen in time");
}

static bool is_ready(struct rig *g) { return g->ready || g->closed; }
static bool is_closed(struct rig *g) { return g->closed; }
static bool has_answer(struct rig *g) { return g->answers > 0; }
static bool has_held(struct rig *g) { return g->held != NULL; }
static bool none_open(struct rig *g) { return g->answers == g->sent; }
static bool is_drained(struct rig *g) { return g->drained; }

static void rig_start(struct rig *g, bool tls, enum http_version version)
{
    char note[256] = "";
    *g = (struct rig){0};
    current = g;
    struct server_options o = {.name = "test",
                               .plain_version = version,
                               .http = limits,
                               .conns_max = 64,
                               .handshake_ms = 300,
                               .head_ms = 200,
                               .body_ms = 200,
                               .idle_ms = 400,
                               .write_ms = 300,
                               .conns_per_peer_max = per_peer,
                               .request_ms = 500,
                               .proxy_peers = proxied,
                               .proxy_peer_count = proxied != NULL};
    assert_ok(address_parse(&o.listen, &o.listen_len, SLICE_LIT("127.0.0.1:0"), 1));
    if (tls) {
        struct tls_options so = {.chain_pem = slice_str(leaf.cert_pem),
                                 .key_pem = slice_str(leaf.key_pem),
                                 .alpn_h2 = true,
                                 .alpn_http_1_1 = true};
        struct tls_options co = {.trust_pem = slice_str(root.cert_pem),
                                 .alpn_h2 = version == HTTP_2,
                                 .alpn_http_1_1 = version == HTTP_1_1};
        assert_ok(tls_context_new(&g->server_tls, note, sizeof note, true, &so));
        assert_ok(tls_context_new(&g->client_tls, note, sizeof note, false, &co));
        o.tls = g->server_tls;
    }
    assert_ok(server_new(&g->server, note, sizeof note, shard, &o, &handler, g));
}

static void rig_dial(struct rig *g, enum http_version version)
{
    struct dial_options d = {.tls = g->client_tls,
                             .server_name = "localhost",
                             .version = version,
                             .http = &limits,
                             .connect_ms = 1000,
                             .handshake_ms = 1000};
    char text[64];
    snprintf(text, sizeof text, "127.0.0.1:%u", server_port(g->server));
    assert_ok(address_parse(&d.address, &d.address_len, slice_str(text), 1));
    g->ready = g->closed = false;
    g->conn = dial_open(shard, &d, &callbacks, g);
    assert_non_null(g->conn);
    turns(g, is_ready);
    assert_true(g->ready);
}

static void on_busy_answer(struct dial_call *call, struct err why, const struct http_response *r,
                           bool unprocessed);

static void rig_send(struct rig *g, unsigned i, size_t body)
{
    static uint8_t bytes[60000];
    struct http_request r = {.method = HTTP_POST,
                             .path = SLICE_LIT("/x"),
                             .authority = SLICE_LIT("localhost"),
                             .secure = true,
                             .body = slice_of(bytes, body)};
    g->calls[i] = (struct dial_call){.done = g->busy ? on_busy_answer : on_answer};
    g->sent++;
    assert_ok(dial_send(g->conn, &g->calls[i], &r, 3000));
}

static void rig_stop(struct rig *g)
{
    if (g->conn != NULL) {
        dial_close(g->conn);
        turns(g, is_closed);
    }
    server_free(g->server);
    for (int i = 0; i < 20; i++) shard_turn(shard, 1);
    tls_context_free(g->server_tls);
    tls_context_free(g->client_tls);
}

static void requests_are_answered(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++)
        for (int version = HTTP_1_1; version <= HTTP_2; version++) {
            struct rig g;
            rig_start(&g, tls, (enum http_version)version);
            rig_dial(&g, (enum http_version)version);
            for (unsigned i = 0; i < 8; i++) {
                rig_send(&g, i, i * 8000);
                g.answers = 0;
                turns(&g, has_answer);
            }
            assert_int_equal(g.ok, 8);
            rig_stop(&g);
        }
}

static bool many_done(struct rig *g) { return g->answers == 32; }

static void many_at_once(void **state)
{
    (void)state;
    struct rig g;
    rig_start(&g, true, HTTP_2);
    rig_dial(&g, HTTP_2);
    for (unsigned i = 0; i < 32; i++) rig_send(&g, i, 30000);
    turns(&g, many_done);
    assert_int_equal(g.ok, 32);
    rig_stop(&g);
}

static void a_slow_handler_is_answered_for(void **state)
{
    (void)state;
    for (int version = HTTP_1_1; version <= HTTP_2; version++) {
        struct rig g;
        rig_start(&g, false, (enum http_version)version);
        g.hold = true;
        rig_dial(&g, (enum http_version)version);
        rig_send(&g, 0, 10);
        turns(&g, has_answer);
        assert_int_equal(g.ok, 0);
        assert_int_equal(g.failures, 0); // 503
        assert_true(g.refusals > 0);
        assert_non_null(g.held);
        server_respond(g.held, &(struct http_response){.status = 200});
        rig_stop(&g);
    }
}

static int raw_connect(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

// closes_within turns until the server has ended the raw connection.
static unsigned closes_after_ms(int fd)
{
    uint64_t from = shard_now_ns(shard);
    char b[4096];
    for (int i = 0; i < 3000; i++) {
        shard_turn(shard, 2);
        ssize_t n = recv(fd, b, sizeof b, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) break;
    }
    return (unsigned)((shard_now_ns(shard) - from) / 1000000);
}

static void each_phase_has_its_deadline(void **state)
{
    (void)state;
    struct rig g;
    rig_start(&g, true, HTTP_2);
    int fd = raw_connect(server_port(g.server)); // says nothing: handshake deadline
    assert_in_range(closes_after_ms(fd), 250, 900);
    close(fd);
    rig_stop(&g);
    rig_start(&g, false, HTTP_1_1);
    fd = raw_connect(server_port(g.server)); // idle
    assert_in_range(closes_after_ms(fd), 350, 1000);
    close(fd);
    int64_t heads = metric_total(metrics, &METRIC_DEADLINE_HEAD),
            bodies = metric_total(metrics, &METRIC_DEADLINE_BODY);
    fd = raw_connect(server_port(g.server)); // half a head
    assert_int_equal(write(fd, "GET / HTTP/1.1\r\nHo", 18), 18);
    assert_in_range(closes_after_ms(fd), 150, 900);
    assert_int_equal(metric_total(metrics, &METRIC_DEADLINE_HEAD), heads + 1);
    close(fd);
    fd = raw_connect(server_port(g.server)); // half a body
    assert_int_equal(write(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", 48), 48);
    assert_in_range(closes_after_ms(fd), 150, 900);
    assert_int_equal(metric_total(metrics, &METRIC_DEADLINE_HEAD), heads + 1);
    assert_int_equal(metric_total(metrics, &METRIC_DEADLINE_BODY), bodies + 1);
    close(fd);
    rig_stop(&g);
}

static void raw_send(int fd, const void *bytes, size_t n)
{
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
}

static const uint8_t h2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                    "\0\0\6\4\0\0\0\0\0\0\4\0\0\0\0"; // SETTINGS: no window
static const uint8_t h2_ping[] = "\0\0\10\6\0\0\0\0\0"
                                 "abcdefgh";
// A POST to / without its body, and one whose body is "abc".
static const uint8_t h2_begun[] = "\0\0\6\1\4\0\0\0\1\x83\x84\x87\x41\1a";
static const uint8_t h2_whole[] = "\0\0\6\1\4\0\0\0\1\x83\x84\x87\x41\1a"
                                  "\0\0\3\0\1\0\0\0\1"
                                  "abc";

// closes_under_pings is closes_after_ms for a peer that is busy meanwhile.
static unsigned closes_under_pings(int fd)
{
    uint64_t from = shard_now_ns(shard), next = from;
    char b[4096];
    for (int i = 0; i < 3000; i++) {
        shard_turn(shard, 2);
        if (shard_now_ns(shard) >= next) {
            next += 50000000;
            if (send(fd, h2_ping, sizeof h2_ping - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) break;
        }
        ssize_t n = recv(fd, b, sizeof b, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) break;
    }
    return (unsigned)((shard_now_ns(shard) - from) / 1000000);
}

// What else happens on a connection does not put its deadlines off: a body that does not come, an
// answer that is not taken, no request at all.
static void a_deadline_cannot_be_put_off(void **state)
{
    (void)state;
    static const struct {
        const struct metric *counter;
        const uint8_t *bytes;
        size_t n;
    } cases[] = {
        {&METRIC_DEADLINE_BODY, h2_begun, sizeof h2_begun - 1},
        {&METRIC_DEADLINE_WRITE, h2_whole, sizeof h2_whole - 1},
        {&METRIC_DEADLINE_IDLE, h2_ping, sizeof h2_ping - 1},
    };
    struct rig g;
    rig_start(&g, false, HTTP_2);
    for (size_t i = 0; i < 3; i++) {
        int64_t before = metric_total(metrics, cases[i].counter);
        int fd = raw_connect(server_port(g.server));
        raw_send(fd, h2_preface, sizeof h2_preface - 1);
        raw_send(fd, cases[i].bytes, cases[i].n);
        assert_in_range(closes_under_pings(fd), 150, 1500);
        assert_int_equal(metric_total(metrics, cases[i].counter), before + 1);
        close(fd);
    }
    rig_stop(&g);
}

static void on_busy_answer(struct dial_call *call, struct err why, const struct http_response *r,
                           bool unprocessed)
{
    on_answer(call, why, r, unprocessed);
    if (current->busy) rig_send(current, (unsigned)(call - current->calls), 3000);
}

// A connection that always has something to send is no slow reader.
static void a_busy_connection_is_not_cut(void **state)
{
    (void)state;
    struct rig g;
    rig_start(&g, true, HTTP_2);
    rig_dial(&g, HTTP_2);
    g.busy = true;
    for (unsigned i = 0; i < 32; i++) rig_send(&g, i, 3000);
    uint64_t from = shard_now_ns(shard);
    while (shard_now_ns(shard) - from < 1000000000 && !g.closed) shard_turn(shard, 2);
    assert_false(g.closed);
    g.busy = false;
    turns(&g, none_open);
    assert_int_equal(g.failures, 0);
    assert_true(g.ok > 100);
    rig_stop(&g);
}

// A peer that reads nothing is cut, and what was meant for it is forgotten.
static void a_peer_that_reads_nothing_is_cut(void **state)
{
    (void)state;
    static char request[60100];
    struct rig g;
    rig_start(&g, false, HTTP_1_1);
    int n = snprintf(request, sizeof request,
                     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    memset(request + n, 'x', 60000);
    int64_t before = metric_total(metrics, &METRIC_DEADLINE_WRITE);
    int fd = raw_connect(server_port(g.server)), small = 4096;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    size_t at = 0, size = (size_t)n + 60000;
    uint64_t until = shard_now_ns(shard) + UINT64_C(5000000000);
    for (int i = 0; shard_now_ns(shard) < until && (server_conn_count(g.server) > 0 || i < 10);
         i++) {
        ssize_t sent = send(fd, request + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) at = (at + (size_t)sent) % size;
        shard_turn(shard, 2);
    }
    assert_int_equal(server_conn_count(g.server), 0);
    assert_int_equal(metric_total(metrics, &METRIC_DEADLINE_WRITE), before + 1);
    close(fd);
    rig_stop(&g);
}

// After close_notify nothing more can come: the connection ends though TCP stays open, and what the
// peer sends all the same is not kept.
static void close_notify_is_the_end(void **state)
{
    (void)state;
    static uint8_t junk[65536];
    struct rig g;
    rig_start(&g, true, HTTP_1_1);
    int fd = raw_connect(server_port(g.server));
    struct tls *client = tls_new(g.client_tls, "localhost");
    assert_ok(tls_start(client));
    bool closed = false;
    for (int i = 0; i < 400 && !closed; i++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        if (tls_established(client)) tls_close(client);
        assert_ok(tls_pull(client, &out));
        if (buf_len(&out) > 0) raw_send(fd, buf_slice(&out).p, buf_len(&out));
        if (tls_established(client)) (void)send(fd, junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL);
        buf_fini(&out);
        shard_turn(shard, 1);
        uint8_t in[4096];
        ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
        if (n > 0) assert_ok(tls_feed(client, slice_of(in, (size_t)n)));
        closed = server_conn_count(g.server) == 0 && tls_established(client);
    }
    assert_true(closed); // long before the idle deadline
    assert_true(tls_established(client));
    tls_free(client);
    close(fd);
    rig_stop(&g);
}

static void a_drain_finishes_what_is_open(void **state)
{
    (void)state;
    for (int version = HTTP_1_1; version <= HTTP_2; version++) {
        struct rig g;
        rig_start(&g, true, (enum http_version)version);
        g.hold = true;
        rig_dial(&g, (enum http_version)version);
        rig_send(&g, 0, 10);
        turns(&g, has_held);
        int late = raw_connect(server_port(g.server));
        server_drain(g.server, 20, 2000);
        for (int i = 0; i < 20; i++) shard_turn(shard, 2);
        server_respond(g.held, &(struct http_response){.status = 200});
        g.held = NULL;
        turns(&g, has_answer);
        assert_int_equal(g.ok, 1);
        close(late);
        turns(&g, is_drained);
        turns(&g, is_closed);
        rig_stop(&g);
    }
}

static const char raw_request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

// raw_answer turns until an answer or the end has come over a raw connection; `out` gets its text.
static void raw_answer(int fd, char out[4096])
{
    out[0] = 0;
    for (int i = 0; i < 1500; i++) {
        shard_turn(shard, 2);
        ssize_t n = recv(fd, out, 4095, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) continue;
        out[n < 0 ? 0 : n] = 0;
        return;
    }
}

// While the listener is open, answers announce the end; afterwards who has come without a request
// is still served, and who has been quiet is closed at once.
static void a_drain_turns_nobody_away(void **state)
{
    (void)state;
    char text[4096];
    struct rig g;
    rig_start(&g, false, HTTP_1_1);
    int quiet = raw_connect(server_port(g.server)), busy = raw_connect(server_port(g.server)),
        fresh = raw_connect(server_port(g.server));
    raw_send(quiet, raw_request, sizeof raw_request - 1);
    raw_answer(quiet, text);
    assert_null(strstr(text, "Connection: close"));
    server_drain(g.server, 50, 5000);
    shard_turn(shard, 2);
    raw_send(busy, raw_request, sizeof raw_request - 1);
    raw_answer(busy, text);
    assert_non_null(strstr(text, "200 OK"));
    assert_non_null(strstr(text, "Connection: close"));
    int late = raw_connect(server_port(g.server));
    while (server_port(g.server) != 0) shard_turn(shard, 2);
    assert_in_range(closes_after_ms(quiet), 0, 300);
    raw_send(fresh, raw_request, sizeof raw_request - 1);
    raw_answer(fresh, text);
    assert_non_null(strstr(text, "200 OK"));
    raw_send(late, raw_request, sizeof raw_request - 1);
    raw_answer(late, text);
    assert_non_null(strstr(text, "200 OK"));
    const int all[] = {quiet, busy, fresh, late};
    for (size_t i = 0; i < 4; i++) close(all[i]);
    turns(&g, is_drained);
    rig_stop(&g);
}

static void rig_start_proxied(struct rig *g, struct address_range *loopback)
{
    assert_ok(address_range_parse(loopback, SLICE_LIT("127.0.0.0/8")));
    proxied = loopback;
    rig_start(g, false, HTTP_1_1);
    proxied = NULL;
}

// A peer that is listed must begin with a PROXY header, and the address in it counts.
static void a_proxys_header_names_the_client(void **state)
{
    (void)state;
    static const uint8_t header[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49,
                                     0x54, 0x0a, 0x21, 0x11, 0x00, 0x0c, 10,   1,    2,    3,
                                     10,   0,    0,    1,    0x30, 0x39, 0x01, 0xbb};
    char text[4096];
    struct rig g;
    struct address_range loopback;
    rig_start_proxied(&g, &loopback);
    for (size_t cut = 0; cut <= sizeof header; cut += 7) { // in one piece and in two
        int fd = raw_connect(server_port(g.server));
        if (cut > 0) raw_send(fd, header, cut);
        for (int i = 0; i < 5; i++) shard_turn(shard, 2);
        if (cut < sizeof header) raw_send(fd, header + cut, sizeof header - cut);
        raw_send(fd, raw_request, sizeof raw_request - 1);
        raw_answer(fd, text);
        assert_non_null(strstr(text, "200 OK"));
        assert_string_equal(g.peer, "10.1.2.3:12345");
        close(fd);
    }
    int bare = raw_connect(server_port(g.server)); // no header
    raw_send(bare, raw_request, sizeof raw_request - 1);
    raw_answer(bare, text);
    assert_string_equal(text, "");
    close(bare);
    int silent = raw_connect(server_port(g.server)); // its deadline is the handshake's
    assert_in_range(closes_after_ms(silent), 250, 900);
    close(silent);
    int cut = raw_connect(server_port(g.server)); // a drain's end ends it, too
    raw_send(cut, header, 5);
    shard_turn(shard, 2);
    server_drain(g.server, 0, 50);
    turns(&g, is_drained);
    close(cut);
    rig_stop(&g);
}

static const uint8_t proxy_head[] = "\r\n\r\n\0\r\nQUIT\n"
                                    "\x21\x11\0\x0c";

static size_t proxy_header_write(uint8_t *out, uint8_t a)
{
    const uint8_t rest[12] = {10, 1, 2, a, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb};
    memcpy(out, proxy_head, 16);
    memcpy(out + 16, rest, 12);
    return 28;
}

// What stands behind the proxy's header is the client's, also when it looks like another header and
// comes in pieces.
static void a_client_cannot_add_a_proxys_header(void **state)
{
    (void)state;
    static uint8_t bytes[70000];
    char text[4096];
    struct rig g;
    struct address_range loopback;
    rig_start_proxied(&g, &loopback);
    size_t n = proxy_header_write(bytes, 3);
    n += proxy_header_write(bytes + n, 66);
    memcpy(bytes + n, raw_request, sizeof raw_request - 1);
    n += sizeof raw_request - 1;
    memset(bytes + n, 'x', 9000);
    int fd = raw_connect(server_port(g.server));
    raw_send(fd, bytes, n + 9000);
    raw_answer(fd, text);
    assert_string_equal(g.peer, ""); // no request came of it
    close(fd);
    // A large request right behind the header loses nothing.
    n = proxy_header_write(bytes, 3);
    n += (size_t)sprintf((char *)bytes + n,
                         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    memset(bytes + n, 'x', 60000);
    fd = raw_connect(server_port(g.server));
    raw_send(fd, bytes, n + 60000);
    raw_answer(fd, text);
    assert_non_null(strstr(text, "200 OK"));
    assert_string_equal(g.peer, "10.1.2.3:12345");
    close(fd);
    rig_stop(&g);
}

// The bound for one client's connections looks at the client behind the proxy, not at the proxy.
static void a_client_has_only_so_many_connections(void **state)
{
    (void)state;
    uint8_t header[28];
    struct rig g;
    struct address_range loopback;
    int fds[7];
    per_peer = 2;
    rig_start_proxied(&g, &loopback);
    for (size_t i = 0; i < 6; i++) { // three of one client, three of another
        proxy_header_write(header, (uint8_t)(i / 3));
        fds[i] = raw_connect(server_port(g.server));
        raw_send(fds[i], header, sizeof header);
        for (int k = 0; k < 5; k++) shard_turn(shard, 2);
    }
    assert_int_equal(server_conn_count(g.server), 4);
    assert_in_range(closes_after_ms(fds[2]), 0, 100);
    close(fds[0]);
    for (int k = 0; k < 5; k++) shard_turn(shard, 2);
    proxy_header_write(header, 0);
    fds[6] = raw_connect(server_port(g.server)); // there is room again
    raw_send(fds[6], header, sizeof header);
    for (int k = 0; k < 5; k++) shard_turn(shard, 2);
    assert_int_equal(server_conn_count(g.server), 4);
    for (size_t i = 1; i < 7; i++) close(fds[i]);
    rig_stop(&g);
    rig_start(&g, false, HTTP_1_1); // without a proxy
    per_peer = 0;
    for (size_t i = 0; i < 3; i++) fds[i] = raw_connect(server_port(g.server));
    for (int k = 0; k < 5; k++) shard_turn(shard, 2);
    assert_int_equal(server_conn_count(g.server), 2);
    for (size_t i = 0; i < 3; i++) close(fds[i]);
    rig_stop(&g);
}

// More connections than there is room for: none is turned away, they wait until one leaves.
static void what_has_no_room_waits(void **state)
{
    (void)state;
    enum { MORE = 20, ROOM = 64 };
    struct rig g;
    int fds[ROOM + MORE];
    char text[4096];
    rig_start(&g, false, HTTP_1_1);
    int64_t refused = metric_total(metrics, &METRIC_CONNS_REFUSED_FULL);
    for (int i = 0; i < ROOM + MORE; i++) {
        fds[i] = raw_connect(server_port(g.server));
        raw_send(fds[i], raw_request, sizeof raw_request - 1);
    }
    for (int i = 0; i < ROOM + MORE; i++) {
        raw_answer(fds[i], text);
        assert_non_null(strstr(text, "200 OK"));
        assert_true(server_conn_count(g.server) <= ROOM);
        close(fds[i]);
    }
    assert_int_equal(metric_total(metrics, &METRIC_CONNS_REFUSED_FULL), refused);
    rig_stop(&g);
}

static void a_refused_connection_says_so(void **state)
{
    (void)state;
    struct rig g;
    rig_start(&g, false, HTTP_1_1);
    unsigned port = server_port(g.server);
    server_free(g.server);
    g.server = NULL;
    for (int i = 0; i < 10; i++) shard_turn(shard, 1);
    struct dial_options d = {
        .version = HTTP_1_1, .http = &limits, .connect_ms = 1000, .handshake_ms = 1000};
    char text[64];
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    assert_ok(address_parse(&d.address, &d.address_len, slice_str(text), 1));
    int64_t ready = metric_total(metrics, &METRIC_DIALS),
            failed_ones = metric_total(metrics, &METRIC_DIALS_FAILED);
    g.conn = dial_open(shard, &d, &callbacks, &g);
    turns(&g, is_closed);
    assert_err(g.closed_err, ERR_CONNECT_REFUSED);
    assert_true(ready > 0); // those of the tests before
    assert_int_equal(metric_total(metrics, &METRIC_DIALS), ready);
    assert_int_equal(metric_total(metrics, &METRIC_DIALS_FAILED), failed_ones + 1);
}

static int with_backend(enum shard_io io)
{
    struct shard_options so = {
        .count = 1, .io = io, .log = logger, .metrics = metrics, .name = "t"};
    if (failed(shard_new(&shard, &so, 0))) return printf("skipped: io_uring is refused here\n"), 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(a_slow_handler_is_answered_for),
        cmocka_unit_test(each_phase_has_its_deadline),
        cmocka_unit_test(a_deadline_cannot_be_put_off),
        cmocka_unit_test(a_busy_connection_is_not_cut),
        cmocka_unit_test(a_peer_that_reads_nothing_is_cut),
        cmocka_unit_test(close_notify_is_the_end),
        cmocka_unit_test(a_drain_finishes_what_is_open),
        cmocka_unit_test(a_drain_turns_nobody_away),
        cmocka_unit_test(a_proxys_header_names_the_client),
        cmocka_unit_test(a_client_cannot_add_a_proxys_header),
        cmocka_unit_test(a_client_has_only_so_many_connections),
        cmocka_unit_test(what_has_no_room_waits),
        cmocka_unit_test(a_refused_connection_says_so),
    };
    int failures = cmocka_run_group_tests_name(io == SHARD_IO_EPOLL ? "epoll" : "io_uring", tests,
                                               NULL, NULL);
    shard_free(shard);
    return failures;
}

int main(void)
{
    proto_err_register();
    cluster_err_register();
    cluster_metrics_declare();
    root = testca_root("root");
    leaf = testca_leaf(&root, &(struct testca_options){.common_name = "leaf", .dns = "localhost"});
    if (failed(log_new(&logger,
                       &(struct log_options){.level = LOG_ERROR, .fd = 2, .program = "test"})) ||
        failed(metrics_new(&metrics, 1)))
        return 1;
    int failures = 0;
    for (size_t i = 0; i < 2; i++) failures += with_backend(backends[i]);
    metrics_free(metrics);
    log_free(logger);
    testca_free(&root);
    testca_free(&leaf);
    return failures;
}
