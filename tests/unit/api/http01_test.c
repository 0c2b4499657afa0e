// http01: a redirect to https is followed, whatever certificate is shown there (RFC 8555
// section 8.3), and bound by the same networks and ports as every hop.
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/err.h"
#include "api/validate/validate.h"
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "tests/support/make.h"
#include "tests/support/peers.h"
#include "tests/unit/unit.h"

#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
static const char token[] = TOKEN, thumbprint[] = "nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";
static const uint64_t WAIT_NS = 20000000000;
#define TO(location) "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " location "\r\n\r\n"

// The web is on 127.0.0.1; on the same port of 127.0.0.2 there is TLS.
static const struct web_row web_rows[] = {
    {.host = "secure.test", .answer = TO("https://127.0.0.2:%P/.well-known/acme-challenge/" TOKEN)},
    {.host = "plain.test", .answer = TO("http://127.0.0.2:%P/.well-known/acme-challenge/" TOKEN)},
    {.host = "upside.test", .answer = TO("https://127.0.0.1:%P/.well-known/acme-challenge/" TOKEN)},
    {.host = "elsewhere.test", .answer = TO("https://127.0.0.2:8443/")},
    {.host = NULL}};

static struct log *logger;
static struct metrics *metrics;
static struct shard *shard;
static struct web *web;

// ---- a web server behind TLS

struct secure {
    int fd, ended; // ended: atomic
    pthread_t thread;
    SSL_CTX *ctx;
    char head[2048]; // of the newest request
};
static struct secure secure;

static void answer(SSL *ssl)
{
    char out[256];
    int n = SSL_read(ssl, secure.head, sizeof secure.head - 1);
    secure.head[n > 0 ? n : 0] = 0;
    int size = snprintf(out, sizeof out,
                        "HTTP/1.1 200 OK\r\nContent-Length: 87\r\nConnection: close\r\n\r\n%s.%s",
                        token, thumbprint);
    if (n > 0) (void)!SSL_write(ssl, out, size);
    SSL_shutdown(ssl);
}

static void *secure_run(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&secure.ended, __ATOMIC_SEQ_CST) == 0) {
        struct pollfd p = {.fd = secure.fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0) continue;
        int fd = accept(secure.fd, NULL, NULL);
        SSL *ssl = SSL_new(secure.ctx);
        if (SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1) answer(ssl);
        ERR_clear_error();
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

// secure_start shows a certificate of nobody's for no name, which ended long ago.
static void secure_start(unsigned port)
{
    struct arena a;
    int one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    assert_int_equal(inet_pton(AF_INET, "127.0.0.2", &at.sin_addr), 1);
    (void)signal(SIGPIPE, SIG_IGN);
    secure.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(secure.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_return_code(bind(secure.fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_return_code(listen(secure.fd, 8), 0);
    arena_init(&a, 1 << 20);
    EVP_PKEY *key = make_key(KEY_P256, 256, 0);
    struct slice cert = make_cert(
        &a, &(struct make_cert){.key = key, .issuer_key = make_key(KEY_P256, 256, 1)});
    secure.ctx = SSL_CTX_new(TLS_method());
    CRYPTO_BUFFER *chain[] = {CRYPTO_BUFFER_new(cert.p, cert.n, NULL)};
    assert_int_equal(SSL_CTX_set_chain_and_key(secure.ctx, chain, 1, key, NULL), 1);
    CRYPTO_BUFFER_free(chain[0]);
    arena_fini(&a);
    assert_int_equal(pthread_create(&secure.thread, NULL, secure_run, NULL), 0);
}

static void secure_stop(void)
{
    __atomic_store_n(&secure.ended, 1, __ATOMIC_SEQ_CST);
    pthread_join(secure.thread, NULL);
    SSL_CTX_free(secure.ctx);
    close(secure.fd);
}

// ---- validations

struct run {
    struct validate_request request;
    struct validate_result result;
    unsigned done;
};

static void on_done(struct validate_request *request, const struct validate_result *result)
{
    struct run *r = LIST_OWNER(request, struct run, request);
    r->result = *result;
    r->done++;
}

static void expect(const char *name, const struct address_range *denied,
                   enum validate_problem problem, const char *text)
{
    struct validate_override o = {.suffix = "test"};
    socklen_t len;
    assert_ok(address_parse(&o.address, &len, SLICE_LIT("127.0.0.1:1"), 1));
    const struct validate_policy p = {.overrides = &o,
                                      .override_count = 1,
                                      .denied = denied,
                                      .denied_count = denied == NULL ? 0 : 1,
                                      .http_port = web_port(web),
                                      .attempts = 1,
                                      .retry_ms = 20,
                                      .attempt_ms = 3000,
                                      .total_ms = 5000,
                                      .redirects = 10};
    struct run r = {.request = {.method = CHALLENGE_HTTP_01,
                                .identifier = {IDENTIFIER_DNS, slice_str(name)},
                                .token = slice_str(token),
                                .thumbprint = slice_str(thumbprint),
                                .policy = &p,
                                .done = on_done}};
    struct validator *v = validator_new(shard, 4);
    assert_ok(validate_start(v, &r.request));
    uint64_t begun_ns = shard_now_ns(shard);
    while (r.done == 0 && shard_now_ns(shard) - begun_ns < WAIT_NS) shard_turn(shard, 5);
    for (int i = 0; i < 20; i++) shard_turn(shard, 1);
    validator_free(v);
    assert_int_equal(r.done, 1);
    if (r.result.problem != problem || strstr(r.result.detail, text) == NULL)
        fail_msg("%s: problem %d, \"%s\"", name, (int)r.result.problem, r.result.detail);
}

static void redirects_to_https_are_followed(void **state)
{
    (void)state;
    struct address_range second;
    char host[64];
    expect("secure.test", NULL, VALIDATE_OK, "");
    snprintf(host, sizeof host, "\r\nHost: 127.0.0.2:%u\r\n", web_port(web));
    assert_non_null(strstr(secure.head, host));
    assert_non_null(strstr(secure.head, "GET /.well-known/acme-challenge/" TOKEN " HTTP/1.1\r\n"));
    // TLS where there is none, and none where there is TLS.
    expect("upside.test", NULL, VALIDATE_CONNECTION, "(redirected to 127.0.0.1) did not answer");
    expect("plain.test", NULL, VALIDATE_CONNECTION, "(redirected to 127.0.0.2)");
    expect("elsewhere.test", NULL, VALIDATE_CONNECTION, "redirects to port 8443");
    // The second hop is bound as the first one is.
    assert_ok(address_range_parse(&second, SLICE_LIT("127.0.0.2")));
    secure.head[0] = 0;
    expect("secure.test", &second, VALIDATE_CONNECTION, "outside the networks");
    assert_int_equal(secure.head[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(redirects_to_https_are_followed)};
    proto_err_register();
    cluster_err_register();
    api_err_register();
    cluster_metrics_declare();
    struct log_options lo = {.level = LOG_ERROR, .fd = 2, .program = "test"};
    struct shard_options so = {.count = 1, .io = SHARD_IO_EPOLL, .name = "t"};
    if (failed(log_new(&logger, &lo)) || failed(metrics_new(&metrics, 1))) return 1;
    so.log = logger;
    so.metrics = metrics;
    if (failed(shard_new(&shard, &so, 0))) return 1;
    web = web_start(web_rows, thumbprint);
    secure_start(web_port(web));
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    secure_stop();
    web_stop(web);
    for (int i = 0; i < 300; i++) shard_turn(shard, 5); // connections linger
    shard_free(shard);
    metrics_free(metrics);
    log_free(logger);
    return failures;
}
