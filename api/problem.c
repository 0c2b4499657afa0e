#include "api/problem.h"

#include "proto/text/json.h"

static const struct {
    const char *type;
    unsigned status;
} rows[PROBLEM_COUNT] = {
#define X(ident, type, status) {"urn:ietf:params:acme:error:" type, status},
    PROBLEMS(X)
#undef X
};

unsigned problem_status(enum problem p) { return rows[p].status; }

const char *problem_type(enum problem p) { return rows[p].type; }

struct err problem_write(struct buf *out, enum problem p, unsigned status, const char *detail,
                         const struct problem_extra *extra)
{
    struct json_out o;
    json_out_begin(&o, out);
    json_object_begin(&o);
    json_key(&o, "type");
    json_put_str(&o, rows[p].type);
    json_key(&o, "detail");
    json_put_str(&o, detail);
    json_key(&o, "status");
    json_put_int(&o, status);
    if (extra != NULL && extra->request_id != NULL) {
        json_key(&o, "instance");
        json_put_str(&o, extra->request_id);
    }
    if (extra != NULL && extra->algorithms != NULL) {
        json_key(&o, "algorithms");
        json_put_raw(&o, slice_str(extra->algorithms));
    }
    json_object_end(&o);
    return json_out_end(&o);
}

#define DOCUMENT(type, detail, status)                                       \
    "{\"type\":\"urn:ietf:params:acme:error:" type "\",\"detail\":\"" detail \
    "\",\"status\":" #status "}"

const char *problem_static(unsigned status)
{
    switch (status) {
    case 408:
        return DOCUMENT("malformed", "the request did not arrive in time", 408);
    case 413:
        return DOCUMENT("malformed", "the request body is larger than this server takes", 413);
    case 417:
        return DOCUMENT("malformed", "the expectation cannot be met", 417);
    case 431:
        return DOCUMENT("malformed", "the request's head is larger than this server takes", 431);
    case 501:
        return DOCUMENT("malformed", "this transfer coding or upgrade is not supported", 501);
    case 503:
        return DOCUMENT("serverInternal", "the server cannot answer just now; try again", 503);
    case 505:
        return DOCUMENT("malformed", "this HTTP version is not supported", 505);
    default:
        return DOCUMENT("malformed", "the HTTP request is malformed", 400);
    }
}
