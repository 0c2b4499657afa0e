#include "tests/support/alpn_peer.h"

#include <arpa/inet.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/err.h"

enum { CLIENTS_MAX = 128, HUGE_CHAIN = 60, WAIT_S = 3, STREAM_MAX = 8 << 20 };

struct alpn_peer {
    const struct alpn_row *rows;
    unsigned port;
    int fds[2]; // the second -1 without IPv6
    int ended;  // atomic, as the counters are
    unsigned handshakes, faults, sent;
    pthread_t thread, clients[CLIENTS_MAX];
    unsigned client_count;
};

struct client {
    struct alpn_peer *peer;
    int fd;
    const struct alpn_row *row; // found by SNI
};

static bool is_ended(struct alpn_peer *p) { return __atomic_load_n(&p->ended, __ATOMIC_SEQ_CST); }

static void add(unsigned *counter, unsigned n) { __atomic_add_fetch(counter, n, __ATOMIC_SEQ_CST); }

// ---- what the client says

static void hello_check(struct alpn_peer *p, const SSL_CLIENT_HELLO *hello)
{
    static const uint8_t only[] = "\x00\x0b\x0a"
                                  "acme-tls/1";
    const uint8_t *data;
    size_t n;
    bool alpn = SSL_early_callback_ctx_extension_get(
                    hello, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &n) == 1 &&
                n == sizeof only - 1 && memcmp(data, only, n) == 0;
    bool old = hello->version < TLS1_2_VERSION;
    if (SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_supported_versions, &data, &n) == 1)
        for (size_t i = 1; i + 1 < n; i += 2)
            old |= data[i] == 3 && data[i + 1] < 3; // others are GREASE
    if (!alpn || old) add(&p->faults, 1);
}

static void chain_use(SSL *ssl, const struct alpn_row *row)
{
    size_t count = row->how == ALPN_HUGE ? HUGE_CHAIN : 1;
    CRYPTO_BUFFER *chain[HUGE_CHAIN];
    for (size_t i = 0; i < count; i++) {
        chain[i] = CRYPTO_BUFFER_new(row->cert.p, row->cert.n, NULL);
        CHECK(chain[i] != NULL);
    }
    CHECK(SSL_set_chain_and_key(ssl, chain, count, row->key, NULL) == 1);
    for (size_t i = 0; i < count; i++) CRYPTO_BUFFER_free(chain[i]);
}

static enum ssl_select_cert_result_t on_hello(const SSL_CLIENT_HELLO *hello)
{
    struct client *c = SSL_get_app_data(hello->ssl);
    const char *sni = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
    for (const struct alpn_row *r = c->peer->rows; sni != NULL && r->sni != NULL; r++)
        if (strcmp(r->sni, sni) == 0) c->row = r;
    hello_check(c->peer, hello);
    if (c->row == NULL) return ssl_select_cert_error;
    chain_use(hello->ssl, c->row);
    if (c->row->how == ALPN_TLS_1_1) {
        CHECK(SSL_set_min_proto_version(hello->ssl, TLS1_VERSION) == 1);
        CHECK(SSL_set_max_proto_version(hello->ssl, TLS1_1_VERSION) == 1);
    }
    if (c->row->how == ALPN_TLS_1_2)
        CHECK(SSL_set_max_proto_version(hello->ssl, TLS1_2_VERSION) == 1);
    if (c->row->how == ALPN_TLS_1_3)
        CHECK(SSL_set_min_proto_version(hello->ssl, TLS1_3_VERSION) == 1);
    if (c->row->how == ALPN_CLIENT_CERT) SSL_set_verify(hello->ssl, SSL_VERIFY_PEER, NULL);
    return ssl_select_cert_success;
}

static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_n, const uint8_t *in, unsigned n,
                   void *arg)
{
    (void)in, (void)n, (void)arg;
    struct client *c = SSL_get_app_data(ssl);
    const char *choice = c->row->how == ALPN_OTHER ? "h2" : "acme-tls/1";
    if (c->row->how == ALPN_NONE) return SSL_TLSEXT_ERR_NOACK;
    *out = (const uint8_t *)choice;
    *out_n = (uint8_t)strlen(choice);
    return SSL_TLSEXT_ERR_OK;
}

// ---- what it gets

static void shaken(struct client *c, SSL *ssl)
{
    uint8_t data[1024] = {0};
    add(&c->peer->handshakes, 1);
    while (c->row->how == ALPN_CHATTY && SSL_write(ssl, data, sizeof data) > 0) {
    }
    if (SSL_read(ssl, data, sizeof data) > 0) add(&c->peer->faults, 1);
}

// stream sends the same octets again and again until the client has enough.
static void stream(struct client *c, const char *first, size_t first_n, const char *octets,
                   size_t n)
{
    unsigned sent = 0;
    if (send(c->fd, first, first_n, MSG_NOSIGNAL) < 0) return;
    while (!is_ended(c->peer) && sent < STREAM_MAX &&
           send(c->fd, octets, n, MSG_NOSIGNAL) == (ssize_t)n)
        sent += (unsigned)n;
    if (sent > __atomic_load_n(&c->peer->sent, __ATOMIC_SEQ_CST))
        __atomic_store_n(&c->peer->sent, sent, __ATOMIC_SEQ_CST);
}

static void misbehave(struct client *c)
{
    static const char message[] = "\x16\x03\x03\x00\x04\x02\xff\xff\xff", // a ServerHello of 16 MiB
        octet[] = "\x16\x03\x03\x00\x01",                                 // one octet of it
        request[] = "\x16\x03\x03\x00\x04\x00\x00\x00",                   // HelloRequest
        http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    switch (c->row->how) {
    case ALPN_ENDLESS:
        stream(c, message, sizeof message - 1, octet, sizeof octet);
        break;
    case ALPN_HELLO_AGAIN:
        stream(c, request, sizeof request, request, sizeof request);
        break;
    case ALPN_GARBAGE:
        (void)!send(c->fd, http, sizeof http - 1, MSG_NOSIGNAL);
        break;
    default:
        break;
    }
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    char rest[1024];
    while (c->row->how != ALPN_CLOSE && !is_ended(c->peer) &&
           (poll(&p, 1, 20) == 0 || recv(c->fd, rest, sizeof rest, 0) > 0)) {
    }
}

// hello_peek finds the row of a server that will not speak TLS: the name stands in the ClientHello
// as it is.
static void hello_peek(struct client *c)
{
    uint8_t hello[4096];
    ssize_t n = recv(c->fd, hello, sizeof hello, MSG_PEEK);
    for (const struct alpn_row *r = c->peer->rows; n > 0 && r->sni != NULL; r++)
        if (r->how > ALPN_CHATTY && memmem(hello, (size_t)n, r->sni, strlen(r->sni)) != NULL)
            c->row = r;
}

static void handshake(struct client *c)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    CHECK(ctx != NULL);
    SSL_CTX_set_select_certificate_cb(ctx, on_hello);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL *ssl = SSL_new(ctx);
    CHECK(ssl != NULL && SSL_set_app_data(ssl, c) == 1 && SSL_set_fd(ssl, c->fd) == 1);
    if (SSL_accept(ssl) == 1) shaken(c, ssl);
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void *client_run(void *arg)
{
    struct client c = *(struct client *)arg;
    struct timeval wait = {.tv_sec = WAIT_S};
    free(arg);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    hello_peek(&c);
    if (c.row != NULL)
        misbehave(&c);
    else
        handshake(&c);
    close(c.fd);
    return NULL;
}

// ---- the server

static int listen_on(int family, unsigned *port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)},
                             .sin_port = htons((uint16_t)*port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                              .sin6_port = htons((uint16_t)*port)};
    struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t n = family == AF_INET ? sizeof v4 : sizeof v6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, a, n) != 0 || listen(fd, 64) != 0) {
        close(fd);
        return -1;
    }
    if (family == AF_INET) {
        CHECK(getsockname(fd, a, &n) == 0);
        *port = ntohs(v4.sin_port);
    }
    return fd;
}

static void *peer_run(void *arg)
{
    struct alpn_peer *p = arg;
    while (!is_ended(p) && p->client_count < CLIENTS_MAX) {
        struct pollfd fds[] = {{.fd = p->fds[0], .events = POLLIN},
                               {.fd = p->fds[1], .events = POLLIN}};
        if (poll(fds, 2, 20) <= 0) continue;
        for (size_t i = 0; i < 2; i++) {
            if (fds[i].revents == 0 || p->client_count == CLIENTS_MAX) continue;
            struct client *c = calloc(1, sizeof *c);
            CHECK(c != NULL);
            *c = (struct client){.peer = p, .fd = accept(p->fds[i], NULL, NULL)};
            CHECK(pthread_create(&p->clients[p->client_count++], NULL, client_run, c) == 0);
        }
    }
    return NULL;
}

struct alpn_peer *alpn_peer_start(const struct alpn_row *rows)
{
    struct alpn_peer *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    (void)signal(SIGPIPE, SIG_IGN); // the library writes without MSG_NOSIGNAL
    p->rows = rows;
    p->fds[0] = listen_on(AF_INET, &p->port);
    CHECK(p->fds[0] >= 0);
    p->fds[1] = listen_on(AF_INET6, &p->port);
    CHECK(pthread_create(&p->thread, NULL, peer_run, p) == 0);
    return p;
}

unsigned alpn_peer_port(const struct alpn_peer *p) { return p->port; }

bool alpn_peer_ipv6(const struct alpn_peer *p) { return p->fds[1] >= 0; }

unsigned alpn_peer_handshakes(struct alpn_peer *p)
{
    return __atomic_load_n(&p->handshakes, __ATOMIC_SEQ_CST);
}

unsigned alpn_peer_faults(struct alpn_peer *p)
{
    return __atomic_load_n(&p->faults, __ATOMIC_SEQ_CST);
}

unsigned alpn_peer_sent(struct alpn_peer *p) { return __atomic_load_n(&p->sent, __ATOMIC_SEQ_CST); }

void alpn_peer_stop(struct alpn_peer *p)
{
    __atomic_store_n(&p->ended, 1, __ATOMIC_SEQ_CST);
    pthread_join(p->thread, NULL);
    for (unsigned i = 0; i < p->client_count; i++) pthread_join(p->clients[i], NULL);
    for (size_t i = 0; i < 2; i++)
        if (p->fds[i] >= 0) close(p->fds[i]);
    free(p);
}
