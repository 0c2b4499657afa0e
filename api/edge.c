#include "api/edge.h"

#include <string.h>

#include "api/events.h"
#include "api/identity.h"
#include "api/node_rpc.h"
#include "proto/err.h"

enum { TICK_MS = 1000 };

void edge_nonce(struct edge *e, char out[NONCE_TEXT_LEN + 1])
{
    struct nonce n = {.boot = e->nonces.boot,
                      .core = e->nonces.core,
                      .counter = nonce_window_issue(&e->nonces),
                      .unix_s = (uint32_t)shard_wall_s(e->shard)};
    nonce_write(out, &e->nonce_key, &n);
    edge_count(e, &METRIC_NONCES_ISSUED);
}

struct id edge_id(struct edge *e)
{
    uint8_t random[10];
    shard_random(e->shard, random, sizeof random);
    return id_make((uint64_t)edge_db_now_us(e) / 1000, (unsigned)e->front->settings->region,
                   random);
}

struct buf *edge_scratch(struct edge *e)
{
    buf_clear(&e->scratch);
    return &e->scratch;
}

void edge_count(struct edge *e, const struct metric *metric)
{
    metric_add(shard_metrics(e->shard), shard_index(e->shard), metric, 1);
}

// ---- accounts

const struct cached_account *edge_account_cached(struct edge *e, const struct id *id)
{
    struct cached_account *c = map_get(&e->accounts, id->b);
    if (c == NULL || shard_now_ns(e->shard) - c->read_ns > (uint64_t)ACCOUNT_CACHE_MS * 1000000)
        return NULL;
    return c;
}

static void account_drop(struct edge *e, struct cached_account *c)
{
    map_remove(&e->accounts, c->id.b);
    list_remove(&c->lru);
    pool_put(&e->account_pool, c);
}

const struct cached_account *edge_account_keep(struct edge *e, const struct account_row *row)
{
    struct jwk key;
    if (row->tenant.n > TENANT_NAME_MAX || row->eab_kid.n > EAB_KID_MAX ||
        failed(jwk_from_spki(&key, row->spki)))
        return NULL;
    struct cached_account *c = map_get(&e->accounts, row->id.b);
    if (c != NULL) account_drop(e, c);
    c = pool_get(&e->account_pool);
    if (c == NULL) {
        account_drop(e, LIST_OWNER(e->account_lru.next, struct cached_account, lru));
        c = pool_get(&e->account_pool);
    }
    *c = (struct cached_account){.id = row->id,
                                 .status = row->status,
                                 .key_version = row->key_version,
                                 .key = key,
                                 .read_ns = shard_now_ns(e->shard)};
    memcpy(c->tenant, row->tenant.p, row->tenant.n);
    if (row->eab_kid.n > 0) memcpy(c->eab_kid, row->eab_kid.p, row->eab_kid.n);
    list_push_back(&e->account_lru, &c->lru);
    CHECK(!failed(map_put(&e->accounts, c->id.b, c))); // as many slots as objects
    return c;
}

// ---- life

static void on_tick(struct timer *t)
{
    struct edge *e = LIST_OWNER(t, struct edge, tick);
    struct metrics *m = shard_metrics(e->shard);
    unsigned core = shard_index(e->shard);
    if (e->store != NULL)
        metric_set(m, core, &METRIC_FLUSHES, (int64_t)store_flush_count(e->store));
    metric_set(m, core, &METRIC_REQUESTS_OPEN, (int64_t)e->request_count);
    metric_set(m, core, &METRIC_ISSUANCES_OPEN, (int64_t)e->issuance_count);
    metric_set(m, core, &METRIC_VALIDATIONS_OPEN, (int64_t)e->validations.count);
    verifier_metrics(&e->verifier);
    if (core == 0 && e->identity != NULL) {
        metric_set(m, core, &METRIC_SERVER_ENDS, e->identity->ends_s[0]);
        metric_set(m, core, &METRIC_INTERNAL_ENDS, e->identity->ends_s[1]);
    }
    timer_set(e->shard, &e->tick, TICK_MS);
}

enum p256_kernel edge_p256(const struct settings *s)
{
    return s->p256 == 0 ? p256_kernel_detect() : P256_SCALAR;
}

struct err edge_init(struct edge *e, struct shard *shard, const struct front *front)
{
    uint8_t seed[MAP_SEED_LEN];
    *e = (struct edge){.shard = shard, .front = front, .tick = {.fire = on_tick}};
    list_init(&e->account_lru);
    list_init(&e->issuances);
    list_init(&e->frozen);
    list_init(&e->tick.node);
    buf_init(&e->scratch, SCRATCH_MAX);
    catalog_init(&e->catalog);
    shard_random(shard, seed, sizeof seed);
    nonce_key_init(&e->nonce_key, front->cluster_secret);
    TRY(nonce_window_init(&e->nonces, front->boot, (uint8_t)shard_index(shard)));
    TRY(map_init(&e->accounts, sizeof(struct id), ACCOUNT_CACHE_COUNT, seed));
    TRY(map_init(&e->validations, sizeof(struct id), VALIDATIONS_MAX, seed));
    TRY(pool_init(&e->account_pool, "accounts", sizeof(struct cached_account),
                  ACCOUNT_CACHE_COUNT));
    TRY(verifier_init(&e->verifier, shard, edge_p256(front->settings),
                      (size_t)front->settings->key_tables, seed));
    shard_slot_set(shard, SHARD_SLOT_EDGE, e);
    timer_set(shard, &e->tick, TICK_MS);
    return OK;
}

void edge_fini(struct edge *e)
{
    timer_cancel(&e->tick);
    verifier_fini(&e->verifier);
    while (!list_empty(&e->account_lru))
        account_drop(e, LIST_OWNER(e->account_lru.next, struct cached_account, lru));
    map_fini(&e->accounts);
    map_fini(&e->validations);
    if (e->account_pool.memory != NULL) pool_fini(&e->account_pool);
    for (size_t i = 0; i < e->adopted_count; i++) nonce_window_fini(&e->adopted[i].window);
    nonce_window_fini(&e->nonces);
    catalog_fini(&e->catalog);
    buf_fini(&e->scratch);
}

void edge_front_set(struct edge *e, const struct front *front) { e->front = front; }

void edge_identity_set(struct edge *e, const struct identity *identity)
{
    e->identity = identity;
    if (e->server != NULL) server_tls_set(e->server, identity->server);
    if (e->admin_server != NULL) server_tls_set(e->admin_server, identity->admin);
    if (e->signer != NULL) signer_client_tls_set(e->signer, identity->signer);
    if (e->node_rpc != NULL)
        node_rpc_tls_set(e->node_rpc, identity->cluster_server, identity->cluster_client);
}

// ---- the end

void edge_quiet_check(struct edge *e)
{
    if (!e->draining || !e->server_drained || e->quiet_told || e->request_count > 0 ||
        e->issuance_count > 0 || e->validations.count > 0)
        return;
    e->quiet_told = true;
    e->quiet(e);
}

void edge_drain(struct edge *e, void (*quiet)(struct edge *e))
{
    const struct settings *s = e->front->settings;
    if (e->draining) return;
    e->draining = true;
    e->quiet = quiet;
    server_drain(e->server, (unsigned)s->server.drain_accept_ms, (unsigned)s->server.drain_ms);
}

const struct tenant *edge_tenant(const struct front *f, struct slice name)
{
    for (size_t i = 0; i < f->tenant_count; i++)
        if (slice_eq_str(name, f->tenants[i].settings->name)) return &f->tenants[i];
    return NULL;
}

// ---- tenants

static const void *copy_list(struct arena *a, size_t count, size_t size)
{
    return count == 0 ? NULL : arena_calloc(a, count * size);
}

// bases_make lists the beginnings of an account's URLs, one for each host that the tenant answers
// for.
static struct err bases_make(struct validate_policy *out, struct arena *a,
                             const struct tenant_settings *t)
{
    const char *const *hosts = t->hosts.items;
    size_t count = t->hosts.count + (t->base_url != NULL);
    const char **bases = arena_alloc(a, count * sizeof *bases);
    if (bases == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < t->hosts.count; i++)
        bases[i] = arena_printf(a, "https://%s/acme/%s/acct/", hosts[i], t->name);
    if (t->base_url != NULL)
        bases[count - 1] = arena_printf(a, "%s/acme/%s/acct/", t->base_url, t->name);
    out->account_bases = bases;
    out->account_base_count = count;
    return OK;
}

static struct err policy_make(struct validate_policy *out, struct arena *a,
                              const struct tenant_settings *t)
{
    const struct validation_settings *s = &t->validation;
    struct validate_resolver *resolvers = (struct validate_resolver *)(uintptr_t)copy_list(
        a, s->resolvers.count, sizeof *resolvers);
    struct validate_override *overrides = (struct validate_override *)(uintptr_t)copy_list(
        a, s->overrides.count, sizeof *overrides);
    if ((resolvers == NULL && s->resolvers.count > 0) ||
        (overrides == NULL && s->overrides.count > 0))
        return ERR(NO_SPACE);
    for (size_t i = 0; i < s->resolvers.count; i++) {
        const struct config_address *from = &((const struct config_address *)s->resolvers.items)[i];
        resolvers[i] = (struct validate_resolver){from->address, from->len};
    }
    for (size_t i = 0; i < s->overrides.count; i++) {
        const struct override_settings *from = &(
            (const struct override_settings *)s->overrides.items)[i];
        overrides[i] = (struct validate_override){from->suffix, from->address.address};
    }
    *out = (struct validate_policy){.resolvers = resolvers,
                                    .resolver_count = s->resolvers.count,
                                    .dns_tcp = s->dns_tcp,
                                    .overrides = overrides,
                                    .override_count = s->overrides.count,
                                    .allowed = s->allowed.items,
                                    .allowed_count = s->allowed.count,
                                    .denied = s->denied.items,
                                    .denied_count = s->denied.count,
                                    .identities = t->caa_identities.items,
                                    .identity_count = t->caa_identities.count,
                                    .caa = t->caa != 0,
                                    .http_port = (unsigned)s->http_port,
                                    .tls_alpn_port = (unsigned)s->tls_alpn_port,
                                    .attempts = (unsigned)s->attempts,
                                    .retry_ms = (unsigned)s->retry_ms,
                                    .attempt_ms = (unsigned)s->attempt_ms,
                                    .total_ms = (unsigned)s->total_ms,
                                    .redirects = (unsigned)s->redirects};
    return bases_make(out, a, t);
}

static uint32_t challenges_make(const struct config_list *names)
{
    const char *const *name = names->items;
    uint32_t bits = 0;
    for (size_t i = 0; i < names->count; i++)
        bits |= (uint32_t)challenge_type_named(slice_str(name[i]))->type; // checked when read
    return bits;
}

struct err tenants_make(struct front *front, struct arena *a, const struct settings *settings)
{
    size_t count = settings->tenants.count;
    struct tenant *tenants = ARENA_ARRAY(a, struct tenant, count);
    if (tenants == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < count; i++) {
        const struct tenant_settings *t = &(
            (const struct tenant_settings *)settings->tenants.items)[i];
        tenants[i].settings = t;
        TRY(policy_make(&tenants[i].policy, a, t));
        tenants[i].challenges = challenges_make(&t->challenges);
        if (t->is_default) front->default_tenant = &tenants[i];
    }
    front->settings = settings;
    front->tenants = tenants;
    front->tenant_count = count;
    return OK;
}
