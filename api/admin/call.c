// call: one operation from its start to its one answer, and the audit log of both doors.
#include <stdarg.h>
#include <stdio.h>

#include "api/admin/admin.h"
#include "api/events.h"
#include "api/request.h"
#include "proto/err.h"

enum { LIMIT_DEFAULT = 100, ABOUT_MAX = 512, DOCUMENT_MAX = 4 << 20 };

struct admin_call *admin_call_new(struct edge *e, struct arena *a, const struct admin_operation *op,
                                  const char *who)
{
    struct admin_call *c = ARENA_NEW(a, struct admin_call);
    if (c == NULL) return NULL;
    c->edge = e;
    c->arena = a;
    c->op = op;
    c->who = who;
    buf_init(&c->out, DOCUMENT_MAX);
    return c;
}

void admin_run(struct admin_call *c)
{
    const char *missing = admin_missing(c);
    if (missing != NULL)
        admin_fail(c, 400, "%s", missing);
    else
        c->op->run(c);
}

// ---- parameters that many share

const struct tenant *admin_tenant(struct admin_call *c)
{
    const struct admin_value *v = admin_value(c, "tenant");
    const struct front *f = c->edge->front;
    const struct tenant *t = v->present ? edge_tenant(f, v->text) : f->default_tenant;
    if (t == NULL)
        admin_fail(c, 400, "there is no tenant \"%.*s\" in the configuration", (int)v->text.n,
                   (const char *)v->text.p);
    return t;
}

unsigned admin_limit(const struct admin_call *c)
{
    const struct admin_value *v = admin_value(c, "limit");
    return v->present ? (unsigned)v->number : LIMIT_DEFAULT;
}

bool admin_cursor(struct admin_call *c, struct id *out)
{
    const struct admin_value *v = admin_value(c, "cursor");
    if (!v->present || !failed(id_parse(out, v->text))) return true;
    admin_fail(c, 400, "\"cursor\" is not one of this list: take \"next\" of an answer");
    return false;
}

void *admin_new(struct admin_call *c, size_t size)
{
    void *p = arena_calloc(c->arena, size);
    if (p == NULL) admin_fail_err(c, ERR(NO_SPACE));
    return p;
}

// ---- answers

// about_write says what the call was about: its texts, which are never secrets.
static void about_write(const struct admin_call *c, char out[ABOUT_MAX])
{
    size_t n = 0;
    out[0] = 0;
    for (const struct admin_param *p = c->op->params; p->name != NULL && n < ABOUT_MAX; p++) {
        const struct admin_value *v = &c->values[p - c->op->params];
        if (!v->present || p->type == ADMIN_LINES || p->type == ADMIN_MANY) continue;
        struct slice text = p->type == ADMIN_TEXTS && v->count > 0 ? v->texts[0] : v->text;
        bool number = p->type == ADMIN_INT || p->type == ADMIN_TIME || p->type == ADMIN_DURATION;
        int k = number ? snprintf(out + n, ABOUT_MAX - n, "%s%s=%lld", n == 0 ? "" : " ", p->name,
                                  (long long)v->number)
                       : snprintf(out + n, ABOUT_MAX - n, "%s%s=%.*s%s", n == 0 ? "" : " ", p->name,
                                  (int)text.n, (const char *)text.p, v->count > 1 ? ",..." : "");
        n += k < 0 ? 0 : (size_t)k;
    }
}

// finish: the call is gone after `done`. Documents may hold a secret that was made.
static void finish(struct admin_call *c, unsigned status)
{
    struct buf out = c->out;
    char about[ABOUT_MAX], operation[64];
    about_write(c, about);
    snprintf(operation, sizeof operation, "%s %s", c->op->noun, c->op->verb);
    LOG(shard_log(c->edge->shard),
        (c->op->flags & ADMIN_CHANGES) != 0 ? &EVENT_ADMIN_CHANGED : &EVENT_ADMIN_READ, NULL,
        LOG_STR("operation", operation), LOG_STR("who", c->who), LOG_STR("about", about),
        LOG_INT("status", status));
    c->done(c, status, buf_slice(&out));
    buf_wipe_fini(&out);
}

void admin_begin(struct admin_call *c, struct json_out *o)
{
    buf_clear(&c->out);
    json_out_begin(o, &c->out);
}

void admin_items_begin(struct admin_call *c, struct json_out *o)
{
    admin_begin(c, o);
    json_object_begin(o);
    json_key(o, "items");
    json_array_begin(o);
}

void admin_items_respond(struct admin_call *c, struct json_out *o, struct slice next)
{
    json_array_end(o);
    if (next.n > 0) {
        json_key(o, "next");
        json_put_string(o, next);
    }
    json_object_end(o);
    admin_respond(c, o);
}

void admin_respond(struct admin_call *c, struct json_out *o)
{
    struct err e = json_out_end(o);
    if (failed(e))
        admin_fail(c, 500, "the answer is too large: ask for fewer with \"limit\" (%s)",
                   err_text(e));
    else
        finish(c, c->op->status);
}

struct err admin_problem_write(struct buf *out, unsigned status, const char *detail)
{
    static const struct {
        unsigned status;
        const char *title;
    } rows[] = {{400, "the request cannot be used"},
                {403, "this is not for the caller"},
                {404, "there is no such thing"},
                {405, "this method is not allowed here"},
                {409, "something that is there already is in the way"},
                {413, "the request is too large"},
                {415, "this kind of body is not taken here"},
                {503, "this cannot be done just now"}};
    const char *title = "the request cannot be answered";
    struct json_out o;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status) title = rows[i].title;
    json_out_begin(&o, out);
    json_object_begin(&o);
    json_key(&o, "title");
    json_put_str(&o, title);
    json_key(&o, "status");
    json_put_int(&o, status);
    json_key(&o, "detail");
    json_put_str(&o, detail);
    json_object_end(&o);
    return json_out_end(&o);
}

void admin_fail(struct admin_call *c, unsigned status, const char *fmt, ...)
{
    char detail[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    buf_clear(&c->out);
    if (failed(admin_problem_write(&c->out, status, detail)))
        buf_clear(&c->out); // the status must do
    finish(c, status);
}

void admin_fail_err(struct admin_call *c, struct err e)
{
    bool busy = err_class(e) == ERR_CLASS_BUSY;
    admin_fail(c, busy ? 503 : 500, "%s%s", err_text(e), busy ? "; try again" : "");
}

void admin_put_time(struct json_out *o, const char *name, int64_t time_us)
{
    char text[TIME_TEXT_LEN + 1];
    if (time_us == 0) return;
    request_time(text, time_us / 1000000);
    json_key(o, name);
    json_put_str(o, text);
}

void admin_put_slice(struct json_out *o, const char *name, struct slice s)
{
    json_key(o, name);
    json_put_string(o, s);
}

void admin_put_int(struct json_out *o, const char *name, int64_t v)
{
    json_key(o, name);
    json_put_int(o, v);
}

void admin_put_bool(struct json_out *o, const char *name, bool v)
{
    json_key(o, name);
    json_put_bool(o, v);
}
