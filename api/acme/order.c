// order: newOrder and order reads (RFC 8555 sections 7.1.3 and 7.4).
#include "api/acme/order.h"

#include "api/acme/handlers.h"
#include "api/acme/order_step.h"
#include "api/events.h"
#include "cluster/err.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

enum { RETRY_AFTER_S = 1, SHOWN_MAX = 100 };

// ---- the document

static void identifiers_put(struct request *r, struct json_out *o, struct slice encoded)
{
    struct identifier *ids = NULL;
    size_t count = 0;
    struct err e = identifiers_decode(&ids, &count, request_arena(r), encoded);
    if (failed(e)) o->err = e;
    json_key(o, "identifiers");
    json_array_begin(o);
    for (size_t i = 0; !failed(e) && i < count; i++) request_put_identifier(r, o, &ids[i]);
    json_array_end(o);
}

static void order_put(struct request *r, struct json_out *o, const struct order_row *row,
                      enum order_status status)
{
    char id[ID_TEXT_LEN + 1], time[TIME_TEXT_LEN + 1];
    id_text(id, &row->id);
    json_object_begin(o);
    json_key(o, "status");
    json_put_str(o, order_status_name(status));
    request_time(time, row->expires_at_us / 1000000);
    json_key(o, "expires");
    json_put_str(o, time);
    identifiers_put(r, o, row->identifiers);
    if (row->profile.n > 0) {
        json_key(o, "profile");
        json_put_string(o, row->profile);
    }
    json_key(o, "authorizations");
    json_array_begin(o);
    for (size_t i = 0; i < row->authz_count; i++) {
        char authz[ID_TEXT_LEN + 1];
        id_text(authz, &row->authzs[i]);
        json_put_str(o, request_url(r, "authz/%s", authz));
    }
    json_array_end(o);
    json_key(o, "finalize");
    json_put_str(o, request_url(r, "order/%s/finalize", id));
    if (status == ORDER_VALID && row->has_serial) {
        char serial[32];
        base64url_encode(serial, slice_of(row->serial, SERIAL_LEN));
        json_key(o, "certificate");
        json_put_str(o,
                     request_url(r, "cert/%.*s", (int)base64url_encoded_len(SERIAL_LEN), serial));
    }
    if (row->error.n > 0) {
        json_key(o, "error");
        json_put_raw(o, row->error);
    }
    json_object_end(o);
}

void order_respond(struct request *r, unsigned http_status, const struct order_row *row,
                   bool location)
{
    char id[ID_TEXT_LEN + 1];
    struct json_out o;
    enum order_status status = order_status_at(row->status, row->expires_at_us,
                                               edge_db_now_us(r->edge));
    id_text(id, &row->id);
    json_out_begin(&o, edge_scratch(r->edge));
    order_put(r, &o, row, status);
    if (location) r->location = request_url(r, "order/%s", id);
    if (status == ORDER_PROCESSING) r->retry_after = RETRY_AFTER_S;
    request_respond_json(r, http_status, &o);
}

// ---- reads

static void on_loaded(struct store_cmd *cmd, struct err err)
{
    struct order_load *l = LIST_OWNER(LIST_OWNER(cmd, struct store_order_get, cmd),
                                      struct order_load, get);
    struct request *r = l->r;
    const struct order_row *row = &l->get.out;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(r, err);
    else if (!l->get.found || !id_eq(&row->account, &r->account) ||
             !slice_eq_str(row->tenant, r->tenant->settings->name))
        request_fail_absent(r, "order"); // T15: another's order looks like none
    else
        l->next(r, row);
}

void order_load(struct request *r, const struct id *id,
                void (*next)(struct request *r, const struct order_row *row))
{
    if (r->edge->stopping) { // asked for by something that has just been taken away
        request_fail_err(r, ERR(SHUTTING_DOWN));
        return;
    }
    struct order_load *l = REQUEST_NEW(r, struct order_load);
    if (l == NULL) return;
    *l = (struct order_load){
        .get = {.cmd = {.done = on_loaded, .arena = request_arena(r)}, .id = *id},
        .r = r,
        .next = next};
    store_order_get(r->edge->store, &l->get);
}

static void order_show(struct request *r, const struct order_row *row)
{
    order_respond(r, 200, row, false);
}

void order_read(struct request *r)
{
    struct id id;
    if (!request_object(r, &id, "order")) return;
    if (json_present(r->payload))
        request_fail(r, PROBLEM_MALFORMED, "reading an order takes an empty payload (POST-as-GET)");
    else
        order_load(r, &id, order_show);
}

// ---- the orders list (RFC 8555 section 7.1.2.1)

enum { LIST_PAGE = 100 };

struct orders_read {
    struct store_orders_list list;
    struct request *r;
};

static void on_listed(struct store_cmd *cmd, struct err err)
{
    struct orders_read *l = LIST_OWNER(LIST_OWNER(cmd, struct store_orders_list, cmd),
                                       struct orders_read, list);
    struct request *r = l->r;
    char account[ID_TEXT_LEN + 1], id[ID_TEXT_LEN + 1];
    struct json_out o;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err)) {
        request_fail_err(r, err);
        return;
    }
    json_out_begin(&o, edge_scratch(r->edge));
    json_object_begin(&o);
    json_key(&o, "orders");
    json_array_begin(&o);
    for (size_t i = 0; i < l->list.out_count; i++) {
        id_text(id, &l->list.out[i]);
        json_put_str(&o, request_url(r, "order/%s", id));
    }
    json_array_end(&o);
    json_object_end(&o);
    if (l->list.more) {
        id_text(account, &r->account); // `id` is the last one shown
        r->link_next = request_url(r, "acct/%s/orders?cursor=%s", account, id);
    }
    request_respond_json(r, 200, &o);
}

// cursor_take reads "?cursor=ID" behind the path; without one the list begins at the newest order.
static bool cursor_take(struct request *r, struct id *out)
{
    struct slice path = r->x->request.path, key = SLICE_LIT("?cursor=");
    const uint8_t *query = memchr(path.p, '?', path.n);
    if (query == NULL) return true;
    struct slice q = slice_sub(path, (size_t)(query - path.p), path.n);
    if (slice_starts(q, key) && !failed(id_parse(out, slice_sub(q, key.n, q.n)))) return true;
    request_fail(r, PROBLEM_MALFORMED,
                 "the query is not a cursor of this list; follow the link with rel=\"next\"");
    return false;
}

void orders_read(struct request *r)
{
    struct id id;
    struct orders_read *l = REQUEST_NEW(r, struct orders_read);
    if (l == NULL || !request_object(r, &id, "account")) return;
    if (!id_eq(&id, &r->account)) {
        request_fail(r, PROBLEM_UNAUTHORIZED, "these are another account's orders");
        return;
    }
    if (json_present(r->payload)) {
        request_fail(r, PROBLEM_MALFORMED,
                     "reading the orders list takes an empty payload (POST-as-GET)");
        return;
    }
    l->r = r;
    l->list = (struct store_orders_list){.cmd = {.done = on_listed, .arena = request_arena(r)},
                                         .account = r->account,
                                         .limit = LIST_PAGE};
    if (cursor_take(r, &l->list.before)) store_orders_list(r->edge->store, &l->list);
}

// ---- newOrder

struct order_new {
    struct store_order_create create;
    struct request *r;
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
    if (n->create.outcome != ORDER_CREATED) {
        request_fail_status(r, PROBLEM_UNAUTHORIZED, 401,
                            "the account is not valid any more, or has another key by now");
        return;
    }
    edge_count(r->edge, &METRIC_ORDERS);
    order_respond(r, 201, &n->create.order, true);
}

static bool identifier_refuse(struct request *r, enum problem p, size_t i, struct slice value,
                              const char *why)
{
    request_fail(r, p, "identifier %zu (%s) %s", i, request_text(r, slice_sub(value, 0, SHOWN_MAX)),
                 why);
    return false;
}

// identifier_take reads element `i` into its canonical form; false: answered.
static bool identifier_take(struct request *r, struct json list, size_t i, struct identifier *out)
{
    struct slice type, value;
    struct json one = json_at(list, i);
    if (failed(json_string(json_get(one, "type"), &type)) ||
        failed(json_string(json_get(one, "value"), &value)))
        return identifier_refuse(r, PROBLEM_MALFORMED, i, SLICE_NONE,
                                 "has no \"type\" and \"value\"");
    if (!slice_eq_str(type, "dns"))
        return identifier_refuse(r, PROBLEM_UNSUPPORTED_IDENTIFIER, i, value,
                                 "is not of type \"dns\", the only one that this server takes");
    if (value.n > 0 && value.p[0] == '*')
        return identifier_refuse(r, PROBLEM_REJECTED_IDENTIFIER, i, value,
                                 "is a wildcard; this server cannot validate wildcards");
    out->type = IDENTIFIER_DNS;
    return !failed(dns_name_canonical(&out->value, request_arena(r), value, false)) ||
           identifier_refuse(r, PROBLEM_REJECTED_IDENTIFIER, i, value,
                             "is not a DNS name that a certificate can carry");
}

static size_t duplicates_drop(struct identifier *ids, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t k = 0; k < kept; k++) seen |= identifier_cmp(&ids[k], &ids[i]) == 0;
        if (!seen) ids[kept++] = ids[i];
    }
    return kept;
}

static struct identifier *identifiers_take(struct request *r, size_t *out_count)
{
    struct json list = json_get(r->payload, "identifiers");
    size_t count = json_size(list);
    if (!json_is_array(list) || count == 0 || count > IDENTIFIER_COUNT_MAX) {
        request_fail(r, PROBLEM_MALFORMED, "\"identifiers\" is not a list of 1 to %d identifiers",
                     IDENTIFIER_COUNT_MAX);
        return NULL;
    }
    struct identifier *ids = request_new(r, count * sizeof *ids);
    if (ids == NULL) return NULL;
    for (size_t i = 0; i < count; i++)
        if (!identifier_take(r, list, i, &ids[i])) return NULL;
    *out_count = duplicates_drop(ids, count);
    return ids;
}

static bool profile_take(struct request *r, struct slice *out)
{
    const struct config_list *allowed = &r->tenant->settings->profiles;
    const char *const *names = allowed->items;
    struct json asked = json_get(r->payload, "profile");
    *out = slice_str(names[0]);
    if (!json_present(asked)) return true;
    if (!failed(json_string(asked, out)))
        for (size_t i = 0; i < allowed->count; i++)
            if (slice_eq_str(*out, names[i])) return true;
    request_fail(r, PROBLEM_INVALID_PROFILE,
                 "this profile is not offered; the directory's meta.profiles lists those that are");
    return false;
}

// dates_refused: this server fixes the validity by the profile. A client that says nothing, or the
// year 1 for "unset", goes on.
static bool dates_refused(struct request *r)
{
    static const char *const names[] = {"notBefore", "notAfter"};
    for (size_t i = 0; i < 2; i++) {
        struct slice s;
        struct json j = json_get(r->payload, names[i]);
        if (!json_present(j)) continue;
        if (!failed(json_string(j, &s)) && slice_starts(s, SLICE_LIT("0001-"))) continue;
        request_fail(r, PROBLEM_MALFORMED,
                     "\"%s\" cannot be asked for here: the validity is the profile's; leave it out",
                     names[i]);
        return true;
    }
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
        *z = (struct authz_row){.id = o->authzs[i],
                                .account = r->account,
                                .order = o->id,
                                .tenant = o->tenant,
                                .identifier = ids[i],
                                .status = AUTHZ_PENDING,
                                .challenges = CHALLENGE_HTTP_01,
                                .expires_at_us = now_us + r->tenant->settings->authz_ms * 1000};
        shard_random(r->edge->shard, z->token, sizeof z->token);
    }
    o->authz_count = n->create.authz_count = count;
    o->authzs_pending = (uint32_t)count;
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
    struct order_row *o = &n->create.order;
    int64_t now_us = edge_db_now_us(r->edge);
    o->id = edge_id(r->edge);
    o->account = r->account;
    o->tenant = slice_str(r->tenant->settings->name);
    o->status = ORDER_PENDING;
    o->expires_at_us = now_us + r->tenant->settings->order_ms * 1000;
    if (!failed(identifiers_store(r, &o->identifiers, ids, count)) &&
        authzs_make(r, n, ids, count, now_us))
        return true;
    request_fail_err(r, ERR(NO_SPACE));
    return false;
}

void order_new(struct request *r)
{
    size_t count = 0;
    if (!json_present(r->payload)) {
        request_fail(r, PROBLEM_MALFORMED, "newOrder needs a payload");
        return;
    }
    struct identifier *ids = identifiers_take(r, &count);
    if (ids == NULL || dates_refused(r)) return;
    struct order_new *n = REQUEST_NEW(r, struct order_new);
    if (n == NULL || !profile_take(r, &n->create.order.profile) || !order_fill(r, n, ids, count))
        return;
    n->r = r;
    n->create.cmd = (struct store_cmd){.done = on_created, .arena = request_arena(r)};
    n->create.key_version = r->key_version;
    store_order_create(r->edge->store, &n->create);
}
