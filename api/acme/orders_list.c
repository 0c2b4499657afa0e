// orders_list: the ids of an account's orders, page by page (RFC 8555 section 7.1.2.1).
#include "api/acme/handlers.h"
#include "api/events.h"

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
