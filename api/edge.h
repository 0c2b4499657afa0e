// edge: one core of the front end: its store, signer client, validator, nonces, caches and
// counters, and what all cores share const. The ACME resources, the validations and the jobs hang
// off it and not off each other.
#pragma once
#include "api/acme/nonce.h"
#include "api/settings.h"
#include "api/validate/validate.h"
#include "cluster/core/server.h"
#include "proto/base/map.h"
#include "proto/base/pool.h"
#include "proto/jose/jwk.h"
#include "signer/client.h"
#include "store/store.h"

// struct tenant: a tenant as requests need it, made from the settings once.
struct tenant {
    const struct tenant_settings *settings;
    struct validate_policy policy;
};

// struct front is what all cores share; const after start but for the atomic flags' owners in main.
struct front {
    const struct settings *settings;
    const struct tenant *tenants;
    size_t tenant_count;
    const struct tenant *default_tenant;
    struct slice cluster_secret;
    struct id node;
    uint64_t boot;
    struct shards *shards;
};

enum { ACCOUNT_CACHE_COUNT = 8192, ACCOUNT_CACHE_MS = 5000, VALIDATIONS_MAX = 4096 };

// struct cached_account: an account as it was read at most ACCOUNT_CACHE_MS ago. What decides is
// read under lock in the deciding transaction; this is for reading and for verifying requests.
struct cached_account {
    struct list lru;
    struct id id;
    const struct tenant *tenant;
    enum account_status status;
    uint32_t key_version;
    struct jwk key;
    uint64_t read_ns;
};

struct member_table;
struct issuance;

struct edge {
    struct shard *shard;
    const struct front *front;
    struct store *store;
    struct signer_client *signer;
    struct validator *validator;
    struct server *server;
    struct nonce_window nonces;
    struct nonce_key nonce_key;
    struct map accounts; // struct cached_account by id
    struct pool account_pool;
    struct list account_lru;  // oldest first
    struct map validations;   // struct running_validation by authorization id
    struct list verify_queue; // requests whose signature is checked at the end of the turn
    struct turn_hook verify_hook;
    struct list issuances;
    size_t issuance_count, request_count;
    bool draining;
    struct node_rpc *node_rpc;
    struct jobs *jobs;
};

static inline struct edge *edge_of(struct shard *s) { return shard_slot_get(s, SHARD_SLOT_EDGE); }
// edge_nonce writes a fresh nonce of this core.
void edge_nonce(struct edge *e, char out[NONCE_TEXT_LEN + 1]);
// edge_account_cached finds an account that was read lately, NULL otherwise; edge_account_keep
// remembers one and returns it (NULL when its key cannot be used any more).
const struct cached_account *edge_account_cached(struct edge *e, const struct id *id);
const struct cached_account *edge_account_keep(struct edge *e, const struct tenant *tenant,
                                               const struct account_row *row);
// edge_tenant finds a tenant by name, NULL: none.
const struct tenant *edge_tenant(const struct front *f, struct slice name);
// edge_init and edge_fini: the parts that need no other program. ERR_NO_SPACE.
RESULT edge_init(struct edge *e, struct shard *shard, const struct front *front);
void edge_fini(struct edge *e);
// tenants_make fills `out` (count elements, from the arena) from the settings. ERR_NO_SPACE.
RESULT tenants_make(struct tenant **out, struct arena *a, const struct settings *settings);
// edge_db_now_us is the database's clock as this core knows it.
static inline int64_t edge_db_now_us(const struct edge *e)
{
    return shard_wall_us(e->shard) + store_clock_offset_us(e->store);
}
