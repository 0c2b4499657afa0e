// renewal: the operations that move renewal windows (RFC 9773 section 4.2): for a set of
// certificates that should be replaced soon, without asking more of this installation than it can
// bear.
#include "api/admin/operations.h"
#include "proto/err.h"

enum {
    HOURS_MEASURED = 24,       // that the capacity is seen in
    RATE_SMALL_PER_MINUTE = 60 // what anything bears
};

// ---- documents

#define RULE_FIELDS                                                                             \
    {"id", ADMIN_TEXT, false, "ID", "The rule's id."},                                          \
        {"status", ADMIN_TEXT, false, "STATUS", "active, over or cancelled."},                  \
        {"certificates", ADMIN_INT, false, "CERTIFICATES",                                      \
         "How many certificates it was about when it was made."},                               \
        {"starts", ADMIN_TIME, false, "STARTS", "The span over which the windows are spread."}, \
        {"ends", ADMIN_TIME, false, "ENDS", "Its end."},                                        \
        {"tenant", ADMIN_TEXT, true, "TENANT", "Certificates of this tenant only."},            \
        {"profile", ADMIN_TEXT, true, "PROFILE", "Certificates of this profile only."},         \
        {"issuer", ADMIN_INT, true, "ISSUER", "Certificates of this issuing CA only."},         \
        {"issued_after", ADMIN_TIME, true, NULL, "Certificates that are not valid before."},    \
        {"issued_before", ADMIN_TIME, true, NULL,                                               \
         "Certificates whose validity begins no later; what was issued after the rule was "     \
         "made is never meant."},                                                               \
        {"serials", ADMIN_INT, true, NULL, "The certificates of so many serial numbers only."}, \
        {"comment", ADMIN_TEXT, false, "COMMENT", "For people."},                               \
    {                                                                                           \
        "created", ADMIN_TIME, false, NULL, "When it was made."                                 \
    }

static const struct admin_field rule_fields[] = {
    RULE_FIELDS, {"cancelled", ADMIN_TIME, true, NULL, "When it was cancelled."}, {0}};
static const struct admin_field made_fields[] = {
    RULE_FIELDS,
    {"needed_per_minute", ADMIN_INT, false, NULL, "Certificates a minute that this needs."},
    {"capacity_per_minute", ADMIN_INT, false, NULL,
     "Certificates a minute that this installation can bear."},
    {"capacity_from", ADMIN_TEXT, false, NULL,
     "Where that figure is from: setting (the configuration's capacity), or measured (the most "
     "that one minute of the last 24 hours has seen)."},
    {0}};
const struct admin_schema renewal_rule_schema = {"RenewalRule", rule_fields};
const struct admin_schema renewal_made_schema = {"RenewalRuleMade", made_fields};

static void rule_members_put(struct json_out *o, const struct renewal_rule *w, int64_t now_us)
{
    char id[ID_TEXT_LEN + 1];
    const struct renewal_set *set = &w->set;
    id_text(id, &w->id);
    admin_put_slice(o, "id", slice_str(id));
    admin_put_slice(o, "status",
                    slice_str(w->cancelled_at_us > 0             ? "cancelled"
                              : w->keep_until * 1000000 < now_us ? "over"
                                                                 : "active"));
    admin_put_int(o, "certificates", w->certificates);
    admin_put_time(o, "starts", w->starts_at * 1000000);
    admin_put_time(o, "ends", w->ends_at * 1000000);
    if (set->tenant.n > 0) admin_put_slice(o, "tenant", set->tenant);
    if (set->profile.n > 0) admin_put_slice(o, "profile", set->profile);
    if (set->issuer > 0) admin_put_int(o, "issuer", set->issuer);
    admin_put_time(o, "issued_after", set->issued_from * 1000000);
    admin_put_time(o, "issued_before", set->issued_until * 1000000);
    if (set->serial_count > 0) admin_put_int(o, "serials", (int64_t)set->serial_count);
    admin_put_slice(o, "comment", w->comment);
    admin_put_time(o, "created", w->created_at_us);
    admin_put_time(o, "cancelled", w->cancelled_at_us);
}

// ---- parameters

const struct admin_param renew_early_params[] = {
    {"within", ADMIN_DURATION, ADMIN_BODY, true, .value = "DURATION",
     .help = "The windows are spread over the time from now to then: 10m, 2h."},
    {"tenant", ADMIN_TEXT, ADMIN_BODY, .value = "NAME", .help = "Certificates of this tenant."},
    {"profile", ADMIN_TEXT, ADMIN_BODY, .value = "NAME", .help = "Certificates of this profile."},
    {"issuer", ADMIN_INT, ADMIN_BODY, .min = 1, .max = 1023, .value = "ID",
     .help = "Certificates of this issuing CA."},
    {"issued_after", ADMIN_TIME, ADMIN_BODY, .value = "TIME",
     .help = "Certificates that are not valid before: 2027-01-31T00:00:00Z."},
    {"issued_before", ADMIN_TIME, ADMIN_BODY, .value = "TIME",
     .help = "Certificates whose validity begins no later."},
    {"serials", ADMIN_MANY, ADMIN_BODY, .value = "FILE",
     .help = "Certificates with these serial numbers: hexadecimal, one a line."},
    {"force", ADMIN_BOOL, ADMIN_BODY, .help = "Also when this needs more than the capacity."},
    {"comment", ADMIN_TEXT, ADMIN_BODY, .value = "TEXT", .help = "For people."},
    {0}};

const struct admin_param renewal_list_params[] = {{0}};

const struct admin_param renewal_rule_params[] = {
    {"id", ADMIN_TEXT, ADMIN_PATH, true, .value = "ID", .help = "The rule's id."}, {0}};

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// serial_read: 40 hexadecimal digits, with or without colons.
static bool serial_read(uint8_t out[SERIAL_LEN], struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        int digit = hex_digit(text.p[i]);
        if (text.p[i] == ':' && n > 0 && n % 2 == 0 && i + 1 < text.n) continue;
        if (digit < 0 || n == 2 * SERIAL_LEN) return false;
        out[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : out[n / 2] | digit);
        n++;
    }
    return n == 2 * SERIAL_LEN;
}

// serials_take reads the list. False: answered.
static bool serials_take(struct admin_call *c, struct renewal_set *set)
{
    struct slice rest = admin_value(c, "serials")->text, line;
    uint8_t(*serials)[SERIAL_LEN] = arena_alloc(c->arena, (size_t)RENEWAL_SERIALS_MAX * SERIAL_LEN);
    if (serials == NULL) {
        admin_fail_err(c, ERR(NO_SPACE));
        return false;
    }
    set->serials = (const uint8_t(*)[SERIAL_LEN])serials;
    while (admin_line_next(&line, &rest)) {
        if (set->serial_count == RENEWAL_SERIALS_MAX) {
            admin_fail(c, 400, "\"serials\" are more than %d: make several rules",
                       RENEWAL_SERIALS_MAX);
            return false;
        }
        if (!serial_read(serials[set->serial_count++], line)) {
            admin_fail(c, 400,
                       "\"serials\": number %zu is \"%.60s\"; expected a serial number of this CA, "
                       "40 hexadecimal digits",
                       set->serial_count, arena_printf(c->arena, "%" SLICE_FMT, SLICE_ARG(line)));
            return false;
        }
    }
    if (set->serial_count > 0) return true;
    admin_fail(c, 400, "\"serials\" names none");
    return false;
}

// set_take: which certificates. False: answered.
static bool set_take(struct admin_call *c, struct renewal_set *set)
{
    static const char *const names[] = {"tenant",       "profile",       "issuer",
                                        "issued_after", "issued_before", "serials"};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) any |= admin_has(c, names[i]);
    if (!any) {
        admin_fail(c, 400,
                   "it is not said which certificates: give tenant, profile, issuer, issued_after, "
                   "issued_before or serials");
        return false;
    }
    if (admin_has(c, "tenant") && admin_tenant(c) == NULL) return false;
    set->tenant = admin_value(c, "tenant")->text;
    set->profile = admin_value(c, "profile")->text;
    set->issuer = (uint16_t)admin_value(c, "issuer")->number;
    set->issued_from = admin_value(c, "issued_after")->number / 1000000;
    set->issued_until = admin_value(c, "issued_before")->number / 1000000;
    return !admin_has(c, "serials") || serials_take(c, set);
}

// ---- renew early: survey, compare, make

struct renew_early {
    struct store_renewal_survey survey;
    struct store_renewal_rule_create create;
    struct admin_call *c;
    int64_t minute_max; // seen in the last day
    int64_t needed, capacity;
    const char *capacity_from;
};

static void made_respond(struct renew_early *n)
{
    struct json_out o;
    struct renewal_rule *w = &n->create.rule;
    int64_t now_us = edge_db_now_us(n->c->edge);
    w->created_at_us = now_us;
    if (w->set.issued_until == 0 || w->set.issued_until > now_us / 1000000)
        w->set.issued_until = now_us / 1000000;
    admin_begin(n->c, &o);
    json_object_begin(&o);
    rule_members_put(&o, w, now_us);
    admin_put_int(&o, "needed_per_minute", n->needed);
    admin_put_int(&o, "capacity_per_minute", n->capacity);
    admin_put_slice(&o, "capacity_from", slice_str(n->capacity_from));
    json_object_end(&o);
    admin_respond(n->c, &o);
}

static void on_made(struct store_cmd *cmd, struct err err)
{
    struct renew_early *n = LIST_OWNER(LIST_OWNER(cmd, struct store_renewal_rule_create, cmd),
                                       struct renew_early, create);
    if (failed(err))
        admin_fail_err(n->c, err);
    else
        made_respond(n);
}

static void compare(struct renew_early *n)
{
    struct admin_call *c = n->c;
    struct renewal_rule *w = &n->create.rule;
    int64_t span_s = w->ends_at - w->starts_at, stated = c->edge->front->settings->capacity;
    n->needed = (w->certificates * 60 + span_s - 1) / span_s;
    n->capacity = stated > 0 ? stated * 60 : n->minute_max;
    n->capacity_from = stated > 0 ? "setting" : "measured";
    if (w->certificates == 0) {
        admin_fail(c, 404, "no certificate that is valid now is meant by this");
    } else if (n->needed > n->capacity && n->needed > RATE_SMALL_PER_MINUTE &&
               !admin_value(c, "force")->flag) {
        admin_fail(c, 409,
                   "%lld certificates in this time are %lld a minute, and the capacity is %lld a "
                   "minute (%s); give more time, or force it",
                   (long long)w->certificates, (long long)n->needed, (long long)n->capacity,
                   stated > 0 ? "the configuration's capacity"
                              : "measured: the most that a minute of the last 24 hours has seen");
    } else {
        n->create.cmd = (struct store_cmd){.done = on_made, .arena = c->arena};
        store_renewal_rule_create(c->edge->store, &n->create);
    }
}

static void on_surveyed(struct store_cmd *cmd, struct err err)
{
    struct renew_early *n = LIST_OWNER(LIST_OWNER(cmd, struct store_renewal_survey, cmd),
                                       struct renew_early, survey);
    struct store_renewal_survey *v = &n->survey;
    struct renewal_rule *w = &n->create.rule;
    if (failed(err)) {
        admin_fail_err(n->c, err);
        return;
    }
    if (v->hour == 0) {
        compare(n);
        return;
    }
    w->certificates += v->count;
    if (v->not_after > w->keep_until) w->keep_until = v->not_after;
    if (v->hour >= w->starts_at / 3600 - HOURS_MEASURED && v->minute_max > n->minute_max)
        n->minute_max = v->minute_max;
    v->after_hour = v->hour;
    store_renewal_survey(n->c->edge->store, v);
}

void admin_renew_early(struct admin_call *c)
{
    struct renew_early *n = ARENA_NEW(c->arena, struct renew_early);
    int64_t span_s = admin_value(c, "within")->number / 1000;
    if (n == NULL) {
        admin_fail_err(c, ERR(NO_SPACE));
        return;
    }
    n->c = c;
    struct renewal_rule *w = &n->create.rule;
    if (!set_take(c, &w->set)) return;
    if (span_s < 1) {
        admin_fail(c, 400, "\"within\" is no time at all; expected one such as 10m or 2h");
        return;
    }
    w->id = edge_id(c->edge);
    w->starts_at = edge_db_now_us(c->edge) / 1000000;
    w->ends_at = w->starts_at + span_s;
    w->keep_until = w->ends_at;
    w->comment = admin_value(c, "comment")->text;
    n->survey.set = w->set;
    n->survey.cmd = (struct store_cmd){.done = on_surveyed, .arena = c->arena};
    store_renewal_survey(c->edge->store, &n->survey);
}

// ---- list and cancel

struct rules_list {
    struct store_renewal_rules_list list;
    struct admin_call *c;
};

static void on_listed(struct store_cmd *cmd, struct err err)
{
    struct rules_list *l = LIST_OWNER(LIST_OWNER(cmd, struct store_renewal_rules_list, cmd),
                                      struct rules_list, list);
    struct json_out o;
    if (failed(err)) {
        admin_fail_err(l->c, err);
        return;
    }
    admin_items_begin(l->c, &o);
    for (size_t i = 0; i < l->list.out_count; i++) {
        json_object_begin(&o);
        rule_members_put(&o, &l->list.out[i], edge_db_now_us(l->c->edge));
        json_object_end(&o);
    }
    admin_items_respond(l->c, &o, SLICE_NONE);
}

void admin_renewal_list(struct admin_call *c)
{
    struct rules_list *l = ARENA_NEW(c->arena, struct rules_list);
    if (l == NULL) {
        admin_fail_err(c, ERR(NO_SPACE));
        return;
    }
    l->c = c;
    l->list.cmd = (struct store_cmd){.done = on_listed, .arena = c->arena};
    store_renewal_rules_list(c->edge->store, &l->list);
}

struct rule_cancel {
    struct store_renewal_rule_cancel cancel;
    struct admin_call *c;
};

static void on_cancelled(struct store_cmd *cmd, struct err err)
{
    struct rule_cancel *x = LIST_OWNER(LIST_OWNER(cmd, struct store_renewal_rule_cancel, cmd),
                                       struct rule_cancel, cancel);
    struct json_out o;
    if (failed(err)) {
        admin_fail_err(x->c, err);
    } else if (!x->cancel.found) {
        admin_fail(x->c, 404, "there is no such rule");
    } else {
        admin_begin(x->c, &o);
        json_object_begin(&o);
        rule_members_put(&o, &x->cancel.out, edge_db_now_us(x->c->edge));
        json_object_end(&o);
        admin_respond(x->c, &o);
    }
}

void admin_renewal_cancel(struct admin_call *c)
{
    struct rule_cancel *x = ARENA_NEW(c->arena, struct rule_cancel);
    if (x == NULL) {
        admin_fail_err(c, ERR(NO_SPACE));
        return;
    }
    x->c = c;
    x->cancel.cmd = (struct store_cmd){.done = on_cancelled, .arena = c->arena};
    if (failed(id_parse(&x->cancel.id, admin_value(c, "id")->text)))
        admin_fail(c, 404, "there is no such rule");
    else
        store_renewal_rule_cancel(c->edge->store, &x->cancel);
}
