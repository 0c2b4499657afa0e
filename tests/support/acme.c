#include "tests/support/acme.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/jose/jwk.h"
#include "proto/text/base64url.h"
#include "tests/support/front.h"

enum { ARENA_MAX = 256 << 20, HEAD_MAX = 65536, PATIENCE_S = 60, POLL_MS = 20, PATH_MAX_ = 512 };

struct acme_tls {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static void pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

// ---- connection

static void disconnect(struct acme_tls *t)
{
    SSL_free(t->ssl);
    if (t->fd >= 0) close(t->fd);
    t->ssl = NULL;
    t->fd = -1;
}

static bool connect_to(struct acme_tls *t, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(t->fd >= 0);
    setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(t->fd, (const struct sockaddr *)&a, sizeof a) != 0) return false;
    t->ssl = SSL_new(t->ctx);
    CHECK(t->ssl != NULL && SSL_set_fd(t->ssl, t->fd) && SSL_set1_host(t->ssl, "localhost"));
    return SSL_connect(t->ssl) == 1;
}

void acme_init(struct acme *c, const char *root_pem_path, unsigned port, unsigned key)
{
    *c = (struct acme){.tenant = "default", .key = make_key(KEY_P256, 0, key)};
    arena_init(&c->arena, ARENA_MAX);
    c->tls = calloc(1, sizeof *c->tls);
    CHECK(c->tls != NULL);
    c->tls->fd = -1;
    c->tls->ctx = SSL_CTX_new(TLS_method());
    CHECK(SSL_CTX_load_verify_locations(c->tls->ctx, root_pem_path, NULL) == 1);
    SSL_CTX_set_verify(c->tls->ctx, SSL_VERIFY_PEER, NULL);
    acme_port(c, port);
}

void acme_fini(struct acme *c)
{
    disconnect(c->tls);
    SSL_CTX_free(c->tls->ctx);
    free(c->tls);
    arena_fini(&c->arena);
}

void acme_port(struct acme *c, unsigned port)
{
    disconnect(c->tls);
    c->port = port;
    snprintf(c->origin, sizeof c->origin, "https://localhost:%u", port);
}

// ---- messages

static bool write_all(struct acme_tls *t, struct slice s)
{
    for (size_t at = 0; at < s.n;) {
        int n = SSL_write(t->ssl, s.p + at, (int)(s.n - at));
        if (n <= 0) return false;
        at += (size_t)n;
    }
    return true;
}

static size_t length_of(const struct acme_answer *a)
{
    struct slice s = acme_header(a, "Content-Length");
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n = n * 10 + (size_t)(s.p[i] - '0');
    return n;
}

static bool read_answer(struct acme *c, struct acme_answer *out, bool head_only)
{
    char *head = arena_calloc(&c->arena, HEAD_MAX);
    size_t got = 0;
    char *end = NULL;
    CHECK(head != NULL);
    while (end == NULL) {
        int n = SSL_read(c->tls->ssl, head + got, (int)(HEAD_MAX - 1 - got));
        if (n <= 0) return false;
        got += (size_t)n;
        end = strstr(head, "\r\n\r\n");
    }
    size_t head_len = (size_t)(end - head) + 4;
    *out = (struct acme_answer){.status = (unsigned)atoi(head + strlen("HTTP/1.1 ")),
                                .headers = slice_of(head, head_len - 2)};
    size_t length = head_only || out->status == 204 ? 0 : length_of(out), have = got - head_len;
    uint8_t *body = arena_alloc(&c->arena, length + 1);
    CHECK(body != NULL && have <= length);
    memcpy(body, head + head_len, have);
    while (have < length) {
        int n = SSL_read(c->tls->ssl, body + have, (int)(length - have));
        if (n <= 0) return false;
        have += (size_t)n;
    }
    body[length] = 0;
    out->body = slice_of(body, length);
    return true;
}

static void nonce_keep(struct acme *c, const struct acme_answer *a)
{
    struct slice n = acme_header(a, "Replay-Nonce");
    snprintf(c->nonce, sizeof c->nonce, "%.*s", (int)n.n, n.p == NULL ? "" : (const char *)n.p);
}

struct acme_answer acme_send(struct acme *c, const char *method, const char *path, const char *host,
                             const char *content_type, struct slice body)
{
    struct acme_answer out;
    struct slice head = make_text(
        &c->arena, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%sContent-Length: %zu\r\n\r\n", method, path,
        host != NULL ? host : c->origin + strlen("https://"),
        content_type == NULL ? "" : "Content-Type: ", content_type == NULL ? "" : content_type,
        content_type == NULL ? "" : "\r\n", body.n);
    bool head_only = strcmp(method, "HEAD") == 0;
    // A kept connection may have ended meanwhile: a second try is on a new one.
    for (int try = 0; try < 2; try++) {
        if (c->tls->ssl == NULL && !connect_to(c->tls, c->port)) break;
        if (write_all(c->tls, head) && write_all(c->tls, body) && read_answer(c, &out, head_only)) {
            nonce_keep(c, &out);
            if (slice_eq_str(acme_header(&out, "Connection"), "close")) disconnect(c->tls);
            return out;
        }
        disconnect(c->tls);
    }
    fprintf(stderr, "%s %s on port %u got no answer\n", method, path, c->port);
    abort();
}

static struct slice header_at(const struct acme_answer *a, const char *name, unsigned *count)
{
    struct slice found = SLICE_NONE;
    const char *at = (const char *)a->headers.p, *end = at + a->headers.n;
    size_t n = strlen(name);
    *count = 0;
    while (at < end) {
        const char *eol = memmem(at, (size_t)(end - at), "\r\n", 2);
        if ((size_t)(eol - at) > n + 1 && memcmp(at, name, n) == 0 && at[n] == ':') {
            if ((*count)++ == 0) found = slice_of(at + n + 2, (size_t)(eol - at) - n - 2);
        }
        at = eol + 2;
    }
    return found;
}

struct slice acme_header(const struct acme_answer *a, const char *name)
{
    unsigned count;
    return header_at(a, name, &count);
}

unsigned acme_headers(const struct acme_answer *a, const char *name)
{
    unsigned count;
    (void)header_at(a, name, &count);
    return count;
}

static struct json step_into(struct json j, const char *name, size_t n)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)n, name);
    return json_is_array(j) ? json_at(j, (size_t)atoi(text)) : json_get(j, text);
}

const char *acme_text(struct acme *c, const struct acme_answer *a, const char *path)
{
    struct json j;
    struct slice s;
    int64_t number;
    if (failed(json_parse(&j, &c->arena, a->body))) return NULL;
    for (const char *at = path; *at != 0;) {
        size_t n = strcspn(at, ".");
        j = step_into(j, at, n);
        at += n + (at[n] == '.');
    }
    if (!failed(json_string(j, &s)))
        return (const char *)make_text(&c->arena, "%.*s", SLICE_ARG(s)).p;
    if (!failed(json_int(j, &number)))
        return (const char *)make_text(&c->arena, "%lld", (long long)number).p;
    return json_present(j) ? "" : NULL;
}

const char *acme_type(struct acme *c, const struct acme_answer *a)
{
    const char *type = acme_text(c, a, "type");
    return type == NULL || strrchr(type, ':') == NULL ? "" : strrchr(type, ':') + 1;
}

// ---- signed requests

const char *acme_path(struct acme *c, const char *rest)
{
    return (const char *)make_text(&c->arena, "/acme/%s/%s", c->tenant, rest).p;
}

const char *acme_url(struct acme *c, const char *rest)
{
    return (const char *)make_text(&c->arena, "%s%s", c->origin, acme_path(c, rest)).p;
}

const char *acme_nonce(struct acme *c)
{
    struct acme_answer a = acme_send(c, "HEAD", acme_path(c, "new-nonce"), NULL, NULL, SLICE_NONE);
    CHECK(a.status == 200 && c->nonce[0] != 0);
    return c->nonce;
}

static void fill_in(struct acme *c, struct buf *b, char what, const char *path)
{
    struct slice jwk = make_jwk(&c->arena, c->key);
    const char *alg = make_alg(c->key);
    struct err e = what == 'N'   ? buf_add_str(b, c->nonce)
                   : what == 'U' ? buf_printf(b, "%s%s", c->origin, path)
                   : what == 'K' ? buf_add_str(b, c->kid == NULL ? "" : c->kid)
                   : what == 'J' ? buf_add(b, jwk)
                                 : buf_add_str(b, alg);
    CHECK(!failed(e));
}

struct slice acme_jws(struct acme *c, const char *path, const char *header, const char *payload)
{
    struct buf b;
    struct slice protected;
    buf_init(&b, 1 << 20);
    if (c->nonce[0] == 0 && strstr(header, "%N") != NULL) acme_nonce(c);
    for (const char *at = header; *at != 0; at++) {
        if (*at == '%')
            fill_in(c, &b, *++at, path);
        else
            CHECK(!failed(buf_add(&b, slice_of(at, 1))));
    }
    CHECK(!failed(arena_dup(&protected, &c->arena, buf_slice(&b))));
    buf_fini(&b);
    return make_jws(&c->arena, c->key, protected, slice_str(payload == NULL ? "" : payload));
}

struct acme_answer acme_post(struct acme *c, const char *path, const char *header,
                             const char *payload)
{
    struct slice body = acme_jws(c, path, header, payload);
    c->nonce[0] = 0;
    return acme_send(c, "POST", path, NULL, "application/jose+json", body);
}

struct acme_answer acme_call(struct acme *c, const char *url, const char *payload)
{
    const char *path = strncmp(url, "https://", 8) == 0 ? strchr(url + 8, '/') : url;
    struct acme_answer a = acme_post(c, path, ACME_KID, payload);
    if (strcmp(acme_type(c, &a), "badNonce") == 0) a = acme_post(c, path, ACME_KID, payload);
    return a;
}

// ---- an issuance

// unexpected stops the test with the answer in sight.
static void expect(struct acme *c, const struct acme_answer *a, unsigned status, const char *what)
{
    (void)c;
    if (a->status == status) return;
    fprintf(stderr, "%s: %u %.*s\n", what, a->status, SLICE_ARG(a->body));
    abort();
}

static const char *dup_header(struct acme *c, const struct acme_answer *a, const char *name)
{
    return (const char *)make_text(&c->arena, "%.*s", SLICE_ARG(acme_header(a, name))).p;
}

void acme_register(struct acme *c)
{
    struct acme_answer a = acme_post(c, acme_path(c, "new-account"), ACME_JWK,
                                     "{\"termsOfServiceAgreed\":true}");
    if (a.status != 200) expect(c, &a, 201, "newAccount");
    c->kid = dup_header(c, &a, "Location");
}

struct acme_answer acme_order(struct acme *c, const char *names)
{
    struct buf b;
    buf_init(&b, 65536);
    CHECK(!failed(buf_add_str(&b, "{\"identifiers\":[")));
    for (const char *at = names; *at != 0;) {
        size_t n = strcspn(at, ",");
        CHECK(!failed(buf_printf(&b, "%s{\"type\":\"dns\",\"value\":\"%.*s\"}",
                                 at == names ? "" : ",", (int)n, at)));
        at += n + (at[n] == ',');
    }
    CHECK(!failed(buf_add_str(&b, "]}")));
    const char *payload = (const char *)make_text(&c->arena, "%.*s", SLICE_ARG(buf_slice(&b))).p;
    buf_fini(&b);
    struct acme_answer a = acme_call(c, acme_path(c, "new-order"), payload);
    expect(c, &a, 201, "newOrder");
    return a;
}

struct acme_answer acme_wait(struct acme *c, const char *url, const char *not1, const char *not2,
                             unsigned ms)
{
    for (unsigned waited = 0;; waited += POLL_MS) {
        struct acme_answer a = acme_call(c, url, NULL);
        expect(c, &a, 200, url);
        const char *status = acme_text(c, &a, "status");
        bool open = strcmp(status, not1) == 0 || (not2 != NULL && strcmp(status, not2) == 0);
        if (!open || waited >= ms) return a;
        pause_ms(POLL_MS);
    }
}

const char *acme_thumbprint(struct acme *c)
{
    struct jwk jwk;
    char text[64] = "";
    CHECK(!failed(jwk_from_spki(&jwk, make_spki(&c->arena, c->key))));
    base64url_encode(text, slice_of(jwk.thumbprint, sizeof jwk.thumbprint));
    return (const char *)make_text(&c->arena, "%.43s", text).p;
}

void acme_authorize(struct acme *c, const struct acme_answer *order)
{
    char path[32];
    responder_thumbprint(acme_thumbprint(c));
    for (unsigned i = 0;; i++) {
        snprintf(path, sizeof path, "authorizations.%u", i);
        const char *url = acme_text(c, order, path);
        if (url == NULL) return;
        struct acme_answer authz = acme_call(c, url, NULL);
        const char *challenge = acme_text(c, &authz, "challenges.0.url");
        struct acme_answer a = acme_call(c, challenge, "{}");
        expect(c, &a, 200, "challenge");
        a = acme_wait(c, url, "pending", "processing", 20000);
        if (strcmp(acme_text(c, &a, "status"), "valid") != 0) expect(c, &a, 0, "authorization");
    }
}

const char *acme_csr(struct acme *c, const char *names, unsigned key)
{
    struct slice der = make_csr_for(&c->arena, make_key(KEY_P256, 0, key), names);
    char *text = arena_calloc(&c->arena, base64url_encoded_len(der.n) + 1);
    CHECK(text != NULL);
    base64url_encode(text, der);
    return (const char *)make_text(&c->arena, "{\"csr\":\"%s\"}", text).p;
}

const char *acme_ready(struct acme *c, const char *names)
{
    struct acme_answer order = acme_order(c, names);
    const char *url = dup_header(c, &order, "Location");
    acme_authorize(c, &order);
    struct acme_answer a = acme_call(c, url, NULL);
    CHECK(strcmp(acme_text(c, &a, "status"), "ready") == 0);
    return url;
}
