// revoke: revokeCert in its three ways (RFC 8555 section 7.6): signed by the account that issued
// the certificate, by an account that holds authorizations for all of its names, or by the
// certificate's own key. The envelope has checked the signature already; who it gives a right is
// decided here and, for accounts, by the store in the statement that revokes.
#include "api/acme/handlers.h"

#include <stdio.h>

#include "api/events.h"
#include "proto/der/cert.h"
#include "proto/der/der.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

enum { REASON_MAX = 10 };

struct revoke {
    struct store_certificate_get get;
    struct store_revoke revoke;
    struct request *r;
    struct cert cert; // as the client sent it
};

// ---- the answer

static void revoked(struct request *r, const struct store_revoke *c)
{
    char serial[2 * SERIAL_LEN + 1];
    for (size_t i = 0; i < SERIAL_LEN; i++) snprintf(serial + 2 * i, 3, "%02x", c->serial[i]);
    edge_count(r->edge, &METRIC_REVOCATIONS);
    LOG(shard_log(r->edge->shard), &EVENT_CERTIFICATE_REVOKED, NULL, LOG_STR("request", r->id),
        LOG_STR("serial", serial), LOG_INT("reason", c->reason),
        LOG_STR("by", c->by_account ? "account" : "key"));
    request_respond(r, 200, NULL, SLICE_NONE);
}

static void outcome_respond(struct request *r, const struct store_revoke *c)
{
    char at[TIME_TEXT_LEN + 1];
    switch (c->outcome) {
    case REVOCATION_MADE:
        revoked(r, c);
        return;
    case REVOCATION_ALREADY:
        request_time(at, c->out.revoked_at_us / 1000000);
        request_fail(r, PROBLEM_ALREADY_REVOKED,
                     "the certificate was revoked already, at %s with reason %u", at,
                     c->out.reason);
        return;
    case REVOCATION_EXPIRED:
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "the certificate has expired: there is nothing left to revoke");
        return;
    case REVOCATION_ACCOUNT_NOT_VALID:
        request_fail_account(r, "not valid any more");
        return;
    case REVOCATION_KEY_CHANGED:
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "the account's key was changed; sign with the new one");
        return;
    case REVOCATION_NOT_ALLOWED:
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "the certificate is another account's; this one may revoke it only while it "
                     "holds valid authorizations for all of its names");
        return;
    case REVOCATION_UNKNOWN:
        break;
    }
    request_fail_status(r, PROBLEM_MALFORMED, 404, "this server has not issued that certificate");
}

static void on_revoked(struct store_cmd *cmd, struct err err)
{
    struct revoke *v = LIST_OWNER(LIST_OWNER(cmd, struct store_revoke, cmd), struct revoke, revoke);
    request_stage(v->r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(v->r, err);
    else
        outcome_respond(v->r, &v->revoke);
}

// ---- may it be revoked, and by whom

// key_matches: the request was signed by the certificate's key. Compared as keys, not as text; the
// signature was verified before (T03).
static bool key_matches(const struct request *r, const struct cert *cert)
{
    struct jwk key;
    return !failed(jwk_from_spki(&key, cert->spki)) &&
           memcmp(key.thumbprint, r->key.thumbprint, sizeof key.thumbprint) == 0;
}

// issued_here: octet by octet what was stored, and this tenant's.
static bool issued_here(const struct revoke *v)
{
    return v->get.found && slice_eq(v->get.der, v->cert.der) &&
           slice_eq_str(v->get.tenant, v->r->tenant->settings->name);
}

static void decide(struct revoke *v)
{
    struct request *r = v->r;
    char end[TIME_TEXT_LEN + 1];
    request_time(end, v->cert.not_after);
    if (!issued_here(v)) {
        v->revoke.outcome = REVOCATION_UNKNOWN;
        outcome_respond(r, &v->revoke);
    } else if (!r->has_account && !key_matches(r, &v->cert)) {
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "\"jwk\" is not the certificate's key; an account signs with \"kid\"");
    } else if (cert_extension_find(&v->cert, OID_NO_REV_AVAIL) != NULL) {
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "the certificate says noRevAvail (RFC 9608): no revocation data is kept for "
                     "it, and nobody would look; it ends by itself at %s",
                     end);
    } else {
        store_revoke(r->edge->store, &v->revoke);
    }
}

static void on_certificate(struct store_cmd *cmd, struct err err)
{
    struct revoke *v = LIST_OWNER(LIST_OWNER(cmd, struct store_certificate_get, cmd), struct revoke,
                                  get);
    request_stage(v->r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(v->r, err);
    else
        decide(v);
}

// ---- what the client sends

// reason_take reads the optional reason. Hold and its end (6, 8) would need delta CRLs, and the
// failure of a CA (2) is not a subscriber's to tell.
static bool reason_take(struct request *r, unsigned *out)
{
    static const bool taken[REASON_MAX + 1] = {
        [0] = true, [1] = true, [3] = true, [4] = true, [5] = true, [9] = true, [10] = true};
    struct json j = json_get(r->payload, "reason");
    int64_t reason = 0;
    if (json_present(j) && failed(json_int(j, &reason))) {
        request_fail(r, PROBLEM_MALFORMED, "\"reason\" is not an integer");
        return false;
    }
    if (reason < 0 || reason > REASON_MAX || !taken[reason]) {
        request_fail(r, PROBLEM_BAD_REVOCATION_REASON,
                     "reason %lld is not taken; use one of 0 (unspecified), 1 (keyCompromise), "
                     "3 (affiliationChanged), 4 (superseded), 5 (cessationOfOperation), "
                     "9 (privilegeWithdrawn) or 10 (aACompromise)",
                     (long long)reason);
        return false;
    }
    *out = (unsigned)reason;
    return true;
}

static bool certificate_take(struct revoke *v)
{
    struct request *r = v->r;
    struct slice text, der;
    const char *note = "";
    if (failed(json_string(json_get(r->payload, "certificate"), &text))) {
        request_fail(r, PROBLEM_MALFORMED, "revokeCert needs a payload with \"certificate\"");
        return false;
    }
    struct err e = base64url_decode_lenient(&der, request_arena(r), text); // clients.md 26
    if (!failed(e)) e = cert_parse(&v->cert, &note, request_arena(r), der);
    if (err_class(e) == ERR_CLASS_BUSY)
        request_fail_err(r, e);
    else if (failed(e))
        request_fail(r, PROBLEM_MALFORMED, "\"certificate\" is not the base64url of one: %s",
                     note[0] != 0 ? note : err_text(e));
    return !failed(e);
}

void certificate_revoke(struct request *r)
{
    struct revoke *v = REQUEST_NEW(r, struct revoke);
    if (v == NULL) return;
    v->r = r;
    v->revoke = (struct store_revoke){.cmd = {.done = on_revoked, .arena = request_arena(r)},
                                      .by_account = r->has_account,
                                      .account = r->account,
                                      .key_version = r->key_version};
    v->get = (struct store_certificate_get){
        .cmd = {.done = on_certificate, .arena = request_arena(r)}};
    if (!certificate_take(v) || !reason_take(r, &v->revoke.reason)) return;
    v->revoke.names = v->cert.names;
    v->revoke.name_count = v->cert.name_count;
    if (v->cert.serial.n != SERIAL_LEN) { // ours have 20 octets
        outcome_respond(r, &v->revoke);
        return;
    }
    memcpy(v->get.serial, v->cert.serial.p, SERIAL_LEN);
    memcpy(v->revoke.serial, v->cert.serial.p, SERIAL_LEN);
    store_certificate_get(r->edge->store, &v->get);
}
