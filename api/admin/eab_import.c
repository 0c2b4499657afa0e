// eab_import: keys for external account binding taken over from elsewhere, with their secrets, in
// one transaction. A line is a JSON object, or a line of CSV behind one that names the columns (RFC
// 4180, without line breaks inside cells).
#include <openssl/mem.h>
#include <stdlib.h>

#include "api/admin/eab.h"
#include "api/admin/operations.h"
#include "api/eab.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

enum { CELLS_MAX = 16, CELL_MAX = 2048 };

static const struct admin_field fields[] = {
    {"imported", ADMIN_INT, false, NULL, "How many keys were made."}, {0}};
const struct admin_schema eab_import_schema = {"EabImport", fields};

const struct admin_param eab_import_params[] = {
    {"keys", ADMIN_LINES, ADMIN_BODY, true, .value = "FILE",
     .help = "Lines of JSON objects or of CSV behind a line of column names: kid, hmac_key "
             "(base64url, 16 to 256 octets), and algorithms, expires, accounts_max, identifiers, "
             "profiles, comment where they are not as with `create`. Lists in CSV are separated "
             "by spaces. At most 10000."},
    {"tenant", ADMIN_TEXT, ADMIN_QUERY, .value = "NAME",
     .help = "The tenant; the default one unless given."},
    {0}};

// A line is read like a call of an operation with these parameters.
static const struct admin_param line_params[] = {
    {"kid", ADMIN_TEXT, ADMIN_BODY, true, .help = "the key's id"},
    {"hmac_key", ADMIN_TEXT, ADMIN_BODY, true, .help = "the secret, base64url"},
    EAB_BOUND_PARAMS,
    {0}};
static const struct admin_operation line_operation = {.params = line_params};

struct import {
    struct store_eab_create create;
    struct admin_call *c;
    const struct tenant *tenant;
    struct admin_call *line; // the line at hand
    struct eab_row *rows;
    size_t *lines; // of each row, from 1
    size_t count;
    const struct admin_param *columns[CELLS_MAX]; // CSV
    size_t column_count;
};

// ---- one key

static const char *secret_take(struct import *m, struct eab_row *row)
{
    struct slice secret = SLICE_NONE;
    const struct admin_value *v = admin_value(m->line, "hmac_key");
    struct err e = base64url_decode_lenient(&secret, m->c->arena, v->text);
    if (failed(e) || secret.n < EAB_SECRET_MIN || secret.n > EAB_SECRET_MAX)
        return "\"hmac_key\" is not base64url of 16 to 256 octets";
    e = eab_secret_seal(m->c, row, secret);
    OPENSSL_cleanse((uint8_t *)(uintptr_t)secret.p, secret.n);
    OPENSSL_cleanse((uint8_t *)(uintptr_t)v->text.p, v->text.n);
    return failed(e) ? "its secret cannot be kept" : NULL;
}

static const char *key_take(struct import *m, size_t line)
{
    struct eab_row *row = &m->rows[m->count];
    const char *wrong = admin_missing(m->line);
    if (wrong == NULL) wrong = eab_bounds_read(m->line, m->tenant, row);
    if (wrong != NULL) return wrong;
    row->kid = admin_value(m->line, "kid")->text;
    if (eab_kid_wrong(row->kid) != NULL)
        return arena_printf(m->c->arena, "\"kid\" %s", eab_kid_wrong(row->kid));
    row->id = edge_id(m->c->edge);
    row->status = EAB_ENABLED;
    m->lines[m->count++] = line;
    return secret_take(m, row);
}

// ---- lines

static const char *json_take(struct import *m, struct slice text)
{
    struct json j;
    struct err e = json_parse(&j, m->c->arena, text);
    if (failed(e) || !json_is_object(j)) return "this is not a JSON object";
    for (size_t i = 0; i < json_size(j); i++) {
        struct slice name;
        struct json value = json_member(j, i, &name);
        const struct admin_param *p = admin_param_find(&line_operation, name);
        if (p == NULL)
            return arena_printf(m->c->arena, "there is no \"%.*s\" of a key",
                                (int)(name.n < 40 ? name.n : 40), (const char *)name.p);
        const char *wrong = admin_take_json(m->line, p, value);
        if (wrong != NULL) return wrong;
    }
    return NULL;
}

// cell_read takes the next cell off `text`: plain, or in quotes, in which "" stands for one.
static bool cell_read(struct import *m, struct slice *out, struct slice *text, bool *more)
{
    char cell[CELL_MAX];
    size_t n = 0, at = 0;
    bool quoted = text->n > 0 && text->p[0] == '"', closed = !quoted;
    for (at = quoted; at < text->n; at++) {
        uint8_t c = text->p[at];
        if (quoted && !closed && c == '"' && at + 1 < text->n && text->p[at + 1] == '"')
            at++;
        else if (quoted && c == '"' && !closed) {
            closed = true;
            continue;
        } else if (closed && c == ',')
            break;
        else if (quoted && closed)
            return false;
        if (n == sizeof cell) return false;
        cell[n++] = (char)c;
    }
    *more = at < text->n;
    *text = slice_sub(*text, at + 1, text->n);
    return closed && !failed(arena_dup(out, m->c->arena, slice_of(cell, n)));
}

static const char *columns_take(struct import *m, struct slice text)
{
    for (bool more = true; more;) {
        struct slice name;
        if (m->column_count == CELLS_MAX || !cell_read(m, &name, &text, &more))
            return "these are no names of columns";
        const struct admin_param *p = admin_param_find(&line_operation, name);
        if (p == NULL)
            return arena_printf(m->c->arena,
                                "there is no column \"%.*s\"; the first line names the columns: "
                                "kid,hmac_key and others",
                                (int)(name.n < 40 ? name.n : 40), (const char *)name.p);
        m->columns[m->column_count++] = p;
    }
    return NULL;
}

// list_commas: lists in a cell are separated by spaces.
static void list_commas(struct slice cell)
{
    for (size_t i = 0; i < cell.n; i++)
        if (cell.p[i] == ' ') ((uint8_t *)(uintptr_t)cell.p)[i] = ',';
}

static const char *csv_take(struct import *m, struct slice text)
{
    size_t i = 0;
    for (bool more = true; more; i++) {
        struct slice cell = SLICE_NONE;
        if (!cell_read(m, &cell, &text, &more)) return "a cell is badly quoted or too long";
        if (i == m->column_count) return "there are more cells than columns";
        if (cell.n == 0) continue; // not given
        if (m->columns[i]->type == ADMIN_TEXTS) list_commas(cell);
        const char *wrong = admin_take_text(m->line, m->columns[i], cell);
        if (wrong != NULL) return wrong;
    }
    return i == m->column_count ? NULL : "there are fewer cells than columns";
}

static const char *line_take(struct import *m, struct slice text, size_t line, bool csv)
{
    if (csv && m->column_count == 0) return columns_take(m, text);
    if (m->count == EAB_IMPORT_MAX) return "there are more than 10000 keys";
    memset(m->line->values, 0, sizeof m->line->values);
    const char *wrong = csv ? csv_take(m, text) : json_take(m, text);
    return wrong != NULL ? wrong : key_take(m, line);
}

static struct slice line_trim(struct slice s)
{
    while (s.n > 0 && (s.p[s.n - 1] == '\r' || s.p[s.n - 1] == ' ')) s.n--;
    while (s.n > 0 && s.p[0] == ' ') s = slice_sub(s, 1, s.n);
    return s;
}

// lines_take reads all of them; NULL, or a sentence that names the line.
static const char *lines_take(struct import *m, struct slice text)
{
    bool csv = false, begun = false;
    for (size_t line = 1; text.n > 0; line++) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end == NULL ? text.n : (size_t)(end - text.p);
        struct slice one = line_trim(slice_sub(text, 0, n));
        text = slice_sub(text, n + 1, text.n);
        if (one.n == 0) continue;
        if (!begun) csv = one.p[0] != '{';
        begun = true;
        const char *wrong = line_take(m, one, line, csv);
        if (wrong != NULL) return arena_printf(m->c->arena, "line %zu: %s", line, wrong);
    }
    return m->count > 0 ? NULL : "there are no keys";
}

// ---- all

static int by_kid(const void *a, const void *b)
{
    const struct eab_row *x = *(const struct eab_row *const *)a,
                         *y = *(const struct eab_row *const *)b;
    int c = slice_cmp(x->kid, y->kid);
    return c != 0 ? c : (x > y) - (x < y);
}

// twins_check: NULL, or a sentence that names the line of the second of two keys with one id.
static const char *twins_check(struct import *m)
{
    const struct eab_row **sorted = ARENA_ARRAY(m->c->arena, const struct eab_row *, m->count);
    if (sorted == NULL) return "the keys are too many";
    for (size_t i = 0; i < m->count; i++) sorted[i] = &m->rows[i];
    qsort(sorted, m->count, sizeof *sorted, by_kid);
    for (size_t i = 1; i < m->count; i++)
        if (slice_eq(sorted[i - 1]->kid, sorted[i]->kid))
            return arena_printf(m->c->arena,
                                "line %zu: the key id %" SLICE_FMT " is in line %zu already",
                                m->lines[sorted[i] - m->rows], SLICE_ARG(sorted[i]->kid),
                                m->lines[sorted[i - 1] - m->rows]);
    return NULL;
}

static void on_created(struct store_cmd *cmd, struct err err)
{
    struct import *m = LIST_OWNER(LIST_OWNER(cmd, struct store_eab_create, cmd), struct import,
                                  create);
    struct admin_call *c = m->c;
    size_t conflict = m->create.conflict;
    struct json_out o;
    if (failed(err)) {
        admin_fail_err(c, err);
    } else if (conflict != 0) {
        admin_fail(c, 409, "line %zu: the tenant has a key %.*s already; no key was made",
                   m->lines[conflict - 1], (int)m->rows[conflict - 1].kid.n,
                   (const char *)m->rows[conflict - 1].kid.p);
    } else {
        admin_begin(c, &o);
        json_object_begin(&o);
        admin_put_int(&o, "imported", (int64_t)m->count);
        json_object_end(&o);
        admin_respond(c, &o);
    }
}

// import_new: rows for as many lines as there are.
static struct import *import_new(struct admin_call *c, const struct tenant *t, struct slice text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.n; i++) lines += text.p[i] == '\n';
    if (lines > EAB_IMPORT_MAX) lines = EAB_IMPORT_MAX;
    struct import *m = ARENA_NEW(c->arena, struct import);
    if (m == NULL) return NULL;
    m->c = c;
    m->tenant = t;
    m->line = admin_call_new(c->edge, c->arena, &line_operation, c->who);
    m->rows = ARENA_ARRAY(c->arena, struct eab_row, lines);
    m->lines = ARENA_ARRAY(c->arena, size_t, lines);
    return m->line != NULL && m->rows != NULL && m->lines != NULL ? m : NULL;
}

void admin_eab_import(struct admin_call *c)
{
    struct slice text = admin_value(c, "keys")->text;
    const struct tenant *t = admin_tenant(c);
    struct import *m = t == NULL ? NULL : import_new(c, t, text);
    if (t == NULL) return;
    if (m == NULL) {
        admin_fail_err(c, ERR(NO_SPACE));
        return;
    }
    const char *wrong = lines_take(m, text);
    if (wrong == NULL) wrong = twins_check(m);
    OPENSSL_cleanse((uint8_t *)(uintptr_t)text.p, text.n); // the secrets are in it
    if (wrong != NULL) {
        admin_fail(c, 400, "%s; no key was made", wrong);
        return;
    }
    m->create = (struct store_eab_create){
        .cmd = {.done = on_created, .arena = c->arena}, .rows = m->rows, .count = m->count};
    store_eab_create(c->edge->store, &m->create);
}
