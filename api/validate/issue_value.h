// issue_value: the text by which a domain names who may do what: the value of the CAA properties
// issue and issuewild (RFC 8659 section 4.2), and a record of dns-persist-01. Pure; any thread.
#pragma once
#include "proto/base/slice.h"

enum { ISSUE_PARAMETERS_MAX = 16 };

struct issue_parameter {
    struct slice tag, value; // in the text
};

struct issue_value {
    struct slice issuer; // a domain name as it is written; empty: nobody
    struct issue_parameter parameters[ISSUE_PARAMETERS_MAX];
    size_t count;
};

// issue_value_read reads the whole of `text` by the grammar of RFC 8659. False: it is none, or has
// more than ISSUE_PARAMETERS_MAX parameters; *out is undefined then.
bool issue_value_read(struct issue_value *out, struct slice text);
// issue_value_find gives the value of the parameter `tag`, in any case; *out_count is how many
// there are. Empty when there is none.
struct slice issue_value_find(size_t *out_count, const struct issue_value *v, const char *tag);
// issue_value_is_by says whether the issuer is one of `names`, in any case.
bool issue_value_is_by(const struct issue_value *v, const char *const *names, size_t count);
