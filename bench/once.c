#include "bench/once.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bench/load/flow.h"
#include "bench/load/report.h"
#include "bench/load/target.h"
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
    struct target target;
    struct buf chain;
    struct bench_key *account, *leaf;
    bool done;
    struct err result;
    char note[FLOW_NOTE_MAX];
    unsigned posts;
};

static int fail(const char *text, const char *detail)
{
    fprintf(stderr, "certmill-bench: %s%s\n", text, detail);
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
    if (failed(chain_check(note, sizeof note, buf_slice(&o->chain), buf_slice(&o->target.root_pem),
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

static int issue(struct once *o)
{
    struct flow_options options = {.target = &o->target,
                                   .names = o->names,
                                   .name_count = o->name_count,
                                   .account_key = o->account,
                                   .leaf_key = o->leaf,
                                   .poll_ms = POLL_MS,
                                   .request_ms = REQUEST_MS,
                                   .step = on_step,
                                   .done = on_done,
                                   .ctx = o};
    uint64_t started = now_us();
    struct flow *flow = flow_start(&options);
    if (flow == NULL) return fail("no connection could be started", "");
    while (!o->done && now_us() - started < DEADLINE_S * 1000000ull)
        shard_turn(o->target.shard, 100);
    uint64_t took = now_us() - started;
    o->posts = flow_posts(flow);
    flow_free(flow);
    if (!o->done) return fail("no certificate within two minutes", "");
    return failed(o->result) ? fail("no certificate: ", o->note) : chain_report(o, took);
}

int once_main(int argc, char **argv)
{
    struct once o = {0};
    int code = options_read(&o, argc, argv);
    if (code != 0) return code;
    buf_init(&o.chain, FILE_MAX);
    o.account = bench_key_new();
    o.leaf = bench_key_new();
    if (o.account == NULL || o.leaf == NULL)
        code = fail("no keys could be made", "");
    else if (failed(target_open(&o.target, o.note, o.directory, o.root, o.http)))
        code = fail(o.note, "");
    else
        code = issue(&o);
    target_close(&o.target);
    bench_key_free(o.account);
    bench_key_free(o.leaf);
    buf_fini(&o.chain);
    return code;
}
