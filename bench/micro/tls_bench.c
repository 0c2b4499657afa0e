#include "bench/micro/tls_bench.h"

#include <getopt.h>
#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/micro/sample.h"
#include "bench/micro/tls_load.h"
#include "proto/tls/tls.h"

enum {
    HANDSHAKES = 200,
    ROUNDS = 15,
    SIGNATURES = 500,
    FLIGHT_MAX = 1 << 16,
    DAY_S = 86400,
    SECONDS_MAX = 600
};

static const char usage[] =
    "usage: certmill-bench tls [options]\n"
    "\n"
    "Full and resumed TLS 1.3 handshakes over memory, with an ECDSA P-256 certificate and session "
    "tickets as the\n"
    "front end has them: the server's CPU time of one (without sockets), and that of the one "
    "signature in it.\n"
    "\n"
    "  --connect ADDRESS:PORT  instead: full handshakes with a server that is running\n"
    "  --clients N             at the same time (default 32, at most 512)\n"
    "  --seconds S             for so long (default 5, at most 600)\n"
    "  --server PID            also print the CPU time of this process for one handshake\n"
    "  --help                  this text\n";

struct pems {
    struct buf chain, key;
    EC_KEY *ec;
};

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void pem_take(struct buf *out, BIO *bio)
{
    const uint8_t *p;
    size_t n;
    CHECK(BIO_mem_contents(bio, &p, &n) == 1);
    buf_init(out, 1 << 16);
    CHECK(!failed(buf_add(out, slice_of(p, n))));
    BIO_free(bio);
}

// pems_make: a key and a certificate for `localhost` that it has signed itself.
static void pems_make(struct pems *out)
{
    EVP_PKEY *key = EVP_PKEY_new();
    X509 *cert = X509_new();
    BIO *chain_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    out->ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    CHECK(key != NULL && cert != NULL && out->ec != NULL && EC_KEY_generate_key(out->ec) == 1 &&
          EVP_PKEY_set1_EC_KEY(key, out->ec) == 1);
    X509_NAME *name = X509_get_subject_name(cert);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"localhost", -1, -1,
                                     0) == 1 &&
          X509_set_issuer_name(cert, name) == 1 && X509_set_version(cert, 2) == 1 &&
          X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) != NULL &&
          X509_gmtime_adj(X509_getm_notAfter(cert), DAY_S) != NULL &&
          X509_set_pubkey(cert, key) == 1 && X509_sign(cert, key, EVP_sha256()) > 0 &&
          PEM_write_bio_X509(chain_bio, cert) == 1 &&
          PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    pem_take(&out->chain, chain_bio);
    pem_take(&out->key, key_bio);
    X509_free(cert);
    EVP_PKEY_free(key);
}

// shake drives one handshake to its end and past the tickets; returns the server's CPU time.
static double shake(struct tls *client, struct tls *server, struct buf *flight)
{
    double server_us = 0, from;
    CHECK(!failed(tls_start(client)));
    for (bool any = true; any;) {
        buf_clear(flight);
        CHECK(!failed(tls_pull(client, flight)));
        any = buf_len(flight) > 0;
        from = cpu_us();
        if (any) CHECK(!failed(tls_feed(server, buf_slice(flight))));
        buf_clear(flight);
        CHECK(!failed(tls_pull(server, flight)));
        server_us += cpu_us() - from;
        any |= buf_len(flight) > 0;
        if (buf_len(flight) > 0) CHECK(!failed(tls_feed(client, buf_slice(flight))));
        buf_clear(flight);
        if (tls_established(client)) CHECK(!failed(tls_read(client, flight)));
    }
    CHECK(tls_established(client) && tls_established(server));
    // The tickets go out with the first answer.
    CHECK(!failed(tls_write(server, slice_str("x"))));
    buf_clear(flight);
    CHECK(!failed(tls_pull(server, flight)) && !failed(tls_feed(client, buf_slice(flight))));
    buf_clear(flight);
    CHECK(!failed(tls_read(client, flight)) && buf_len(flight) == 1);
    return server_us;
}

static double handshakes_run(struct tls_context *server, struct tls_context *client, bool resume)
{
    struct buf flight;
    double total = 0;
    struct tls *earlier = NULL;
    buf_init(&flight, FLIGHT_MAX);
    for (unsigned i = 0; i < HANDSHAKES; i++) {
        double from = cpu_us(), made;
        struct tls *s = tls_new(server, NULL);
        made = cpu_us() - from;
        struct tls *c = tls_new(client, "localhost");
        CHECK(s != NULL && c != NULL && (earlier == NULL || tls_resume(c, earlier)));
        double took = shake(c, s, &flight);
        CHECK(tls_resumed(s) == (earlier != NULL));
        from = cpu_us();
        tls_free(s);
        if (!resume || earlier != NULL) total += made + took + cpu_us() - from;
        tls_free(earlier);
        earlier = resume ? c : NULL;
        if (!resume) tls_free(c);
    }
    tls_free(earlier);
    buf_fini(&flight);
    return total / (resume ? HANDSHAKES - 1 : HANDSHAKES);
}

static double signatures_run(EC_KEY *key)
{
    uint8_t digest[32] = {1}, out[80];
    unsigned n;
    double from = cpu_us();
    for (unsigned i = 0; i < SIGNATURES; i++) {
        digest[0] = (uint8_t)i;
        CHECK(ECDSA_sign(0, digest, sizeof digest, out, &n, key) == 1);
    }
    return (cpu_us() - from) / SIGNATURES;
}

static void measure(void)
{
    struct pems p;
    struct tls_context *server, *client;
    struct sample_case *full = calloc(3, sizeof *full);
    char note[256];
    uint8_t ticket_key[TLS_TICKET_KEY_LEN] = {7};
    CHECK(full != NULL);
    pems_make(&p);
    sample_pin();
    CHECK(!failed(tls_context_new(&server, note, sizeof note, true,
                                  &(struct tls_options){.chain_pem = buf_slice(&p.chain),
                                                        .key_pem = buf_slice(&p.key),
                                                        .alpn_h2 = true,
                                                        .tickets = true})));
    tls_context_ticket_keys(server, ticket_key, ticket_key);
    CHECK(!failed(tls_context_new(&client, note, sizeof note, false,
                                  &(struct tls_options){.trust_pem = buf_slice(&p.chain),
                                                        .alpn_h2 = true,
                                                        .insecure = true})));
    struct sample_case *resumed = full + 1, *signature = full + 2;
    for (unsigned i = 0; i < ROUNDS; i++) {
        full->us[i] = handshakes_run(server, client, false);
        resumed->us[i] = handshakes_run(server, client, true);
        signature->us[i] = signatures_run(p.ec);
    }
    double f = sample_summary(full, ROUNDS).median, r = sample_summary(resumed, ROUNDS).median;
    double s = sample_summary(signature, ROUNDS).median;
    printf("full handshake, server     %7.1f us\nresumed handshake, server  %7.1f us\n"
           "one ECDSA signature        %7.1f us, %.1f %% of a full handshake\n",
           f, r, s, 100 * s / f);
    tls_context_free(server);
    tls_context_free(client);
    buf_fini(&p.chain);
    buf_fini(&p.key);
    EC_KEY_free(p.ec);
    free(full);
}

int tls_bench_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"connect", required_argument, NULL, 'c'}, {"clients", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'}, {"server", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    struct tls_load_options load = {.clients = 32, .seconds = 5};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'h') return fputs(usage, stdout), 0;
        if (c == 'c') load.host = optarg;
        if (c == 'n') load.clients = (unsigned)strtoul(optarg, NULL, 10);
        if (c == 's') load.seconds = (unsigned)strtoul(optarg, NULL, 10);
        if (c == 'p') load.server = (pid_t)strtol(optarg, NULL, 10);
        if (c == '?') return fputs(usage, stderr), 2;
    }
    char *colon = load.host == NULL ? NULL : strrchr(load.host, ':');
    bool usable = load.clients > 0 && load.clients <= TLS_LOAD_CLIENTS_MAX && load.seconds > 0 &&
                  load.seconds <= SECONDS_MAX && (load.host == NULL || colon != NULL);
    if (optind != argc || !usable) return fputs(usage, stderr), 2;
    if (load.host == NULL) return measure(), 0;
    *colon = 0;
    load.port = colon + 1;
    return tls_load_run(&load);
}
