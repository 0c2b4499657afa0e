// edge: one core of the front end: its store, signer client, validator, nonces, caches and
// counters, and what all cores share const. The ACME resources, the validations and the jobs hang
// off it and not off each other.
#pragma once
#include "api/acme/nonce.h"
#include "api/catalog.h"
#include "api/settings.h"
#include "api/validate/validate.h"
#include "api/verifier.h"
#include "cluster/core/server.h"
#include "proto/base/map.h"
#include "proto/base/pool.h"
#include "proto/jose/jwk.h"
#include "store/store.h"

// struct tenant: a tenant as requests need it, made from the settings once.
struct tenant {
    const struct tenant_settings *settings;
    struct validate_policy policy;
    uint32_t challenges; // offered challenge_type bits
};

struct identity; // api/identity.h

// struct front is what all cores share, const after it was made. A reload makes a new one with the
// same node, boot and secret; requests that began under the old one end under it (api/run.h keeps
// it for as long).
struct front {
    const struct settings *settings;
    const struct tenant *tenants;
    size_t tenant_count;
    const struct tenant *default_tenant;
    const struct blocked_keys *blocked; // keys that nobody may use
    struct slice cluster_secret;
    struct id node; // new with each start, as `boot` is
    uint64_t boot;
};

enum {
    ACCOUNT_CACHE_COUNT = 8192,
    ACCOUNT_CACHE_MS = 5000,
    VALIDATIONS_MAX = 4096,
    ISSUANCES_MAX = 4096,
    SCRATCH_MAX = 1 << 18,
    REQUEST_ID_LEN = 16
};

// struct cached_account: an account as it was read at most ACCOUNT_CACHE_MS ago. What decides is
// read under lock in the deciding transaction; this is for reading and for verifying requests.
struct cached_account {
    struct list lru;
    struct id id;
    char tenant[TENANT_NAME_MAX + 1];
    enum account_status status;
    uint32_t key_version;
    char eab_kid[EAB_KID_MAX + 1];
    struct jwk key;
    uint64_t read_ns;
};

// NONCES_FROZEN: being handed over, questions wait. NONCES_GONE: another front end answers.
enum nonces_state { NONCES_HERE, NONCES_FROZEN, NONCES_GONE };

struct adopted_window {
    struct nonce_window window;
    uint64_t until_ns;
};

// struct refusal holds what an answer needs that the server gives by itself: malformed, too large,
// too late.
struct refusal {
    char id[REQUEST_ID_LEN + 1], nonce[NONCE_TEXT_LEN + 1], retry_after[4];
    struct http_header headers[5];
};

struct node_rpc;
struct jobs;

struct edge {
    struct shard *shard;
    const struct front *front;
    struct store *store;
    struct signer_client *signer;
    struct catalog catalog;
    struct validator *validator;
    const struct identity *identity;
    struct server *server;
    struct http_budget budget; // of the server's requests
    struct node_rpc *node_rpc;
    struct server *private_server; // first shard only
    struct server *crl_server;     // NULL: not configured
    struct server *admin_server;   // first shard only; NULL: not configured
    struct http_budget admin_budget;
    struct jobs *jobs;  // first shard only
    struct buf scratch; // for the one document that is being written
    struct refusal refusal;

    struct nonce_key nonce_key;
    struct nonce_window nonces;
    enum nonces_state nonces_state;
    struct list frozen; // struct redemption that wait for the end of the handover
    struct adopted_window adopted[NONCE_ADOPTED_MAX]; // first shard only
    size_t adopted_count;

    struct map accounts; // struct cached_account by id
    struct pool account_pool;
    struct list account_lru;  // oldest first
    struct map validations;   // struct running_validation by authorization id
    struct verifier verifier; // of every signature that this core checks
    struct list issuances;
    size_t issuance_count, request_count;

    struct timer tick;
    bool draining, server_drained, quiet_told;
    bool stopping; // its parts are being taken away: nothing new may be asked of them
    void (*quiet)(struct edge *e); // runs once, when a draining core has nothing under way any more
};

static inline struct edge *edge_of(struct shard *s) { return shard_slot_get(s, SHARD_SLOT_EDGE); }
// edge_init and edge_fini: the parts that need no other program. ERR_NO_SPACE; edge_fini also ends
// what a failed edge_init has begun.
RESULT edge_init(struct edge *e, struct shard *shard, const struct front *front);
void edge_fini(struct edge *e);
// edge_p256 is the code that checks ECDSA P-256 signatures under these settings.
enum p256_kernel edge_p256(const struct settings *s);
// edge_front_set takes a reloaded configuration into use, edge_identity_set renewed certificates:
// new connections use them.
void edge_front_set(struct edge *e, const struct front *front);
void edge_identity_set(struct edge *e, const struct identity *identity);
// edge_drain begins the end: the server drains, and `quiet` runs when the last request, validation
// and issuance has ended. edge_quiet_check is called wherever one of them ends.
void edge_drain(struct edge *e, void (*quiet)(struct edge *e));
void edge_quiet_check(struct edge *e);

// validations_drop forgets the validations of a core that ends: after its validator and store have
// ended (api/acme/authz.c).
void validations_drop(struct edge *e);

// edge_nonce writes a fresh nonce of this core.
void edge_nonce(struct edge *e, char out[NONCE_TEXT_LEN + 1]);
// edge_id makes an id by the database's clock.
struct id edge_id(struct edge *e);
// edge_account_cached finds an account that was read lately, NULL otherwise; edge_account_keep
// remembers one and returns it (NULL when its key cannot be used any more).
const struct cached_account *edge_account_cached(struct edge *e, const struct id *id);
const struct cached_account *edge_account_keep(struct edge *e, const struct account_row *row);
// edge_tenant finds a tenant by name, NULL: none.
const struct tenant *edge_tenant(const struct front *f, struct slice name);
// edge_scratch is an empty buf for a document that is written and sent within one call.
struct buf *edge_scratch(struct edge *e);
// edge_count adds to a counter of this core.
struct metric;
void edge_count(struct edge *e, const struct metric *metric);
// tenants_make fills `front` with the tenants of `settings`; memory from the arena. ERR_NO_SPACE.
RESULT tenants_make(struct front *front, struct arena *a, const struct settings *settings);
// edge_db_now_us is the database's clock as this core knows it.
static inline int64_t edge_db_now_us(const struct edge *e)
{
    return shard_wall_us(e->shard) + (e->store == NULL ? 0 : store_clock_offset_us(e->store));
}
