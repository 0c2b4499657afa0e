#include "bench/loop.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/load/flow.h"
#include "bench/load/report.h"
#include "bench/load/target.h"
#include "proto/err.h"

enum {
    CLIENTS_MAX = 256,
    SECONDS_MAX = 600,
    TIMES_MAX = 1 << 20, // issuances measured; the loop ends there
    REQUEST_MS = 15000,
    PAUSE_MS = 100, // of a client after a failure
    NAME_MAX_LEN = 64
};

static const char usage[] =
    "usage: certmill-bench loop --directory URL --root FILE [options]\n"
    "\n"
    "Issues certificates in a loop: each client keeps one account and, again and again, connects, "
    "orders a\n"
    "certificate for a new name, answers http-01 itself, finalizes, downloads and checks the "
    "chain. "
    "Prints\n"
    "issuances per second and the time of one (median, p99, max). Closed loop: a client starts its "
    "next when\n"
    "the last has ended.\n"
    "\n"
    "  --directory URL   the server's directory, https only\n"
    "  --root FILE       PEM file with the root that server and certificates must chain to\n"
    "  --http ADDRESS    where to answer challenges (default 127.0.0.1:5002)\n"
    "  --clients N       at the same time (default 8, at most 256)\n"
    "  --seconds S       for so long (default 10, at most 600)\n"
    "  --poll MS         pause between polls (default 5)\n"
    "  --suffix NAME     names end so (default internal.test)\n"
    "  --json            one line of JSON instead of text\n"
    "  --help            this text\n"
    "\n"
    "exit code: 0 every issuance succeeded, 1 some failed, 2 the command line is not usable\n";

struct loop;

struct client {
    struct loop *loop;
    unsigned index, sequence;
    struct bench_key *account, *leaf;
    struct flow *flow;
    struct timer pause;
    char name[NAME_MAX_LEN];
    const char *names[1];
    uint64_t started_us;
};

struct loop {
    const char *directory, *root, *http, *suffix;
    unsigned clients, seconds, poll_ms;
    bool json;
    struct target target;
    struct client client[CLIENTS_MAX];
    uint64_t ends_us;
    uint32_t *times_us; // of the issuances that succeeded
    size_t done, failures, posts;
    unsigned running;
    char note[FLOW_NOTE_MAX]; // of the first failure
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

// ---- the command line

static bool number_read(unsigned *out, const char *text, unsigned max)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || v == 0 || v > max) return false;
    *out = (unsigned)v;
    return true;
}

static bool option_take(struct loop *l, int option, const char *value)
{
    switch (option) {
    case 'd':
        l->directory = value;
        return true;
    case 'r':
        l->root = value;
        return true;
    case 'p':
        l->http = value;
        return true;
    case 'x':
        l->suffix = value;
        return strlen(value) < NAME_MAX_LEN - 24;
    case 'c':
        return number_read(&l->clients, value, CLIENTS_MAX);
    case 's':
        return number_read(&l->seconds, value, SECONDS_MAX);
    case 'w':
        return number_read(&l->poll_ms, value, 10000);
    case 'j':
        return l->json = true;
    default:
        return false;
    }
}

static bool options_read(struct loop *l, int argc, char **argv)
{
    static const struct option longs[] = {{"directory", required_argument, NULL, 'd'},
                                          {"root", required_argument, NULL, 'r'},
                                          {"http", required_argument, NULL, 'p'},
                                          {"suffix", required_argument, NULL, 'x'},
                                          {"clients", required_argument, NULL, 'c'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"poll", required_argument, NULL, 'w'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    *l = (struct loop){.http = "127.0.0.1:5002",
                       .suffix = "internal.test",
                       .clients = 8,
                       .seconds = 10,
                       .poll_ms = 5};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        if (!option_take(l, c, optarg)) return false;
    }
    return optind == argc && l->directory != NULL && l->root != NULL;
}

// ---- the loop

static void client_next(struct client *c);

static void on_pause(struct timer *t) { client_next(LIST_OWNER(t, struct client, pause)); }

static void failed_once(struct client *c, const char *note)
{
    struct loop *l = c->loop;
    if (l->failures++ == 0) snprintf(l->note, sizeof l->note, "%s", note);
    timer_set(l->target.shard, &c->pause, PAUSE_MS);
}

static void on_done(void *ctx, struct err err, struct slice certificate, const char *note)
{
    struct client *c = ctx;
    struct loop *l = c->loop;
    char why[256];
    const struct jwk *leaf = bench_key_jwk(c->leaf);
    uint64_t took = now_us() - c->started_us;
    bool ok = !failed(err);
    if (ok && failed(chain_check(why, sizeof why, certificate, buf_slice(&l->target.root_pem),
                                 c->names, 1, slice_of(leaf->spki, leaf->spki_len)))) {
        note = why;
        ok = false;
    }
    l->posts += flow_posts(c->flow);
    flow_free(c->flow);
    c->flow = NULL;
    l->running--;
    if (!ok) {
        failed_once(c, note);
        return;
    }
    l->times_us[l->done++] = (uint32_t)took;
    client_next(c);
}

static void client_next(struct client *c)
{
    struct loop *l = c->loop;
    c->started_us = now_us();
    if (c->started_us >= l->ends_us || l->done + l->running >= TIMES_MAX) return;
    snprintf(c->name, sizeof c->name, "loop-%u-%u.%s", c->index, c->sequence++, l->suffix);
    c->names[0] = c->name;
    c->flow = flow_start(&(struct flow_options){.target = &l->target,
                                                .names = c->names,
                                                .name_count = 1,
                                                .account_key = c->account,
                                                .leaf_key = c->leaf,
                                                .poll_ms = l->poll_ms,
                                                .request_ms = REQUEST_MS,
                                                .done = on_done,
                                                .ctx = c});
    if (c->flow == NULL)
        failed_once(c, "no connection could be started");
    else
        l->running++;
}

static bool clients_start(struct loop *l)
{
    for (unsigned i = 0; i < l->clients; i++) {
        struct client *c = &l->client[i];
        *c = (struct client){.loop = l, .index = i, .pause = {.fire = on_pause}};
        c->account = bench_key_new();
        c->leaf = bench_key_new();
        if (c->account == NULL || c->leaf == NULL) return false;
        client_next(c);
    }
    return true;
}

static void clients_stop(struct loop *l)
{
    for (unsigned i = 0; i < l->clients; i++) {
        struct client *c = &l->client[i];
        timer_cancel(&c->pause);
        flow_free(c->flow);
        bench_key_free(c->account);
        bench_key_free(c->leaf);
    }
}

// ---- the report

static int by_time(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(const struct loop *l, double q)
{
    size_t at = (size_t)(q * (double)l->done);
    if (l->done == 0) return 0;
    return l->times_us[at < l->done ? at : l->done - 1] / 1000.0;
}

static void print(struct loop *l, double took_s)
{
    qsort(l->times_us, l->done, sizeof *l->times_us, by_time);
    double rate = (double)l->done / took_s, median = quantile_ms(l, 0.5),
           p99 = quantile_ms(l, 0.99), max = quantile_ms(l, 1);
    if (l->json) {
        printf("{\"issued\":%zu,\"failed\":%zu,\"seconds\":%.3f,\"per_second\":%.1f,\"clients\":%u,"
               "\"median_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f,\"signed_requests\":%zu}\n",
               l->done, l->failures, took_s, rate, l->clients, median, p99, max, l->posts);
        return;
    }
    printf("%zu issued, %zu failed in %.1f s with %u clients: %.1f per second\n"
           "one took %.1f ms (median), %.1f ms (p99), %.1f ms (max); %zu signed requests\n",
           l->done, l->failures, took_s, l->clients, rate, median, p99, max, l->posts);
}

static int fail(const char *text)
{
    fprintf(stderr, "certmill-bench: %s\n", text);
    return 1;
}

static int run(struct loop *l)
{
    uint64_t started = now_us();
    l->ends_us = started + l->seconds * 1000000ull;
    bool ok = clients_start(l);
    while (ok && (now_us() < l->ends_us || l->running > 0)) shard_turn(l->target.shard, 100);
    double took_s = (double)(now_us() - started) / 1e6;
    clients_stop(l);
    if (!ok) return fail("no keys could be made");
    print(l, took_s);
    if (l->failures > 0) fprintf(stderr, "certmill-bench: the first failure: %s\n", l->note);
    return l->failures > 0 || l->done == 0;
}

int loop_main(int argc, char **argv)
{
    static struct loop l;
    if (!options_read(&l, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    l.times_us = malloc(TIMES_MAX * sizeof *l.times_us);
    if (l.times_us == NULL) return fail("out of memory");
    int code = failed(target_open(&l.target, l.note, l.directory, l.root, l.http)) ? fail(l.note)
                                                                                   : run(&l);
    target_close(&l.target);
    free(l.times_us);
    return code;
}
