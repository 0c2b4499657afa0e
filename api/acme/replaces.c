#include "api/acme/replaces.h"

#include "api/acme/cert_id.h"
#include "api/acme/handlers.h"
#include "api/acme/order_step.h"
#include "api/events.h"
#include "proto/err.h"

struct replaces {
    struct request *r;
    struct cert_id id;
    struct store_order_create *create;
    const struct identifier *ids;
    size_t count;
    void (*next)(struct request *r, void *ctx);
    void *ctx;
    struct store_renewal_get get;
    struct store_order_get before, holder; // the certificate's order, and who has its place
    unsigned reads;
    struct err read_err;
};

void replaces_refuse(struct request *r)
{
    request_fail(r, PROBLEM_ALREADY_REPLACED,
                 "another order replaces this certificate already; leave \"replaces\" out");
}

// unknown: also for another account's, which is nobody else's business. Clients that get
// "malformed" try again without "replaces" (clients.md 36).
static void unknown(struct request *r)
{
    request_fail(r, PROBLEM_MALFORMED,
                 "\"replaces\" names no certificate of this account, or one that has ended long "
                 "ago; leave it out");
}

// shares_one: at least one identifier in common. A certificate that covered "*.a" shares it with
// an order for "*.a" only.
static bool shares_one(struct replaces *p)
{
    struct identifier *had;
    size_t had_count;
    if (failed(
            identifiers_decode(&had, &had_count, request_arena(p->r), p->before.out.identifiers)))
        return false;
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < had_count; k++)
            if (identifier_cmp(&p->ids[i], &had[k]) == 0) return true;
    return false;
}

// has_ended: an order that is gone, or can never again become valid. One that expires just now may
// still be finalized by the database's clock: it gets some seconds.
static bool has_ended(const struct replaces *p)
{
    enum { DOUBT_US = 5000000 };
    const struct order_row *o = &p->holder.out;
    return !p->holder.found ||
           order_status_at(o->status, o->expires_at_us, edge_db_now_us(p->r->edge) - DOUBT_US) ==
               ORDER_INVALID;
}

static void decide(struct replaces *p)
{
    struct request *r = p->r;
    bool held = !id_is_zero(&p->get.replaced_by);
    if (!p->before.found) {
        unknown(r);
    } else if (!shares_one(p)) {
        request_fail(r, PROBLEM_MALFORMED,
                     "the certificate that \"replaces\" names has none of these identifiers");
    } else if (held && !has_ended(p)) {
        replaces_refuse(r);
    } else {
        p->create->replacing = true;
        memcpy(p->create->replaced, p->id.serial, SERIAL_LEN);
        p->create->instead_of = p->get.replaced_by;
        p->next(r, p->ctx);
    }
}

static void reads_done(struct replaces *p, struct err err)
{
    if (failed(err)) p->read_err = err;
    if (--p->reads > 0) return;
    request_stage(p->r, &METRIC_STAGE_STORE);
    if (failed(p->read_err))
        request_fail_err(p->r, p->read_err);
    else
        decide(p);
}

static void on_before(struct store_cmd *cmd, struct err err)
{
    reads_done(LIST_OWNER(LIST_OWNER(cmd, struct store_order_get, cmd), struct replaces, before),
               err);
}

static void on_holder(struct store_cmd *cmd, struct err err)
{
    reads_done(LIST_OWNER(LIST_OWNER(cmd, struct store_order_get, cmd), struct replaces, holder),
               err);
}

static void orders_read_both(struct replaces *p)
{
    struct arena *a = request_arena(p->r);
    bool held = !id_is_zero(&p->get.replaced_by);
    p->reads = held ? 2 : 1;
    p->before = (struct store_order_get){.cmd = {.done = on_before, .arena = a},
                                         .id = p->get.order};
    store_order_get(p->r->edge->store, &p->before);
    if (!held) return;
    p->holder = (struct store_order_get){.cmd = {.done = on_holder, .arena = a},
                                         .id = p->get.replaced_by};
    store_order_get(p->r->edge->store, &p->holder);
}

static void on_certificate(struct store_cmd *cmd, struct err err)
{
    struct replaces *p = LIST_OWNER(LIST_OWNER(cmd, struct store_renewal_get, cmd), struct replaces,
                                    get);
    struct request *r = p->r;
    const struct store_renewal_get *c = &p->get;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(r, err);
    else if (!c->found || !id_eq(&c->account, &r->account) ||
             !slice_eq_str(c->tenant, r->tenant->settings->name) ||
             cert_id_look(r, &p->id, c->issuer) == CERT_ID_OTHER)
        unknown(r);
    else
        orders_read_both(p);
}

void replaces_check(struct request *r, struct store_order_create *create,
                    const struct identifier *ids, size_t count,
                    void (*next)(struct request *r, void *ctx), void *ctx)
{
    struct json asked = json_get(r->payload, "replaces");
    if (!json_present(asked)) {
        next(r, ctx);
        return;
    }
    struct replaces *p = REQUEST_NEW(r, struct replaces);
    if (p == NULL) return;
    struct slice *text = &create->order.replaces;
    if (failed(json_string(asked, text)) || failed(cert_id_parse(&p->id, *text))) {
        request_fail(r, PROBLEM_MALFORMED,
                     "\"replaces\" is no certificate's identifier (RFC 9773 section 4.1)");
        return;
    }
    if (!p->id.ours) {
        unknown(r);
        return;
    }
    p->r = r;
    p->create = create;
    p->ids = ids;
    p->count = count;
    p->next = next;
    p->ctx = ctx;
    p->get.cmd = (struct store_cmd){.done = on_certificate, .arena = request_arena(r)};
    memcpy(p->get.serial, p->id.serial, SERIAL_LEN);
    store_renewal_get(r->edge->store, &p->get);
}
