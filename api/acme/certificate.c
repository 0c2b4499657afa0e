// certificate: the chain of a certificate (RFC 8555 section 7.4.2): leaf first, root left out.
#include "api/acme/handlers.h"
#include "api/events.h"
#include "proto/der/pem.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

enum { RETRY_AFTER_S = 2 };

struct certificate_load {
    struct store_certificate_get get;
    struct request *r;
};

static struct err chain_write(struct buf *out, const struct signer_issuer *issuer,
                              struct slice leaf)
{
    TRY(pem_encode(out, "CERTIFICATE", leaf));
    TRY(pem_encode(out, "CERTIFICATE", issuer->certificate));
    for (size_t i = 0; i < issuer->chain_count; i++)
        TRY(pem_encode(out, "CERTIFICATE", issuer->chain[i]));
    return OK;
}

static void chain_respond(struct request *r, const struct store_certificate_get *c)
{
    const struct catalog_issuer *issuer = catalog_issuer(&r->edge->catalog, c->issuer);
    struct buf *b = edge_scratch(r->edge);
    if (issuer == NULL) {
        r->retry_after = RETRY_AFTER_S;
        request_fail_status(r, PROBLEM_SERVER_INTERNAL, 503,
                            "the issuer's chain is not known here yet; try again (%s)",
                            signer_client_state_text(r->edge->signer));
        return;
    }
    struct err e = chain_write(b, &issuer->signer, c->der);
    if (failed(e))
        request_fail_err(r, e);
    else
        request_respond(r, 200, "application/pem-certificate-chain", buf_slice(b));
}

static void on_loaded(struct store_cmd *cmd, struct err err)
{
    struct certificate_load *l = LIST_OWNER(LIST_OWNER(cmd, struct store_certificate_get, cmd),
                                            struct certificate_load, get);
    struct request *r = l->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(r, err);
    else if (!l->get.found || !id_eq(&l->get.account, &r->account))
        request_fail_absent(r, "certificate");
    else
        chain_respond(r, &l->get);
}

void certificate_read(struct request *r)
{
    uint8_t serial[SERIAL_LEN];
    size_t len;
    if (failed(base64url_decode_into(serial, sizeof serial, &len, r->segments[0])) ||
        len != SERIAL_LEN) {
        request_fail_absent(r, "certificate");
        return;
    }
    if (json_present(r->payload)) {
        request_fail(r, PROBLEM_MALFORMED,
                     "reading a certificate takes an empty payload (POST-as-GET)");
        return;
    }
    struct certificate_load *l = REQUEST_NEW(r, struct certificate_load);
    if (l == NULL) return;
    *l = (struct certificate_load){.get = {.cmd = {.done = on_loaded, .arena = request_arena(r)}},
                                   .r = r};
    memcpy(l->get.serial, serial, SERIAL_LEN);
    store_certificate_get(r->edge->store, &l->get);
}
