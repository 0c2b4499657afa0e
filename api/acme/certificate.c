// certificate: the chain of a certificate (RFC 8555 section 7.4.2): leaf first, root left out.
#include "api/acme/handlers.h"
#include "api/events.h"
#include "proto/der/pem.h"
#include "proto/err.h"
#include "proto/text/base64url.h"
#include "store/err.h"

enum { CHAIN_MAX = 65536 };

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
    const struct signer_issuer *issuer = signer_client_issuer(r->edge->signer, c->issuer);
    struct buf b;
    if (issuer == NULL) {
        r->retry_after = 2;
        request_fail_status(r, PROBLEM_SERVER_INTERNAL, 503,
                            "the issuer's chain is not known here just now; try again (%s)",
                            signer_client_state_text(r->edge->signer));
        return;
    }
    buf_init(&b, CHAIN_MAX);
    if (failed(chain_write(&b, issuer, c->der)))
        request_fail(r, PROBLEM_SERVER_INTERNAL, "the chain could not be written");
    else
        request_respond_bytes(r, 200, "application/pem-certificate-chain", buf_slice(&b));
    buf_fini(&b);
}

static void on_loaded(struct store_cmd *cmd, struct err err)
{
    struct certificate_load *l = LIST_OWNER(LIST_OWNER(cmd, struct store_certificate_get, cmd),
                                            struct certificate_load, get);
    struct request *r = l->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_store(r, err);
    else if (!l->get.found)
        request_fail_status(r, PROBLEM_UNAUTHORIZED, 404, "there is no such certificate");
    else if (!id_eq(&l->get.account, &r->account))
        request_fail(r, PROBLEM_UNAUTHORIZED, "this certificate belongs to another account");
    else
        chain_respond(r, &l->get);
}

void certificate_read(struct request *r)
{
    struct slice serial;
    struct certificate_load *l = ARENA_NEW(request_arena(r), struct certificate_load);
    if (l == NULL) {
        request_fail_store(r, ERR(STORE_BUSY));
        return;
    }
    if (failed(base64url_decode(&serial, request_arena(r), r->segment)) || serial.n != SERIAL_LEN) {
        request_fail_status(r, PROBLEM_MALFORMED, 404, "there is nothing at this URL");
        return;
    }
    if (json_present(r->payload)) {
        request_fail(r, PROBLEM_MALFORMED,
                     "reading a certificate takes an empty payload (POST-as-GET)");
        return;
    }
    *l = (struct certificate_load){.get = {.cmd = {.done = on_loaded, .arena = request_arena(r)}},
                                   .r = r};
    memcpy(l->get.serial, serial.p, SERIAL_LEN);
    store_certificate_get(r->edge->store, &l->get);
}
