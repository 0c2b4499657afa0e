#include "api/validate/caa.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { CRITICAL = 0x80, TAG_MAX = 255, SHOWN_MAX = 60 };

// The properties that this program knows; of them it acts on the first two. The others ask nothing
// of who issues certificates for servers.
static const char *const known[] = {"issue", "issuewild", "iodef", "issuemail"};
enum { ISSUE, ISSUEWILD, KNOWN_COUNT = sizeof known / sizeof known[0], UNKNOWN = KNOWN_COUNT };

struct property {
    bool critical;
    unsigned which; // place in `known`, or UNKNOWN
    struct slice tag, value;
};

// property_read reads a record's data (RFC 8659 section 4.1): flags, length of the tag, tag, value.
static bool property_read(struct property *out, struct slice data)
{
    if (data.n < 2 || data.p[1] == 0 || data.n - 2 < data.p[1]) return false;
    out->critical = (data.p[0] & CRITICAL) != 0;
    out->tag = slice_sub(data, 2, data.p[1]);
    out->value = slice_sub(data, 2u + data.p[1], data.n);
    out->which = 0;
    while (out->which < KNOWN_COUNT &&
           (out->tag.n != strlen(known[out->which]) ||
            strncasecmp((const char *)out->tag.p, known[out->which], out->tag.n) != 0))
        out->which++;
    return true;
}

// shown escapes what comes from outside.
static const char *shown(char out[SHOWN_MAX + 1], struct slice s)
{
    size_t n = s.n < SHOWN_MAX ? s.n : SHOWN_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(s.p[i] >= 0x20 && s.p[i] < 0x7f && s.p[i] != '"' && s.p[i] != '<' ? s.p[i]
                                                                                          : '.');
    out[n] = 0;
    return out;
}

// method_listed looks for a label in a list with commas (RFC 8657 section 4).
static bool method_listed(struct slice list, const char *method)
{
    while (list.n > 0) {
        const uint8_t *comma = memchr(list.p, ',', list.n);
        size_t n = comma == NULL ? list.n : (size_t)(comma - list.p);
        if (slice_eq_str(slice_sub(list, 0, n), method)) return true;
        list = slice_sub(list, n + (comma != NULL), list.n);
    }
    return false;
}

// grants says whether one issue or issuewild property lets the asker issue. A parameter that stands
// there twice cannot be met (RFC 8657 sections 3 and 4).
static bool grants(const struct property *p, const struct caa_asker *asker)
{
    struct issue_value v;
    size_t accounts, methods;
    if (!issue_value_read(&v, p->value) ||
        !issue_value_is_by(&v, asker->identities, asker->identity_count))
        return false;
    struct slice account = issue_value_find(&accounts, &v, "accounturi"),
                 listed = issue_value_find(&methods, &v, "validationmethods");
    return (accounts == 0 || (accounts == 1 && asker->account_is(asker->ctx, account))) &&
           (methods == 0 || (methods == 1 && method_listed(listed, asker->method)));
}

// relevant_property: issuewild is for wildcards alone, and then issue says nothing (RFC 8659
// sections 4.2 and 4.3).
static unsigned relevant_property(const struct slice *records, size_t count, bool wildcard)
{
    for (size_t i = 0; wildcard && i < count; i++) {
        struct property p;
        if (property_read(&p, records[i]) && p.which == ISSUEWILD) return ISSUEWILD;
    }
    return ISSUE;
}

bool caa_permits(char *why, size_t size, const struct slice *records, size_t count,
                 const struct caa_asker *asker)
{
    unsigned wanted = relevant_property(records, count, asker->wildcard);
    bool asked = false, granted = false;
    char first[SHOWN_MAX + 1] = "", text[SHOWN_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        struct property p;
        if (!property_read(&p, records[i])) {
            snprintf(why, size, "a record is malformed");
            return false;
        }
        if (p.critical && p.which == UNKNOWN) {
            snprintf(why, size, "the critical property \"%s\" is not known here",
                     shown(text, p.tag));
            return false;
        }
        if (p.which != wanted) continue;
        if (!asked) shown(first, p.value);
        asked = true;
        granted |= grants(&p, asker);
    }
    if (granted || !asked) return true;
    snprintf(why, size,
             "no \"%s\" property permits this CA, account and challenge (the first is \"%s\")",
             known[wanted], first);
    return false;
}
