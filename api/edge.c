#include "api/edge.h"

#include <string.h>

#include "proto/err.h"

void edge_nonce(struct edge *e, char out[NONCE_TEXT_LEN + 1])
{
    struct nonce n = {.boot = e->nonces.boot,
                      .core = e->nonces.core,
                      .counter = nonce_window_issue(&e->nonces),
                      .unix_s = (uint32_t)shard_wall_s(e->shard)};
    nonce_write(out, &e->nonce_key, &n);
}

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

const struct cached_account *edge_account_keep(struct edge *e, const struct tenant *tenant,
                                               const struct account_row *row)
{
    struct jwk key;
    if (failed(jwk_from_spki(&key, row->spki))) return NULL;
    struct cached_account *c = map_get(&e->accounts, row->id.b);
    if (c != NULL) account_drop(e, c);
    c = pool_get(&e->account_pool);
    if (c == NULL) {
        account_drop(e, LIST_OWNER(e->account_lru.next, struct cached_account, lru));
        c = pool_get(&e->account_pool);
    }
    *c = (struct cached_account){.id = row->id,
                                 .tenant = tenant,
                                 .status = row->status,
                                 .key_version = row->key_version,
                                 .key = key,
                                 .read_ns = shard_now_ns(e->shard)};
    list_push_back(&e->account_lru, &c->lru);
    CHECK(!failed(map_put(&e->accounts, c->id.b, c))); // as many slots as objects
    return c;
}

const struct tenant *edge_tenant(const struct front *f, struct slice name)
{
    for (size_t i = 0; i < f->tenant_count; i++)
        if (slice_eq_str(name, f->tenants[i].settings->name)) return &f->tenants[i];
    return NULL;
}

struct err edge_init(struct edge *e, struct shard *shard, const struct front *front)
{
    uint8_t seed[MAP_SEED_LEN];
    e->shard = shard;
    e->front = front;
    list_init(&e->account_lru);
    list_init(&e->verify_queue);
    list_init(&e->verify_hook.node);
    list_init(&e->issuances);
    shard_random(shard, seed, sizeof seed);
    nonce_key_init(&e->nonce_key, front->cluster_secret);
    TRY(nonce_window_init(&e->nonces, front->boot, (uint8_t)shard_index(shard)));
    TRY(map_init(&e->accounts, sizeof(struct id), ACCOUNT_CACHE_COUNT, seed));
    TRY(map_init(&e->validations, sizeof(struct id), VALIDATIONS_MAX, seed));
    TRY(pool_init(&e->account_pool, "accounts", sizeof(struct cached_account),
                  ACCOUNT_CACHE_COUNT));
    shard_slot_set(shard, SHARD_SLOT_EDGE, e);
    return OK;
}

void edge_fini(struct edge *e)
{
    while (e->account_lru.next != NULL && !list_empty(&e->account_lru))
        account_drop(e, LIST_OWNER(e->account_lru.next, struct cached_account, lru));
    map_fini(&e->accounts);
    map_fini(&e->validations);
    if (e->account_pool.memory != NULL) pool_fini(&e->account_pool);
    nonce_window_fini(&e->nonces);
}

// ---- tenants

static const void *copy_list(struct arena *a, size_t count, size_t size)
{
    return count == 0 ? NULL : arena_calloc(a, count * size);
}

static struct err policy_make(struct validate_policy *out, struct arena *a,
                              const struct validation_settings *s)
{
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
                                    .overrides = overrides,
                                    .override_count = s->overrides.count,
                                    .allowed = s->allowed.items,
                                    .allowed_count = s->allowed.count,
                                    .denied = s->denied.items,
                                    .denied_count = s->denied.count,
                                    .http_port = (unsigned)s->http_port,
                                    .attempts = (unsigned)s->attempts,
                                    .retry_ms = (unsigned)s->retry_ms,
                                    .attempt_ms = (unsigned)s->attempt_ms,
                                    .total_ms = (unsigned)s->total_ms,
                                    .redirects = (unsigned)s->redirects};
    return OK;
}

struct err tenants_make(struct tenant **out, struct arena *a, const struct settings *settings)
{
    struct tenant *tenants = ARENA_ARRAY(a, struct tenant, settings->tenants.count);
    if (tenants == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < settings->tenants.count; i++) {
        tenants[i].settings = &((const struct tenant_settings *)settings->tenants.items)[i];
        TRY(policy_make(&tenants[i].policy, a, &tenants[i].settings->validation));
    }
    *out = tenants;
    return OK;
}
