// renewal_info: when a certificate should be renewed, for anybody who has it (RFC 9773 section 4).
// The answer is made of the serial and the store's row: no certificate and no signer is needed.
#include "api/acme/cert_id.h"
#include "api/acme/handlers.h"
#include "api/acme/renewal_window.h"
#include "api/events.h"

struct renewal_load {
    struct store_renewal_get get;
    struct cert_id id;
    struct request *r;
};

enum cert_id_issuer cert_id_look(const struct request *r, const struct cert_id *id, uint16_t issuer)
{
    const struct catalog_issuer *i = catalog_issuer(&r->edge->catalog, issuer);
    if (i == NULL) return CERT_ID_NOT_KNOWN;
    return slice_eq(i->ski, slice_of(id->aki, id->aki_len)) ? CERT_ID_SAME : CERT_ID_OTHER;
}

static void absent(struct request *r)
{
    request_fail_status(r, PROBLEM_MALFORMED, 404,
                        "there is no such certificate here, or it has ended long ago");
}

static void window_respond(struct request *r, const struct store_renewal_get *c)
{
    char start[TIME_TEXT_LEN + 1], end[TIME_TEXT_LEN + 1];
    struct json_out o;
    struct renewal_window w = renewal_window_of(c->serial, c->not_before, c->not_after);
    if (c->moved)
        w = renewal_window_moved(c->serial, w, c->moved_from, c->moved_until, c->not_after);
    if (c->revoked_at_us > 0) w = renewal_window_over(c->revoked_at_us / 1000000);
    request_time(start, w.start);
    request_time(end, w.end);
    json_out_begin(&o, edge_scratch(r->edge));
    json_object_begin(&o);
    json_key(&o, "suggestedWindow");
    json_object_begin(&o);
    json_key(&o, "start");
    json_put_str(&o, start);
    json_key(&o, "end");
    json_put_str(&o, end);
    json_object_end(&o);
    json_object_end(&o);
    r->retry_after = renewal_poll_s(c->serial, c->not_before, c->not_after);
    request_respond_json(r, 200, &o);
}

static void on_loaded(struct store_cmd *cmd, struct err err)
{
    struct renewal_load *l = LIST_OWNER(LIST_OWNER(cmd, struct store_renewal_get, cmd),
                                        struct renewal_load, get);
    struct request *r = l->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(r, err);
    else if (!l->get.found || !slice_eq_str(l->get.tenant, r->tenant->settings->name) ||
             cert_id_look(r, &l->id, l->get.issuer) == CERT_ID_OTHER)
        absent(r);
    else
        window_respond(r, &l->get);
}

void renewal_info_get(struct request *r)
{
    struct renewal_load *l = REQUEST_NEW(r, struct renewal_load);
    if (l == NULL) return;
    if (failed(cert_id_parse(&l->id, r->segments[0]))) {
        request_fail(r, PROBLEM_MALFORMED,
                     "this is no certificate's identifier; expected base64url(authority key "
                     "identifier).base64url(serial number) without padding (RFC 9773 section 4.1)");
        return;
    }
    if (!l->id.ours) {
        absent(r);
        return;
    }
    l->r = r;
    l->get.cmd = (struct store_cmd){.done = on_loaded, .arena = request_arena(r)};
    memcpy(l->get.serial, l->id.serial, SERIAL_LEN);
    store_renewal_get(r->edge->store, &l->get);
}
