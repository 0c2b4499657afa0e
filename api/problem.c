#include "api/problem.h"

#include <stdio.h>

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
    if (extra != NULL && extra->instance != NULL) {
        json_key(&o, "instance");
        json_put_str(&o, extra->instance);
    }
    if (extra != NULL && extra->algorithms != NULL) {
        json_key(&o, "algorithms");
        json_put_raw(&o, slice_str(extra->algorithms));
    }
    if (extra != NULL && extra->subproblems != NULL) {
        json_key(&o, "subproblems");
        json_put_raw(&o, slice_str(extra->subproblems));
    }
    json_object_end(&o);
    return json_out_end(&o);
}

// What the server refuses before there is a request of ACME's. The first row stands for any other.
static const struct {
    unsigned status;
    enum problem p;
    const char *detail;
} refusals[] = {
    {400, PROBLEM_MALFORMED, "the HTTP request is malformed"},
    {405, PROBLEM_MALFORMED, "this server is not a proxy"},
    {408, PROBLEM_MALFORMED, "the request did not arrive in time"},
    {413, PROBLEM_MALFORMED, "the request body is larger than this server takes"},
    {417, PROBLEM_MALFORMED, "the expectation cannot be met"},
    {431, PROBLEM_MALFORMED, "the request's head is larger than this server takes"},
    {501, PROBLEM_MALFORMED, "this transfer coding or upgrade is not supported"},
    {503, PROBLEM_SERVER_INTERNAL, "the server cannot answer just now; try again"},
    {505, PROBLEM_MALFORMED, "this HTTP version is not supported"},
};

struct err problem_write_refusal(struct buf *out, unsigned status, const char *request)
{
    size_t row = 0;
    char id[64];
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (refusals[i].status == status) row = i;
    snprintf(id, sizeof id, PROBLEM_REQUEST_URN "%s", request);
    return problem_write(out, refusals[row].p, status, refusals[row].detail,
                         &(struct problem_extra){.instance = id});
}
