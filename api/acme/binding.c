#include "api/acme/binding.h"

#include <openssl/mem.h>

#include "api/acme/handlers.h"
#include "api/eab.h"
#include "api/events.h"
#include "proto/err.h"

struct binding_take {
    struct request *r;
    struct binding binding;
    struct jws jws;
    bool present;
    // the account of this key, and the binding key, are read together
    struct store_account_get account;
    struct store_eab_get key;
    unsigned reads;
    struct err read_err;
    void (*next)(struct request *r, const struct binding *b);
    void *ctx;
};

// ---- the MAC

static const char unknown[] =
    "no external account binding key of this server verifies the binding: compare the key id and "
    "the HMAC key (base64url) with those that you were given";

// mac_check tries one secret of the key; a secret that cannot be opened verifies nothing.
static bool mac_check(struct binding_take *t, struct slice sealed)
{
    struct request *r = t->r;
    struct slice secret = SLICE_NONE;
    struct err e = eab_open(&secret, request_arena(r), r->edge->front->cluster_secret,
                            t->key.tenant, t->key.kid, sealed);
    if (failed(e)) {
        LOG(shard_log(r->edge->shard), &EVENT_EAB_SEALED, NULL, LOG_SLICE("tenant", t->key.tenant),
            LOG_SLICE("kid", t->key.kid), LOG_ERR("error", e));
        return false;
    }
    bool ok = !failed(jws_verify_mac(&t->jws, secret));
    OPENSSL_cleanse((uint8_t *)(uintptr_t)secret.p, secret.n);
    if (ok) t->binding.secret = sealed;
    return ok;
}

// mac_verify takes as long for a key that is not there (T10: nobody learns which key ids are).
static bool mac_verify(struct binding_take *t)
{
    static const uint8_t nobodys[32];
    const struct eab_row *key = &t->key.out;
    if (!t->key.found) {
        (void)!failed(jws_verify_mac(&t->jws, slice_of(nobodys, sizeof nobodys)));
        return false;
    }
    bool overlap = key->previous.n > 0 && key->previous_until_us > edge_db_now_us(t->r->edge);
    return mac_check(t, key->secret) || (overlap && mac_check(t, key->previous));
}

static uint32_t algorithm_bit(enum jws_alg alg)
{
    return alg == JWS_HS256 ? EAB_HS256 : alg == JWS_HS384 ? EAB_HS384 : EAB_HS512;
}

// payload_is_key: the payload is the key of the outer JWS, as a key and not as text.
static bool payload_is_key(struct binding_take *t)
{
    struct json j;
    struct jwk key;
    return !failed(json_parse(&j, request_arena(t->r), t->jws.payload)) &&
           !failed(jwk_parse(&key, j)) &&
           memcmp(key.thumbprint, t->r->key.thumbprint, sizeof key.thumbprint) == 0;
}

static void binding_judge(struct binding_take *t)
{
    struct request *r = t->r;
    if (!mac_verify(t)) {
        request_fail(r, PROBLEM_UNAUTHORIZED, "%s", unknown);
    } else if ((t->key.out.algorithms & algorithm_bit(t->jws.alg)) == 0) {
        r->algorithms = jws_mac_list();
        request_fail(r, PROBLEM_BAD_SIGNATURE_ALGORITHM,
                     "this external account binding key is not for %s", jws_alg_name(t->jws.alg));
    } else if (!payload_is_key(t)) {
        request_fail(r, PROBLEM_MALFORMED,
                     "the payload of \"externalAccountBinding\" is not the key of the request");
    } else {
        r->user = t->ctx;
        t->next(r, &t->binding);
    }
}

// ---- reads

static void reads_done(struct binding_take *t, struct err err)
{
    struct request *r = t->r;
    static const struct binding none;
    if (failed(err)) t->read_err = err;
    if (--t->reads > 0) return;
    request_stage(r, &METRIC_STAGE_STORE);
    r->user = t->ctx;
    if (failed(t->read_err))
        request_fail_err(r, t->read_err);
    else if (t->account.found)
        t->next(r, &none);
    else if (t->present)
        binding_judge(t);
    else
        request_fail(r, PROBLEM_EXTERNAL_ACCOUNT_REQUIRED,
                     "new accounts need an external account binding here: a key id and an HMAC key "
                     "of those who run this server");
}

static void on_account(struct store_cmd *cmd, struct err err)
{
    reads_done(
        LIST_OWNER(LIST_OWNER(cmd, struct store_account_get, cmd), struct binding_take, account),
        err);
}

static void on_key(struct store_cmd *cmd, struct err err)
{
    reads_done(LIST_OWNER(LIST_OWNER(cmd, struct store_eab_get, cmd), struct binding_take, key),
               err);
}

static void reads_start(struct binding_take *t)
{
    struct request *r = t->r;
    struct slice tenant = slice_str(r->tenant->settings->name);
    t->reads = t->present ? 2 : 1;
    t->account = (struct store_account_get){.cmd = {.done = on_account, .arena = request_arena(r)},
                                            .tenant = tenant};
    memcpy(t->account.thumbprint, r->key.thumbprint, sizeof t->account.thumbprint);
    store_account_get(r->edge->store, &t->account);
    if (!t->present) return;
    t->key = (struct store_eab_get){
        .cmd = {.done = on_key, .arena = request_arena(r)}, .tenant = tenant, .kid = t->jws.kid};
    store_eab_get(r->edge->store, &t->key);
}

// ---- form

// text_make writes the binding as it is kept: the three members of its JWS and nothing else.
static struct err text_make(struct binding_take *t, struct json binding)
{
    static const char *const names[] = {"protected", "payload", "signature"};
    struct buf *b = edge_scratch(t->r->edge);
    struct json_out o;
    json_out_begin(&o, b);
    json_object_begin(&o);
    for (size_t i = 0; i < json_size(binding); i++) {
        struct slice name, value = SLICE_NONE;
        bool known = false;
        struct json member = json_member(binding, i, &name);
        for (size_t k = 0; k < 3; k++) known |= slice_eq_str(name, names[k]);
        if (!known || failed(json_string(member, &value))) return ERR(BAD_JWS);
        json_key(&o, slice_eq_str(name, names[0])   ? names[0]
                     : slice_eq_str(name, names[1]) ? names[1]
                                                    : names[2]);
        json_put_string(&o, value);
    }
    json_object_end(&o);
    TRY(json_out_end(&o));
    return arena_dup(&t->binding.text, request_arena(t->r), buf_slice(b));
}

// form_check: RFC 8555 section 7.3.4, what can be said without the key; false: answered.
static bool form_check(struct binding_take *t, struct json binding)
{
    struct request *r = t->r;
    const char *note = "it is not a flattened JWS with protected, payload and signature alone";
    struct err e = json_is_object(binding) ? text_make(t, binding) : ERR(BAD_JWS);
    if (!failed(e)) e = jws_parse(&t->jws, &note, request_arena(r), t->binding.text, JWS_USE_EAB);
    if (err_is(e, ERR_BAD_JWS_ALG)) r->algorithms = jws_mac_list();
    if (failed(e)) {
        envelope_form_refuse(
            r, e, arena_printf(request_arena(r), "\"externalAccountBinding\": %s", note));
        return false;
    }
    t->binding.kid = t->jws.kid;
    if (!slice_eq(t->jws.url, r->jws.url))
        request_fail(r, PROBLEM_MALFORMED,
                     "\"url\" in \"externalAccountBinding\" is not that of the request");
    else if (eab_kid_wrong(t->jws.kid) != NULL)
        request_fail(r, PROBLEM_UNAUTHORIZED, "%s", unknown); // as for one that is not there
    else
        return true;
    return false;
}

void binding_take(struct request *r, void (*next)(struct request *r, const struct binding *b),
                  void *ctx)
{
    static const struct binding none;
    int mode = r->tenant->settings->eab;
    struct json binding = json_get(r->payload, "externalAccountBinding");
    r->user = ctx;
    // Without support the member is one that is not understood: RFC 8555 section 7.3 ignores it.
    if (mode == EAB_OFF || (mode == EAB_OPTIONAL && !json_present(binding))) {
        next(r, &none);
        return;
    }
    struct binding_take *t = REQUEST_NEW(r, struct binding_take);
    if (t == NULL) return;
    t->r = r;
    t->next = next;
    t->ctx = ctx;
    t->present = json_present(binding);
    if (!t->present || form_check(t, binding)) reads_start(t);
}

void binding_refused(struct request *r, enum eab_refusal why)
{
    static const char *const texts[] = {
        [EAB_UNKNOWN] = "the external account binding key is not there any more",
        [EAB_NOT_ENABLED] = "the external account binding key is disabled",
        [EAB_EXPIRED] = "the external account binding key has expired; ask for another",
        [EAB_USED_UP] = "the external account binding key has made all the accounts that it may; "
                        "use one of them, or ask for another key",
        [EAB_ROTATED] = "the external account binding key has another secret by now"};
    request_fail(r, PROBLEM_UNAUTHORIZED, "%s", texts[why]);
}

// ---- what accounts may order

struct key_read {
    struct store_eab_get get;
    struct request *r;
    void (*next)(struct request *r, const struct eab_row *key);
};

static void on_key_read(struct store_cmd *cmd, struct err err)
{
    struct key_read *k = LIST_OWNER(LIST_OWNER(cmd, struct store_eab_get, cmd), struct key_read,
                                    get);
    struct request *r = k->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(r, err);
    else if (!k->get.found || k->get.out.status != EAB_ENABLED)
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "the external account binding key of this account is disabled; ask those who "
                     "gave it to you");
    else
        k->next(r, &k->get.out);
}

void binding_key_read(struct request *r, void (*next)(struct request *r, const struct eab_row *key))
{
    if (r->eab_kid[0] == 0) {
        next(r, NULL);
        return;
    }
    struct key_read *k = REQUEST_NEW(r, struct key_read);
    if (k == NULL) return;
    *k = (struct key_read){.get = {.cmd = {.done = on_key_read, .arena = request_arena(r)},
                                   .tenant = slice_str(r->tenant->settings->name),
                                   .kid = slice_str(r->eab_kid)},
                           .r = r,
                           .next = next};
    store_eab_get(r->edge->store, &k->get);
}

void binding_key_allows(struct request *r, const struct eab_row *key, struct identifiers *ids)
{
    for (size_t i = 0; key != NULL && i < ids->count; i++)
        if (!eab_allows(key, request_arena(r), &ids->ids[i]))
            identifier_refuse(r, ids, i,
                              "is not among those that the account's external account binding key "
                              "allows");
}
