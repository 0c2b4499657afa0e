#include "api/acme/refusals.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/err.h"
#include "proto/text/json.h"

enum { WHY_MAX = 512, SHOWN_MAX = 100 };

static void add(struct request *r, struct refusals *f, struct refused row)
{
    if (f->rows == NULL) f->rows = ARENA_ARRAY(request_arena(r), struct refused, REFUSALS_MAX);
    if (f->rows == NULL || f->count == REFUSALS_MAX) return;
    size_t at = f->count++;
    for (; at > 0 && f->rows[at - 1].place > row.place; at--) f->rows[at] = f->rows[at - 1];
    f->rows[at] = row;
}

void refusal_add(struct request *r, struct refusals *f, enum problem p, size_t place,
                 struct slice type, struct slice value, const char *fmt, ...)
{
    char why[WHY_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    add(r, f,
        (struct refused){.problem = p,
                         .place = place,
                         .detail = arena_printf(request_arena(r), "identifier %zu (%s) %s", place,
                                                request_text(r, slice_sub(value, 0, SHOWN_MAX)),
                                                why),
                         .type = type,
                         .value = slice_sub(value, 0, REFUSED_VALUE_MAX)});
}

void refusal_add_id(struct request *r, struct refusals *f, enum problem p,
                    const struct identifier *id, const char *detail)
{
    add(r, f,
        (struct refused){.problem = p,
                         .detail = detail,
                         .type = slice_str(id->type == IDENTIFIER_IP ? "ip" : "dns"),
                         .value = slice_str(identifier_text(request_arena(r), id))});
}

static void row_put(struct json_out *o, const struct refused *row)
{
    json_object_begin(o);
    json_key(o, "type");
    json_put_str(o, problem_type(row->problem));
    json_key(o, "detail");
    json_put_str(o, row->detail);
    if (row->type.n > 0) {
        json_key(o, "identifier");
        json_object_begin(o);
        json_key(o, "type");
        json_put_string(o, row->type);
        json_key(o, "value");
        json_put_string(o, row->value);
        json_object_end(o);
    }
    json_object_end(o);
}

static const char *text_of(struct edge *e, struct arena *a, const struct refused *rows,
                           size_t count)
{
    struct json_out o;
    json_out_begin(&o, edge_scratch(e));
    json_array_begin(&o);
    for (size_t i = 0; i < count; i++) row_put(&o, &rows[i]);
    json_array_end(&o);
    return failed(json_out_end(&o)) ? NULL : arena_printf(a, "%.*s", SLICE_ARG(buf_slice(o.buf)));
}

const char *refusals_text(struct request *r, const struct refusals *f)
{
    return f->count == 0 ? NULL : text_of(r->edge, request_arena(r), f->rows, f->count);
}

struct err order_problem(struct slice *out, struct edge *e, struct arena *a, enum problem p,
                         const char *detail, const struct authz_row *z)
{
    struct refused row = {.problem = p,
                          .detail = detail,
                          .type = slice_str(z->identifier.type == IDENTIFIER_IP ? "ip" : "dns"),
                          .value = slice_str(arena_printf(a, "%s%s", z->wildcard ? "*." : "",
                                                          identifier_text(a, &z->identifier)))};
    struct problem_extra extra = {.subproblems = text_of(e, a, &row, 1)};
    struct buf *b = edge_scratch(e);
    TRY(problem_write(b, p, problem_status(p), detail, &extra));
    return arena_dup(out, a, buf_slice(b));
}

bool refusals_answer(struct request *r, const struct refusals *f)
{
    if (f->count == 0) return false;
    enum problem p = f->rows[0].problem;
    for (size_t i = 1; i < f->count; i++)
        if (f->rows[i].problem != p) p = PROBLEM_COMPOUND;
    r->subproblems = refusals_text(r, f);
    if (f->count == 1)
        request_fail(r, p, "%s", f->rows[0].detail);
    else
        request_fail(r, p, "%s; and %zu more: \"subproblems\" has them all", f->rows[0].detail,
                     f->count - 1);
    return true;
}
