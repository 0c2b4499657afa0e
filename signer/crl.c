#include "signer/crl.h"

#include <openssl/bytestring.h>
#include <stdio.h>

#include "proto/der/crl.h"
#include "proto/der/der.h"
#include "proto/err.h"
#include "signer/tbs.h"
#include "signer/x509.h"

enum {
    HOUR_S = 3600,
    BACK_S = 300, // of thisUpdate: the request may have waited
    AHEAD_S = 5,
    LIFE_S_MAX = 31 * 86400,
};

// ---- which URLs it is good for

struct urls {
    const char *items[CRL_URLS_MAX];
    size_t count;
};

static void url_add(struct urls *u, const char *url)
{
    if (url == NULL || url[0] == 0 || u->count == CRL_URLS_MAX) return;
    for (size_t i = 0; i < u->count; i++)
        if (strcmp(u->items[i], url) == 0) return;
    u->items[u->count++] = url;
}

// urls_of are those of the current profiles, and the former ones, each once.
static void urls_of(struct urls *out, const struct policy *p)
{
    size_t count;
    const struct profile *profiles = profiles_current(p->profiles, &count);
    const char *const *former = p->settings->crl_former_urls.items;
    out->count = 0;
    for (size_t i = 0; i < count; i++) url_add(out, profiles[i].settings->crl_url);
    for (size_t i = 0; i < p->settings->crl_former_urls.count; i++) url_add(out, former[i]);
}

// ---- judge

static bool reason_known(unsigned reason) { return reason <= 10 && reason != 7 && reason != 8; }

// entry_wrong: a serial of this issuer, region and hour, behind the one before it.
static const char *entry_wrong(const struct policy *p, const struct crl_request *r, size_t i)
{
    const struct crl_revoked *e = &r->entries[i];
    uint64_t hour = (uint64_t)e->serial[0] << 16 | (uint64_t)e->serial[1] << 8 | e->serial[2];
    unsigned place = (unsigned)e->serial[3] << 8 | e->serial[4];
    if (i > 0 && memcmp(r->entries[i - 1].serial, e->serial, SERIAL_LEN) >= 0)
        return "the entries are not sorted by serial, or one is there twice";
    if (hour != r->shard / CRL_PARTS_MAX || place >> 6 != r->issuer ||
        (place & 63) != (unsigned)p->settings->region)
        return "an entry is not of this shard's hour, issuer and region";
    if (!reason_known(e->reason)) return "an entry has a reason that is none";
    if (e->revoked_at < 0 || e->revoked_at > r->this_update + AHEAD_S)
        return "an entry was revoked after thisUpdate";
    return NULL;
}

static const char *times_wrong(const struct issuer *issuer, const struct crl_request *r,
                               int64_t now_s)
{
    if (r->this_update < now_s - BACK_S)
        return "thisUpdate is more than five minutes behind this signer's clock";
    if (r->next_update <= r->this_update || r->next_update - r->this_update > LIFE_S_MAX)
        return "nextUpdate is not within 31 days behind thisUpdate";
    if (r->next_update > issuer->cert.not_after) return "nextUpdate is behind the issuer's end";
    if (r->shard / CRL_PARTS_MAX > (uint64_t)now_s / HOUR_S + 2)
        return "the shard is of an hour that is far ahead";
    return NULL;
}

enum crl_verdict crl_judge(const struct policy *p, const struct crl_request *r,
                           const struct journal_crl *last, int64_t now_s, const char **note)
{
    const struct issuer *issuer = keystore_issuer(p->keys, r->issuer);
    struct urls urls;
    urls_of(&urls, p);
    *note = "the issuer is another one here";
    if (issuer == NULL || memcmp(r->issuer_cert_hash, issuer->certificate_hash, HASH_LEN) != 0)
        return CRL_MISMATCH;
    *note = "no profile here has a crl_url";
    if (urls.count == 0) return CRL_MISMATCH;
    *note = "thisUpdate is more than five seconds ahead of this signer's clock";
    if (r->this_update > now_s + AHEAD_S) return CRL_BUSY;
    *note = "a CRL has at most 16384 entries here: raise crl_parts";
    if (r->count > CRL_ENTRIES_MAX) return CRL_REFUSED;
    if ((*note = times_wrong(issuer, r, now_s)) != NULL) return CRL_REFUSED;
    for (size_t i = 0; i < r->count; i++)
        if ((*note = entry_wrong(p, r, i)) != NULL) return CRL_REFUSED;
    *note = "a CRL of this shard with this number, or a later thisUpdate, was signed already";
    if (r->number == 0 || r->number > INT64_MAX) return CRL_REFUSED;
    if (last != NULL && (r->number <= last->number || r->this_update < last->this_update))
        return CRL_NUMBER;
    return CRL_GOOD;
}

// ---- build

// entry_add: no reason is better than "unspecified" (RFC 5280 section 5.3.1).
static int entry_add(CBB *list, const struct crl_revoked *e)
{
    CBB entry, serial, extensions, extension, value, reason;
    uint8_t code = (uint8_t)e->reason;
    if (!CBB_add_asn1(list, &entry, CBS_ASN1_SEQUENCE) ||
        !CBB_add_asn1(&entry, &serial, CBS_ASN1_INTEGER) ||
        !CBB_add_bytes(&serial, e->serial, SERIAL_LEN) || !x509_time_add(&entry, e->revoked_at))
        return 0;
    if (e->reason == 0) return CBB_flush(list);
    return CBB_add_asn1(&entry, &extensions, CBS_ASN1_SEQUENCE) &&
           x509_extension_begin(&extensions, &extension, &value, OID_CRL_REASON, false) &&
           CBB_add_asn1(&value, &reason, CBS_ASN1_ENUMERATED) && CBB_add_bytes(&reason, &code, 1) &&
           CBB_flush(list);
}

static int entries_add(CBB *tbs, const struct crl_request *r)
{
    CBB list;
    if (r->count == 0) return 1; // absent, never empty
    if (!CBB_add_asn1(tbs, &list, CBS_ASN1_SEQUENCE)) return 0;
    for (size_t i = 0; i < r->count; i++)
        if (!entry_add(&list, &r->entries[i])) return 0;
    return CBB_flush(tbs);
}

static int number_add(CBB *list, uint64_t number)
{
    CBB e, v;
    return x509_extension_begin(list, &e, &v, OID_CRL_NUMBER, false) &&
           CBB_add_asn1_uint64(&v, number) && CBB_flush(list);
}

// place_add: a name that the certificate has, too, or the CRL is not for it (RFC 5280
// section 6.3.3).
static int place_add(CBB *list, const struct urls *urls, const struct crl_request *r)
{
    CBB e, v, seq, point, full, url;
    char uri[CRL_URI_MAX];
    if (!x509_extension_begin(list, &e, &v, OID_ISSUING_DISTRIBUTION_POINT, true) ||
        !CBB_add_asn1(&v, &seq, CBS_ASN1_SEQUENCE) ||
        !CBB_add_asn1(&seq, &point, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) ||
        !CBB_add_asn1(&point, &full, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0))
        return 0;
    for (size_t i = 0; i < urls->count; i++) {
        crl_uri(uri, urls->items[i], r->issuer, (uint32_t)r->shard);
        if (!CBB_add_asn1(&full, &url, CBS_ASN1_CONTEXT_SPECIFIC | 6) ||
            !x509_bytes_add(&url, slice_str(uri)))
            return 0;
    }
    return CBB_flush(list);
}

static int tbs_add(CBB *out, const struct policy *p, const struct crl_request *r)
{
    const struct issuer *issuer = keystore_issuer(p->keys, r->issuer);
    struct urls urls;
    CBB tbs, tagged, list;
    urls_of(&urls, p);
    return CBB_add_asn1(out, &tbs, CBS_ASN1_SEQUENCE) && CBB_add_asn1_uint64(&tbs, 1) &&
           x509_bytes_add(&tbs, issuer->algorithm) && x509_bytes_add(&tbs, issuer->cert.subject) &&
           x509_time_add(&tbs, r->this_update) && x509_time_add(&tbs, r->next_update) &&
           entries_add(&tbs, r) &&
           CBB_add_asn1(&tbs, &tagged, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) &&
           CBB_add_asn1(&tagged, &list, CBS_ASN1_SEQUENCE) &&
           x509_authority_key_add(&list, issuer->cert.ski) && number_add(&list, r->number) &&
           place_add(&list, &urls, r) && CBB_flush(out);
}

struct err crl_tbs_build(struct buf *out, const struct policy *p, const struct crl_request *r)
{
    CBB cbb;
    if (!CBB_init(&cbb, 1024)) return ERR(NO_SPACE);
    return x509_finish(out, &cbb, tbs_add(&cbb, p, r));
}

// ---- lint

static const char *entries_wrong(const struct crl *c, const struct crl_request *r)
{
    struct slice rest = c->entries;
    struct crl_entry e;
    if (c->entry_count != r->count) return "the entries are not the request's";
    for (size_t i = 0; crl_entry_next(&e, &rest); i++)
        if (!slice_eq(e.serial, slice_of(r->entries[i].serial, SERIAL_LEN)) ||
            e.revoked_at != r->entries[i].revoked_at || e.reason != r->entries[i].reason)
            return "the entries are not the request's";
    return NULL;
}

static const char *places_wrong(const struct crl *c, const struct policy *p,
                                const struct crl_request *r)
{
    struct urls urls;
    struct slice rest = c->uris, uri;
    size_t i = 0;
    urls_of(&urls, p);
    for (; crl_uri_next(&uri, &rest); i++) {
        char end[64];
        int n = snprintf(end, sizeof end, "/%u/%llu.crl", r->issuer, (unsigned long long)r->shard);
        if (i >= urls.count || !slice_starts(uri, slice_str(urls.items[i])) ||
            !slice_eq(slice_sub(uri, strlen(urls.items[i]), uri.n), slice_of(end, (size_t)n)))
            return "the places are not the profiles'";
    }
    return i == urls.count && i > 0 ? NULL : "the places are not the profiles'";
}

static const char *wrong(const struct crl *c, const struct policy *p, const struct crl_request *r)
{
    const struct issuer *issuer = keystore_issuer(p->keys, r->issuer);
    if (!slice_eq(c->issuer, issuer->cert.subject))
        return "the issuer's name is not copied byte for byte";
    if (c->this_update != r->this_update || c->next_update != r->next_update)
        return "the dates are not the request's";
    if (c->number != r->number) return "the number is not the request's";
    if (!slice_eq(c->aki, issuer->cert.ski))
        return "authorityKeyIdentifier is not the issuer's key identifier";
    const char *places = places_wrong(c, p, r);
    return places != NULL ? places : entries_wrong(c, r);
}

const char *crl_lint(struct slice tbs, const struct policy *p, const struct crl_request *r)
{
    struct buf whole;
    struct crl c;
    const char *note = "it cannot be read back";
    const struct issuer *issuer = keystore_issuer(p->keys, r->issuer);
    if (issuer == NULL) return "the issuer is another one here";
    // The reader takes whole CRLs: this one is given a signature that nothing looks at.
    buf_init(&whole, CRL_DER_MAX + 1024);
    struct err e = certificate_build(&whole, tbs, issuer->algorithm, SLICE_LIT("lint"));
    if (!failed(e)) e = crl_parse(&c, &note, buf_slice(&whole));
    const char *found = failed(e) ? note : wrong(&c, p, r);
    buf_fini(&whole);
    return found;
}
