// order_new: newOrder (RFC 8555 section 7.4).
#include "api/acme/binding.h"
#include "api/acme/dates.h"
#include "api/acme/handlers.h"
#include "api/acme/identifiers.h"
#include "api/acme/limits.h"
#include "api/acme/order.h"
#include "api/acme/replaces.h"
#include "api/eab.h"
#include "api/err.h"
#include "api/events.h"
#include "proto/err.h"

struct order_new {
    struct store_order_create create;
    struct request *r;
    struct identifiers asked;
};

static void on_created(struct store_cmd *cmd, struct err err)
{
    struct order_new *n = LIST_OWNER(LIST_OWNER(cmd, struct store_order_create, cmd),
                                     struct order_new, create);
    struct request *r = n->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err)) {
        request_fail_err(r, err);
        return;
    }
    if (n->create.outcome == ORDER_REPLACED) {
        replaces_refuse(r);
        return;
    }
    if (n->create.outcome != ORDER_CREATED) {
        request_fail_status(r, PROBLEM_UNAUTHORIZED, 401,
                            "the account is not valid any more, or has another key by now");
        return;
    }
    edge_count(r->edge, &METRIC_ORDERS);
    for (size_t i = 0; i < n->create.authz_count; i++)
        if (!id_eq(&n->create.order.authzs[i], &n->create.authzs[i].id))
            edge_count(r->edge, &METRIC_AUTHZS_REUSED);
    order_respond(r, 201, &n->create.order, true);
}

// profile_take takes the profile that is asked for, or the tenant's first, of those that the
// account's binding key (NULL: none) allows.
static bool profile_take(struct request *r, struct slice *out, const struct eab_row *key)
{
    const struct config_list *offered = &r->tenant->settings->profiles;
    const char *const *names = offered->items;
    struct json asked = json_get(r->payload, "profile");
    bool chosen = !json_present(asked) || !failed(json_string(asked, out)), found = false;
    for (size_t i = 0; chosen && i < offered->count; i++) {
        struct slice name = slice_str(names[i]);
        if (json_present(asked) && !slice_eq(*out, name)) continue;
        found = true;
        if (key != NULL && !eab_allows_profile(key, request_arena(r), name)) continue;
        *out = name;
        return true;
    }
    request_fail(r, PROBLEM_INVALID_PROFILE,
                 found ? "the account's external account binding key does not allow this profile"
                       : "this profile is not offered; the directory's meta.profiles lists those "
                         "that are");
    return false;
}

static bool authzs_make(struct request *r, struct order_new *n, const struct identifier *ids,
                        size_t count, int64_t now_us)
{
    struct order_row *o = &n->create.order;
    o->authzs = ARENA_ARRAY(request_arena(r), struct id, count);
    n->create.authzs = ARENA_ARRAY(request_arena(r), struct authz_row, count);
    if (o->authzs == NULL || n->create.authzs == NULL) return false;
    for (size_t i = 0; i < count; i++) {
        struct authz_row *z = &n->create.authzs[i];
        o->authzs[i] = edge_id(r->edge);
        bool wildcard;
        struct identifier proved = challenge_identifier(&wildcard, &ids[i]);
        *z = (struct authz_row){
            .id = o->authzs[i],
            .account = r->account,
            .order = o->id,
            .tenant = o->tenant,
            .identifier = proved,
            .wildcard = wildcard,
            .status = AUTHZ_PENDING,
            .challenges = challenge_types_for(r->tenant->challenges, &proved, wildcard),
            .expires_at_us = now_us + r->tenant->settings->authz_ms * 1000};
        shard_random(r->edge->shard, z->token, sizeof z->token);
    }
    o->authz_count = n->create.authz_count = count;
    return true;
}

static struct err identifiers_store(struct request *r, struct slice *out,
                                    const struct identifier *ids, size_t count)
{
    struct buf *encoded = edge_scratch(r->edge);
    TRY(identifiers_encode(encoded, ids, count));
    return arena_dup(out, request_arena(r), buf_slice(encoded));
}

static bool order_fill(struct request *r, struct order_new *n, const struct identifier *ids,
                       size_t count)
{
    const struct tenant_settings *t = r->tenant->settings;
    struct order_row *o = &n->create.order;
    int64_t now_us = edge_db_now_us(r->edge);
    o->id = edge_id(r->edge);
    o->account = r->account;
    o->tenant = slice_str(t->name);
    o->expires_at_us = now_us + t->order_ms * 1000;
    n->create.reuse_since_us = now_us - (t->authz_ms + t->authz_valid_ms) * 1000;
    n->create.reuse_left_us = t->reuse || t->pre_authorization ? t->reuse_left_ms * 1000 : 0;
    n->create.reuse_alone = !t->reuse;
    if (!failed(identifiers_store(r, &o->identifiers, ids, count)) &&
        authzs_make(r, n, ids, count, now_us))
        return true;
    request_fail_err(r, ERR(NO_SPACE));
    return false;
}

static void create(struct request *r, void *ctx)
{
    struct order_new *n = ctx;
    store_order_create(r->edge->store, &n->create);
}

// on_replaces: whether it is a renewal is known.
static void on_replaces(struct request *r, void *ctx)
{
    struct order_new *n = ctx;
    if (n->create.replacing && !r->tenant->settings->limit_renewals)
        create(r, n);
    else
        limits_new_order(r, n->asked.ids, n->asked.count, create, n);
}

// on_key: what the account's binding key allows is known.
static void on_key(struct request *r, const struct eab_row *key)
{
    struct order_new *n = r->user;
    if (!profile_take(r, &n->create.order.profile, key)) return;
    binding_key_allows(r, key, &n->asked);
    identifiers_fit_profile(r, &n->asked, n->create.order.profile);
    if (refusals_answer(r, &n->asked.refused) || !dates_fit(r, &n->create.order, 0) ||
        !order_fill(r, n, n->asked.ids, n->asked.count))
        return;
    n->create.cmd = (struct store_cmd){.done = on_created, .arena = request_arena(r)};
    n->create.key_version = r->key_version;
    replaces_check(r, &n->create, n->asked.ids, n->asked.count, on_replaces, n);
}

void order_new(struct request *r)
{
    if (!json_present(r->payload)) {
        request_fail(r, PROBLEM_MALFORMED, "newOrder needs a payload");
        return;
    }
    struct order_new *n = REQUEST_NEW(r, struct order_new);
    if (n == NULL) return;
    n->r = r;
    if (!identifiers_take(r, &n->asked) || !dates_take(r, &n->create.order))
        return; // answered, and `r` is gone
    r->user = n;
    binding_key_read(r, on_key);
}
