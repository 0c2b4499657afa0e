// eab: the operations on keys for external account binding (RFC 8555 section 7.3.4).
#include "api/eab.h"

#include <openssl/mem.h>
#include <openssl/rand.h>

#include "api/admin/eab.h"
#include "api/admin/operations.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

enum { ALGORITHMS_ALL = EAB_HS256 | EAB_HS384 | EAB_HS512 };
static const int64_t OVERLAP_US = INT64_C(86400000000); // a day

// ---- documents

#define EAB_FIELDS                                                                              \
    {"tenant", ADMIN_TEXT, false, "TENANT", "Whose key it is."},                                \
        {"kid", ADMIN_TEXT, false, "KID", "The key id that a client gives."},                   \
        {"status", ADMIN_TEXT, false, "STATUS", "enabled or disabled."},                        \
        {"usable", ADMIN_BOOL, false, NULL,                                                     \
         "Whether it makes accounts now: it is enabled, has not expired and is not used up."},  \
        {"algorithms", ADMIN_TEXTS, false, NULL, "HS256, HS384, HS512: those that are taken."}, \
        {"accounts_used", ADMIN_INT, false, "USED", "Accounts that it has made, ever."},        \
        {"accounts_max", ADMIN_INT, true, "MAX", "How many it may make; missing: any number."}, \
        {"expires", ADMIN_TIME, true, "EXPIRES",                                                \
         "When it makes no more accounts; missing: never."},                                    \
        {"identifiers", ADMIN_TEXTS, false, NULL,                                               \
         "What its accounts may order: names, with all below them, and ranges of addresses; "   \
         "empty: everything."},                                                                 \
        {"profiles", ADMIN_TEXTS, false, NULL,                                                  \
         "Profiles that its accounts may order; empty: all of the tenant."},                    \
        {"comment", ADMIN_TEXT, false, "COMMENT", "For people."},                               \
        {"created", ADMIN_TIME, false, NULL, "When it was made."},                              \
        {"secret_made", ADMIN_TIME, false, NULL, "When its present secret was made."},          \
    {                                                                                           \
        "previous_until", ADMIN_TIME, true, NULL,                                               \
            "Until when the secret before the last rotation is taken, too; missing: it is not." \
    }

static const struct admin_field eab_fields[] = {EAB_FIELDS, {0}};
static const struct admin_field eab_secret_fields[] = {
    EAB_FIELDS,
    {"directory", ADMIN_TEXT, false, NULL, "The URL of the tenant's directory, for the client."},
    {"tenant_eab", ADMIN_TEXT, false, NULL,
     "What the tenant does with bindings: off (they are ignored), optional or required."},
    {"hmac_key", ADMIN_TEXT, false, NULL,
     "The secret, base64url without padding, as clients take it. It is shown once."},
    {0}};
const struct admin_schema eab_schema = {"EabKey", eab_fields};
const struct admin_schema eab_secret_schema = {"EabKeyWithSecret", eab_secret_fields};

static const struct {
    uint32_t bit;
    const char *name;
} algorithm_rows[] = {{EAB_HS256, "HS256"}, {EAB_HS384, "HS384"}, {EAB_HS512, "HS512"}};

static void algorithms_put(struct json_out *o, uint32_t algorithms)
{
    json_key(o, "algorithms");
    json_array_begin(o);
    for (size_t i = 0; i < sizeof algorithm_rows / sizeof algorithm_rows[0]; i++)
        if ((algorithms & algorithm_rows[i].bit) != 0) json_put_str(o, algorithm_rows[i].name);
    json_array_end(o);
}

static void key_members_put(struct json_out *o, const struct eab_row *row, int64_t now_us)
{
    bool expired = row->expires_at_us > 0 && row->expires_at_us <= now_us;
    bool used_up = row->accounts_max > 0 && row->accounts_used >= row->accounts_max;
    admin_put_slice(o, "tenant", row->tenant);
    admin_put_slice(o, "kid", row->kid);
    admin_put_slice(o, "status", slice_str(row->status == EAB_ENABLED ? "enabled" : "disabled"));
    admin_put_bool(o, "usable", row->status == EAB_ENABLED && !expired && !used_up);
    algorithms_put(o, row->algorithms);
    admin_put_int(o, "accounts_used", row->accounts_used);
    if (row->accounts_max > 0) admin_put_int(o, "accounts_max", row->accounts_max);
    admin_put_time(o, "expires", row->expires_at_us);
    json_key(o, "identifiers");
    json_put_raw(o, row->identifiers);
    json_key(o, "profiles");
    json_put_raw(o, row->profiles);
    admin_put_slice(o, "comment", row->comment);
    admin_put_time(o, "created", row->created_at_us);
    admin_put_time(o, "secret_made", row->secret_at_us);
    if (row->previous.n > 0 && row->previous_until_us > now_us)
        admin_put_time(o, "previous_until", row->previous_until_us);
}

// secret_put writes the secret and wipes it.
static void secret_put(struct json_out *o, struct slice secret)
{
    char text[EAB_SECRET_MAX * 4 / 3 + 4];
    base64url_encode(text, secret);
    admin_put_slice(o, "hmac_key", slice_of(text, base64url_encoded_len(secret.n)));
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse((uint8_t *)(uintptr_t)secret.p, secret.n);
}

// directory_of is the directory's URL as most clients know it: by the first of the tenant's hosts.
static struct slice directory_of(struct admin_call *c, struct slice tenant)
{
    const struct tenant_settings *t = edge_tenant(c->edge->front, tenant)->settings;
    const char *host = t->hosts.count == 0 ? "" : ((const char *const *)t->hosts.items)[0];
    return slice_str(arena_printf(c->arena, "%s%s/acme/%s/directory",
                                  t->base_url == NULL ? "https://" : t->base_url,
                                  t->base_url == NULL ? host : "", t->name));
}

static struct slice mode_of(struct admin_call *c, struct slice tenant)
{
    static const char *const names[] = {
        [EAB_OFF] = "off", [EAB_OPTIONAL] = "optional", [EAB_REQUIRED] = "required"};
    return slice_str(names[edge_tenant(c->edge->front, tenant)->settings->eab]);
}

// key_respond answers with a key, and with its secret when there is one to show.
static void key_respond(struct admin_call *c, const struct eab_row *row, struct slice secret)
{
    struct json_out o;
    admin_begin(c, &o);
    json_object_begin(&o);
    key_members_put(&o, row, edge_db_now_us(c->edge));
    if (secret.n > 0) {
        admin_put_slice(&o, "directory", directory_of(c, row->tenant));
        admin_put_slice(&o, "tenant_eab", mode_of(c, row->tenant));
        secret_put(&o, secret);
    }
    json_object_end(&o);
    admin_respond(c, &o);
}

// ---- parameters

#define TENANT_PARAM(in)                                              \
    {                                                                 \
        "tenant", ADMIN_TEXT, in, .value = "NAME",                    \
                                  .help = "The tenant; the "          \
                                          "default one unless given." \
    }
#define KID_PARAM                                                                    \
    {                                                                                \
        "kid", ADMIN_TEXT, ADMIN_PATH, true, .value = "KID", .help = "The key's id." \
    }
const struct admin_param eab_create_params[] = {
    TENANT_PARAM(ADMIN_BODY),
    {"kid", ADMIN_TEXT, ADMIN_BODY, .value = "KID", .help = "The key's id; made up unless given."},
    EAB_BOUND_PARAMS,
    {0}};
const struct admin_param eab_update_params[] = {
    KID_PARAM, TENANT_PARAM(ADMIN_BODY), EAB_BOUND_PARAMS, {0}};
const struct admin_param eab_key_params[] = {KID_PARAM, TENANT_PARAM(ADMIN_QUERY), {0}};
const struct admin_param eab_change_params[] = {KID_PARAM, TENANT_PARAM(ADMIN_BODY), {0}};
const struct admin_param eab_rotate_params[] = {
    KID_PARAM,
    TENANT_PARAM(ADMIN_BODY),
    {"overlap", ADMIN_DURATION, ADMIN_BODY, .value = "DURATION",
     .help = "How long the present secret is taken, too; 24h unless given, 0s: not at all."},
    {0}};
const struct admin_param eab_list_params[] = {
    {"tenant", ADMIN_TEXT, ADMIN_QUERY, .value = "NAME", .help = "Of this tenant only."},
    {"limit", ADMIN_INT, ADMIN_QUERY, .min = 1, .max = ADMIN_PAGE_MAX, .value = "N",
     .help = "At most so many in one answer; 100 unless given."},
    {"cursor", ADMIN_TEXT, ADMIN_QUERY, .value = "CURSOR",
     .help = "\"next\" of the answer before."},
    {0}};

// list_json writes texts as a JSON array into the arena.
static struct slice list_json(struct admin_call *c, const struct admin_value *v)
{
    struct buf *b = edge_scratch(c->edge);
    struct slice out = SLICE_NONE;
    struct json_out o;
    json_out_begin(&o, b);
    json_array_begin(&o);
    for (size_t i = 0; i < v->count; i++) json_put_string(&o, v->texts[i]);
    json_array_end(&o);
    if (failed(json_out_end(&o)) || failed(arena_dup(&out, c->arena, buf_slice(b))))
        return SLICE_NONE;
    return out;
}

static uint32_t algorithms_of(const struct admin_value *v)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < v->count; i++)
        for (size_t k = 0; k < sizeof algorithm_rows / sizeof algorithm_rows[0]; k++)
            if (slice_eq_str(v->texts[i], algorithm_rows[k].name)) bits |= algorithm_rows[k].bit;
    return bits == 0 ? ALGORITHMS_ALL : bits;
}

// lists_check: names and ranges that can be, and profiles that the tenant has. NULL: fine.
static const char *lists_check(struct admin_call *c, const struct tenant *t)
{
    const struct admin_value *names = admin_value(c, "identifiers"),
                             *profiles = admin_value(c, "profiles");
    const struct config_list *offered = &t->settings->profiles;
    for (size_t i = 0; i < names->count; i++) {
        const char *wrong = eab_identifier_wrong(c->arena, names->texts[i]);
        if (wrong != NULL)
            return arena_printf(c->arena, "\"identifiers\": \"%" SLICE_FMT "\" %s",
                                SLICE_ARG(names->texts[i]), wrong);
    }
    for (size_t i = 0; i < profiles->count; i++) {
        bool there = false;
        for (size_t k = 0; k < offered->count; k++)
            there |= slice_eq_str(profiles->texts[i], ((const char *const *)offered->items)[k]);
        if (!there)
            return arena_printf(c->arena, "\"profiles\": the tenant %s has no profile %" SLICE_FMT,
                                t->settings->name, SLICE_ARG(profiles->texts[i]));
    }
    return NULL;
}

const char *eab_bounds_read(struct admin_call *c, const struct tenant *t, struct eab_row *row)
{
    const char *wrong = lists_check(c, t);
    if (wrong != NULL) return wrong;
    row->tenant = slice_str(t->settings->name);
    row->algorithms = algorithms_of(admin_value(c, "algorithms"));
    row->expires_at_us = admin_value(c, "expires")->number;
    row->accounts_max = admin_value(c, "accounts_max")->number;
    row->identifiers = list_json(c, admin_value(c, "identifiers"));
    row->profiles = list_json(c, admin_value(c, "profiles"));
    row->comment = admin_value(c, "comment")->text;
    return row->identifiers.n > 0 && row->profiles.n > 0 ? NULL : "the lists are too long";
}

// bounds_take answers for what is wrong: false.
static bool bounds_take(struct admin_call *c, const struct tenant *t, struct eab_row *row)
{
    const char *wrong = eab_bounds_read(c, t, row);
    if (wrong != NULL) admin_fail(c, 400, "%s", wrong);
    return wrong == NULL;
}

// ---- create

struct create {
    struct store_eab_create create;
    struct eab_row row;
    struct slice secret; // open: wiped when it has been shown
    struct admin_call *c;
};

static void on_created(struct store_cmd *cmd, struct err err)
{
    struct create *n = LIST_OWNER(LIST_OWNER(cmd, struct store_eab_create, cmd), struct create,
                                  create);
    struct admin_call *c = n->c;
    if (failed(err) || n->create.conflict != 0) {
        OPENSSL_cleanse((uint8_t *)(uintptr_t)n->secret.p, n->secret.n);
        if (failed(err))
            admin_fail_err(c, err);
        else
            admin_fail(c, 409, "the tenant %.*s has a key %.*s already", (int)n->row.tenant.n,
                       (const char *)n->row.tenant.p, (int)n->row.kid.n,
                       (const char *)n->row.kid.p);
        return;
    }
    n->row.created_at_us = n->row.secret_at_us = edge_db_now_us(c->edge);
    key_respond(c, &n->row, n->secret);
}

static struct slice secret_make(struct admin_call *c, uint32_t algorithms)
{
    size_t n = eab_secret_len(algorithms);
    uint8_t *p = arena_alloc(c->arena, n);
    if (p == NULL) return SLICE_NONE;
    RAND_bytes(p, n);
    return slice_of(p, n);
}

struct err eab_secret_seal(struct admin_call *c, struct eab_row *row, struct slice secret)
{
    if (secret.n == 0) return ERR(NO_SPACE);
    return eab_seal(&row->secret, c->arena, c->edge->front->cluster_secret, row->tenant, row->kid,
                    secret);
}

void admin_eab_create(struct admin_call *c)
{
    const struct admin_value *kid = admin_value(c, "kid");
    const struct tenant *t = admin_tenant(c); // NULL: the call is gone
    struct create *n = t == NULL ? NULL : ADMIN_NEW(c, struct create);
    char made[ID_TEXT_LEN + 1];
    if (n == NULL) return;
    n->c = c;
    n->row.id = edge_id(c->edge);
    n->row.status = EAB_ENABLED;
    id_text(made, &n->row.id);
    n->row.kid = kid->present ? kid->text : slice_str(arena_printf(c->arena, "%s", made));
    if (eab_kid_wrong(n->row.kid) != NULL) {
        admin_fail(c, 400, "\"kid\" %s", eab_kid_wrong(n->row.kid));
        return;
    }
    if (!bounds_take(c, t, &n->row)) return;
    n->secret = secret_make(c, n->row.algorithms);
    struct err e = eab_secret_seal(c, &n->row, n->secret);
    if (failed(e)) {
        admin_fail_err(c, e);
        return;
    }
    n->create = (struct store_eab_create){
        .cmd = {.done = on_created, .arena = c->arena}, .rows = &n->row, .count = 1};
    store_eab_create(c->edge->store, &n->create);
}

// ---- reads

struct show {
    struct store_eab_get get;
    struct admin_call *c;
};

static void absent(struct admin_call *c)
{
    const struct admin_value *kid = admin_value(c, "kid");
    admin_fail(c, 404, "this tenant has no key %.*s", (int)kid->text.n, (const char *)kid->text.p);
}

static void on_shown(struct store_cmd *cmd, struct err err)
{
    struct show *s = LIST_OWNER(LIST_OWNER(cmd, struct store_eab_get, cmd), struct show, get);
    if (failed(err))
        admin_fail_err(s->c, err);
    else if (!s->get.found)
        absent(s->c);
    else
        key_respond(s->c, &s->get.out, SLICE_NONE);
}

void admin_eab_show(struct admin_call *c)
{
    const struct tenant *t = admin_tenant(c);
    struct show *s = t == NULL ? NULL : ADMIN_NEW(c, struct show);
    if (s == NULL) return;
    s->c = c;
    s->get = (struct store_eab_get){.cmd = {.done = on_shown, .arena = c->arena},
                                    .tenant = slice_str(t->settings->name),
                                    .kid = admin_value(c, "kid")->text};
    store_eab_get(c->edge->store, &s->get);
}

struct list_call {
    struct store_eab_list list;
    struct admin_call *c;
};

static void on_listed(struct store_cmd *cmd, struct err err)
{
    struct list_call *l = LIST_OWNER(LIST_OWNER(cmd, struct store_eab_list, cmd), struct list_call,
                                     list);
    struct admin_call *c = l->c;
    struct json_out o;
    if (failed(err)) {
        admin_fail_err(c, err);
        return;
    }
    admin_items_begin(c, &o);
    for (size_t i = 0; i < l->list.out_count; i++) {
        json_object_begin(&o);
        key_members_put(&o, &l->list.out[i], edge_db_now_us(c->edge));
        json_object_end(&o);
    }
    const char *next = "";
    if (l->list.more) {
        const struct eab_row *last = &l->list.out[l->list.out_count - 1];
        next = arena_printf(c->arena, "%" SLICE_FMT "/%" SLICE_FMT, SLICE_ARG(last->tenant),
                            SLICE_ARG(last->kid));
    }
    admin_items_respond(c, &o, slice_str(next));
}

void admin_eab_list(struct admin_call *c)
{
    struct list_call *l = ADMIN_NEW(c, struct list_call);
    struct slice cursor = admin_value(c, "cursor")->text;
    const uint8_t *slash = cursor.n == 0 ? NULL : memchr(cursor.p, '/', cursor.n);
    if (l == NULL || (admin_has(c, "tenant") && admin_tenant(c) == NULL)) return;
    if (cursor.n > 0 && slash == NULL) {
        admin_fail(c, 400, "\"cursor\" is not one of this list: take \"next\" of an answer");
        return;
    }
    l->c = c;
    l->list = (struct store_eab_list){.cmd = {.done = on_listed, .arena = c->arena},
                                      .tenant = admin_value(c, "tenant")->text,
                                      .limit = admin_limit(c)};
    if (slash != NULL) {
        size_t n = (size_t)(slash - cursor.p);
        l->list.after_tenant = slice_sub(cursor, 0, n);
        l->list.after_kid = slice_sub(cursor, n + 1, cursor.n);
    }
    store_eab_list(c->edge->store, &l->list);
}

// ---- changes

struct change {
    struct store_eab_change change;
    struct slice secret; // open: a new one
    struct admin_call *c;
};

static void on_changed(struct store_cmd *cmd, struct err err)
{
    struct change *x = LIST_OWNER(LIST_OWNER(cmd, struct store_eab_change, cmd), struct change,
                                  change);
    if (failed(err) || !x->change.found) {
        OPENSSL_cleanse((uint8_t *)(uintptr_t)x->secret.p, x->secret.n);
        if (failed(err))
            admin_fail_err(x->c, err);
        else
            absent(x->c);
        return;
    }
    key_respond(x->c, &x->change.out, x->secret);
}

// change_new is a change of the key that the parameters name; NULL: answered.
static struct change *change_new(struct admin_call *c, const struct tenant **out_tenant)
{
    const struct tenant *t = admin_tenant(c);
    struct change *x = t == NULL ? NULL : ADMIN_NEW(c, struct change);
    if (x == NULL) return NULL;
    x->c = c;
    x->change = (struct store_eab_change){
        .cmd = {.done = on_changed, .arena = c->arena},
        .row = {.tenant = slice_str(t->settings->name), .kid = admin_value(c, "kid")->text}};
    if (out_tenant != NULL) *out_tenant = t;
    return x;
}

static void status_set(struct admin_call *c, enum eab_status status)
{
    struct change *x = change_new(c, NULL);
    if (x == NULL) return;
    x->change.what = EAB_SET_STATUS;
    x->change.row.status = status;
    store_eab_change(c->edge->store, &x->change);
}

void admin_eab_disable(struct admin_call *c) { status_set(c, EAB_DISABLED); }
void admin_eab_enable(struct admin_call *c) { status_set(c, EAB_ENABLED); }

void admin_eab_update(struct admin_call *c)
{
    static const struct {
        const char *name;
        enum eab_change what;
    } rows[] = {{"algorithms", EAB_SET_ALGORITHMS},     {"expires", EAB_SET_EXPIRES},
                {"accounts_max", EAB_SET_ACCOUNTS_MAX}, {"identifiers", EAB_SET_IDENTIFIERS},
                {"profiles", EAB_SET_PROFILES},         {"comment", EAB_SET_COMMENT}};
    const struct tenant *t = NULL;
    struct change *x = change_new(c, &t);
    if (x == NULL || !bounds_take(c, t, &x->change.row)) return;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (admin_has(c, rows[i].name)) x->change.what |= rows[i].what;
    if (x->change.what == 0)
        admin_fail(c, 400, "nothing is asked for; give what is to change");
    else
        store_eab_change(c->edge->store, &x->change);
}

// ---- rotate

struct rotate {
    struct store_eab_get get; // which algorithms the secret is for
    struct admin_call *c;
    int64_t overlap_us;
};

static void on_rotating(struct store_cmd *cmd, struct err err)
{
    struct rotate *x = LIST_OWNER(LIST_OWNER(cmd, struct store_eab_get, cmd), struct rotate, get);
    struct admin_call *c = x->c;
    struct change *change = failed(err) || !x->get.found ? NULL : change_new(c, NULL);
    if (failed(err))
        admin_fail_err(c, err);
    else if (!x->get.found)
        absent(c);
    if (change == NULL) return;
    change->secret = secret_make(c, x->get.out.algorithms);
    struct err e = eab_secret_seal(c, &change->change.row, change->secret);
    if (failed(e)) {
        admin_fail_err(c, e);
        return;
    }
    change->change.what = EAB_SET_SECRET;
    change->change.overlap_us = x->overlap_us;
    store_eab_change(c->edge->store, &change->change);
}

// admin_eab_rotate: the key id, its bounds and its accounts stay, so that nothing but the secret
// has to be given to those who use it.
void admin_eab_rotate(struct admin_call *c)
{
    const struct admin_value *overlap = admin_value(c, "overlap");
    struct rotate *x = ADMIN_NEW(c, struct rotate);
    const struct tenant *t = x == NULL ? NULL : admin_tenant(c);
    if (t == NULL) return;
    x->c = c;
    x->overlap_us = overlap->present ? overlap->number * 1000 : OVERLAP_US;
    x->get = (struct store_eab_get){.cmd = {.done = on_rotating, .arena = c->arena},
                                    .tenant = slice_str(t->settings->name),
                                    .kid = admin_value(c, "kid")->text};
    store_eab_get(c->edge->store, &x->get);
}
