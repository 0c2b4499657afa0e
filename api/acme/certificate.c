// certificate: the chains of a certificate (RFC 8555 section 7.4.2): leaf first, root left out. The
// first is at the certificate's own URL; further ones, where the signers have some, at /2 and so on
// below it, and each answer names the others.
#include "api/acme/handlers.h"
#include "api/events.h"
#include "proto/der/pem.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

enum { RETRY_AFTER_S = 2, FIRST_CHAIN = 1, SERIAL_TEXT_LEN = 27 };

struct certificate_load {
    struct store_certificate_get get;
    unsigned chain; // from FIRST_CHAIN
    struct request *r;
};

static struct err slices_write(struct buf *out, const struct slice *certificates, size_t count)
{
    for (size_t i = 0; i < count; i++) TRY(pem_encode(out, "CERTIFICATE", certificates[i]));
    return OK;
}

static struct err chain_write(struct buf *out, const struct signer_issuer *issuer, unsigned chain,
                              struct slice leaf)
{
    TRY(pem_encode(out, "CERTIFICATE", leaf));
    if (chain != FIRST_CHAIN) {
        const struct signer_chain *c = &issuer->chains[chain - FIRST_CHAIN - 1];
        return slices_write(out, c->certificates, c->count);
    }
    TRY(pem_encode(out, "CERTIFICATE", issuer->certificate));
    return slices_write(out, issuer->chain, issuer->chain_count);
}

// alternates_set names the other chains of the certificate.
static void alternates_set(struct request *r, const struct signer_issuer *issuer, unsigned chain,
                           const uint8_t serial[SERIAL_LEN])
{
    char text[SERIAL_TEXT_LEN + 1] = "";
    const char **urls = ARENA_ARRAY(request_arena(r), const char *, issuer->further_count + 1);
    base64url_encode(text, slice_of(serial, SERIAL_LEN));
    for (unsigned k = FIRST_CHAIN; urls != NULL && k <= FIRST_CHAIN + issuer->further_count; k++) {
        if (k == chain) continue;
        urls[r->link_alternate_count++] = k == FIRST_CHAIN ? request_url(r, "cert/%s", text)
                                                           : request_url(r, "cert/%s/%u", text, k);
    }
    r->link_alternates = urls;
}

static void chain_respond(struct request *r, const struct store_certificate_get *c, unsigned chain)
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
    if (chain > FIRST_CHAIN + issuer->signer.further_count) {
        request_fail_absent(r, "chain of the certificate");
        return;
    }
    struct err e = chain_write(b, &issuer->signer, chain, c->der);
    alternates_set(r, &issuer->signer, chain, c->serial);
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
        chain_respond(r, &l->get, l->chain);
}

// chain_number reads the URL's last part: a number from 2 that is written in one way; the first
// chain where there is none. 0: it is no number of a chain.
static unsigned chain_number(struct slice text)
{
    unsigned n = 0;
    if (text.n == 0) return FIRST_CHAIN;
    for (size_t i = 0; i < text.n && text.n <= 2; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || text.p[0] == '0') return 0;
        n = n * 10 + (text.p[i] - '0');
    }
    return n > FIRST_CHAIN ? n : 0;
}

void certificate_read(struct request *r)
{
    uint8_t serial[SERIAL_LEN];
    size_t len;
    unsigned chain = chain_number(r->segments[1]);
    if (chain == 0 || failed(base64url_decode_into(serial, sizeof serial, &len, r->segments[0])) ||
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
    *l = (struct certificate_load){
        .get = {.cmd = {.done = on_loaded, .arena = request_arena(r)}}, .chain = chain, .r = r};
    memcpy(l->get.serial, serial, SERIAL_LEN);
    store_certificate_get(r->edge->store, &l->get);
}
