// certmill-acme: main wires the front end together: settings, one edge per core, signals.
#include <errno.h>
#include <getopt.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "api/edge.h"
#include "api/err.h"
#include "api/events.h"
#include "api/jobs/jobs.h"
#include "api/node_rpc.h"
#include "api/private.h"
#include "api/router.h"
#include "cluster/core/seam.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "signer/err.h"
#include "store/err.h"
#include "store/events.h"

enum {
    ARENA_MAX = 16 << 20,
    NOTE_MAX = 512,
    FILE_MAX = 1 << 20,
    SECRET_MIN = 32,
    TICKET_MS = 600000
};

static const char usage[] =
    "usage: certmill-acme --config FILE [--test-seams]\n"
    "       certmill-acme config check FILE\n"
    "\n"
    "Serves ACME (RFC 8555) over HTTP/1.1 and HTTP/2. Runs until SIGTERM, then drains. SIGHUP "
    "reads certificates again.\n"
    "exit code: 0 ended in order, 1 failed, 2 configuration or command line\n";

struct program;

// struct core is one core's part: its edge and what only main ends.
struct core {
    struct program *program;
    struct edge edge;
    struct server *private;
    struct timer quiet, ticket;
    bool left, store_drained, server_drained;
};

struct program {
    struct settings settings;
    struct arena arena;
    struct front front;
    struct log *log;
    struct metrics *metrics;
    struct shards *shards;
    struct core *cores;
    struct rpc_target *signers;
    struct tls_context *server_tls, *signer_tls, *cluster_server_tls, *cluster_client_tls;
    int done_pipe[2]; // one byte per core that has drained
    char note[NOTE_MAX];
};

static int fail(const char *text)
{
    fprintf(stderr, "certmill-acme: %s\n", text);
    return 1;
}

// ---- files

static bool file_read(struct program *p, struct slice *out, const char *path)
{
    FILE *f = fopen(path, "rb");
    struct buf b;
    char chunk[4096];
    buf_init(&b, FILE_MAX);
    bool ok = f != NULL;
    for (size_t n; ok && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        ok = !failed(buf_add(&b, slice_of(chunk, n)));
    ok = ok && !ferror(f) && !failed(arena_dup(out, &p->arena, buf_slice(&b)));
    if (!ok) snprintf(p->note, sizeof p->note, "%s cannot be read: %s", path, strerror(errno));
    if (f != NULL) fclose(f);
    buf_wipe_fini(&b);
    return ok;
}

static bool tls_make(struct program *p, struct tls_context **out, bool server, const char *chain,
                     const char *key, const char *trust, struct tls_options o)
{
    char note[256];
    if (!file_read(p, &o.chain_pem, chain) || !file_read(p, &o.key_pem, key)) return false;
    if (trust != NULL && !file_read(p, &o.trust_pem, trust)) return false;
    if (!failed(tls_context_new(out, note, sizeof note, server, &o))) return true;
    snprintf(p->note, sizeof p->note, "%s, %s: %s", chain, key, note);
    return false;
}

static bool server_tls_make(struct program *p, struct tls_context **out)
{
    return tls_make(p, out, true, p->settings.server.chain, p->settings.server.key, NULL,
                    (struct tls_options){.alpn_h2 = true, .alpn_http_1_1 = true, .tickets = true});
}

static bool tls_make_all(struct program *p)
{
    const struct tls_files_settings *s = &p->settings.signer.tls, *c = &p->settings.cluster.tls;
    return server_tls_make(p, &p->server_tls) &&
           tls_make(p, &p->signer_tls, false, s->chain, s->key, s->trust,
                    (struct tls_options){.peer_role = "urn:certmill:role:signer",
                                         .peer_name_ignored = true,
                                         .alpn_h2 = true}) &&
           tls_make(p, &p->cluster_server_tls, true, c->chain, c->key, c->trust,
                    (struct tls_options){.peer_required = true, .alpn_h2 = true}) &&
           tls_make(p, &p->cluster_client_tls, false, c->chain, c->key, c->trust,
                    (struct tls_options){.peer_role = "urn:certmill:role:acme",
                                         .peer_name_ignored = true,
                                         .alpn_h2 = true});
}

// ticket_key: every front end makes the same for the same hour.
static void ticket_key(struct program *p, uint8_t out[TLS_TICKET_KEY_LEN], int64_t hour)
{
    uint8_t text[32] = "certmill ticket ", mac[32];
    unsigned n;
    for (int part = 0; part < 2; part++) {
        text[16] = (uint8_t)part;
        for (int i = 0; i < 8; i++) text[17 + i] = (uint8_t)((uint64_t)hour >> (56 - 8 * i));
        CHECK(HMAC(EVP_sha256(), p->front.cluster_secret.p, p->front.cluster_secret.n, text, 25,
                   mac, &n) != NULL);
        memcpy(out + 24 * part, mac, 24);
    }
}

static void tickets_set(struct program *p, int64_t now_s)
{
    uint8_t current[TLS_TICKET_KEY_LEN], previous[TLS_TICKET_KEY_LEN];
    ticket_key(p, current, now_s / 3600);
    ticket_key(p, previous, now_s / 3600 - 1);
    tls_context_ticket_keys(p->server_tls, current, previous);
    explicit_bzero(current, sizeof current);
    explicit_bzero(previous, sizeof previous);
}

static void on_ticket(struct timer *t)
{
    struct core *c = LIST_OWNER(t, struct core, ticket);
    tickets_set(c->program, shard_wall_s(c->edge.shard));
    timer_set(c->edge.shard, t, TICKET_MS);
}

// ---- one core

static struct err store_start(struct program *p, struct edge *e)
{
    const struct settings *s = &p->settings;
    struct store_options o = {.conninfo = s->database.conninfo,
                              .write_conns = (unsigned)s->database.write_conns,
                              .batch_max = (unsigned)s->database.batch_max,
                              .linger_us = (unsigned)s->database.linger_ms * 1000,
                              .queue_max = (unsigned)s->database.queue_max,
                              .queue_age_ms = (unsigned)s->database.queue_age_ms,
                              .region = (unsigned)s->region};
    return store_new(&e->store, e->shard, &o);
}

static struct err signer_start(struct program *p, struct edge *e)
{
    struct signer_client_options o = {.channel = {.targets = p->signers,
                                                  .target_count = p->settings.signer.targets.count,
                                                  .tls = p->signer_tls,
                                                  .service = "signer",
                                                  .response_size_max = 16 << 20,
                                                  .connect_ms = 2000,
                                                  .backoff_ms_max = 2000},
                                      .region = (unsigned)p->settings.region,
                                      .describe_ms = 5000,
                                      .queue_max = 65536};
    return signer_client_new(&e->signer, e->shard, &o);
}

static struct err acme_start(struct program *p, struct edge *e)
{
    const struct settings *s = &p->settings;
    struct server_options o = {.name = "acme",
                               .listen = s->server.address.address,
                               .listen_len = s->server.address.len,
                               .tls = p->server_tls,
                               .plain_version = HTTP_1_1,
                               .http = {.head_size_max = 16384,
                                        .body_size_max = (size_t)s->server.body_max,
                                        .header_count_max = 100,
                                        .streams_max = 128,
                                        .abuse_max = 100,
                                        .out_size_max = 1 << 20},
                               .conns_max = (unsigned)s->server.conns_max,
                               .conns_per_peer_max = (unsigned)s->server.conns_per_peer_max,
                               .handshake_ms = (unsigned)s->server.handshake_ms,
                               .head_ms = (unsigned)s->server.head_ms,
                               .body_ms = (unsigned)s->server.body_ms,
                               .idle_ms = (unsigned)s->server.idle_ms,
                               .write_ms = (unsigned)s->server.write_ms,
                               .request_ms = (unsigned)s->server.request_ms,
                               .proxy_peers = s->server.proxy_peers.items,
                               .proxy_peer_count = s->server.proxy_peers.count,
                               .problem_body = problem_static};
    struct server_handler handler = *router_handler();
    return server_new(&e->server, p->note, sizeof p->note, e->shard, &o, &handler, e);
}

static struct err core_start(struct shard *shard, void *ctx)
{
    struct program *p = ctx;
    struct core *c = &p->cores[shard_index(shard)];
    struct edge *e = &c->edge;
    c->program = p;
    TRY(edge_init(e, shard, &p->front));
    TRY(store_start(p, e));
    TRY(signer_start(p, e));
    e->validator = validator_new(shard, VALIDATIONS_MAX);
    if (e->validator == NULL) return ERR(NO_SPACE);
    TRY(node_rpc_new(&e->node_rpc, p->note, sizeof p->note, e, p->cluster_server_tls,
                     p->cluster_client_tls));
    if (shard_index(shard) == 0) {
        c->ticket.fire = on_ticket;
        timer_set(shard, &c->ticket, TICKET_MS);
        TRY(private_new(&c->private, p->note, sizeof p->note, e));
    }
    TRY(acme_start(p, e));
    e->jobs = jobs_start(e);
    return e->jobs == NULL ? ERR(NO_SPACE) : OK;
}

static void core_stop(struct shard *shard, void *ctx)
{
    struct program *p = ctx;
    struct core *c = &p->cores[shard_index(shard)];
    struct edge *e = &c->edge;
    timer_cancel(&c->ticket);
    timer_cancel(&c->quiet);
    server_free(e->server);
    server_free(c->private);
    validator_free(e->validator);
    signer_client_free(e->signer);
    store_free(e->store);
    node_rpc_free(e->node_rpc);
    jobs_stop(e->jobs);
    for (int i = 0; i < 5; i++) shard_turn(shard, 1); // last completions
    edge_fini(e);
}

// ---- drain: accept until empty, finish requests, issuances and validations, leave, then say so

static void on_left(void *ctx)
{
    struct core *c = ctx;
    c->left = true;
    if (write(c->program->done_pipe[1], "x", 1) != 1) abort();
}

static void on_quiet(struct timer *t)
{
    struct core *c = LIST_OWNER(t, struct core, quiet);
    struct edge *e = &c->edge;
    bool busy = server_conn_count(e->server) > 0 || e->request_count > 0 || e->issuance_count > 0 ||
                validator_count(e->validator) > 0;
    if (busy)
        timer_set(e->shard, t, 20);
    else
        jobs_leave(e->jobs, on_left, c);
}

static void core_drain(struct shard *shard, void *ctx)
{
    struct program *p = ctx;
    struct core *c = &p->cores[shard_index(shard)];
    c->edge.draining = true;
    server_drain(c->edge.server, (unsigned)p->settings.server.drain_accept_ms,
                 (unsigned)p->settings.server.drain_ms);
    c->quiet.fire = on_quiet;
    timer_set(shard, &c->quiet, (uint64_t)p->settings.server.drain_accept_ms + 20);
}

static void drain_wait(struct program *p)
{
    int64_t left_ms = p->settings.server.drain_accept_ms + p->settings.server.drain_ms + 2000;
    unsigned done = 0;
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    while (done < shards_count(p->shards)) {
        struct pollfd fd = {.fd = p->done_pipe[0], .events = POLLIN};
        char byte[64];
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t spent = (now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000;
        if (spent >= left_ms || poll(&fd, 1, (int)(left_ms - spent)) <= 0) return;
        ssize_t n = read(p->done_pipe[0], byte, sizeof byte);
        if (n > 0) done += (unsigned)n;
    }
}

// ---- reload

static void core_reload(struct shard *shard, void *ctx)
{
    struct program *p = ctx;
    server_tls_set(p->cores[shard_index(shard)].edge.server, p->server_tls);
}

static void reload(struct program *p)
{
    struct tls_context *fresh;
    if (!server_tls_make(p, &fresh)) {
        LOG(p->log, &EVENT_ACME_RELOAD_REFUSED, p->note);
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    p->server_tls = fresh; // the old context lives on in its connections; its last reference of
                           // ours is kept until the end
    tickets_set(p, now.tv_sec);
    shards_post_all(p->shards, core_reload, p);
    LOG(p->log, &EVENT_ACME_RELOADED, p->settings.server.chain,
        LOG_STR("chain", p->settings.server.chain));
}

// ---- start

static bool settings_use(struct program *p)
{
    const struct config_address *targets = p->settings.signer.targets.items;
    struct tenant *tenants;
    uint8_t random[10];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    RAND_bytes(random, sizeof random);
    p->signers = ARENA_ARRAY(&p->arena, struct rpc_target, p->settings.signer.targets.count);
    if (p->signers == NULL || failed(tenants_make(&tenants, &p->arena, &p->settings)))
        return snprintf(p->note, sizeof p->note, "out of memory"), false;
    for (size_t i = 0; i < p->settings.signer.targets.count; i++)
        p->signers[i] = (struct rpc_target){.address = targets[i].address,
                                            .address_len = targets[i].len};
    p->front = (struct front){
        .settings = &p->settings,
        .tenants = tenants,
        .tenant_count = p->settings.tenants.count,
        .node = id_make((uint64_t)now.tv_sec * 1000, (unsigned)p->settings.region, random)};
    for (size_t i = 0; i < p->front.tenant_count; i++)
        if (tenants[i].settings->is_default) p->front.default_tenant = &tenants[i];
    RAND_bytes((uint8_t *)&p->front.boot, sizeof p->front.boot);
    if (!file_read(p, &p->front.cluster_secret, p->settings.cluster.secret)) return false;
    if (p->front.cluster_secret.n >= SECRET_MIN) return true;
    snprintf(p->note, sizeof p->note,
             "%s holds fewer than %d bytes: make it with `openssl rand -hex 32`",
             p->settings.cluster.secret, SECRET_MIN);
    return false;
}

static bool database_check(struct program *p)
{
    struct err e = store_schema_check(p->settings.database.conninfo, p->note, sizeof p->note);
    if (!failed(e) || !err_is(e, ERR_STORE_AWAY)) return !failed(e);
    LOG(p->log, &EVENT_JOB_FAILED, p->note,
        LOG_STR("what", "the database is away; the front end serves 503 until it is there"));
    return true;
}

static bool addresses_check(struct program *p)
{
    const struct settings *s = &p->settings;
    const struct {
        const char *name;
        const struct config_address *address;
    } rows[] = {{"acme", &s->server.address},
                {"private", &s->private_server.address},
                {"cluster", &s->cluster.address}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (failed(server_address_check(p->note, sizeof p->note, rows[i].name,
                                        &rows[i].address->address, rows[i].address->len)))
            return false;
    return true;
}

static bool start(struct program *p, bool seams)
{
    struct log_options lo = {.level = (enum log_level)p->settings.log_level,
                             .format = (enum log_format)p->settings.log_format,
                             .fd = STDERR_FILENO,
                             .program = "certmill-acme"};
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = p->settings.shards > 0 ? (unsigned)p->settings.shards
                     : online > 0           ? (unsigned)online
                                            : 1;
    cluster_metrics_declare();
    store_metrics_declare();
    api_metrics_declare();
    if (failed(log_new(&p->log, &lo)) || failed(metrics_new(&p->metrics, count)) ||
        pipe(p->done_pipe) != 0)
        return snprintf(p->note, sizeof p->note, "out of memory"), false;
    if (seams) seams_enable(p->log);
    if (!settings_use(p) || !tls_make_all(p) || !addresses_check(p) || !database_check(p))
        return false;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    tickets_set(p, now.tv_sec);
    p->cores = calloc(count, sizeof *p->cores);
    if (p->cores == NULL) return snprintf(p->note, sizeof p->note, "out of memory"), false;
    struct shard_options so = {.count = count,
                               .io = (enum shard_io)p->settings.io,
                               .pin = true,
                               .metrics = p->metrics,
                               .log = p->log,
                               .name = "acme"};
    struct err e = shards_start(&p->shards, &so, core_start, p);
    if (failed(e) && p->note[0] == 0)
        snprintf(p->note, sizeof p->note, "the cores could not be started: %s", err_text(e));
    return !failed(e);
}

static void run(struct program *p, int signals)
{
    LOG(p->log, &EVENT_ACME_STARTED, tls_library_version(), LOG_STR("version", CERTMILL_VERSION),
        LOG_STR("io", shards_io_name(p->shards)), LOG_INT("cores", shards_count(p->shards)));
    log_flush(p->log);
    for (struct signalfd_siginfo info; read(signals, &info, sizeof info) == sizeof info;) {
        if (info.ssi_signo != SIGHUP) break;
        reload(p);
    }
    shards_post_all(p->shards, core_drain, p);
    drain_wait(p);
    LOG(p->log, &EVENT_ACME_STOPPED, NULL, LOG_INT("pid", getpid()));
    shards_stop(p->shards);
    shards_join(p->shards, core_stop, p);
}

static int serve(const char *config, bool seams, bool check)
{
    struct program *p = calloc(1, sizeof *p);
    char error[CONFIG_ERROR_MAX];
    sigset_t set;
    if (p == NULL) return fail("out of memory");
    arena_init(&p->arena, ARENA_MAX);
    int code = 0;
    if (failed(config_load(&p->settings, sizeof p->settings, settings_table, &p->arena, config,
                           error)) ||
        !settings_check(&p->settings, error)) {
        fail(error);
        code = 2;
    } else if (check) {
        printf("%s: ok\n", config);
    } else {
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL); // before threads: they inherit it
        signal(SIGPIPE, SIG_IGN);
        int signals = signalfd(-1, &set, SFD_CLOEXEC);
        if (!start(p, seams)) {
            if (p->log != NULL) log_flush(p->log);
            _exit(fail(p->note)); // cores that had started are not taken apart one by one
        }
        run(p, signals);
        close(signals);
    }
    tls_context_free(p->server_tls);
    tls_context_free(p->signer_tls);
    tls_context_free(p->cluster_server_tls);
    tls_context_free(p->cluster_client_tls);
    metrics_free(p->metrics);
    log_free(p->log);
    free(p->cores);
    arena_fini(&p->arena);
    free(p);
    return code;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"config", 1, NULL, 'c'},
                                          {"test-seams", 0, NULL, 't'},
                                          {"help", 0, NULL, 'h'},
                                          {"version", 0, NULL, 'v'},
                                          {0}};
    const char *config = NULL;
    bool seams = false;
    proto_err_register();
    cluster_err_register();
    store_err_register();
    signer_err_register();
    api_err_register();
    if (argc == 4 && strcmp(argv[1], "config") == 0 && strcmp(argv[2], "check") == 0)
        return serve(argv[3], false, true);
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (o == 'c')
            config = optarg;
        else if (o == 't')
            seams = true;
        else if (o == 'v')
            return printf("certmill-acme %s, %s\n", CERTMILL_VERSION, tls_library_version()), 0;
        else
            return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
    }
    if (config == NULL || optind != argc) return fputs(usage, stderr), 2;
    return serve(config, seams, false);
}
