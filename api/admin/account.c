// account: the operations on ACME accounts.
#include "api/admin/operations.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

static const struct admin_field fields[] = {
    {"id", ADMIN_TEXT, false, "ID", "The last part of the account's URL."},
    {"tenant", ADMIN_TEXT, false, "TENANT", "Whose account it is."},
    {"status", ADMIN_TEXT, false, "STATUS",
     "valid, deactivated (by the client) or revoked (by the server)."},
    {"contact", ADMIN_TEXTS, false, "CONTACT", "As the client gave it."},
    {"eab_kid", ADMIN_TEXT, true, "EAB KEY", "The external account binding key that made it."},
    {"thumbprint", ADMIN_TEXT, false, NULL, "Of the account key (RFC 7638), base64url."},
    {"key_changes", ADMIN_INT, false, NULL, "How often its key was changed."},
    {"terms_agreed", ADMIN_BOOL, false, NULL, "Whether the terms of service were agreed to."},
    {"created", ADMIN_TIME, false, "CREATED", "When it was made."},
    {0}};
const struct admin_schema account_schema = {"Account", fields};

static const char *status_text(enum account_status s)
{
    return s == ACCOUNT_VALID ? "valid" : s == ACCOUNT_DEACTIVATED ? "deactivated" : "revoked";
}

static void account_put(struct json_out *o, const struct account_row *row)
{
    char id[ID_TEXT_LEN + 1], thumbprint[64];
    id_text(id, &row->id);
    base64url_encode(thumbprint, slice_of(row->thumbprint, sizeof row->thumbprint));
    json_object_begin(o);
    admin_put_slice(o, "id", slice_str(id));
    admin_put_slice(o, "tenant", row->tenant);
    admin_put_slice(o, "status", slice_str(status_text(row->status)));
    json_key(o, "contact");
    json_put_raw(o, row->contact);
    if (row->eab_kid.n > 0) admin_put_slice(o, "eab_kid", row->eab_kid);
    admin_put_slice(o, "thumbprint",
                    slice_of(thumbprint, base64url_encoded_len(sizeof row->thumbprint)));
    admin_put_int(o, "key_changes", (int64_t)row->key_version - 1);
    admin_put_bool(o, "terms_agreed", row->terms_agreed);
    admin_put_time(o, "created", row->created_at_us);
    json_object_end(o);
}

static void account_respond(struct admin_call *c, const struct account_row *row)
{
    struct json_out o;
    admin_begin(c, &o);
    account_put(&o, row);
    admin_respond(c, &o);
}

// ---- parameters

const struct admin_param account_list_params[] = {
    {"tenant", ADMIN_TEXT, ADMIN_QUERY, .value = "NAME", .help = "Of this tenant only."},
    {"eab_kid", ADMIN_TEXT, ADMIN_QUERY, .value = "KID",
     .help = "Made by this external account binding key only."},
    {"status", ADMIN_TEXT, ADMIN_QUERY, .choice = "valid|deactivated|revoked", .value = "STATUS",
     .help = "Of this status only: valid, deactivated or revoked."},
    {"limit", ADMIN_INT, ADMIN_QUERY, .min = 1, .max = ADMIN_PAGE_MAX, .value = "N",
     .help = "At most so many in one answer; 100 unless given."},
    {"cursor", ADMIN_TEXT, ADMIN_QUERY, .value = "CURSOR",
     .help = "\"next\" of the answer before."},
    {0}};
const struct admin_param account_id_params[] = {{"id", ADMIN_TEXT, ADMIN_PATH, true, .value = "ID",
                                                 .help = "The account: the last part of its URL."},
                                                {0}};

static bool id_take(struct admin_call *c, struct id *out)
{
    const struct admin_value *v = admin_value(c, "id");
    if (!failed(id_parse(out, v->text))) return true;
    admin_fail(c, 400, "\"id\" is no id of an account; expected the last part of its URL");
    return false;
}

// ---- list

struct list_call {
    struct store_accounts_list list;
    struct admin_call *c;
};

static void on_listed(struct store_cmd *cmd, struct err err)
{
    struct list_call *l = LIST_OWNER(LIST_OWNER(cmd, struct store_accounts_list, cmd),
                                     struct list_call, list);
    struct admin_call *c = l->c;
    char next[ID_TEXT_LEN + 1] = "";
    struct json_out o;
    if (failed(err)) {
        admin_fail_err(c, err);
        return;
    }
    admin_items_begin(c, &o);
    for (size_t i = 0; i < l->list.out_count; i++) account_put(&o, &l->list.out[i]);
    if (!id_is_zero(&l->list.next)) id_text(next, &l->list.next);
    admin_items_respond(c, &o, slice_str(next));
}

static enum account_status status_of(struct slice text)
{
    return text.n == 0                         ? 0
           : slice_eq_str(text, "valid")       ? ACCOUNT_VALID
           : slice_eq_str(text, "deactivated") ? ACCOUNT_DEACTIVATED
                                               : ACCOUNT_REVOKED;
}

void admin_account_list(struct admin_call *c)
{
    struct list_call *l = ADMIN_NEW(c, struct list_call);
    if (l == NULL || (admin_has(c, "tenant") && admin_tenant(c) == NULL)) return;
    l->c = c;
    l->list = (struct store_accounts_list){.cmd = {.done = on_listed, .arena = c->arena},
                                           .tenant = admin_value(c, "tenant")->text,
                                           .eab_kid = admin_value(c, "eab_kid")->text,
                                           .status = status_of(admin_value(c, "status")->text),
                                           .limit = admin_limit(c)};
    if (admin_cursor(c, &l->list.before)) store_accounts_list(c->edge->store, &l->list);
}

// ---- show

struct show {
    struct store_account_get get;
    struct admin_call *c;
};

static void absent(struct admin_call *c) { admin_fail(c, 404, "there is no such account"); }

static void on_shown(struct store_cmd *cmd, struct err err)
{
    struct show *s = LIST_OWNER(LIST_OWNER(cmd, struct store_account_get, cmd), struct show, get);
    if (failed(err))
        admin_fail_err(s->c, err);
    else if (!s->get.found)
        absent(s->c);
    else
        account_respond(s->c, &s->get.out);
}

void admin_account_show(struct admin_call *c)
{
    struct show *s = ADMIN_NEW(c, struct show);
    if (s == NULL) return;
    s->c = c;
    s->get = (struct store_account_get){.cmd = {.done = on_shown, .arena = c->arena},
                                        .by_id = true};
    if (id_take(c, &s->get.id)) store_account_get(c->edge->store, &s->get);
}

// ---- deactivate

struct change {
    struct store_account_update update;
    struct admin_call *c;
};

static void on_changed(struct store_cmd *cmd, struct err err)
{
    struct change *x = LIST_OWNER(LIST_OWNER(cmd, struct store_account_update, cmd), struct change,
                                  update);
    if (failed(err))
        admin_fail_err(x->c, err);
    else if (x->update.outcome == ACCOUNT_UNKNOWN)
        absent(x->c);
    else
        account_respond(x->c, &x->update.out); // one that the client has ended stays as it is
}

void admin_account_deactivate(struct admin_call *c)
{
    struct change *x = ADMIN_NEW(c, struct change);
    if (x == NULL) return;
    x->c = c;
    x->update = (struct store_account_update){.cmd = {.done = on_changed, .arena = c->arena},
                                              .revoke = true};
    if (id_take(c, &x->update.id)) store_account_update(c->edge->store, &x->update);
}
