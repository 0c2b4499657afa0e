// authz_new: newAuthz, an authorization before any order (RFC 8555 section 7.4.1). A later order
// takes it over once it is valid (store_order_create).
#include "api/acme/authz.h"
#include "api/acme/binding.h"
#include "api/acme/handlers.h"
#include "api/acme/identifiers.h"
#include "api/acme/limits.h"
#include "api/events.h"

struct authz_new {
    struct store_authz_create create;
    struct request *r;
    struct identifiers asked;
};

static void on_created(struct store_cmd *cmd, struct err err)
{
    struct authz_new *n = LIST_OWNER(LIST_OWNER(cmd, struct store_authz_create, cmd),
                                     struct authz_new, create);
    struct request *r = n->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(r, err);
    else if (n->create.outcome == AUTHZ_ACCOUNT_NOT_VALID)
        request_fail_status(r, PROBLEM_UNAUTHORIZED, 401,
                            "the account is not valid any more, or has another key by now");
    else
        authz_respond_new(r, n->create.outcome == AUTHZ_CREATED ? 201 : 200, &n->create.out);
}

static void create(struct request *r, void *ctx)
{
    struct authz_new *n = ctx;
    const struct tenant_settings *t = r->tenant->settings;
    int64_t now_us = edge_db_now_us(r->edge);
    n->create = (struct store_authz_create){
        .cmd = {.done = on_created, .arena = request_arena(r)},
        .row = {.id = edge_id(r->edge),
                .account = r->account,
                .tenant = slice_str(t->name),
                .identifier = n->asked.ids[0],
                .status = AUTHZ_PENDING,
                .challenges = challenge_types_for(r->tenant->challenges, &n->asked.ids[0], false),
                .expires_at_us = now_us + t->authz_ms * 1000},
        .key_version = r->key_version,
        .reuse_since_us = now_us - (t->authz_ms + t->authz_valid_ms) * 1000,
        .reuse_left_us = t->reuse_left_ms * 1000,
        .reuse_alone = !t->reuse};
    shard_random(r->edge->shard, n->create.row.token, sizeof n->create.row.token);
    store_authz_create(r->edge->store, &n->create);
}

// on_key: what the account's binding key allows is known.
static void on_key(struct request *r, const struct eab_row *key)
{
    struct authz_new *n = r->user;
    binding_key_allows(r, key, &n->asked);
    if (!refusals_answer(r, &n->asked.refused))
        limits_new_order(r, n->asked.ids, n->asked.count, create, n);
}

void authz_new(struct request *r)
{
    if (!r->tenant->settings->pre_authorization) {
        request_fail_absent(r, "resource");
        return;
    }
    struct authz_new *n = REQUEST_NEW(r, struct authz_new);
    if (n == NULL) return;
    n->r = r;
    if (!identifiers_take_one(r, &n->asked)) return; // answered, and `r` is gone
    r->user = n;
    binding_key_read(r, on_key);
}
