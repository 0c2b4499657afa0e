#include "bench/once.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/err.h"
#include "bench/load/flow.h"
#include "bench/load/report.h"
#include "cluster/core/address.h"
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/events.h"
#include "proto/err.h"

enum { FILE_MAX = 1 << 20, POLL_MS = 100, REQUEST_MS = 15000, DEADLINE_S = 120 };

static const char usage[] =
    "usage: certmill-bench once --directory URL --root FILE [options] NAME...\n"
    "\n"
    "Gets one certificate for the DNS names from any ACME server (RFC 8555) with fresh P-256 keys, "
    "answers the http-01\n"
    "challenges itself, checks the chain against the root, and prints it.\n"
    "\n"
    "  --directory URL   the server's directory, https only\n"
    "  --root FILE       PEM file with the root that the server and the certificate must chain to\n"
    "  --http ADDRESS    where to answer challenges (default 127.0.0.1:5002)\n"
    "  --out DIR         write chain.pem and key.pem there\n"
    "  --quiet           print nothing but errors\n"
    "  --help            this text\n"
    "\n"
    "exit code: 0 issued and checked, 1 not issued, 2 the command line is not usable\n";

struct once {
    const char *directory, *root, *http, *out;
    bool quiet;
    const char *const *names;
    size_t name_count;
    char host[256], authority[300];
    struct sockaddr_storage address;
    socklen_t address_len;
    struct buf root_pem, chain;
    struct bench_key *account, *leaf;
    struct shard *shard;
    struct responder *responder;
    bool done;
    struct err result;
    char note[FLOW_NOTE_MAX];
    unsigned posts;
};

static int fail(const char *fmt, const char *detail)
{
    fprintf(stderr, "certmill-bench: ");
    fprintf(stderr, "%s%s\n", fmt, detail);
    return 1;
}

static int options_read(struct once *o, int argc, char **argv)
{
    static const struct option longs[] = {{"directory", required_argument, NULL, 'd'},
                                          {"root", required_argument, NULL, 'r'},
                                          {"http", required_argument, NULL, 'p'},
                                          {"out", required_argument, NULL, 'o'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    o->http = "127.0.0.1:5002";
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'd':
            o->directory = optarg;
            break;
        case 'r':
            o->root = optarg;
            break;
        case 'p':
            o->http = optarg;
            break;
        case 'o':
            o->out = optarg;
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    o->names = (const char *const *)(uintptr_t)(argv + optind);
    o->name_count = (size_t)(argc - optind);
    if (o->directory == NULL || o->root == NULL || o->name_count == 0 ||
        o->name_count > FLOW_NAMES_MAX) {
        fputs(usage, stderr);
        return 2;
    }
    return 0;
}

static int file_read(struct buf *out, const char *path)
{
    FILE *f = fopen(path, "rb");
    char chunk[4096];
    if (f == NULL) return -1;
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        if (failed(buf_add(out, slice_of(chunk, n)))) break;
    int bad = ferror(f);
    fclose(f);
    return bad ? -1 : 0;
}

// directory_split takes host and port out of an https URL and resolves the host (blocking: this is
// a command, nothing else waits).
static int directory_split(struct once *o)
{
    if (strncmp(o->directory, "https://", 8) != 0)
        return fail("the directory is not an https URL: ", o->directory);
    const char *start = o->directory + 8, *end = start + strcspn(start, "/");
    if (end == start || (size_t)(end - start) >= sizeof o->authority)
        return fail("the directory URL has no usable host: ", o->directory);
    snprintf(o->authority, sizeof o->authority, "%.*s", (int)(end - start), start);
    const char *colon = strrchr(o->authority, ':');
    if (colon != NULL && strchr(colon, ']') != NULL) colon = NULL;
    bool bracket = o->authority[0] == '[';
    size_t n = colon == NULL ? strlen(o->authority) : (size_t)(colon - o->authority);
    if (n >= sizeof o->host + 2)
        return fail("the directory URL has no usable host: ", o->directory);
    snprintf(o->host, sizeof o->host, "%.*s", (int)(n - (bracket ? 2 : 0)),
             o->authority + (bracket ? 1 : 0));
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int e = getaddrinfo(o->host, colon == NULL ? "443" : colon + 1, &hints, &found);
    if (e != 0) return fail("the directory's host cannot be resolved: ", gai_strerror(e));
    // IPv4 first: a server on "localhost" may listen there only.
    const struct addrinfo *pick = found;
    for (const struct addrinfo *i = found; i != NULL; i = i->ai_next)
        if (i->ai_family == AF_INET) pick = i;
    memcpy(&o->address, pick->ai_addr, pick->ai_addrlen);
    o->address_len = pick->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static void on_step(void *ctx, const char *what)
{
    struct once *o = ctx;
    if (!o->quiet) fprintf(stderr, "  %s\n", what);
}

static void on_done(void *ctx, struct err err, struct slice certificate, const char *note)
{
    struct once *o = ctx;
    o->done = true;
    o->result = err;
    snprintf(o->note, sizeof o->note, "%s", note);
    if (!failed(err) && failed(buf_add(&o->chain, certificate))) o->result = ERR(NO_SPACE);
}

static int out_write(const char *dir, const char *name, struct slice text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(text.p, 1, text.n, f) != text.n || fclose(f) != 0) {
        fprintf(stderr, "certmill-bench: %s cannot be written: %s\n", path, strerror(errno));
        return 1;
    }
    return 0;
}

static int files_write(struct once *o)
{
    struct buf key;
    if (o->out == NULL) return 0;
    buf_init(&key, FILE_MAX);
    umask(077);
    int code = failed(bench_key_pem(&key, o->leaf)) ? fail("the key cannot be written", "")
                                                    : out_write(o->out, "key.pem", buf_slice(&key));
    buf_wipe_fini(&key);
    return code != 0 ? code : out_write(o->out, "chain.pem", buf_slice(&o->chain));
}

static int chain_report(struct once *o, uint64_t took_us)
{
    char note[256];
    const struct jwk *leaf = bench_key_jwk(o->leaf);
    if (failed(chain_check(note, sizeof note, buf_slice(&o->chain), buf_slice(&o->root_pem),
                           o->names, o->name_count, slice_of(leaf->spki, leaf->spki_len))))
        return fail("the certificate is wrong: ", note);
    if (files_write(o) != 0) return 1;
    if (o->quiet) return 0;
    fflush(stdout);
    if (failed(chain_print(stdout, buf_slice(&o->chain))))
        return fail("the chain cannot be printed", "");
    printf("issued in %llu.%03llu ms, %u signed requests\n", (unsigned long long)(took_us / 1000),
           (unsigned long long)(took_us % 1000), o->posts);
    return 0;
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int issue(struct once *o, struct tls_context *tls)
{
    struct flow_options options = {.address = o->address,
                                   .address_len = o->address_len,
                                   .host = o->host,
                                   .authority = o->authority,
                                   .directory = o->directory,
                                   .tls = tls,
                                   .names = o->names,
                                   .name_count = o->name_count,
                                   .account_key = o->account,
                                   .leaf_key = o->leaf,
                                   .responder = o->responder,
                                   .poll_ms = POLL_MS,
                                   .request_ms = REQUEST_MS,
                                   .step = on_step,
                                   .done = on_done,
                                   .ctx = o};
    uint64_t started = now_us();
    struct flow *flow = flow_start(o->shard, &options);
    if (flow == NULL) return fail("no connection could be started", "");
    while (!o->done && now_us() - started < DEADLINE_S * 1000000ull) shard_turn(o->shard, 100);
    uint64_t took = now_us() - started;
    o->posts = flow_posts(flow);
    flow_free(flow);
    for (int i = 0; i < 5; i++) shard_turn(o->shard, 1); // lets the connection close politely
    if (!o->done) return fail("no certificate within two minutes", "");
    return failed(o->result) ? fail("no certificate: ", o->note) : chain_report(o, took);
}

static int with_shard(struct once *o)
{
    char note[256];
    struct log *log;
    struct metrics *metrics;
    struct tls_context *tls;
    struct sockaddr_storage http;
    socklen_t http_len;
    if (failed(address_parse(&http, &http_len, slice_str(o->http), 5002)))
        return fail("not an address: ", o->http);
    struct tls_options to = {
        .trust_pem = buf_slice(&o->root_pem), .alpn_h2 = true, .alpn_http_1_1 = true};
    if (failed(tls_context_new(&tls, note, sizeof note, false, &to)))
        return fail("the root cannot be used: ", note);
    cluster_metrics_declare();
    if (failed(log_new(&log, &(struct log_options){.level = LOG_WARN,
                                                   .fd = STDERR_FILENO,
                                                   .program = "certmill-bench"})) ||
        failed(metrics_new(&metrics, 1)))
        return fail("out of memory", "");
    struct shard_options so = {
        .count = 1, .io = SHARD_IO_EPOLL, .log = log, .metrics = metrics, .name = "bench"};
    int code = 1;
    if (failed(shard_new(&o->shard, &so, 0)))
        fail("the event loop could not be started", "");
    else if (failed(responder_new(&o->responder, note, sizeof note, o->shard, &http, http_len)))
        fail("challenges cannot be answered: ", note);
    else
        code = issue(o, tls);
    responder_free(o->responder);
    for (int i = 0; o->shard != NULL && i < 10; i++)
        shard_turn(o->shard, 1); // its last completions
    if (o->shard != NULL) shard_free(o->shard);
    tls_context_free(tls);
    metrics_free(metrics);
    log_free(log);
    return code;
}

int once_main(int argc, char **argv)
{
    struct once o = {0};
    int code = options_read(&o, argc, argv);
    if (code != 0) return code;
    buf_init(&o.root_pem, FILE_MAX);
    buf_init(&o.chain, FILE_MAX);
    o.account = bench_key_new();
    o.leaf = bench_key_new();
    if (o.account == NULL || o.leaf == NULL)
        code = fail("no keys could be made", "");
    else if (file_read(&o.root_pem, o.root) != 0)
        code = fail("the root file cannot be read: ", o.root);
    else if ((code = directory_split(&o)) == 0)
        code = with_shard(&o);
    bench_key_free(o.account);
    bench_key_free(o.leaf);
    buf_fini(&o.root_pem);
    buf_fini(&o.chain);
    return code;
}
