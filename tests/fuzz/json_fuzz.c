// json_parse and the json_out writer on any bytes. Oracle: yyjson's own reader, with its own
// allocator, and the rules on depth, number of values and twin names in their plainest form. What
// is accepted is written and read again, and is the same.
#include <yyjson.h>

#include "proto/base/utf8.h"
#include "proto/err.h"
#include "proto/text/json.h"
#include "tests/fuzz/fuzz.h"

enum { LOOKUP_MAX = 32 };

struct verdict {
    bool twin, deep;
};

static struct slice text_of(yyjson_val *v)
{
    return slice_of(yyjson_get_str(v), yyjson_get_len(v));
}

static bool has_twin(yyjson_val *object)
{
    size_t i, k, n, m;
    yyjson_val *a, *a_value, *b, *b_value;
    yyjson_obj_foreach(object, i, n, a, a_value)
    {
        yyjson_obj_foreach(object, k, m, b, b_value)
        {
            if (k < i && slice_eq(text_of(a), text_of(b))) return true;
        }
    }
    return false;
}

static void judge(struct verdict *out, yyjson_val *v, unsigned depth)
{
    size_t i, n;
    yyjson_val *key, *child;
    if (!yyjson_is_ctn(v)) return;
    if (depth == JSON_DEPTH_MAX) {
        out->deep = true;
        return;
    }
    yyjson_arr_foreach(v, i, n, child) judge(out, child, depth + 1);
    yyjson_obj_foreach(v, i, n, key, child) judge(out, child, depth + 1);
    out->twin = out->twin || has_twin(v);
}

static size_t separators(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.n; i++) count += strchr(",:[{", text.p[i]) && text.p[i] != 0;
    return count;
}

// expected says whether `err` is the answer that the oracle allows. When several rules are broken
// any of them may be named.
static bool expected(struct err err, struct slice text, yyjson_doc *doc)
{
    struct verdict v = {false, false};
    if (separators(text) >= JSON_VALUE_COUNT_MAX) return err_is(err, ERR_JSON_TOO_LARGE);
    if (doc == NULL) return err_is(err, ERR_BAD_JSON);
    judge(&v, yyjson_doc_get_root(doc), 0);
    if (v.twin && err_is(err, ERR_JSON_DUPLICATE)) return true;
    if (v.deep && err_is(err, ERR_JSON_TOO_DEEP)) return true;
    return !v.twin && !v.deep && !failed(err);
}

// write copies a value through the reader's and the writer's interface; numbers that json_int does
// not give, and null, are copied as yyjson writes them.
static void write_value(struct json_out *o, struct json j, unsigned depth);

static void write_object(struct json_out *o, struct json j, unsigned depth)
{
    size_t i, n;
    yyjson_val *key, *child;
    json_object_begin(o);
    yyjson_obj_foreach((yyjson_val *)j.v, i, n, key, child)
    {
        struct slice name = text_of(key), found;
        CHECK(utf8_valid(name));
        if (i < LOOKUP_MAX) {
            CHECK(json_member(j, i, &found).v == child && slice_eq(found, name));
            if (strlen((const char *)name.p) == name.n)
                CHECK(json_get(j, (const char *)name.p).v == child);
        }
        // json_key takes a text that ends with NUL; a name may hold one.
        json_put_string(o, name);
        o->comma = false;
        json_put_raw(o, SLICE_LIT(":"));
        o->comma = false;
        write_value(o, (struct json){child}, depth);
    }
    json_object_end(o);
}

static void write_array(struct json_out *o, struct json j, unsigned depth)
{
    size_t i, n;
    yyjson_val *child;
    json_array_begin(o);
    yyjson_arr_foreach((yyjson_val *)j.v, i, n, child)
    {
        if (i < LOOKUP_MAX) CHECK(json_at(j, i).v == child);
        write_value(o, (struct json){child}, depth);
    }
    json_array_end(o);
}

static void write_other(struct json_out *o, struct json j)
{
    size_t n;
    char *text = yyjson_val_write(j.v, YYJSON_WRITE_NOFLAG, &n);
    CHECK(text != NULL && !json_present(json_get(j, "a")) && json_size(j) == 0);
    json_put_raw(o, slice_of(text, n));
    free(text);
}

static void write_value(struct json_out *o, struct json j, unsigned depth)
{
    struct slice s;
    int64_t i;
    bool b;
    CHECK(depth <= JSON_DEPTH_MAX);
    if (json_is_object(j)) {
        write_object(o, j, depth + 1);
    } else if (json_is_array(j)) {
        write_array(o, j, depth + 1);
    } else if (!failed(json_string(j, &s))) {
        CHECK(utf8_valid(s));
        json_put_string(o, s);
    } else if (!failed(json_int(j, &i))) {
        json_put_int(o, i);
    } else if (!failed(json_bool(j, &b))) {
        json_put_bool(o, b);
    } else {
        write_other(o, j);
    }
}

static void written(struct buf *out, struct json j)
{
    struct json_out o;
    json_out_begin(&o, out);
    write_value(&o, j, 0);
    CHECK(!failed(json_out_end(&o)));
    CHECK(utf8_valid(buf_slice(out)));
}

static void round_trip(struct json first, yyjson_doc *doc)
{
    struct arena a;
    struct buf once, twice;
    struct json second;
    arena_init(&a, 1 << 20);
    buf_init(&once, 1 << 22);
    buf_init(&twice, 1 << 22);
    CHECK(yyjson_equals(first.v, yyjson_doc_get_root(doc)));
    written(&once, first);
    CHECK(!failed(json_parse(&second, &a, buf_slice(&once))));
    CHECK(yyjson_equals(first.v, second.v));
    written(&twice, second);
    CHECK(slice_eq(buf_slice(&once), buf_slice(&twice)));
    buf_fini(&once);
    buf_fini(&twice);
    arena_fini(&a);
}

// scribble writes over all that the arena would hand out next: the document must not lie there.
static void scribble(struct arena *a, size_t size)
{
    size_t most = 2 * 16 * JSON_VALUE_COUNT_MAX + size + 1024; // values with names, text, ends
    CHECK(a->used <= most);
    memset(arena_alloc(a, 4096), 0xff, 4096);
    for (void *p; (p = arena_alloc(a, 256)) != NULL;) memset(p, 0xff, 256);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct json j = {.v = &a};
    yyjson_doc *doc = size == 0 ? NULL : yyjson_read((const char *)data, size, YYJSON_READ_NOFLAG);
    arena_init(&a, JSON_READ_MAX + 4 * size);
    struct err err = json_parse(&j, &a, slice_of(data, size));
    if (!failed(err)) scribble(&a, size);
    CHECK(expected(err, slice_of(data, size), doc));
    if (failed(err)) {
        CHECK(j.v == &a);
    } else {
        CHECK(utf8_valid(slice_of(data, size)));
        round_trip(j, doc);
    }
    arena_fini(&a);
    yyjson_doc_free(doc);
    return 0;
}
