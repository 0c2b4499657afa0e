#include "api/program.h"

#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/admin/listener.h"
#include "api/crl_serve.h"
#include "api/events.h"
#include "api/handover.h"
#include "api/identity.h"
#include "api/issuance.h"
#include "api/jobs/jobs.h"
#include "api/node_rpc.h"
#include "api/private.h"
#include "api/reach.h"
#include "api/renewal.h"
#include "api/router.h"
#include "api/secrets.h"
#include "cluster/core/block_list.h"
#include "cluster/core/clock.h"
#include "cluster/core/limits.h"
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/core/seam.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "store/err.h"
#include "store/events.h"

enum {
    ARENA_MAX = 16 << 20,
    TICKET_MS = 60000,
    LEAVE_MS = 5000,          // for the handover and the last heartbeat, after the drain
    GENERATION_KEPT_S = 3600, // nothing that began under an older configuration runs any more
    // Descriptors of a core beside the connections of ACME clients.
    OTHERS_PER_CORE = VALIDATIONS_MAX + 256,
    LAST_TURNS = 8,
    TEND_MS = 3600000,
    TEND_AGAIN_MS = 15000,
    CONNECT_MS = 2000,
    DESCRIBE_MS = 5000,
    SIGN_QUEUE_MAX = 65536,
    SIGN_RESPONSE_MAX = 16 << 20
};

// struct generation: what one reading of the configuration file made.
struct generation {
    struct generation *older;
    struct arena arena;
    struct settings settings;
    struct front front;
    struct block_list blocked;
    int64_t made_s;
};

// struct papers: the certificates as one reading of their files gave them.
struct papers {
    struct papers *older;
    struct identity identity;
    int64_t made_s;
};

// struct core is one core's part: its edge, and what ends it.
struct core {
    struct program *program;
    struct edge edge;
    struct timer housekeeping, deadline; // first core
    struct message quiet;
    unsigned quiet_count; // first core: cores that have nothing under way any more
    bool leaving;
};

struct program {
    char *path;
    struct generation *newest, *first;
    struct secrets secrets;
    struct papers *papers; // newest
    struct renewal renewal;
    struct log *log;
    struct metrics *metrics;
    struct shards *shards;
    struct core *cores;
    unsigned count;
    unsigned conns_max;          // per core: what the limit of open files leaves of the setting
    int drained[2];              // pipe: a byte when the drain is over
    char note[PROGRAM_NOTE_MAX]; // of the core that could not start
};

static struct settings *settings_of(struct program *p) { return &p->first->settings; }

// ---- one reading of the file

static void generation_free(struct generation *g)
{
    block_list_fini(&g->blocked);
    arena_fini(&g->arena);
    free(g);
}

static struct err generation_load(struct generation **out, const char *path, char *note)
{
    char error[CONFIG_ERROR_MAX];
    struct generation *g = calloc(1, sizeof *g);
    if (g == NULL) return ERR(NO_SPACE);
    arena_init(&g->arena, ARENA_MAX);
    g->made_s = clock_wall_us() / 1000000;
    struct err e = config_load(&g->settings, sizeof g->settings, settings_table, &g->arena, path,
                               error);
    if (!failed(e)) e = tenants_make(&g->front, &g->arena, &g->settings);
    if (!failed(e)) e = block_list_read(&g->blocked, error, g->settings.blocked_keys);
    g->front.blocked = &g->blocked.keys;
    if (failed(e)) {
        snprintf(note, PROGRAM_NOTE_MAX, "%s", err_is(e, ERR_NO_SPACE) ? err_text(e) : error);
        generation_free(g);
        return e;
    }
    *out = g;
    return OK;
}

struct err program_load(struct program **out, const char *path, char note[PROGRAM_NOTE_MAX])
{
    struct program *p = calloc(1, sizeof *p);
    if (p == NULL) return ERR(NO_SPACE);
    p->drained[0] = p->drained[1] = -1;
    p->renewal.ends[0] = p->renewal.ends[1] = -1;
    p->path = strdup(path);
    struct err e = p->path == NULL ? ERR(NO_SPACE) : generation_load(&p->newest, path, note);
    if (failed(e)) {
        program_free(p);
        return e;
    }
    p->first = p->newest;
    *out = p;
    return OK;
}

// ---- one core

static struct err store_start(struct program *p, struct edge *e)
{
    const struct settings *s = settings_of(p);
    return store_new(&e->store, e->shard,
                     &(struct store_options){.conninfo = p->secrets.conninfo,
                                             .write_conns = (unsigned)s->database.write_conns,
                                             .batch_max = (unsigned)s->database.batch_max,
                                             .linger_us = (unsigned)s->database.linger_ms * 1000,
                                             .queue_max = (unsigned)s->database.queue_max,
                                             .queue_age_ms = (unsigned)s->database.queue_age_ms,
                                             .region = (unsigned)s->region});
}

// absent_tell says which profiles and issuers of the configuration no signer offers. Nothing is
// missing while no signer has been heard.
static void absent_tell(struct edge *e)
{
    const struct front *f = e->front;
    for (size_t i = 0; e->catalog.profile_count > 0 && i < f->tenant_count; i++) {
        const struct tenant_settings *t = f->tenants[i].settings;
        for (size_t k = 0; k < t->profiles.count; k++) {
            const char *name = ((const char *const *)t->profiles.items)[k];
            if (catalog_profile(&e->catalog, slice_str(name)) == NULL)
                LOG(shard_log(e->shard), &EVENT_NOT_OFFERED, NULL, LOG_STR("tenant", t->name),
                    LOG_STR("profile", name));
        }
        if (t->issuer != 0 && catalog_issuer(&e->catalog, (uint16_t)t->issuer) == NULL)
            LOG(shard_log(e->shard), &EVENT_NOT_OFFERED, NULL, LOG_STR("tenant", t->name),
                LOG_INT("issuer", t->issuer));
    }
}

static void on_offer_changed(void *ctx)
{
    struct edge *e = ctx;
    if (e->signer == NULL) return;
    struct err err = catalog_refresh(&e->catalog, e->signer);
    if (failed(err))
        LOG(shard_log(e->shard), &EVENT_CATALOG_REFUSED, NULL, LOG_ERR("error", err));
    else if (shard_index(e->shard) == 0) {
        LOG(shard_log(e->shard), &EVENT_CATALOG_CHANGED, NULL,
            LOG_INT("profiles", e->catalog.profile_count),
            LOG_INT("issuers", e->catalog.issuer_count));
        absent_tell(e);
    }
}

static struct err signer_start(struct program *p, struct edge *e)
{
    const struct settings *s = settings_of(p);
    const struct config_address *from = s->signer.targets.items;
    size_t count = s->signer.targets.count;
    struct rpc_target *targets = calloc(count, sizeof *targets);
    if (targets == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < count; i++)
        targets[i] = (struct rpc_target){.address = from[i].address, .address_len = from[i].len};
    struct signer_client_options o = {.channel = {.targets = targets,
                                                  .target_count = count,
                                                  .tls = p->papers->identity.signer,
                                                  .service = "signer",
                                                  .response_size_max = SIGN_RESPONSE_MAX,
                                                  .connect_ms = CONNECT_MS,
                                                  .backoff_ms_max = CONNECT_MS},
                                      .region = (unsigned)s->region,
                                      .describe_ms = DESCRIBE_MS,
                                      .queue_max = SIGN_QUEUE_MAX,
                                      .changed = on_offer_changed,
                                      .ctx = e};
    struct err err = signer_client_new(&e->signer, e->shard, &o);
    free(targets);
    return err;
}

static struct err peers_start(struct program *p, struct edge *e)
{
    const struct settings *s = settings_of(p);
    const struct config_address *a = &s->cluster.address;
    struct node_rpc_options o = {.listen = a->address,
                                 .listen_len = a->len,
                                 .listening = a->address.ss_family != AF_UNIX ||
                                              shard_index(e->shard) == 0,
                                 .server_tls = p->papers->identity.cluster_server,
                                 .client_tls = p->papers->identity.cluster_client};
    return node_rpc_new(&e->node_rpc, p->note, sizeof p->note, e, &o);
}

static struct err acme_start(struct program *p, struct edge *e)
{
    const struct settings *s = settings_of(p);
    size_t all = (size_t)s->server.requests_memory, bodies = 4 * (size_t)s->server.body_max;
    e->budget = (struct http_budget){.size_max = all};
    struct server_options o = {.name = "acme",
                               .listen = s->server.address.address,
                               .listen_len = s->server.address.len,
                               .tls = e->identity->server,
                               .plain_version = HTTP_1_1,
                               .http = {.head_size_max = 16384,
                                        .body_size_max = (size_t)s->server.body_max,
                                        .header_count_max = 100,
                                        .streams_max = 128,
                                        .abuse_max = 100,
                                        .out_size_max = 1 << 20,
                                        .in_size_max = all / 16 > bodies ? all / 16 : bodies,
                                        .budget = &e->budget},
                               .conns_max = p->conns_max,
                               .conns_per_peer_max = (unsigned)s->server.conns_per_peer_max,
                               .handshake_ms = (unsigned)s->server.handshake_ms,
                               .head_ms = (unsigned)s->server.head_ms,
                               .body_ms = (unsigned)s->server.body_ms,
                               .idle_ms = (unsigned)s->server.idle_ms,
                               .write_ms = (unsigned)s->server.write_ms,
                               .request_ms = (unsigned)s->server.request_ms,
                               .proxy_peers = s->server.proxy_peers.items,
                               .proxy_peer_count = s->server.proxy_peers.count};
    return server_new(&e->server, p->note, sizeof p->note, e->shard, &o, router_handler(), e);
}

// crl_start: on each core, and on the first alone at an address that cores cannot share.
static struct err crl_start(struct program *p, struct edge *e)
{
    const struct config_address *a = &settings_of(p)->crl.address;
    bool shared = a->address.ss_family != AF_UNIX || shard_index(e->shard) == 0;
    return a->len == 0 || !shared ? OK
                                  : crl_listener_new(&e->crl_server, p->note, sizeof p->note, e);
}

// on_housekeeping: what the first core does for all of them, now and then.
static void on_housekeeping(struct timer *t)
{
    struct core *c = LIST_OWNER(t, struct core, housekeeping);
    struct edge *e = &c->edge;
    secrets_tickets_set(&c->program->secrets, e->identity->server, shard_wall_s(e->shard));
    handover_expire(e);
    timer_set(e->shard, t, TICKET_MS);
}

static struct err first_core_start(struct program *p, struct core *c)
{
    struct edge *e = &c->edge;
    c->housekeeping.fire = on_housekeeping;
    timer_set(e->shard, &c->housekeeping, TICKET_MS);
    e->jobs = jobs_start(e);
    if (e->jobs == NULL) return ERR(NO_SPACE);
    TRY(private_new(&e->private_server, p->note, sizeof p->note, e));
    return e->identity->admin == NULL
               ? OK
               : admin_listener_new(&e->admin_server, p->note, sizeof p->note, e);
}

static struct err core_start(struct shard *shard, void *ctx)
{
    struct program *p = ctx;
    struct core *c = &p->cores[shard_index(shard)];
    struct edge *e = &c->edge;
    c->program = p;
    TRY(edge_init(e, shard, &p->newest->front));
    e->identity = &p->papers->identity;
    TRY(store_start(p, e));
    TRY(signer_start(p, e));
    e->validator = validator_new(shard, VALIDATIONS_MAX);
    if (e->validator == NULL) return ERR(NO_SPACE);
    TRY(peers_start(p, e));
    if (shard_index(shard) == 0) TRY(first_core_start(p, c));
    TRY(crl_start(p, e));
    return acme_start(p, e);
}

// core_stop takes a core apart: first who asks, then who is asked. Whoever waits for a part hears
// of its end when it is freed, or in the turns after that, and then asks nobody any more.
static void core_stop(struct shard *shard, void *ctx)
{
    struct program *p = ctx;
    struct core *c = &p->cores[shard_index(shard)];
    struct edge *e = &c->edge;
    e->stopping = true;
    timer_cancel(&c->housekeeping);
    timer_cancel(&c->deadline);
    jobs_stop(e->jobs);
    server_free(e->server);
    server_free(e->private_server);
    server_free(e->crl_server);
    server_free(e->admin_server);
    validator_free(e->validator);
    signer_client_free(e->signer);
    e->signer = NULL;
    store_free(e->store);
    e->store = NULL;
    struct node_rpc *peers = e->node_rpc;
    e->node_rpc = NULL;
    node_rpc_free(peers);
    for (int i = 0; i < LAST_TURNS; i++) shard_turn(shard, 1);
    jobs_free(e->jobs);
    issuances_drop(e);
    validations_drop(e);
    edge_fini(e);
}

// ---- start

static unsigned count_of(const struct settings *s)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return s->shards > 0 ? (unsigned)s->shards : online > 0 ? (unsigned)online : 1;
}

static struct err observers_start(struct program *p)
{
    const struct settings *s = settings_of(p);
    cluster_metrics_declare();
    store_metrics_declare();
    api_metrics_declare();
    TRY(log_new(&p->log, &(struct log_options){.level = (enum log_level)s->log_level,
                                               .format = (enum log_format)s->log_format,
                                               .fd = STDERR_FILENO,
                                               .program = "certmill-acme"}));
    return metrics_new(&p->metrics, p->count);
}

static void front_fill(struct program *p, struct generation *g)
{
    g->front.cluster_secret = slice_of(p->secrets.cluster, sizeof p->secrets.cluster);
}

// papers_load reads the certificates' files and makes them the newest.
static struct err papers_load(struct program *p, const struct settings *s, char *note)
{
    struct papers *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) return ERR(NO_SPACE);
    struct err e = identity_load(&fresh->identity, note, PROGRAM_NOTE_MAX, s);
    if (failed(e)) {
        free(fresh);
        return e;
    }
    fresh->made_s = clock_wall_s();
    secrets_tickets_set(&p->secrets, fresh->identity.server, fresh->made_s);
    fresh->older = p->papers;
    p->papers = fresh;
    return OK;
}

static void papers_free(struct papers *papers)
{
    identity_fini(&papers->identity);
    free(papers);
}

static void boot_make(struct front *f)
{
    uint8_t random[10];
    RAND_bytes(random, sizeof random);
    RAND_bytes((uint8_t *)&f->boot, sizeof f->boot);
    f->node = id_make((uint64_t)clock_wall_us() / 1000, (unsigned)f->settings->region, random);
}

static struct err addresses_check(const struct settings *s, char *note)
{
    const struct {
        const char *name;
        const struct config_address *address;
    } rows[] = {{"acme", &s->server.address},
                {"private", &s->private_server.address},
                {"cluster", &s->cluster.address},
                {"admin", &s->admin.address},
                {"crl", &s->crl.address}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].address->len > 0)
            TRY(server_address_check(note, PROGRAM_NOTE_MAX, rows[i].name,
                                     &rows[i].address->address, rows[i].address->len));
    return OK;
}

// signers_check: by default a front end that could not issue anything does not start.
static struct err signers_check(const struct settings *s, char *note)
{
    char why[256];
    if (!s->signer.required ||
        reach_any(s->signer.targets.items, s->signer.targets.count, CONNECT_MS, why, sizeof why))
        return OK;
    snprintf(note, PROGRAM_NOTE_MAX,
             "no signer can be reached at %s: start certmill-signer first, correct "
             "signer.targets, or set signer.required to false to wait for one",
             why);
    return ERR(CONNECT_REFUSED);
}

// database_check: a database that is away is waited for, one with another schema is not.
static struct err database_check(struct program *p, char *note)
{
    struct err e = store_schema_check(p->secrets.conninfo, note, PROGRAM_NOTE_MAX);
    if (!err_is(e, ERR_STORE_AWAY)) return e;
    LOG(p->log, &EVENT_DATABASE_AWAY, note);
    return OK;
}

static struct err cores_start(struct program *p, char *note)
{
    const struct settings *s = settings_of(p);
    p->cores = calloc(p->count, sizeof *p->cores);
    if (p->cores == NULL) return ERR(NO_SPACE);
    p->conns_max = limits_conns(p->log, p->count, (unsigned)s->server.conns_max, OTHERS_PER_CORE);
    struct shard_options so = {.count = p->count,
                               .io = (enum shard_io)s->io,
                               .pin = true,
                               .metrics = p->metrics,
                               .log = p->log,
                               .name = "acme"};
    struct err e = shards_start(&p->shards, &so, core_start, p);
    if (failed(e) && p->note[0] != 0)
        snprintf(note, PROGRAM_NOTE_MAX, "%s", p->note);
    else if (failed(e))
        snprintf(note, PROGRAM_NOTE_MAX, "the cores could not be started: %s", err_text(e));
    return e;
}

static void started_say(struct program *p)
{
    const struct settings *s = settings_of(p);
    size_t edge = NONCE_WINDOW / 8 + ACCOUNT_CACHE_COUNT * sizeof(struct cached_account);
    if (edge_p256(s) != P256_SCALAR) edge += (size_t)s->key_tables * sizeof(struct p256_table);
    LOG(p->log, &EVENT_ACME_STARTED, NULL, LOG_STR("version", CERTMILL_VERSION),
        LOG_STR("tls", tls_library_version()), LOG_STR("io", shards_io_name(p->shards)),
        LOG_INT("cores", p->count), LOG_INT("connections_max", p->conns_max),
        LOG_STR("p256", p256_kernel_name(edge_p256(s))), LOG_INT("issuances_max", ISSUANCES_MAX),
        LOG_INT("validations_max", VALIDATIONS_MAX), LOG_INT("bytes_per_core", edge),
        LOG_INT("request_bytes_max", s->server.requests_memory));
    log_flush(p->log);
}

struct err program_start(struct program *p, bool seams, char note[PROGRAM_NOTE_MAX])
{
    struct generation *g = p->newest;
    p->count = count_of(&g->settings);
    snprintf(note, PROGRAM_NOTE_MAX, "out of memory");
    TRY(clock_start());
    TRY(observers_start(p));
    if (seams) seams_enable(p->log);
    TRY(secrets_load(&p->secrets, note, PROGRAM_NOTE_MAX, &g->settings));
    boot_make(&g->front);
    front_fill(p, g);
    TRY(papers_load(p, &g->settings, note));
    TRY(renewal_init(&p->renewal));
    TRY(addresses_check(&g->settings, note));
    TRY(signers_check(&g->settings, note));
    TRY(database_check(p, note));
    if (pipe(p->drained) != 0) return ERR(SYSTEM);
    TRY(cores_start(p, note));
    started_say(p);
    return OK;
}

// ---- reload

static void core_reload(struct shard *shard, void *ctx)
{
    edge_front_set(edge_of(shard), ctx);
    if (shard_index(shard) == 0) absent_tell(edge_of(shard));
}

static void core_papers(struct shard *shard, void *ctx) { edge_identity_set(edge_of(shard), ctx); }

// restart_say names what a reload cannot change.
static void restart_say(struct program *p, const struct settings *fresh)
{
    struct config_changes changes;
    struct buf keys;
    buf_init(&keys, 4096);
    if (!failed(config_diff(&changes, &keys, settings_table, settings_of(p), fresh)) &&
        changes.restart > 0)
        LOG(p->log, &EVENT_RESTART_NEEDED, NULL, LOG_SLICE("settings", buf_slice(&keys)));
    buf_fini(&keys);
}

// generation_merge: what is not reloadable stays as it was at the start.
static void generation_merge(struct program *p, struct generation *g)
{
    struct settings merged = *settings_of(p);
    merged.tenants = g->settings.tenants;
    merged.log_level = g->settings.log_level;
    merged.blocked_keys = g->settings.blocked_keys;
    merged.admin.names = g->settings.admin.names;
    merged.bad_nonce_percent = g->settings.bad_nonce_percent;
    merged.server.chain = g->settings.server.chain;
    merged.server.key = g->settings.server.key;
    g->settings = merged;
    g->front.node = p->first->front.node;
    g->front.boot = p->first->front.boot;
}

static void old_generations_free(struct program *p, int64_t now_s)
{
    for (struct generation **at = &p->newest->older; *at != NULL;) {
        struct generation *g = *at;
        bool superseded_long_ago = now_s - p->newest->made_s > GENERATION_KEPT_S;
        if (g == p->first || !superseded_long_ago) {
            at = &g->older;
            continue;
        }
        *at = g->older;
        generation_free(g);
    }
}

static void old_papers_free(struct program *p)
{
    bool superseded_long_ago = clock_wall_s() - p->papers->made_s > GENERATION_KEPT_S;
    while (superseded_long_ago && p->papers->older != NULL) {
        struct papers *old = p->papers->older;
        p->papers->older = old->older;
        papers_free(old);
    }
}

// papers_take reads the certificates again and gives them to every core.
static struct err papers_take(struct program *p, const struct settings *s, char *note)
{
    old_papers_free(p);
    TRY(papers_load(p, s, note));
    shards_post_all(p->shards, core_papers, &p->papers->identity);
    return OK;
}

void program_reload(struct program *p)
{
    char note[PROGRAM_NOTE_MAX];
    struct generation *g;
    struct err e = generation_load(&g, p->path, note);
    if (failed(e)) {
        LOG(p->log, &EVENT_ACME_RELOAD_REFUSED, note);
        return;
    }
    restart_say(p, &g->settings);
    generation_merge(p, g);
    front_fill(p, g);
    if (failed(papers_take(p, &g->settings, note))) {
        LOG(p->log, &EVENT_ACME_RELOAD_REFUSED, note);
        generation_free(g);
        return;
    }
    old_generations_free(p, g->made_s);
    g->older = p->newest;
    p->newest = g;
    log_level_set(p->log, (enum log_level)g->settings.log_level);
    shards_post_all(p->shards, core_reload, &g->front);
    LOG(p->log, &EVENT_ACME_RELOADED, NULL, LOG_STR("chain", g->settings.server.chain),
        LOG_INT("tenants", g->settings.tenants.count));
}

// ---- renewal

unsigned program_tend(struct program *p)
{
    char note[PROGRAM_NOTE_MAX];
    const struct settings *s = &p->newest->settings;
    bool all = renewal_run(&p->renewal, p->log, shards_at(p->shards, 0), s);
    if (identity_stale(&p->papers->identity, s) && failed(papers_take(p, s, note))) {
        LOG(p->log, &EVENT_SERVER_RENEW_FAILED, note);
        all = false;
    }
    return all ? TEND_MS : TEND_AGAIN_MS;
}

// ---- drain: every core becomes quiet; the first one hands over, leaves and says so

static void drain_over(void *ctx)
{
    struct core *c = ctx;
    CHECK(write(c->program->drained[1], "x", 1) == 1);
}

static void on_handed_over(void *ctx, unsigned taken, unsigned count)
{
    struct core *c = ctx;
    LOG(shard_log(c->edge.shard), &EVENT_NONCES_HANDED_OVER, NULL, LOG_INT("taken", taken),
        LOG_INT("windows", count));
    jobs_leave(c->edge.jobs, drain_over, c);
}

static void leave(struct core *first)
{
    if (first->leaving) return;
    first->leaving = true;
    timer_cancel(&first->deadline);
    handover_start(&first->edge, on_handed_over, first);
}

static void on_deadline(struct timer *t) { leave(LIST_OWNER(t, struct core, deadline)); }

static void on_core_quiet(struct shard *shard, struct message *m)
{
    struct core *first = LIST_OWNER(edge_of(shard), struct core, edge);
    (void)m;
    if (++first->quiet_count == first->program->count) leave(first);
}

static void on_quiet(struct edge *e)
{
    struct core *c = LIST_OWNER(e, struct core, edge);
    c->quiet.run = on_core_quiet;
    shard_post(shard_sibling(e->shard, 0), &c->quiet);
}

static void core_drain(struct shard *shard, void *ctx)
{
    struct program *p = ctx;
    struct core *c = &p->cores[shard_index(shard)];
    const struct settings *s = settings_of(p);
    if (shard_index(shard) == 0) {
        jobs_quiesce(c->edge.jobs);
        c->deadline.fire = on_deadline;
        timer_set(shard, &c->deadline,
                  (uint64_t)(s->server.drain_accept_ms + s->server.drain_ms) + CONNECT_MS);
    }
    edge_drain(&c->edge, on_quiet);
}

void program_drain(struct program *p)
{
    const struct settings *s = settings_of(p);
    struct pollfd fd = {.fd = p->drained[0], .events = POLLIN};
    shards_post_all(p->shards, core_drain, p);
    int patience = (int)(s->server.drain_accept_ms + s->server.drain_ms) + CONNECT_MS + LEAVE_MS;
    bool over = poll(&fd, 1, patience) > 0;
    LOG(p->log, &EVENT_ACME_STOPPED, over ? NULL : "the drain took too long and was cut short");
}

// ---- end

void program_free(struct program *p)
{
    if (p == NULL) return;
    if (p->shards != NULL) {
        shards_stop(p->shards);
        shards_join(p->shards, core_stop, p);
    }
    for (struct generation *g = p->newest, *older; g != NULL; g = older) {
        older = g->older;
        generation_free(g);
    }
    for (struct papers *i = p->papers, *older; i != NULL; i = older) {
        older = i->older;
        papers_free(i);
    }
    renewal_fini(&p->renewal);
    secrets_fini(&p->secrets);
    for (int i = 0; i < 2; i++)
        if (p->drained[i] >= 0) close(p->drained[i]);
    metrics_free(p->metrics);
    log_free(p->log);
    free(p->cores);
    free(p->path);
    free(p);
}

struct edge *program_core(struct program *p, unsigned index) { return &p->cores[index].edge; }
unsigned program_count(const struct program *p) { return p->count; }
struct log *program_log(struct program *p) { return p->log; }
