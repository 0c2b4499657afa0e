#include "api/acme/dates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_MAX = 40 };

// offset_parse reads "Z" or "+hh:mm" at the end of the text.
static bool offset_parse(int64_t *out_s, const char *at)
{
    int hours, minutes, n = 0;
    if (strcmp(at, "Z") == 0 || strcmp(at, "z") == 0) {
        *out_s = 0;
        return true;
    }
    if (at[0] != '+' && at[0] != '-') return false;
    if (strspn(at + 1, "0123456789:") != 5 ||
        sscanf(at + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2)
        return false;
    if (n != 5 || at[6] != 0 || hours > 23 || minutes > 59) return false;
    *out_s = (at[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

bool dates_parse(int64_t *out_s, struct slice text)
{
    char s[TEXT_MAX];
    struct tm tm = {0};
    int64_t offset;
    if (text.n < 20 || text.n >= sizeof s || memchr(text.p, 0, text.n) != NULL) return false;
    memcpy(s, text.p, text.n);
    s[text.n] = 0;
    if (s[10] == 't') s[10] = 'T';
    const char *end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
    if (end != s + 19) return false;
    if (*end == '.') {
        size_t n = strspn(end + 1, "0123456789");
        if (n == 0) return false;
        end += 1 + n;
    }
    if (!offset_parse(&offset, end)) return false;
    int day = tm.tm_mday;
    int64_t t = (int64_t)timegm(&tm);
    if (tm.tm_mday != day) return false; // the 30th of February
    *out_s = tm.tm_year == 1 - 1900 ? 0 : t - offset;
    return tm.tm_year == 1 - 1900 || *out_s > 0;
}

static int64_t within(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

const char *dates_decide(int64_t *out_begin_s, int64_t *out_end_s, int64_t validity_s,
                         int64_t backdate_s, int64_t since_s, int64_t not_before, int64_t not_after,
                         int64_t now_s, bool clamp)
{
    int64_t begin = not_before == 0 ? now_s - backdate_s : not_before, end,
            earliest = since_s > now_s - DATES_BACK_S ? since_s : now_s - DATES_BACK_S;
    if (not_before != 0 && clamp) begin = within(begin, earliest, now_s);
    if (not_before != 0 && begin < now_s - DATES_BACK_S)
        return "notBefore is more than 50 minutes past: no certificate is dated back so far";
    if (not_before != 0 && begin < since_s)
        return "notBefore is before the beginning of the issuing CA's own certificate";
    if (not_before != 0 && begin > now_s)
        return "notBefore is ahead of this server's clock: a certificate begins when it is made";
    end = not_after == 0 ? begin + validity_s - 1 : not_after;
    if (clamp && end > begin + validity_s - 1) end = begin + validity_s - 1;
    if (end > begin + validity_s - 1)
        return "notAfter is later than the profile allows; leave it out for the longest validity";
    if (not_after != 0 && end < now_s + DATES_LEFT_S) return "notAfter leaves less than a minute";
    *out_begin_s = begin;
    *out_end_s = end;
    return NULL;
}

static bool one_take(struct request *r, int64_t *out_s, const char *name)
{
    struct slice text;
    struct json j = json_get(r->payload, name);
    *out_s = 0;
    if (!json_present(j)) return true;
    if (!failed(json_string(j, &text)) && dates_parse(out_s, text)) return true;
    request_fail(r, PROBLEM_MALFORMED, "\"%s\" is no time of RFC 3339 such as 2026-12-01T09:30:00Z",
                 name);
    return false;
}

bool dates_take(struct request *r, struct order_row *o)
{
    return one_take(r, &o->not_before, "notBefore") && one_take(r, &o->not_after, "notAfter");
}

bool dates_fit(struct request *r, const struct order_row *o, int64_t since_s)
{
    const struct signer_profile *p = catalog_profile(&r->edge->catalog, o->profile);
    int64_t begin, end;
    if (p == NULL || (o->not_before == 0 && o->not_after == 0)) return true;
    const char *why = dates_decide(&begin, &end, p->validity_s, p->backdate_s, since_s,
                                   o->not_before, o->not_after, edge_db_now_us(r->edge) / 1000000,
                                   r->tenant->settings->dates == DATES_CLAMP);
    if (why != NULL) request_fail(r, PROBLEM_MALFORMED, "%s", why);
    return why == NULL;
}
