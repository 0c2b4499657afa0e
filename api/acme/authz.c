// authz: authorizations: their document, reads and deactivation (RFC 8555 sections 7.1.4 and 7.5).
#include "api/acme/authz.h"

#include "api/acme/handlers.h"
#include "api/acme/refusals.h"
#include "api/events.h"

enum {
    RETRY_AFTER_S = 1,
    SETTLED_MS = 1000, // a client that made an order has begun by then
    DEACTIVATE_TRIES = 3
};

// ---- documents

// authz_status_at is the state that a reader sees: one that nobody proved in time has failed, a
// proof expires (RFC 8555 section 7.1.6).
enum authz_status authz_status_at(const struct request *r, const struct authz_row *z)
{
    if (z->expires_at_us > edge_db_now_us(r->edge)) return z->status;
    return z->status == AUTHZ_PENDING ? AUTHZ_INVALID
           : z->status == AUTHZ_VALID ? AUTHZ_EXPIRED
                                      : z->status;
}

static const char *authz_status_text(enum authz_status s)
{
    static const char *const names[] = {"invalid",     "pending", "valid",  "invalid",
                                        "deactivated", "expired", "revoked"};
    return s >= AUTHZ_PENDING && s <= AUTHZ_REVOKED ? names[s] : names[0];
}

bool authz_is_pending(const struct request *r, const struct authz_row *z)
{
    return authz_status_at(r, z) == AUTHZ_PENDING;
}

bool authz_is_running(struct request *r, const struct authz_row *z)
{
    return authz_is_pending(r, z) && map_get(&r->edge->validations, z->id.b) != NULL;
}

// poll_soon says whether the client should ask again in a moment. Another front end may be checking
// the challenge, which this one cannot see; a client that has just made the order is not told to
// wait before it begins (clients.md 47).
bool authz_poll_soon(struct request *r, const struct authz_row *z)
{
    int64_t age_ms = edge_db_now_us(r->edge) / 1000 - (int64_t)id_unix_ms(&z->id);
    return authz_is_running(r, z) || (authz_is_pending(r, z) && age_ms > SETTLED_MS);
}

static void authz_put(struct request *r, struct json_out *o, const struct authz_row *z)
{
    char time[TIME_TEXT_LEN + 1];
    json_object_begin(o);
    json_key(o, "identifier");
    request_put_identifier(r, o, &z->identifier);
    json_key(o, "status");
    json_put_str(o, authz_status_text(authz_status_at(r, z)));
    request_time(time, z->expires_at_us / 1000000);
    json_key(o, "expires");
    json_put_str(o, time);
    if (z->wildcard) { // only then (RFC 8555 section 7.1.4)
        json_key(o, "wildcard");
        json_put_bool(o, true);
    }
    json_key(o, "challenges");
    json_array_begin(o);
    challenges_put(r, o, z);
    json_array_end(o);
    json_object_end(o);
}

static void respond(struct request *r, unsigned status, const struct authz_row *z)
{
    struct json_out o;
    json_out_begin(&o, edge_scratch(r->edge));
    authz_put(r, &o, z);
    if (authz_poll_soon(r, z)) r->retry_after = RETRY_AFTER_S;
    request_respond_json(r, status, &o);
}

void authz_respond(struct request *r, const struct authz_row *z) { respond(r, 200, z); }

void authz_respond_new(struct request *r, unsigned status, const struct authz_row *z)
{
    char id[ID_TEXT_LEN + 1];
    id_text(id, &z->id);
    r->location = request_url(r, "authz/%s", id);
    respond(r, status, z);
}

// ---- reads

struct authz_load {
    struct store_authz_get get;
    struct request *r;
    const char *what;
    void (*next)(struct request *r, const struct authz_row *z);
};

static void on_loaded(struct store_cmd *cmd, struct err err)
{
    struct authz_load *l = LIST_OWNER(LIST_OWNER(cmd, struct store_authz_get, cmd),
                                      struct authz_load, get);
    struct request *r = l->r;
    const struct authz_row *z = &l->get.out;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(r, err);
    else if (!l->get.found || !id_eq(&z->account, &r->account) ||
             !slice_eq_str(z->tenant, r->tenant->settings->name))
        request_fail_absent(r, l->what);
    else
        l->next(r, z);
}

void authz_load(struct request *r, const char *what,
                void (*next)(struct request *r, const struct authz_row *z))
{
    struct id id;
    if (!request_object(r, &id, what)) return;
    struct authz_load *l = REQUEST_NEW(r, struct authz_load);
    if (l == NULL) return;
    *l = (struct authz_load){
        .get = {.cmd = {.done = on_loaded, .arena = request_arena(r)}, .id = id},
        .r = r,
        .what = what,
        .next = next};
    store_authz_get(r->edge->store, &l->get);
}

// ---- deactivation (RFC 8555 section 7.5.2)

struct deactivation {
    struct store_authz_decide decide;
    struct request *r;
    unsigned tries;
};

static void on_deactivated(struct store_cmd *cmd, struct err err)
{
    struct deactivation *d = LIST_OWNER(LIST_OWNER(cmd, struct store_authz_decide, cmd),
                                        struct deactivation, decide);
    struct request *r = d->r;
    const struct authz_row *z = &d->decide.out;
    enum authz_status now = authz_status_at(r, z);
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(r, err);
    else if (d->decide.decided || z->status == AUTHZ_DEACTIVATED)
        authz_respond(r, z);
    else if ((now == AUTHZ_PENDING || now == AUTHZ_VALID) &&
             d->tries++ < DEACTIVATE_TRIES) // met its own validation's end: once more
        store_authz_decide(r->edge->store, &d->decide);
    else
        request_fail(r, PROBLEM_MALFORMED,
                     "the authorization is %s; only a pending or valid one can be deactivated",
                     authz_status_text(authz_status_at(r, z)));
}

static void authz_deactivate(struct request *r, const struct authz_row *z)
{
    struct deactivation *d = REQUEST_NEW(r, struct deactivation);
    if (d == NULL) return;
    d->r = r;
    d->decide = (struct store_authz_decide){
        .cmd = {.done = on_deactivated, .arena = request_arena(r)},
        .id = z->id,
        .order = z->order,
        .to = AUTHZ_DEACTIVATED};
    struct err e = order_problem(&d->decide.order_error, r->edge, request_arena(r),
                                 PROBLEM_UNAUTHORIZED,
                                 "an authorization of the order was deactivated by its account", z);
    if (failed(e))
        request_fail_err(r, e);
    else
        store_authz_decide(r->edge->store, &d->decide);
}

// authz_post reads an authorization, or deactivates it.
void authz_post(struct request *r)
{
    struct slice status;
    if (!json_present(r->payload))
        authz_load(r, "authorization", authz_respond);
    else if (!failed(json_string(json_get(r->payload, "status"), &status)) &&
             slice_eq_str(status, "deactivated"))
        authz_load(r, "authorization", authz_deactivate);
    else
        request_fail(r, PROBLEM_MALFORMED,
                     "an authorization is read by an empty payload (POST-as-GET) and deactivated "
                     "by {\"status\":\"deactivated\"}; nothing else can be asked of it");
}
