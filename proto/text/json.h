// json: strict JSON in and out. Reading is by yyjson with memory from an arena, plus what it does
// not check: no member twice in one object, a bound on depth, UTF-8 only. Writing appends compact
// JSON to a buf. Pure; any thread.
#pragma once
#include "proto/base/arena.h"
#include "proto/base/buf.h"

// struct json is one value of a parsed document; it lives as long as the arena. `v` NULL is
// "absent".
struct json {
    void *v;
};

// JSON_VALUE_COUNT_MAX bounds memory: values and names are 16 bytes each. Every ',', ':', '[' and
// '{' of the text counts as one. A document keeps that and a copy of its text; while it is read it
// takes up to JSON_READ_MAX bytes and four times its text.
enum { JSON_DEPTH_MAX = 16, JSON_VALUE_COUNT_MAX = 4096, JSON_READ_MAX = 128 * 1024 };

// json_parse reads one document: nothing but white space may follow. Errors: ERR_BAD_JSON,
// ERR_JSON_DUPLICATE, ERR_JSON_TOO_DEEP, ERR_JSON_TOO_LARGE, ERR_NO_SPACE. `text` may go away
// afterwards.
RESULT json_parse(struct json *out, struct arena *a, struct slice text);
// json_parse_large is json_parse with another bound than JSON_VALUE_COUNT_MAX: for a peer that is
// trusted with our memory, such as our own server.
RESULT json_parse_large(struct json *out, struct arena *a, struct slice text,
                        size_t value_count_max);

// json_is_* say what a value is; an absent one is nothing.
bool json_is_object(struct json j);
bool json_is_array(struct json j);
bool json_is_string(struct json j);
bool json_is_bool(struct json j);
bool json_is_int(struct json j);
// json_get is the member `name` of an object; absent when it is not there or `object` is no object.
struct json json_get(struct json object, const char *name);
static inline bool json_present(struct json j) { return j.v != NULL; }
// json_size is the number of members or elements, 0 for anything else.
size_t json_size(struct json j);
// json_at is element `i` of an array, absent outside. json_member gives member `i` of an object in
// document order.
struct json json_at(struct json array, size_t i);
struct json json_member(struct json object, size_t i, struct slice *out_name);
// The typed reads: ERR_BAD_JSON when the value is absent or of another type. A string is borrowed
// from the document and may hold any UTF-8, also U+0000.
RESULT json_string(struct json j, struct slice *out);
RESULT json_bool(struct json j, bool *out);
RESULT json_int(struct json j, int64_t *out);

// struct json_out writes one document. The first error sticks and is returned by json_out_end;
// commas place themselves.
struct json_out {
    struct buf *buf;
    struct err err;
    uint8_t depth;
    bool comma;
};

// json_out_begin starts a document at the end of `buf`, which is borrowed until json_out_end.
void json_out_begin(struct json_out *o, struct buf *buf);
// json_out_end returns the first error since begin; depth is back at zero (CHECKed).
RESULT json_out_end(struct json_out *o);
void json_object_begin(struct json_out *o);
void json_object_end(struct json_out *o);
void json_array_begin(struct json_out *o);
void json_array_end(struct json_out *o);
// json_key writes a member name; a value call follows.
void json_key(struct json_out *o, const char *name);
// json_put_* write a value. Strings are escaped minimally: no escaped slash, no \u for printable
// text (clients.md 50); bytes that are not UTF-8 become U+FFFD.
void json_put_string(struct json_out *o, struct slice s);
void json_put_str(struct json_out *o, const char *s);
void json_put_int(struct json_out *o, int64_t v);
void json_put_bool(struct json_out *o, bool v);
void json_put_null(struct json_out *o);
// json_put_raw inserts text that already is one JSON value.
void json_put_raw(struct json_out *o, struct slice s);
