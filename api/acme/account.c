// account: newAccount, reads, contacts and the end of accounts (RFC 8555 sections 7.1.2 and 7.3).
#include "api/acme/binding.h"
#include "api/acme/handlers.h"
#include "api/acme/key_judge.h"
#include "api/acme/limits.h"
#include "api/events.h"

enum { CONTACTS_MAX = 10, CONTACT_LEN_MAX = 320 };

const char *account_status_text(enum account_status s)
{
    return s == ACCOUNT_VALID ? "valid" : s == ACCOUNT_DEACTIVATED ? "deactivated" : "revoked";
}

static void account_respond(struct request *r, unsigned status, const struct account_row *row)
{
    char id[ID_TEXT_LEN + 1];
    struct json_out o;
    id_text(id, &row->id);
    json_out_begin(&o, edge_scratch(r->edge));
    json_object_begin(&o);
    json_key(&o, "status");
    json_put_str(&o, account_status_text(row->status));
    json_key(&o, "contact");
    json_put_raw(&o, row->contact);
    json_key(&o, "orders");
    json_put_str(&o, request_url(r, "acct/%s/orders", id));
    if (row->terms_agreed) {
        json_key(&o, "termsOfServiceAgreed");
        json_put_bool(&o, true);
    }
    if (row->eab_binding.n > 0) {
        json_key(&o, "externalAccountBinding");
        json_put_raw(&o, row->eab_binding);
    }
    json_object_end(&o);
    request_respond_json(r, status, &o);
}

static void location_set(struct request *r, const struct id *id)
{
    char text[ID_TEXT_LEN + 1];
    id_text(text, id);
    r->location = request_url(r, "acct/%s", text);
}

// contact_check: mailto with one plain address and no header fields; other schemes are not served
// (RFC 8555 section 7.3).
static bool contact_check(struct request *r, struct slice c, struct slice *out)
{
    if (!slice_starts(c, SLICE_LIT("mailto:"))) {
        request_fail(r, PROBLEM_UNSUPPORTED_CONTACT,
                     "contact \"%.100s\" is not a mailto URL; this server takes no others",
                     request_text(r, c));
        return false;
    }
    struct slice address = slice_sub(c, 7, c.n);
    while (address.n > 0 && address.p[0] == ' ')
        address = slice_sub(address, 1, address.n); // a known client writes "mailto: a@b"
    const uint8_t *at = address.n == 0 ? NULL : memchr(address.p, '@', address.n);
    bool ok = at != NULL && at != address.p && at != address.p + address.n - 1 &&
              c.n <= CONTACT_LEN_MAX;
    for (size_t i = 0; ok && i < address.n; i++)
        ok = address.p[i] > 0x20 && address.p[i] < 0x7f &&
             strchr("?,;<>\"\\", address.p[i]) == NULL;
    if (!ok) {
        request_fail(r, PROBLEM_INVALID_CONTACT,
                     "a contact is not mailto with exactly one address");
        return false;
    }
    *out = slice_str(arena_printf(request_arena(r), "mailto:%" SLICE_FMT, SLICE_ARG(address)));
    return true;
}

static bool contact_put(struct request *r, struct json_out *o, struct json value)
{
    struct slice c;
    if (failed(json_string(value, &c))) {
        request_fail(r, PROBLEM_INVALID_CONTACT, "a contact is not a string");
        return false;
    }
    if (!contact_check(r, c, &c)) return false;
    json_put_string(o, c);
    return true;
}

// contacts_take writes the contacts as JSON text into the arena. False: answered.
static bool contacts_take(struct request *r, struct slice *out)
{
    struct json list = json_get(r->payload, "contact");
    struct json_out o;
    if (json_present(list) && (!json_is_array(list) || json_size(list) > CONTACTS_MAX)) {
        request_fail(r, PROBLEM_INVALID_CONTACT, "\"contact\" is not a list of at most %d URLs",
                     CONTACTS_MAX);
        return false;
    }
    struct buf *b = edge_scratch(r->edge);
    json_out_begin(&o, b);
    json_array_begin(&o);
    for (size_t i = 0; i < json_size(list); i++)
        if (!contact_put(r, &o, json_at(list, i))) return false;
    json_array_end(&o);
    struct err e = json_out_end(&o);
    if (!failed(e)) e = arena_dup(out, request_arena(r), buf_slice(b));
    if (failed(e)) request_fail_err(r, e);
    return !failed(e);
}

struct account_create {
    struct store_account_create create;
    struct request *r;
};

static void on_created(struct store_cmd *cmd, struct err err)
{
    struct account_create *c = LIST_OWNER(LIST_OWNER(cmd, struct store_account_create, cmd),
                                          struct account_create, create);
    struct request *r = c->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err)) {
        request_fail_err(r, err);
        return;
    }
    if (c->create.refused != 0) {
        binding_refused(r, c->create.refused);
        return;
    }
    if (c->create.out.status != ACCOUNT_VALID) {
        request_fail_account(r, account_status_text(c->create.out.status));
        return;
    }
    (void)edge_account_keep(r->edge, &c->create.out);
    if (c->create.created) edge_count(r->edge, &METRIC_ACCOUNTS);
    location_set(r, &c->create.out.id);
    account_respond(r, c->create.created ? 201 : 200, &c->create.out);
}

// terms_agreed reads termsOfServiceAgreed; false: answered.
static bool terms_take(struct request *r, bool *agreed)
{
    struct json j = json_get(r->payload, "termsOfServiceAgreed");
    const char *terms = r->tenant->settings->terms_of_service;
    *agreed = false;
    if (json_present(j) && failed(json_bool(j, agreed))) {
        request_fail(r, PROBLEM_MALFORMED, "\"termsOfServiceAgreed\" is not true or false");
        return false;
    }
    if (terms == NULL || *agreed) return true;
    r->terms = terms; // where people are sent: RFC 8555 section 7.3.3
    request_fail(r, PROBLEM_USER_ACTION_REQUIRED, "agree to the terms of service at %s", terms);
    return false;
}

static void create_now(struct request *r, void *ctx)
{
    struct account_create *c = ctx;
    store_account_create(r->edge->store, &c->create);
}

static void on_binding(struct request *r, const struct binding *b)
{
    struct account_create *c = r->user;
    c->create.row.eab_kid = b->kid;
    c->create.row.eab_binding = b->text;
    c->create.eab_secret = b->secret;
    limits_new_account(r, b->kid, create_now, c);
}

static void account_create(struct request *r)
{
    struct account_create *c = REQUEST_NEW(r, struct account_create);
    if (c == NULL) return;
    struct account_row *row = &c->create.row;
    const char *weak = key_judge(r, slice_of(r->key.spki, r->key.spki_len));
    if (weak != NULL) {
        request_fail(r, PROBLEM_BAD_PUBLIC_KEY, "the account's key cannot be used: %s", weak);
        return;
    }
    c->r = r;
    c->create.cmd = (struct store_cmd){.done = on_created, .arena = request_arena(r)};
    row->id = edge_id(r->edge);
    row->tenant = slice_str(r->tenant->settings->name);
    row->status = ACCOUNT_VALID;
    row->spki = slice_of(r->key.spki, r->key.spki_len);
    memcpy(row->thumbprint, r->key.thumbprint, sizeof row->thumbprint);
    if (terms_take(r, &row->terms_agreed) && contacts_take(r, &row->contact))
        binding_take(r, on_binding, c);
}

// ---- reads

struct account_read {
    struct store_account_get get;
    struct request *r;
    void (*absent)(struct request *r); // goes on where there is no account
};

static void account_absent(struct request *r)
{
    request_fail(r, PROBLEM_ACCOUNT_DOES_NOT_EXIST, "this key has no account here");
}

static void on_found(struct store_cmd *cmd, struct err err)
{
    struct account_read *a = LIST_OWNER(LIST_OWNER(cmd, struct store_account_get, cmd),
                                        struct account_read, get);
    struct request *r = a->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err)) {
        request_fail_err(r, err);
    } else if (!a->get.found) {
        a->absent(r);
    } else if (a->get.out.status != ACCOUNT_VALID) {
        request_fail_account(r, account_status_text(a->get.out.status));
    } else {
        if (r->route->auth == AUTH_JWK)
            location_set(r, &a->get.out.id); // never on answers about the account URL itself
        account_respond(r, 200, &a->get.out);
    }
}

static void account_find(struct request *r, void (*absent)(struct request *r))
{
    struct account_read *a = REQUEST_NEW(r, struct account_read);
    if (a == NULL) return;
    *a = (struct account_read){.get = {.cmd = {.done = on_found, .arena = request_arena(r)},
                                       .by_id = r->has_account,
                                       .id = r->account,
                                       .tenant = slice_str(r->tenant->settings->name)},
                               .r = r,
                               .absent = absent};
    memcpy(a->get.thumbprint, r->key.thumbprint, sizeof a->get.thumbprint);
    store_account_get(r->edge->store, &a->get);
}

// account_new: whatever else is sent, a key that has an account gets that one (RFC 8555 section
// 7.3.1); so it is looked for before contacts, agreement and binding are judged.
void account_new(struct request *r)
{
    bool existing = false;
    if (!json_present(r->payload)) {
        request_fail(r, PROBLEM_MALFORMED, "newAccount needs a payload");
        return;
    }
    struct json only = json_get(r->payload, "onlyReturnExisting");
    if (json_present(only) && failed(json_bool(only, &existing)))
        request_fail(r, PROBLEM_MALFORMED, "\"onlyReturnExisting\" is not true or false");
    else
        account_find(r, existing ? account_absent : account_create);
}

// ---- changes (RFC 8555 sections 7.3.2 and 7.3.6)

struct account_update {
    struct store_account_update update;
    struct request *r;
};

void account_change_respond(struct request *r, enum account_outcome outcome,
                            const struct account_row *row)
{
    if (row->status == ACCOUNT_VALID || outcome == ACCOUNT_CHANGED)
        (void)edge_account_keep(r->edge, row);
    switch (outcome) {
    case ACCOUNT_CHANGED:
        account_respond(r, 200, row);
        return;
    case ACCOUNT_NOT_VALID:
        request_fail_account(r, account_status_text(row->status));
        return;
    case ACCOUNT_KEY_CHANGED:
        request_fail_status(r, PROBLEM_UNAUTHORIZED, 401,
                            "the account has another key by now; nothing was changed");
        return;
    default:
        request_fail(r, PROBLEM_ACCOUNT_DOES_NOT_EXIST, "there is no such account any more");
        return;
    }
}

static void on_updated(struct store_cmd *cmd, struct err err)
{
    struct account_update *u = LIST_OWNER(LIST_OWNER(cmd, struct store_account_update, cmd),
                                          struct account_update, update);
    struct request *r = u->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(r, err);
    else
        account_change_respond(r, u->update.outcome, &u->update.out);
}

// account_update takes "contact" and the one change of status that a client may make; every other
// member must be ignored (RFC 8555 section 7.3.2).
static void account_update(struct request *r)
{
    struct slice status = SLICE_NONE;
    struct account_update *u = REQUEST_NEW(r, struct account_update);
    if (u == NULL) return;
    u->r = r;
    u->update = (struct store_account_update){
        .cmd = {.done = on_updated, .arena = request_arena(r)},
        .id = r->account,
        .key_version = r->key_version,
        .set_contact = json_present(json_get(r->payload, "contact"))};
    u->update.deactivate = !failed(json_string(json_get(r->payload, "status"), &status)) &&
                           slice_eq_str(status, "deactivated");
    if (u->update.set_contact && !contacts_take(r, &u->update.contact)) return;
    if (u->update.set_contact || u->update.deactivate)
        store_account_update(r->edge->store, &u->update);
    else
        account_find(r, account_absent);
}

// account_post reads the account, or changes it; an empty object reads it, too (a known client
// sends one).
void account_post(struct request *r)
{
    struct id id;
    if (!request_object(r, &id, "account")) return;
    if (!id_eq(&id, &r->account))
        request_fail(r, PROBLEM_UNAUTHORIZED, "this is another account's URL");
    else
        account_update(r);
}
