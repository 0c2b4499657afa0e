// values: parameters from text and from JSON into their types. What is wrong is told with the name
// of the parameter and what was expected.
#include <stdlib.h>
#include <time.h>

#include "api/admin/admin.h"

#define WRONG(c, p, ...) admin_wrong((c), (p), arena_printf((c)->arena, __VA_ARGS__))

static const char *admin_wrong(struct admin_call *c, const struct admin_param *p, const char *what)
{
    return arena_printf(c->arena, "\"%s\" %s", p->name, what);
}

const struct admin_param *admin_param_find(const struct admin_operation *op, struct slice name)
{
    for (const struct admin_param *p = op->params; p->name != NULL; p++)
        if (slice_eq_str(name, p->name)) return p;
    return NULL;
}

const struct admin_value *admin_value(const struct admin_call *c, const char *name)
{
    const struct admin_param *p = admin_param_find(c->op, slice_str(name));
    CHECK(p != NULL);
    return &c->values[p - c->op->params];
}

const char *admin_missing(struct admin_call *c)
{
    for (const struct admin_param *p = c->op->params; p->name != NULL; p++)
        if (p->required && !c->values[p - c->op->params].present)
            return WRONG(c, p, "is missing; expected: %s", p->help);
    return NULL;
}

// ---- one value

static bool choice_has(const char *choice, struct slice text)
{
    for (const char *at = choice; at != NULL && *at != 0;) {
        size_t n = strcspn(at, "|");
        if (slice_eq(text, slice_of(at, n))) return true;
        at += n + (at[n] == '|');
    }
    return choice == NULL;
}

// text_check: what no text may be, whatever it means.
static const char *text_check(struct admin_call *c, const struct admin_param *p, struct slice text)
{
    if (text.n > ADMIN_TEXT_MAX) return WRONG(c, p, "is longer than %d bytes", ADMIN_TEXT_MAX);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] == 0x7f) return WRONG(c, p, "holds a control character");
    if (!choice_has(p->choice, text))
        return WRONG(c, p, "is \"%.60s\"; expected one of %s",
                     arena_printf(c->arena, "%" SLICE_FMT, SLICE_ARG(text)), p->choice);
    return NULL;
}

static const char *int_check(struct admin_call *c, const struct admin_param *p,
                             struct admin_value *v, int64_t number)
{
    if ((p->min != 0 || p->max != 0) && (number < p->min || number > p->max))
        return WRONG(c, p, "is %lld; expected %lld to %lld", (long long)number, (long long)p->min,
                     (long long)p->max);
    v->number = number;
    return NULL;
}

static bool digits_read(const char **at, int64_t *out)
{
    char *end;
    if (**at < '0' || **at > '9' || strlen(*at) > 40) return false;
    *out = strtoll(*at, &end, 10);
    *at = end;
    return *out < INT64_C(1) << 40;
}

// duration_read: "90d", "24h", "30m", "10s".
static bool duration_read(const char *text, int64_t *out_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t n;
    if (!digits_read(&text, &n)) return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text, units[i].unit) != 0) continue;
        *out_ms = n * units[i].ms;
        return *out_ms <= INT64_C(3153600000000); // a hundred years
    }
    return false;
}

// time_read: RFC 3339 in UTC with whole seconds, as documents have it.
static bool time_read(const char *text, int64_t *out_us)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (strlen(text) != 20 || end == NULL || *end != 0) return false;
    *out_us = (int64_t)timegm(&tm) * 1000000;
    return *out_us > 0;
}

static const char *moment_take(struct admin_call *c, const struct admin_param *p,
                               struct admin_value *v, struct slice text)
{
    const char *s = arena_printf(c->arena, "%" SLICE_FMT, SLICE_ARG(text));
    int64_t ms;
    if (p->type == ADMIN_DURATION) {
        if (duration_read(s, &v->number)) return NULL;
        return WRONG(c, p, "is no duration; expected one such as 0s, 30m, 24h or 90d");
    }
    if (strcmp(s, "never") == 0)
        v->number = 0;
    else if (duration_read(s, &ms))
        v->number = edge_db_now_us(c->edge) + ms * 1000;
    else if (!time_read(s, &v->number))
        return WRONG(c, p,
                     "is no time; expected 2027-01-31T00:00:00Z, a duration from now such as "
                     "90d, or never");
    return NULL;
}

// ---- from text

static const char *texts_split(struct admin_call *c, const struct admin_param *p,
                               struct admin_value *v, struct slice text)
{
    while (text.n > 0) {
        const uint8_t *comma = memchr(text.p, ',', text.n);
        size_t n = comma == NULL ? text.n : (size_t)(comma - text.p);
        struct slice one = slice_sub(text, 0, n);
        const char *wrong = text_check(c, p, one);
        if (wrong != NULL) return wrong;
        if (v->count == ADMIN_LIST_MAX)
            return WRONG(c, p, "has more than %d values", ADMIN_LIST_MAX);
        v->texts[v->count++] = one;
        text = slice_sub(text, n + 1, text.n);
    }
    return NULL;
}

static const char *int_take(struct admin_call *c, const struct admin_param *p,
                            struct admin_value *v, struct slice text)
{
    const char *s = arena_printf(c->arena, "%" SLICE_FMT, SLICE_ARG(text));
    int64_t n;
    if (!digits_read(&s, &n) || *s != 0) return WRONG(c, p, "is no number");
    return int_check(c, p, v, n);
}

const char *admin_take_text(struct admin_call *c, const struct admin_param *p, struct slice text)
{
    struct admin_value *v = &c->values[p - c->op->params];
    if (v->present && p->type != ADMIN_TEXTS) return WRONG(c, p, "is given twice");
    v->present = true;
    switch (p->type) {
    case ADMIN_LINES:
        v->text = text;
        return NULL;
    case ADMIN_MANY:
        v->text = text;
        return text.n <= ADMIN_MANY_MAX ? NULL : WRONG(c, p, "is longer than %d", ADMIN_MANY_MAX);
    case ADMIN_TEXTS:
        return texts_split(c, p, v, text);
    case ADMIN_INT:
        return int_take(c, p, v, text);
    case ADMIN_TIME:
    case ADMIN_DURATION:
        return moment_take(c, p, v, text);
    case ADMIN_BOOL:
        v->flag = slice_eq_str(text, "true");
        return v->flag || slice_eq_str(text, "false") ? NULL : WRONG(c, p, "is not true or false");
    default:
        v->text = text;
        return text_check(c, p, text);
    }
}

// ---- from JSON

static const char *texts_take(struct admin_call *c, const struct admin_param *p,
                              struct admin_value *v, struct json list)
{
    if (!json_is_array(list) || json_size(list) > ADMIN_LIST_MAX)
        return WRONG(c, p, "is not a list of at most %d texts", ADMIN_LIST_MAX);
    for (size_t i = 0; i < json_size(list); i++) {
        struct slice one = SLICE_NONE;
        if (failed(json_string(json_at(list, i), &one)))
            return WRONG(c, p, "is not a list of texts");
        const char *wrong = text_check(c, p, one);
        if (wrong != NULL) return wrong;
        v->texts[v->count++] = one;
    }
    return NULL;
}

// many_take makes lines of a list of texts.
static const char *many_take(struct admin_call *c, const struct admin_param *p,
                             struct admin_value *v, struct json list)
{
    struct buf b;
    bool ok = json_is_array(list);
    buf_init(&b, ADMIN_MANY_MAX);
    for (size_t i = 0; ok && i < json_size(list); i++) {
        struct slice one = SLICE_NONE;
        ok = !failed(json_string(json_at(list, i), &one)) &&
             (one.n == 0 || memchr(one.p, '\n', one.n) == NULL) && !failed(buf_add(&b, one)) &&
             !failed(buf_add_str(&b, "\n"));
    }
    ok = ok && !failed(arena_dup(&v->text, c->arena, buf_slice(&b)));
    buf_fini(&b);
    if (!ok) return WRONG(c, p, "is not a list of texts, or too long");
    return NULL;
}

bool admin_line_next(struct slice *out, struct slice *rest)
{
    while (rest->n > 0) {
        const uint8_t *end = memchr(rest->p, '\n', rest->n);
        size_t n = end == NULL ? rest->n : (size_t)(end - rest->p);
        *out = slice_sub(*rest, 0, n);
        *rest = slice_sub(*rest, end == NULL ? n : n + 1, rest->n);
        while (out->n > 0 && strchr(" \t\r", out->p[out->n - 1]) != NULL) out->n--;
        if (out->n > 0) return true;
    }
    return false;
}

const char *admin_take_json(struct admin_call *c, const struct admin_param *p, struct json value)
{
    struct admin_value *v = &c->values[p - c->op->params];
    struct slice text = SLICE_NONE;
    v->present = true;
    if (p->type == ADMIN_TEXTS) return texts_take(c, p, v, value);
    if (p->type == ADMIN_MANY) return many_take(c, p, v, value);
    if (p->type == ADMIN_BOOL)
        return failed(json_bool(value, &v->flag)) ? WRONG(c, p, "is not true or false") : NULL;
    if (p->type == ADMIN_INT) {
        int64_t n = 0;
        return failed(json_int(value, &n)) ? WRONG(c, p, "is no number") : int_check(c, p, v, n);
    }
    if (failed(json_string(value, &text))) return WRONG(c, p, "is not a text");
    v->present = false; // set again
    return admin_take_text(c, p, text);
}
