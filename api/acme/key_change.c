// key_change: an account's key replaced by another, which signs, too (RFC 8555 section 7.3.5). The
// request is a JWS in a JWS: the outer one is the account's by its old key, and was checked as
// every request is; the inner one is here.
#include "api/acme/handlers.h"
#include "api/acme/key_judge.h"
#include "api/events.h"
#include "proto/err.h"

struct key_change {
    struct store_account_key_change change;
    struct request *r;
    struct jws inner;
};

static const char *account_url(struct request *r, const struct id *id)
{
    char text[ID_TEXT_LEN + 1];
    id_text(text, id);
    return request_url(r, "acct/%s", text);
}

static void on_changed(struct store_cmd *cmd, struct err err)
{
    struct key_change *k = LIST_OWNER(LIST_OWNER(cmd, struct store_account_key_change, cmd),
                                      struct key_change, change);
    struct request *r = k->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err)) {
        request_fail_err(r, err);
    } else if (k->change.outcome == ACCOUNT_KEY_TAKEN) {
        r->location = account_url(r, &k->change.taken_by);
        request_fail_status(r, PROBLEM_MALFORMED, 409,
                            "an account has the new key already; Location says which");
    } else {
        account_change_respond(r, k->change.outcome, &k->change.out);
    }
}

// old_key_matches: "oldKey" is the key that the account has now, as a key and not as text.
static bool old_key_matches(struct request *r, struct json old)
{
    struct jwk key;
    return !failed(jwk_parse(&key, old)) &&
           memcmp(key.thumbprint, r->key.thumbprint, sizeof key.thumbprint) == 0;
}

// payload_check compares what the new key signed with what the old one did; false: answered.
static bool payload_check(struct key_change *k)
{
    struct request *r = k->r;
    struct json payload;
    struct slice account;
    struct err e = json_parse(&payload, request_arena(r), k->inner.payload);
    if (err_class(e) == ERR_CLASS_BUSY)
        request_fail_err(r, e);
    else if (failed(e) || !json_is_object(payload))
        request_fail(r, PROBLEM_MALFORMED, "the inner JWS's payload is not a JSON object");
    else if (failed(json_string(json_get(payload, "account"), &account)) ||
             !slice_eq(account, r->jws.kid))
        request_fail(r, PROBLEM_MALFORMED,
                     "\"account\" in the inner payload is not the URL in the outer \"kid\"");
    else if (!old_key_matches(r, json_get(payload, "oldKey")))
        request_fail(r, PROBLEM_MALFORMED,
                     "\"oldKey\" in the inner payload is not the account's present key");
    else
        return true;
    return false;
}

// inner_check reads the inner JWS, by the new key; false: answered.
static bool inner_check(struct key_change *k)
{
    struct request *r = k->r;
    const char *note = "", *weak;
    struct err e = jws_parse(&k->inner, &note, request_arena(r), r->jws.payload,
                             JWS_USE_KEY_CHANGE_INNER);
    if (failed(e))
        envelope_form_refuse(r, e, note);
    else if (!slice_eq(k->inner.url, r->jws.url))
        request_fail(r, PROBLEM_MALFORMED, "\"url\" differs between the inner and the outer JWS");
    else if (err_is(e = jws_verify(&k->inner, &k->inner.jwk), ERR_BAD_JWS_ALG))
        request_fail(r, PROBLEM_BAD_SIGNATURE_ALGORITHM,
                     "the inner JWS's algorithm %s does not fit the new key",
                     jws_alg_name(k->inner.alg));
    else if (failed(e))
        request_fail(r, PROBLEM_MALFORMED, "the inner JWS does not verify under the new key");
    else if ((weak = key_judge(r, slice_of(k->inner.jwk.spki, k->inner.jwk.spki_len))) != NULL)
        request_fail(r, PROBLEM_BAD_PUBLIC_KEY, "the new key cannot be used: %s", weak);
    else
        return payload_check(k);
    return false;
}

void key_change(struct request *r)
{
    if (!json_present(r->payload)) {
        request_fail(r, PROBLEM_MALFORMED, "keyChange needs a payload: a JWS by the new key");
        return;
    }
    struct key_change *k = REQUEST_NEW(r, struct key_change);
    if (k == NULL) return;
    k->r = r;
    if (!inner_check(k)) return;
    const struct jwk *key = &k->inner.jwk;
    k->change = (struct store_account_key_change){
        .cmd = {.done = on_changed, .arena = request_arena(r)},
        .id = r->account,
        .key_version = r->key_version,
        .spki = slice_of(key->spki, key->spki_len)};
    memcpy(k->change.thumbprint, key->thumbprint, sizeof k->change.thumbprint);
    store_account_key_change(r->edge->store, &k->change);
}
