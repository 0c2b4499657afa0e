// certificate: the operations on certificates.
#include "api/admin/operations.h"
#include "proto/der/pem.h"
#include "proto/err.h"

enum { PEM_MAX = 16384, SERIAL_TEXT_LEN = 2 * SERIAL_LEN };

#define FIELDS                                                                          \
    {"serial", ADMIN_TEXT, false, "SERIAL", "Hexadecimal, 40 digits."},                 \
        {"names", ADMIN_TEXTS, false, "NAMES", "DNS names and addresses."},             \
        {"tenant", ADMIN_TEXT, false, NULL, "The tenant of its order."},                \
        {"account", ADMIN_TEXT, false, "ACCOUNT", "The account of its order."},         \
        {"order", ADMIN_TEXT, false, NULL, "Its order."},                               \
        {"profile", ADMIN_TEXT, false, "PROFILE", "The profile by which it was made."}, \
        {"issuer", ADMIN_INT, false, NULL, "Id of the issuing CA."},                    \
        {"not_before", ADMIN_TIME, false, "NOT BEFORE", "From when on it is valid."},   \
    {                                                                                   \
        "not_after", ADMIN_TIME, false, "NOT AFTER", "Its last second."                 \
    }

static const struct admin_field fields[] = {FIELDS, {0}};
static const struct admin_field pem_fields[] = {
    FIELDS, {"pem", ADMIN_LINES, false, NULL, "The certificate in PEM, without its chain."}, {0}};
const struct admin_schema certificate_schema = {"Certificate", fields};
const struct admin_schema certificate_pem_schema = {"CertificateWithPem", pem_fields};

// ---- documents

static void serial_text(char out[SERIAL_TEXT_LEN + 1], const uint8_t serial[SERIAL_LEN])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SERIAL_LEN; i++) {
        out[2 * i] = digits[serial[i] >> 4];
        out[2 * i + 1] = digits[serial[i] & 15];
    }
    out[SERIAL_TEXT_LEN] = 0;
}

static void names_put(struct admin_call *c, struct json_out *o, struct slice encoded)
{
    struct identifier *ids = NULL;
    size_t count = 0;
    struct err e = identifiers_decode(&ids, &count, c->arena, encoded);
    if (failed(e)) o->err = e;
    json_key(o, "names");
    json_array_begin(o);
    for (size_t i = 0; !failed(e) && i < count; i++)
        json_put_str(o, identifier_text(c->arena, &ids[i]));
    json_array_end(o);
}

static void id_put(struct json_out *o, const char *name, const struct id *id)
{
    char text[ID_TEXT_LEN + 1];
    id_text(text, id);
    admin_put_slice(o, name, slice_str(text));
}

static void pem_put(struct json_out *o, struct slice der)
{
    struct buf pem;
    buf_init(&pem, PEM_MAX);
    struct err e = pem_encode(&pem, "CERTIFICATE", der);
    if (failed(e)) o->err = e;
    admin_put_slice(o, "pem", buf_slice(&pem));
    buf_fini(&pem);
}

static void certificate_put(struct admin_call *c, struct json_out *o,
                            const struct certificate_row *row)
{
    char serial[SERIAL_TEXT_LEN + 1];
    serial_text(serial, row->serial);
    json_object_begin(o);
    admin_put_slice(o, "serial", slice_str(serial));
    names_put(c, o, row->identifiers);
    admin_put_slice(o, "tenant", row->tenant);
    id_put(o, "account", &row->account);
    id_put(o, "order", &row->order);
    admin_put_slice(o, "profile", row->profile);
    admin_put_int(o, "issuer", row->issuer);
    admin_put_time(o, "not_before", row->not_before * 1000000);
    admin_put_time(o, "not_after", row->not_after * 1000000);
    if (c->op->schema == &certificate_pem_schema) pem_put(o, row->der);
    json_object_end(o);
}

// ---- parameters

const struct admin_param cert_list_params[] = {
    {"tenant", ADMIN_TEXT, ADMIN_QUERY, .value = "NAME", .help = "Of this tenant only."},
    {"account", ADMIN_TEXT, ADMIN_QUERY, .value = "ID", .help = "Of this account only."},
    {"name", ADMIN_TEXT, ADMIN_QUERY, .value = "NAME",
     .help = "With this DNS name (*.corp.test for a wildcard) or address among its names."},
    {"profile", ADMIN_TEXT, ADMIN_QUERY, .value = "NAME", .help = "Of this profile only."},
    {"issued_after", ADMIN_TIME, ADMIN_QUERY, .value = "TIME",
     .help = "Not valid before this time: 2027-01-31T00:00:00Z."},
    {"issued_before", ADMIN_TIME, ADMIN_QUERY, .value = "TIME",
     .help = "Valid from this time on at the latest."},
    {"limit", ADMIN_INT, ADMIN_QUERY, .min = 1, .max = 100, .value = "N",
     .help = "At most so many in one answer, 1 to 100; 100 unless given."},
    {"cursor", ADMIN_TEXT, ADMIN_QUERY, .value = "CURSOR",
     .help = "\"next\" of the answer before."},
    {0}};
const struct admin_param cert_serial_params[] = {
    {"serial", ADMIN_TEXT, ADMIN_PATH, true, .value = "SERIAL",
     .help = "The serial in hexadecimal; colons between octets do not count."},
    {0}};

static int nibble(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool serial_read(uint8_t out[SERIAL_LEN], struct slice text)
{
    size_t n = 0;
    uint8_t high = 0;
    for (size_t i = 0; i < text.n; i++) {
        int v = nibble(text.p[i]);
        if (text.p[i] == ':' && n % 2 == 0) continue;
        if (v < 0 || n == SERIAL_TEXT_LEN) return false;
        if (n % 2 == 0)
            high = (uint8_t)(v << 4);
        else
            out[n / 2] = (uint8_t)(high | v);
        n++;
    }
    return n == SERIAL_TEXT_LEN;
}

static bool name_take(struct admin_call *c, struct identifier *out)
{
    const struct admin_value *v = admin_value(c, "name");
    if (!v->present) return true;
    out->type = IDENTIFIER_IP;
    if (!failed(ip_address_parse(&out->value, c->arena, v->text))) return true;
    out->type = IDENTIFIER_DNS;
    if (!failed(dns_name_canonical(&out->value, c->arena, v->text, true))) return true;
    admin_fail(c, 400, "\"name\" is neither a DNS name nor an address");
    return false;
}

// ---- list, export, show

struct list_call {
    struct store_certificates_list list;
    struct admin_call *c;
};

static void on_listed(struct store_cmd *cmd, struct err err)
{
    struct list_call *l = LIST_OWNER(LIST_OWNER(cmd, struct store_certificates_list, cmd),
                                     struct list_call, list);
    struct admin_call *c = l->c;
    char next[ID_TEXT_LEN + 1] = "";
    struct json_out o;
    if (failed(err)) {
        admin_fail_err(c, err);
        return;
    }
    admin_items_begin(c, &o);
    for (size_t i = 0; i < l->list.out_count; i++) certificate_put(c, &o, &l->list.out[i]);
    if (!id_is_zero(&l->list.next)) id_text(next, &l->list.next);
    admin_items_respond(c, &o, slice_str(next));
}

static void on_shown(struct store_cmd *cmd, struct err err)
{
    struct list_call *l = LIST_OWNER(LIST_OWNER(cmd, struct store_certificates_list, cmd),
                                     struct list_call, list);
    struct admin_call *c = l->c;
    struct json_out o;
    if (failed(err)) {
        admin_fail_err(c, err);
    } else if (l->list.out_count == 0) {
        admin_fail(c, 404, "there is no certificate of this serial");
    } else {
        admin_begin(c, &o);
        certificate_put(c, &o, &l->list.out[0]);
        admin_respond(c, &o);
    }
}

static bool account_take(struct admin_call *c, struct id *out)
{
    const struct admin_value *v = admin_value(c, "account");
    if (!v->present || !failed(id_parse(out, v->text))) return true;
    admin_fail(c, 400, "\"account\" is no id of an account; expected the last part of its URL");
    return false;
}

void admin_cert_list(struct admin_call *c)
{
    struct list_call *l = ADMIN_NEW(c, struct list_call);
    if (l == NULL || (admin_has(c, "tenant") && admin_tenant(c) == NULL)) return;
    l->c = c;
    l->list = (struct store_certificates_list){
        .cmd = {.done = on_listed, .arena = c->arena},
        .tenant = admin_value(c, "tenant")->text,
        .profile = admin_value(c, "profile")->text,
        .issued_from = admin_value(c, "issued_after")->number / 1000000,
        .issued_until = admin_has(c, "issued_before")
                            ? admin_value(c, "issued_before")->number / 1000000 + 1
                            : 0,
        .with_der = c->op->schema == &certificate_pem_schema,
        .limit = admin_limit(c)};
    if (account_take(c, &l->list.account) && name_take(c, &l->list.identifier) &&
        admin_cursor(c, &l->list.before))
        store_certificates_list(c->edge->store, &l->list);
}

void admin_cert_show(struct admin_call *c)
{
    struct list_call *l = ADMIN_NEW(c, struct list_call);
    if (l == NULL) return;
    l->c = c;
    l->list = (struct store_certificates_list){.cmd = {.done = on_shown, .arena = c->arena},
                                               .by_serial = true,
                                               .with_der = true,
                                               .limit = 1};
    if (serial_read(l->list.serial, admin_value(c, "serial")->text))
        store_certificates_list(c->edge->store, &l->list);
    else
        admin_fail(c, 400, "\"serial\" is not of 40 hexadecimal digits");
}

// ---- revoke

// The reasons that a CA gives, by their number (RFC 5280 section 5.3.1): hold and its end would
// need delta CRLs, and a CA's own key is not a certificate's.
static const char *const reasons[] = {
    "unspecified", "keyCompromise",        NULL, "affiliationChanged",
    "superseded",  "cessationOfOperation", NULL, NULL,
    NULL,          "privilegeWithdrawn"};
enum { REASON_COUNT = sizeof reasons / sizeof reasons[0] };

static const struct admin_field revocation_fields[] = {
    {"serial", ADMIN_TEXT, false, NULL, "Hexadecimal, 40 digits."},
    {"reason", ADMIN_TEXT, false, NULL, "Why, as RFC 5280 names it."},
    {"revoked", ADMIN_TIME, false, NULL, "When it was revoked."},
    {0}};
const struct admin_schema revocation_schema = {"Revocation", revocation_fields};

const struct admin_param cert_revoke_params[] = {
    {"serial", ADMIN_TEXT, ADMIN_PATH, true, .value = "SERIAL",
     .help = "The serial in hexadecimal; colons between octets do not count."},
    {"reason", ADMIN_TEXT, ADMIN_BODY, .value = "REASON",
     .choice = "unspecified|keyCompromise|affiliationChanged|superseded|cessationOfOperation|"
               "privilegeWithdrawn",
     .help = "unspecified (unless given), keyCompromise, affiliationChanged, superseded, "
             "cessationOfOperation or privilegeWithdrawn."},
    {0}};

struct revoke_call {
    struct store_revoke revoke;
    struct admin_call *c;
};

static const char *reason_text(unsigned reason)
{
    return reason < REASON_COUNT && reasons[reason] != NULL ? reasons[reason] : "another";
}

static void revoked_respond(struct revoke_call *v)
{
    char serial[SERIAL_TEXT_LEN + 1];
    struct json_out o;
    serial_text(serial, v->revoke.serial);
    admin_begin(v->c, &o);
    json_object_begin(&o);
    admin_put_slice(&o, "serial", slice_str(serial));
    admin_put_slice(&o, "reason", slice_str(reason_text(v->revoke.out.reason)));
    admin_put_time(&o, "revoked", v->revoke.out.revoked_at_us);
    json_object_end(&o);
    admin_respond(v->c, &o);
}

static void on_revoked(struct store_cmd *cmd, struct err err)
{
    struct revoke_call *v = LIST_OWNER(LIST_OWNER(cmd, struct store_revoke, cmd),
                                       struct revoke_call, revoke);
    if (failed(err))
        admin_fail_err(v->c, err);
    else if (v->revoke.outcome == REVOCATION_MADE)
        revoked_respond(v);
    else if (v->revoke.outcome == REVOCATION_ALREADY)
        admin_fail(v->c, 409, "the certificate was revoked already, with reason %s",
                   reason_text(v->revoke.out.reason));
    else if (v->revoke.outcome == REVOCATION_EXPIRED)
        admin_fail(v->c, 409, "the certificate has ended: there is nothing to revoke");
    else
        admin_fail(v->c, 404, "there is no certificate of this serial");
}

void admin_cert_revoke(struct admin_call *c)
{
    const struct admin_value *reason = admin_value(c, "reason");
    struct revoke_call *v = ADMIN_NEW(c, struct revoke_call);
    if (v == NULL) return;
    v->c = c;
    v->revoke.cmd = (struct store_cmd){.done = on_revoked, .arena = c->arena};
    for (unsigned i = 0; reason->present && i < REASON_COUNT; i++)
        if (reasons[i] != NULL && slice_eq_str(reason->text, reasons[i])) v->revoke.reason = i;
    if (serial_read(v->revoke.serial, admin_value(c, "serial")->text))
        store_revoke(c->edge->store, &v->revoke);
    else
        admin_fail(c, 400, "\"serial\" is not of 40 hexadecimal digits");
}
