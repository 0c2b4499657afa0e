#include "bench/load/target.h"

#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/err.h"
#include "cluster/core/address.h"
#include "cluster/core/clock.h"
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/events.h"

enum { ROOT_MAX = 1 << 20, HTTP_PORT = 5002, LAST_TURNS = 10 };

static struct err refuse(char note[TARGET_NOTE_MAX], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static struct err refuse(char note[TARGET_NOTE_MAX], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(note, TARGET_NOTE_MAX, fmt, ap);
    va_end(ap);
    return ERR(BENCH_TARGET);
}

static struct err root_read(struct target *t, char *note, const char *path)
{
    FILE *f = fopen(path, "rb");
    char chunk[4096];
    if (f == NULL) return refuse(note, "the root file cannot be read: %s", path);
    struct err e = OK;
    for (size_t n; !failed(e) && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        e = buf_add(&t->root_pem, slice_of(chunk, n));
    bool bad = ferror(f) != 0 || failed(e);
    fclose(f);
    return bad ? refuse(note, "the root file cannot be read: %s", path) : OK;
}

// host_split takes host:port out of an https URL; *out_port is its text, or "443".
static struct err host_split(struct target *t, char *note, const char **out_port)
{
    if (strncmp(t->directory, "https://", 8) != 0)
        return refuse(note, "the directory is not an https URL: %s", t->directory);
    const char *start = t->directory + 8, *end = start + strcspn(start, "/");
    if (end == start || (size_t)(end - start) >= sizeof t->authority)
        return refuse(note, "the directory URL has no usable host: %s", t->directory);
    snprintf(t->authority, sizeof t->authority, "%.*s", (int)(end - start), start);
    const char *colon = strrchr(t->authority, ':');
    if (colon != NULL && strchr(colon, ']') != NULL) colon = NULL;
    bool bracket = t->authority[0] == '[';
    size_t n = colon == NULL ? strlen(t->authority) : (size_t)(colon - t->authority);
    if (n >= sizeof t->host + 2 || (bracket && n < 3))
        return refuse(note, "the directory URL has no usable host: %s", t->directory);
    snprintf(t->host, sizeof t->host, "%.*s", (int)(n - (bracket ? 2 : 0)),
             t->authority + (bracket ? 1 : 0));
    *out_port = colon == NULL ? "443" : colon + 1;
    return OK;
}

static struct err host_resolve(struct target *t, char *note, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int e = getaddrinfo(t->host, port, &hints, &found);
    if (e != 0) return refuse(note, "the directory's host cannot be resolved: %s", gai_strerror(e));
    // IPv4 first: a server on "localhost" may listen there only.
    const struct addrinfo *pick = found;
    for (const struct addrinfo *i = found; i != NULL; i = i->ai_next)
        if (i->ai_family == AF_INET) pick = i;
    memcpy(&t->address, pick->ai_addr, pick->ai_addrlen);
    t->address_len = pick->ai_addrlen;
    freeaddrinfo(found);
    return OK;
}

static struct err shard_open(struct target *t, char *note)
{
    struct log_options lo = {.level = LOG_WARN, .fd = STDERR_FILENO, .program = "certmill-bench"};
    cluster_metrics_declare();
    if (failed(log_new(&t->log, &lo)) || failed(metrics_new(&t->metrics, 1)))
        return refuse(note, "out of memory");
    struct shard_options so = {
        .count = 1, .io = SHARD_IO_EPOLL, .log = t->log, .metrics = t->metrics, .name = "bench"};
    return failed(shard_new(&t->shard, &so, 0))
               ? refuse(note, "the event loop could not be started")
               : OK;
}

static struct err responder_open(struct target *t, char *note, const char *http)
{
    char why[256] = "";
    struct sockaddr_storage address;
    socklen_t len;
    if (failed(address_parse(&address, &len, slice_str(http), HTTP_PORT)))
        return refuse(note, "not an address: %s", http);
    if (failed(responder_new(&t->responder, why, sizeof why, t->shard, &address, len)))
        return refuse(note, "challenges cannot be answered: %s", why);
    return OK;
}

struct err target_open(struct target *t, char note[TARGET_NOTE_MAX], const char *directory,
                       const char *root, const char *http)
{
    char why[256] = "";
    const char *port = "443";
    *t = (struct target){.directory = directory};
    buf_init(&t->root_pem, ROOT_MAX);
    TRY(root_read(t, note, root));
    TRY(host_split(t, note, &port));
    TRY(host_resolve(t, note, port));
    if (failed(clock_start()))
        return refuse(note, "CERTMILL_TEST_CLOCK_OFFSET_S is not a number of seconds");
    struct tls_options to = {.trust_pem = buf_slice(&t->root_pem),
                             .alpn_h2 = true,
                             .alpn_http_1_1 = true,
                             .now_s = clock_wall_s};
    if (failed(tls_context_new(&t->tls, why, sizeof why, false, &to)))
        return refuse(note, "the root cannot be used: %s", why);
    TRY(shard_open(t, note));
    return responder_open(t, note, http);
}

void target_close(struct target *t)
{
    responder_free(t->responder);
    for (int i = 0; t->shard != NULL && i < LAST_TURNS; i++)
        shard_turn(t->shard, 1); // last completions; connections close politely
    if (t->shard != NULL) shard_free(t->shard);
    tls_context_free(t->tls);
    metrics_free(t->metrics);
    if (t->log != NULL) log_free(t->log);
    buf_fini(&t->root_pem);
}
