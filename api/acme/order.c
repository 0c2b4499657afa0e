// order: the order document and its reads (RFC 8555 sections 7.1.3 and 7.4).
#include "api/acme/order.h"

#include "api/acme/authz.h"
#include "api/acme/handlers.h"
#include "api/acme/order_step.h"
#include "api/events.h"
#include "cluster/err.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

enum { RETRY_AFTER_S = 1 };

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

// date_put shows a date as it was asked for (RFC 8555 section 7.1.3).
static void date_put(struct json_out *o, const char *name, int64_t unix_s)
{
    char time[TIME_TEXT_LEN + 1];
    if (unix_s == 0) return;
    request_time(time, unix_s);
    json_key(o, name);
    json_put_str(o, time);
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
    date_put(o, "notBefore", row->not_before);
    date_put(o, "notAfter", row->not_after);
    identifiers_put(r, o, row->identifiers);
    if (row->profile.n > 0) {
        json_key(o, "profile");
        json_put_string(o, row->profile);
    }
    if (row->replaces.n > 0) { // RFC 9773 section 5
        json_key(o, "replaces");
        json_put_string(o, row->replaces);
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

// ---- an order and the authorizations that it took over

struct slice order_authz_error(struct request *r)
{
    struct buf *b = edge_scratch(r->edge);
    struct slice out = SLICE_LIT("{}");
    struct err e = problem_write(b, PROBLEM_UNAUTHORIZED, problem_status(PROBLEM_UNAUTHORIZED),
                                 "an authorization of the order is not valid any more", NULL);
    if (!failed(e)) (void)!failed(arena_dup(&out, request_arena(r), buf_slice(b)));
    return out;
}

// struct order_check is the read of an order that waits for those authorizations.
struct order_check {
    struct request *r;
    const struct order_row *row;
    unsigned reads;
    bool ended;
    struct err err;
};

struct order_part {
    struct store_authz_get get;
    struct order_check *check;
};

static void order_show_now(struct request *r, const struct order_row *row)
{
    order_respond(r, 200, row, false);
}

// order_show_ended: what it holds has ended. Unless the order was finalized before that, it has,
// too.
static void order_show_ended(struct request *r, const struct order_row *row)
{
    struct order_row shown = *row;
    if (row->status <= ORDER_READY) {
        shown.status = ORDER_INVALID;
        shown.error = order_authz_error(r);
    }
    order_respond(r, 200, &shown, false);
}

static void on_part(struct store_cmd *cmd, struct err err)
{
    struct order_part *p = LIST_OWNER(LIST_OWNER(cmd, struct store_authz_get, cmd),
                                      struct order_part, get);
    struct order_check *c = p->check;
    enum authz_status now = p->get.found ? authz_status_at(c->r, &p->get.out) : AUTHZ_EXPIRED;
    if (failed(err)) c->err = err;
    c->ended |= now != AUTHZ_VALID && now != AUTHZ_PENDING;
    if (--c->reads > 0) return;
    if (failed(c->err))
        request_fail_err(c->r, c->err);
    else if (c->ended)
        order_load(c->r, &c->row->id, order_show_ended);
    else
        order_show_now(c->r, c->row);
}

// order_show: an order ends with each of its authorizations (RFC 8555 section 7.1.6). Those that
// were made for it take it along in the store; one that it took over from another order, and that
// was given back since, does so at finalize, and is looked at here until then.
static void order_show(struct request *r, const struct order_row *row)
{
    if (row->status > ORDER_READY || row->authzs_held == 0) {
        order_show_now(r, row);
        return;
    }
    struct order_check *c = REQUEST_NEW(r, struct order_check);
    struct order_part *parts = c == NULL ? NULL : request_new(r, row->authz_count * sizeof *parts);
    if (parts == NULL) return;
    *c = (struct order_check){.r = r, .row = row, .reads = (unsigned)row->authz_count};
    for (size_t i = 0; i < row->authz_count; i++) {
        parts[i] = (struct order_part){
            .get = {.cmd = {.done = on_part, .arena = request_arena(r)}, .id = row->authzs[i]},
            .check = c};
        store_authz_get(r->edge->store, &parts[i].get);
    }
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
