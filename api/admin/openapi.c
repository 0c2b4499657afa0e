#include "api/admin/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "proto/err.h"

enum { COMPACT_MAX = 1 << 20, PATH_MAX_LEN = 128 };

// ---- small pieces

static void put(struct json_out *o, const char *name, const char *text)
{
    json_key(o, name);
    json_put_str(o, text);
}

static void open_object(struct json_out *o, const char *name)
{
    json_key(o, name);
    json_object_begin(o);
}

static void open_array(struct json_out *o, const char *name)
{
    json_key(o, name);
    json_array_begin(o);
}

static void choices_put(struct json_out *o, const char *choice)
{
    open_array(o, "enum");
    while (*choice != 0) {
        size_t n = strcspn(choice, "|");
        json_put_string(o, slice_of(choice, n));
        choice += n + (choice[n] == '|');
    }
    json_array_end(o);
}

// type_put writes the members of a schema for a type; `input`: as a parameter, where times may be
// durations, too.
static void type_put(struct json_out *o, enum admin_type type, const char *choice, bool input)
{
    switch (type) {
    case ADMIN_INT:
        put(o, "type", "integer");
        return;
    case ADMIN_BOOL:
        put(o, "type", "boolean");
        return;
    case ADMIN_TEXTS:
    case ADMIN_MANY:
        put(o, "type", "array");
        open_object(o, "items");
        put(o, "type", "string");
        if (choice != NULL) choices_put(o, choice);
        json_object_end(o);
        return;
    case ADMIN_JSON:
        put(o, "type", "object");
        return;
    default:
        put(o, "type", "string");
        if (type == ADMIN_TIME && !input) put(o, "format", "date-time");
        if (choice != NULL) choices_put(o, choice);
        return;
    }
}

// ---- schemas

static void schema_put(struct json_out *o, const struct admin_schema *s)
{
    open_object(o, s->name);
    put(o, "type", "object");
    open_array(o, "required");
    for (const struct admin_field *f = s->fields; f->name != NULL; f++)
        if (!f->optional) json_put_str(o, f->name);
    json_array_end(o);
    open_object(o, "properties");
    for (const struct admin_field *f = s->fields; f->name != NULL; f++) {
        open_object(o, f->name);
        type_put(o, f->type, NULL, false);
        put(o, "description", f->help);
        json_object_end(o);
    }
    json_object_end(o);
    json_key(o, "additionalProperties");
    json_put_bool(o, false);
    json_object_end(o);
}

static bool used_before(size_t i, bool pages)
{
    for (size_t k = 0; k < i; k++)
        if (admin_operations[k].schema == admin_operations[i].schema &&
            (!pages || (admin_operations[k].flags & ADMIN_PAGES) != 0))
            return true;
    return false;
}

static void ref_put(struct json_out *o, const char *kind, const char *name, const char *suffix)
{
    char text[160];
    snprintf(text, sizeof text, "#/components/%s/%s%s", kind, name, suffix);
    put(o, "$ref", text);
}

// list_put: a list that takes no cursor is one page.
static void list_put(struct json_out *o, const struct admin_operation *op)
{
    const struct admin_schema *s = op->schema;
    bool pages = admin_param_find(op, SLICE_LIT("cursor")) != NULL;
    char name[96];
    snprintf(name, sizeof name, "%sList", s->name);
    open_object(o, name);
    put(o, "type", "object");
    open_array(o, "required");
    json_put_str(o, "items");
    json_array_end(o);
    open_object(o, "properties");
    open_object(o, "items");
    put(o, "type", "array");
    open_object(o, "items");
    ref_put(o, "schemas", s->name, "");
    json_object_end(o);
    json_object_end(o);
    if (pages) {
        open_object(o, "next");
        put(o, "type", "string");
        put(o, "description",
            "`cursor` of the next page; missing on the last. A page may be short, or empty, and "
            "have a next one.");
        json_object_end(o);
    }
    json_object_end(o);
    json_key(o, "additionalProperties");
    json_put_bool(o, false);
    json_object_end(o);
}

static const struct admin_field problem_fields[] = {
    {"title", ADMIN_TEXT, false, NULL, "What kind of thing went wrong."},
    {"status", ADMIN_INT, false, NULL, "The status of the answer."},
    {"detail", ADMIN_TEXT, false, NULL, "What went wrong and what to do, for people."},
    {0}};
static const struct admin_schema problem_schema = {"Problem", problem_fields};

static void components_put(struct json_out *o)
{
    open_object(o, "components");
    open_object(o, "schemas");
    for (size_t i = 0; i < admin_operation_count; i++) {
        if (!used_before(i, false)) schema_put(o, admin_operations[i].schema);
        if ((admin_operations[i].flags & ADMIN_PAGES) != 0 && !used_before(i, true))
            list_put(o, &admin_operations[i]);
    }
    schema_put(o, &problem_schema);
    json_object_end(o);
    open_object(o, "securitySchemes");
    open_object(o, "certificate");
    put(o, "type", "mutualTLS");
    put(o, "description",
        "A certificate from the internal root whose URI name is " ADMIN_ROLE ", or " ADMIN_ROLE
        ":NAME.");
    json_object_end(o);
    json_object_end(o);
    json_object_end(o);
}

// ---- operations

// path_text writes the path with the names of its parameters.
static void path_text(char out[PATH_MAX_LEN], const struct admin_operation *op)
{
    const struct admin_param *p = op->params;
    size_t n = 0;
    for (const char *at = op->path; *at != 0 && n < PATH_MAX_LEN; at++) {
        if (*at != '*') {
            n += (size_t)snprintf(out + n, PATH_MAX_LEN - n, "%c", *at);
            continue;
        }
        while (p->in != ADMIN_PATH) p++;
        n += (size_t)snprintf(out + n, PATH_MAX_LEN - n, "{%s}", p++->name);
    }
}

static void param_schema_put(struct json_out *o, const struct admin_param *p)
{
    type_put(o, p->type, p->choice, true);
    if (p->min == 0 && p->max == 0) return;
    json_key(o, "minimum");
    json_put_int(o, p->min);
    json_key(o, "maximum");
    json_put_int(o, p->max);
}

static void parameters_put(struct json_out *o, const struct admin_operation *op)
{
    open_array(o, "parameters");
    for (const struct admin_param *p = op->params; p->name != NULL; p++) {
        if (p->in == ADMIN_BODY) continue;
        json_object_begin(o);
        put(o, "name", p->name);
        put(o, "in", p->in == ADMIN_PATH ? "path" : "query");
        json_key(o, "required");
        json_put_bool(o, p->required);
        put(o, "description", p->help);
        open_object(o, "schema");
        param_schema_put(o, p);
        json_object_end(o);
        json_object_end(o);
    }
    json_array_end(o);
}

static void lines_put(struct json_out *o, const struct admin_param *p)
{
    static const char *const types[] = {"application/x-ndjson", "text/csv"};
    for (size_t i = 0; i < 2; i++) {
        open_object(o, types[i]);
        open_object(o, "schema");
        put(o, "type", "string");
        put(o, "description", p->help);
        json_object_end(o);
        json_object_end(o);
    }
}

static void members_put(struct json_out *o, const struct admin_operation *op)
{
    open_object(o, "application/json");
    open_object(o, "schema");
    put(o, "type", "object");
    open_object(o, "properties");
    for (const struct admin_param *p = op->params; p->name != NULL; p++) {
        if (p->in != ADMIN_BODY) continue;
        open_object(o, p->name);
        param_schema_put(o, p);
        put(o, "description", p->help);
        json_object_end(o);
    }
    json_object_end(o);
    json_key(o, "additionalProperties");
    json_put_bool(o, false);
    json_object_end(o);
    json_object_end(o);
}

static void body_put(struct json_out *o, const struct admin_operation *op)
{
    const struct admin_param *lines = NULL;
    bool any = false;
    for (const struct admin_param *p = op->params; p->name != NULL; p++) {
        any |= p->in == ADMIN_BODY;
        if (p->type == ADMIN_LINES) lines = p;
    }
    if (!any) return;
    open_object(o, "requestBody");
    json_key(o, "required");
    json_put_bool(o, lines != NULL);
    open_object(o, "content");
    if (lines != NULL)
        lines_put(o, lines);
    else
        members_put(o, op);
    json_object_end(o);
    json_object_end(o);
}

static void response_put(struct json_out *o, unsigned status, const char *description,
                         const char *type, const struct admin_schema *schema, bool list)
{
    char text[8];
    snprintf(text, sizeof text, "%u", status);
    open_object(o, text);
    put(o, "description", description);
    open_object(o, "content");
    open_object(o, type);
    open_object(o, "schema");
    ref_put(o, "schemas", schema->name, list ? "List" : "");
    json_object_end(o);
    json_object_end(o);
    json_object_end(o);
    json_object_end(o);
}

static void responses_put(struct json_out *o, const struct admin_operation *op)
{
    static const char problem[] = "application/problem+json";
    bool post = strcmp(op->method, "POST") == 0;
    open_object(o, "responses");
    response_put(o, op->status, "Done.", "application/json", op->schema,
                 (op->flags & ADMIN_PAGES) != 0);
    response_put(o, 400, "A parameter is missing, unknown or wrong.", problem, &problem_schema,
                 false);
    response_put(o, 403, "The certificate does not have the role.", problem, &problem_schema,
                 false);
    if ((op->flags & ADMIN_ABSENT) != 0)
        response_put(o, 404, "There is no such thing.", problem, &problem_schema, false);
    if ((op->flags & ADMIN_CONFLICT) != 0)
        response_put(o, 409, "It is there already.", problem, &problem_schema, false);
    if (post) {
        response_put(o, 413, "The body is too large.", problem, &problem_schema, false);
        response_put(o, 415, "The Content-Type is not the one that is taken.", problem,
                     &problem_schema, false);
    }
    response_put(o, 503, "The database is away, or there is too much to do: try again.", problem,
                 &problem_schema, false);
    json_object_end(o);
}

static void operation_put(struct json_out *o, const struct admin_operation *op)
{
    char id[64], method[8] = "";
    for (size_t i = 0; op->method[i] != 0 && i + 1 < sizeof method; i++)
        method[i] = (char)tolower((unsigned char)op->method[i]);
    snprintf(id, sizeof id, "%s_%s", op->noun, op->verb);
    open_object(o, method);
    put(o, "operationId", id);
    put(o, "summary", op->summary);
    open_array(o, "tags");
    json_put_str(o, op->noun);
    json_array_end(o);
    parameters_put(o, op);
    body_put(o, op);
    responses_put(o, op);
    json_object_end(o);
}

static bool path_before(size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(admin_operations[k].path, admin_operations[i].path) == 0) return true;
    return false;
}

static void paths_put(struct json_out *o)
{
    open_object(o, "paths");
    for (size_t i = 0; i < admin_operation_count; i++) {
        char path[PATH_MAX_LEN];
        if (path_before(i)) continue;
        path_text(path, &admin_operations[i]);
        open_object(o, path);
        for (size_t k = i; k < admin_operation_count; k++)
            if (strcmp(admin_operations[k].path, admin_operations[i].path) == 0)
                operation_put(o, &admin_operations[k]);
        json_object_end(o);
    }
    json_object_end(o);
}

static struct err compact_write(struct buf *out)
{
    struct json_out o;
    json_out_begin(&o, out);
    json_object_begin(&o);
    put(&o, "openapi", "3.1.0");
    open_object(&o, "info");
    put(&o, "title", "certmill admin");
    put(&o, "version", CERTMILL_VERSION);
    put(&o, "summary", "Keys for external account binding, accounts and certificates.");
    put(&o, "description",
        "Served by certmill-acme where its configuration has `admin`. Generated by `certmill "
        "openapi` from the table of operations; the command `certmill` has the same ones.");
    json_object_end(&o);
    open_array(&o, "security");
    json_object_begin(&o);
    open_array(&o, "certificate");
    json_array_end(&o);
    json_object_end(&o);
    json_array_end(&o);
    paths_put(&o);
    components_put(&o);
    json_object_end(&o);
    return json_out_end(&o);
}

// ---- indented

static struct err line_break(struct buf *out, unsigned depth)
{
    TRY(buf_add_str(out, "\n"));
    for (unsigned i = 0; i < depth; i++) TRY(buf_add_str(out, "  "));
    return OK;
}

// indent writes compact JSON with a member or an element a line.
static struct err indent(struct buf *out, struct slice in)
{
    unsigned depth = 0;
    bool text = false;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        bool empty = !text && i + 1 < in.n && (c == '{' || c == '[') &&
                     (in.p[i + 1] == '}' || in.p[i + 1] == ']');
        if (!text && (c == '}' || c == ']') && in.p[i - 1] != '{' && in.p[i - 1] != '[')
            TRY(line_break(out, --depth));
        TRY(buf_add(out, slice_of(&c, 1)));
        if (c == '"' && (i == 0 || in.p[i - 1] != '\\')) text = !text;
        if (text) continue;
        if (c == ':') TRY(buf_add_str(out, " "));
        if ((c == '{' || c == '[') && !empty) TRY(line_break(out, ++depth));
        if (c == ',') TRY(line_break(out, depth));
    }
    return buf_add_str(out, "\n");
}

struct err admin_openapi_write(struct buf *out)
{
    struct buf compact;
    buf_init(&compact, COMPACT_MAX);
    struct err e = compact_write(&compact);
    if (!failed(e)) e = indent(out, buf_slice(&compact));
    buf_fini(&compact);
    return e;
}
