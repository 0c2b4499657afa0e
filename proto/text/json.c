#include "proto/text/json.h"

#include <stdio.h>
#include <stdlib.h>

#include <yyjson.h>

#include "proto/base/utf8.h"
#include "proto/err.h"

// Reading.

static yyjson_val *val_of(struct json j) { return j.v; }

// struct room: where yyjson's memory comes from, and the newest piece of it.
struct room {
    struct arena *arena;
    void *p;
    size_t n;
};

static void *alc_malloc(void *ctx, size_t size)
{
    struct room *r = ctx;
    void *p = arena_alloc(r->arena, size);
    if (p != NULL) r->p = p, r->n = size;
    return p;
}

// The piece that grows is the newest, as a rule: then it grows where it is.
static void *alc_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    struct room *r = ctx;
    void *p = arena_resize(r->arena, ptr, old_size, size);
    if (p == NULL) {
        p = arena_alloc(r->arena, size);
        if (p == NULL) return NULL;
        memcpy(p, ptr, old_size < size ? old_size : size);
    }
    r->p = p, r->n = size;
    return p;
}

static void alc_free(void *ctx, void *ptr)
{
    (void)ctx;
    (void)ptr; // goes with the arena
}

// room_return gives back what yyjson set aside for values and did not use: it guesses one value per
// six bytes. The document and its values are one piece, the newest.
static void room_return(struct room *r, yyjson_doc *doc)
{
    uint8_t *end = (uint8_t *)(yyjson_doc_get_root(doc) + yyjson_doc_get_val_count(doc));
    size_t used = (size_t)(end - (uint8_t *)doc);
    if (r->p == (void *)doc && used < r->n)
        (void)arena_resize(r->arena, doc, r->n, used); // smaller: stays where it is
}

// value_count_bound is not less than the number of values in `text`: every value but the first
// follows one of these characters. It keeps a short hostile text ("[0,0,0,...") from costing
// sixteen times its length in memory.
static size_t value_count_bound(struct slice text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        count += (size_t)((c == ',') | (c == ':') | (c == '[') | (c == '{'));
    }
    return count;
}

static struct slice string_of(yyjson_val *v)
{
    return slice_of(unsafe_yyjson_get_str(v), unsafe_yyjson_get_len(v));
}

static int compare_names(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

// A few members are compared pairwise; many are sorted, so that the cost stays n log n.
static bool has_twin_pairwise(yyjson_val *object)
{
    yyjson_obj_iter at = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&at)) != NULL;) {
        yyjson_obj_iter rest = at;
        for (yyjson_val *other; (other = yyjson_obj_iter_next(&rest)) != NULL;) {
            if (slice_eq(string_of(key), string_of(other))) return true;
        }
    }
    return false;
}

static struct err check_many_names(struct arena *a, yyjson_val *object, size_t count)
{
    struct slice *names = ARENA_ARRAY(a, struct slice, count);
    if (names == NULL) return ERR(NO_SPACE);
    yyjson_obj_iter at = yyjson_obj_iter_with(object);
    for (size_t i = 0; i < count; i++) names[i] = string_of(yyjson_obj_iter_next(&at));
    qsort(names, count, sizeof names[0], compare_names);
    bool twin = false;
    for (size_t i = 1; i < count; i++) twin = twin || slice_eq(names[i - 1], names[i]);
    (void)arena_resize(a, names, count * sizeof *names, 0);
    return twin ? ERR(JSON_DUPLICATE) : OK;
}

static struct err check_names(struct arena *a, yyjson_val *object)
{
    size_t count = unsafe_yyjson_get_len(object);
    if (count > 16) return check_many_names(a, object, count);
    return has_twin_pairwise(object) ? ERR(JSON_DUPLICATE) : OK;
}

// check_value checks what yyjson does not: depth, and no name twice in an object. Recursion ends at
// JSON_DEPTH_MAX.
static struct err check_value(struct arena *a, yyjson_val *v, unsigned depth)
{
    if (!unsafe_yyjson_is_ctn(v)) return OK;
    if (depth == JSON_DEPTH_MAX) return ERR(JSON_TOO_DEEP);
    bool object = unsafe_yyjson_is_obj(v);
    if (object) TRY(check_names(a, v));
    yyjson_val *child = unsafe_yyjson_get_first(v);
    for (size_t i = 0; i < unsafe_yyjson_get_len(v); i++) {
        yyjson_val *value = object ? child + 1 : child;
        TRY(check_value(a, value, depth + 1));
        child = unsafe_yyjson_get_next(value);
    }
    return OK;
}

struct err json_parse(struct json *out, struct arena *a, struct slice text)
{
    return json_parse_large(out, a, text, JSON_VALUE_COUNT_MAX);
}

struct err json_parse_large(struct json *out, struct arena *a, struct slice text,
                            size_t value_count_max)
{
    struct room room = {.arena = a};
    yyjson_alc alc = {.malloc = alc_malloc, .realloc = alc_realloc, .free = alc_free, .ctx = &room};
    yyjson_read_err error = {0};
    if (value_count_bound(text) > value_count_max) return ERR(JSON_TOO_LARGE);
    // Without YYJSON_READ_INSITU the text is copied, not changed: the cast takes const from bytes
    // that are only read.
    yyjson_doc *doc = text.n == 0 ? NULL
                                  : yyjson_read_opts((char *)(uintptr_t)text.p, text.n,
                                                     YYJSON_READ_NOFLAG, &alc, &error);
    if (doc == NULL)
        return error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? ERR(NO_SPACE) : ERR(BAD_JSON);
    room_return(&room, doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    TRY(check_value(a, root, 0));
    out->v = root;
    return OK;
}

bool json_is_object(struct json j) { return yyjson_is_obj(val_of(j)); }
bool json_is_array(struct json j) { return yyjson_is_arr(val_of(j)); }
bool json_is_string(struct json j) { return yyjson_is_str(val_of(j)); }
bool json_is_bool(struct json j) { return yyjson_is_bool(val_of(j)); }

bool json_is_int(struct json j)
{
    yyjson_val *v = val_of(j);
    return yyjson_is_sint(v) || (yyjson_is_uint(v) && unsafe_yyjson_get_uint(v) <= INT64_MAX);
}

struct json json_get(struct json object, const char *name)
{
    return (struct json){yyjson_obj_get(val_of(object), name)};
}

size_t json_size(struct json j)
{
    return yyjson_is_ctn(val_of(j)) ? unsafe_yyjson_get_len(val_of(j)) : 0;
}

struct json json_at(struct json array, size_t i)
{
    return (struct json){yyjson_arr_get(val_of(array), i)};
}

struct json json_member(struct json object, size_t i, struct slice *out_name)
{
    yyjson_obj_iter at = yyjson_obj_iter_with(val_of(object));
    yyjson_val *key = NULL;
    if (!json_is_object(object) || i >= json_size(object)) return (struct json){NULL};
    for (size_t n = 0; n <= i; n++) key = yyjson_obj_iter_next(&at);
    *out_name = string_of(key);
    return (struct json){yyjson_obj_iter_get_val(key)};
}

struct err json_string(struct json j, struct slice *out)
{
    if (!json_is_string(j)) return ERR(BAD_JSON);
    *out = string_of(val_of(j));
    return OK;
}

struct err json_bool(struct json j, bool *out)
{
    if (!json_is_bool(j)) return ERR(BAD_JSON);
    *out = unsafe_yyjson_get_bool(val_of(j));
    return OK;
}

struct err json_int(struct json j, int64_t *out)
{
    if (!json_is_int(j)) return ERR(BAD_JSON);
    *out = unsafe_yyjson_get_sint(val_of(j));
    return OK;
}

// Writing.

static void add(struct json_out *o, struct slice s)
{
    if (!failed(o->err)) o->err = buf_add(o->buf, s);
}

static void add_byte(struct json_out *o, char c) { add(o, slice_of(&c, 1)); }

// before_value places the comma that separates this value (or key) from the one before it.
static void before_value(struct json_out *o)
{
    if (o->comma) add_byte(o, ',');
    o->comma = true;
}

void json_out_begin(struct json_out *o, struct buf *buf) { *o = (struct json_out){.buf = buf}; }

struct err json_out_end(struct json_out *o)
{
    CHECK(o->depth == 0);
    return o->err;
}

static void open_container(struct json_out *o, char c)
{
    before_value(o);
    add_byte(o, c);
    CHECK(o->depth < UINT8_MAX);
    o->depth++;
    o->comma = false;
}

static void close_container(struct json_out *o, char c)
{
    CHECK(o->depth > 0);
    add_byte(o, c);
    o->depth--;
    o->comma = true;
}

void json_object_begin(struct json_out *o) { open_container(o, '{'); }
void json_object_end(struct json_out *o) { close_container(o, '}'); }
void json_array_begin(struct json_out *o) { open_container(o, '['); }
void json_array_end(struct json_out *o) { close_container(o, ']'); }

void json_key(struct json_out *o, const char *name)
{
    json_put_str(o, name);
    add_byte(o, ':');
    o->comma = false;
}

// escape_of is the short escape of an ASCII character, 0 when it has none.
static char escape_of(uint8_t c)
{
    switch (c) {
    case '"':
        return '"';
    case '\\':
        return '\\';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static void add_escaped(struct json_out *o, uint8_t c)
{
    char text[7];
    char escape = escape_of(c);
    if (escape != 0)
        snprintf(text, sizeof text, "\\%c", escape);
    else
        snprintf(text, sizeof text, "\\u%04x", c);
    add(o, slice_str(text));
}

static bool needs_escape(uint8_t c) { return c < 0x20 || c == '"' || c == '\\'; }

// plain_len is how many bytes at the front of `s` can be written as they are.
static size_t plain_len(struct slice s)
{
    size_t n = 0;
    uint32_t c;
    while (n < s.n && !needs_escape(s.p[n])) {
        size_t len = s.p[n] < 0x80 ? 1 : utf8_next(&c, slice_sub(s, n, 4));
        if (len == 0) break;
        n += len;
    }
    return n;
}

void json_put_string(struct json_out *o, struct slice s)
{
    before_value(o);
    add_byte(o, '"');
    while (s.n > 0) {
        size_t n = plain_len(s);
        if (n > 0) add(o, slice_sub(s, 0, n));
        if (n < s.n && needs_escape(s.p[n]))
            add_escaped(o, s.p[n++]);
        else if (n < s.n) {
            add(o, SLICE_LIT("\xef\xbf\xbd")); // U+FFFD for a byte that begins no character
            n++;
        }
        s = slice_sub(s, n, s.n);
    }
    add_byte(o, '"');
}

void json_put_str(struct json_out *o, const char *s) { json_put_string(o, slice_str(s)); }

void json_put_int(struct json_out *o, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)v);
    json_put_raw(o, slice_str(text));
}

void json_put_bool(struct json_out *o, bool v)
{
    json_put_raw(o, v ? SLICE_LIT("true") : SLICE_LIT("false"));
}

void json_put_null(struct json_out *o) { json_put_raw(o, SLICE_LIT("null")); }

void json_put_raw(struct json_out *o, struct slice s)
{
    before_value(o);
    add(o, s);
}
