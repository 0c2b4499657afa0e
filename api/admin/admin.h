// admin: what people and programs that run the CA may ask of it. One table of operations
// (operations.def): each takes typed parameters and writes one JSON document. It is used by the
// admin listener (listener.h), by the command `certmill` in its own process or through such a
// listener (api/cli/admin.c), and for docs/openapi.json (openapi.h): a row more is there in all of
// them. A call lives in its arena from its start to exactly one answer, on one shard's thread.
#pragma once
#include "api/edge.h"
#include "proto/text/json.h"

#define ADMIN_ROLE "urn:certmill:role:admin"

enum {
    ADMIN_PARAMS_MAX = 12,
    ADMIN_LIST_MAX = 64,
    ADMIN_MANY_MAX = 1 << 20,
    ADMIN_TEXT_MAX = 1024
};

// enum admin_type: how a parameter or a member of a document reads. TIME is RFC 3339 in documents;
// as a parameter it may also be a duration from now ("90d") or "never". DURATION is "10m", "24h".
// MANY is a long list of texts: a file of lines for the command. LINES is a whole request body of
// lines, JSON or CSV.
enum admin_type {
    ADMIN_TEXT,
    ADMIN_INT,
    ADMIN_BOOL,
    ADMIN_TIME,
    ADMIN_DURATION,
    ADMIN_TEXTS,
    ADMIN_MANY,
    ADMIN_LINES,
    ADMIN_JSON // a member that is a document of its own
};

enum admin_in { ADMIN_PATH, ADMIN_QUERY, ADMIN_BODY };

// struct admin_param is a parameter: member of the JSON body, part of the path or of the query, and
// an option of the command ("accounts_max": --accounts-max; those in the path are its arguments).
struct admin_param {
    const char *name; // NULL ends the list
    enum admin_type type;
    enum admin_in in;
    bool required;
    int64_t min, max;   // INT, when one is not 0
    const char *choice; // TEXT, TEXTS: the allowed ones, separated by '|'; NULL: any
    const char *value;  // stands for the value in usage texts: "KID"
    const char *help;
};

// struct admin_field is a member of a document.
struct admin_field {
    const char *name; // NULL ends the list
    enum admin_type type;
    bool optional;      // may be missing
    const char *column; // heading in the command's tables; NULL: not in tables
    const char *help;
};

// struct admin_schema describes a document. A list is {"items": [...], "next": cursor}, `next` only
// where there are more.
struct admin_schema {
    const char *name; // "EabKey"
    const struct admin_field *fields;
};

enum admin_flags {
    ADMIN_PAGES = 1,    // answers with a list of its schema
    ADMIN_ABSENT = 2,   // may answer 404
    ADMIN_CONFLICT = 4, // may answer 409
    ADMIN_CHANGES = 8   // has an effect: is in the audit log of the command, too
};

struct admin_call;

struct admin_operation {
    const char *noun, *verb; // "eab", "create"
    const char *method;      // "GET", "POST"
    const char *path;        // "/v1/eab-keys/*": each "*" is the next path parameter
    unsigned status;         // of success
    unsigned flags;          // admin_flags bits
    const struct admin_param *params;
    const struct admin_schema *schema;
    void (*run)(struct admin_call *c);
    const char *summary;
};

extern const struct admin_operation admin_operations[];
extern const size_t admin_operation_count;

// struct admin_value is the value of the parameter in the same place of the operation's list.
struct admin_value {
    bool present;
    struct slice text; // TEXT, LINES; MANY: lines
    int64_t number;    // INT; TIME: microseconds since 1970, 0: never; DURATION: milliseconds
    bool flag;
    struct slice texts[ADMIN_LIST_MAX];
    size_t count;
};

// struct admin_call is one operation under way; made by admin_call_new. `done` gets the status and
// the document, which live until it returns; the call itself is its arena's.
struct admin_call {
    struct edge *edge;
    struct arena *arena;
    const struct admin_operation *op;
    const char *who; // for the audit log: the role of the caller's certificate and its address, or
                     // a local user
    struct admin_value values[ADMIN_PARAMS_MAX];
    void (*done)(struct admin_call *c, unsigned status, struct slice body);
    void *ctx;
    struct buf out; // the document
};

// admin_call_new makes a call without values. NULL without memory.
struct admin_call *admin_call_new(struct edge *e, struct arena *a, const struct admin_operation *op,
                                  const char *who);
// admin_take_text and admin_take_json set a parameter from text (of a query, a path or the command
// line; texts are separated by commas) or from a member of the body. NULL when it was taken, else a
// sentence that names the parameter, in the arena. admin_missing is such a sentence when a required
// one is not there.
const char *admin_take_text(struct admin_call *c, const struct admin_param *p, struct slice text);
const char *admin_take_json(struct admin_call *c, const struct admin_param *p, struct json value);
const char *admin_missing(struct admin_call *c);
// admin_param_find finds a parameter of an operation, NULL: it has none of this name.
const struct admin_param *admin_param_find(const struct admin_operation *op, struct slice name);
// admin_run runs the operation: `done` runs once, later or within the call.
void admin_run(struct admin_call *c);

// ---- for the operations
// admin_value is a parameter's value, by its name; admin_has says whether it was given.
const struct admin_value *admin_value(const struct admin_call *c, const char *name);
static inline bool admin_has(const struct admin_call *c, const char *name)
{
    return admin_value(c, name)->present;
}
// admin_line_next takes the next line that is not empty off a MANY; false at the end.
bool admin_line_next(struct slice *out, struct slice *rest);
// What says "answered" has ended the call: it is gone.
// admin_tenant is the tenant that `tenant` names, or the default one. NULL: answered.
const struct tenant *admin_tenant(struct admin_call *c);
// admin_limit is `limit`, 100 unless given.
unsigned admin_limit(const struct admin_call *c);
// admin_cursor reads `cursor`, an id, zero when it was not given. False: answered.
bool admin_cursor(struct admin_call *c, struct id *out);
// ADMIN_NEW is a zeroed struct in the call's arena; NULL: answered.
void *admin_new(struct admin_call *c, size_t size);
#define ADMIN_NEW(c, type) ((type *)admin_new((c), sizeof(type)))
// admin_begin begins the document; admin_respond ends the call with it, admin_respond_status with
// another status than the operation's. admin_fail ends it with a problem (RFC 9457); admin_fail_err
// for an error of the store or of memory.
void admin_begin(struct admin_call *c, struct json_out *o);
void admin_respond(struct admin_call *c, struct json_out *o);
// admin_items_begin begins the document of a list, whose items come next; admin_items_respond ends
// the call with it. `next` is the cursor of the next page; empty: this was the last.
void admin_items_begin(struct admin_call *c, struct json_out *o);
void admin_items_respond(struct admin_call *c, struct json_out *o, struct slice next);
void admin_fail(struct admin_call *c, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void admin_fail_err(struct admin_call *c, struct err e);
// admin_problem_write writes a problem document.
RESULT admin_problem_write(struct buf *out, unsigned status, const char *detail);
// admin_put_time writes a member with a time of microseconds since 1970; 0: the member is left out.
void admin_put_time(struct json_out *o, const char *name, int64_t time_us);
void admin_put_slice(struct json_out *o, const char *name, struct slice s);
void admin_put_int(struct json_out *o, const char *name, int64_t v);
void admin_put_bool(struct json_out *o, const char *name, bool v);
