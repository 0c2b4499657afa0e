#include "signer/ends.h"

#include <stdio.h>

#include "cluster/core/shard.h"
#include "signer/err.h"
#include "signer/events.h"

enum { DAY_S = 86400, LAST_PARTS = 10 };

// last_of is the end of the issuing CA of the profile that lives longest; 0: none of them is here.
static int64_t last_of(const struct keystore *k, const struct profile *p)
{
    struct issuer_settings each;
    int64_t last = 0;
    for (size_t i = 0; profile_issuer_at(p, i, &each); i++) {
        const struct issuer *issuer = keystore_issuer(k, (uint32_t)each.id);
        if (issuer != NULL && each.weight > 0 && issuer->cert.not_after > last)
            last = issuer->cert.not_after;
    }
    return last;
}

// fits: the last second that a certificate of the profile would have, made now.
static bool fits(const struct keystore *k, const struct profile *p, int64_t now_s)
{
    const struct profile_settings *s = p->settings;
    return now_s + (s->validity_ms - s->backdate_ms) / 1000 - 1 <= last_of(k, p);
}

// longest is the issuing CA that lives longest: while it lives, there is one.
static const struct issuer *longest(const struct keystore *k)
{
    const struct issuer *each, *best = &k->issuer;
    for (size_t i = 0; (each = keystore_issuer_at(k, i)) != NULL; i++)
        if (each->cert.not_after > best->cert.not_after) best = each;
    return best;
}

struct err ends_fit(char note[KEYSTORE_NOTE_MAX], const struct keystore *k,
                    const struct profiles *p, int64_t now_s)
{
    size_t count;
    const struct profile *each = profiles_current(p, &count);
    for (size_t i = 0; i < count; i++)
        if (fits(k, &each[i], now_s)) return OK;
    snprintf(note, KEYSTORE_NOTE_MAX,
             "the issuing CA's certificate ends in %lld s, before the certificates of any profile "
             "would: add one (`certmill-signer add-issuer`) and name it in the profiles' "
             "`issuers`, or shorten `validity`",
             (long long)(longest(k)->cert.not_after - now_s));
    return ERR(EXPIRED_CA);
}

static void say(struct shard *shard, const char *what, const char *name, int64_t left_s)
{
    LOG(shard_log(shard), &EVENT_SIGNER_CA_ENDS, what, LOG_STR("name", name),
        LOG_INT("days_left", left_s / DAY_S));
}

static void profiles_report(struct shard *shard, const struct keystore *k, const struct profiles *p,
                            int64_t now_s)
{
    size_t count;
    const struct profile *each = profiles_current(p, &count);
    for (size_t i = 0; i < count; i++)
        if (!fits(k, &each[i], now_s))
            say(shard, "orders of this profile fail: it reaches beyond the issuing CA's life",
                each[i].settings->name, last_of(k, &each[i]) - now_s);
}

void ends_report(struct shard *shard, const struct keystore *k, const struct identity *own,
                 const struct profiles *p, int64_t now_s, int64_t *said_day)
{
    const struct issuer *last = longest(k);
    char name[32];
    snprintf(name, sizeof name, "issuer-%u.pem", last->id);
    const struct {
        const struct metric *metric;
        const char *name;
        int64_t not_before, not_after;
        bool is_ca;
    } rows[] = {
        {&METRIC_SIGNER_END_ISSUER, name, last->cert.not_before, last->cert.not_after, true},
        {&METRIC_SIGNER_END_ROOT, "root.pem", k->issuer.root_not_before, k->issuer.root_not_after,
         true},
        {&METRIC_SIGNER_END_INTERNAL_ROOT, "internal-root.pem", k->internal_not_before,
         k->internal_not_after, true},
        {&METRIC_SIGNER_END_OWN, "signer.pem", own->not_before, own->not_after, false},
    };
    bool saying = now_s / DAY_S != *said_day;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t life = rows[i].not_after - rows[i].not_before, left = rows[i].not_after - now_s;
        metric_set(shard_metrics(shard), shard_index(shard), rows[i].metric, rows[i].not_after);
        if (saying && rows[i].is_ca && left < life / LAST_PARTS)
            say(shard, "a CA certificate comes to its end", rows[i].name, left);
    }
    if (saying) profiles_report(shard, k, p, now_s);
    *said_day = now_s / DAY_S;
}
