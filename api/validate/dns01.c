// dns01: the dns-01 challenge (RFC 8555 section 8.4): a TXT record at _acme-challenge.<name> holds
// the digest of the key authorization. One of several records is enough; aliases are followed. And
// dns-account-01 (draft-ietf-acme-dns-account-label-02), which differs in one label of the name: it
// is made of the account's URL, so that several clients can prove one name at a time.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "api/validate/lookup.h"
#include "api/validate/validate_internal.h"
#include "proto/text/base64url.h"

enum { DIGEST_TEXT_LEN = 43, SHOWN_MAX = 48, ACCOUNT_OCTETS = 10, ACCOUNT_LABEL_LEN = 16 };

static const char label[] = "_acme-challenge.";

struct attempt {
    struct validation *v;
    struct lookup lookup;
    char name[DNS_NAME_LEN_MAX + 1];
    char want[DIGEST_TEXT_LEN + 1];
};

__attribute__((format(printf, 4, 5))) static void decide(struct attempt *a,
                                                         enum validate_problem problem, bool again,
                                                         const char *fmt, ...)
{
    struct validation *v = a->v;
    char text[VALIDATE_DETAIL_MAX / 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    free(a);
    validation_try_end(v, problem, again, "%s", text);
}

// digest_write is base64url(SHA-256(token || "." || thumbprint)).
static void digest_write(char out[DIGEST_TEXT_LEN + 1], const struct validate_request *r)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX sha;
    SHA256_Init(&sha);
    SHA256_Update(&sha, r->token.p, r->token.n);
    SHA256_Update(&sha, ".", 1);
    SHA256_Update(&sha, r->thumbprint.p, r->thumbprint.n);
    SHA256_Final(digest, &sha);
    base64url_encode(out, slice_of(digest, sizeof digest));
}

static bool record_matches(const struct attempt *a, struct slice data)
{
    uint8_t text[DNS_TXT_MAX];
    size_t n;
    return dns_txt_read(text, &n, data) && slice_eq_str(slice_of(text, n), a->want);
}

// shown escapes the start of a foreign record: enough to recognise it.
static void shown(char out[SHOWN_MAX + 1], struct slice data)
{
    uint8_t text[DNS_TXT_MAX];
    size_t n;
    if (!dns_txt_read(text, &n, data)) n = 0;
    if (n > SHOWN_MAX) n = SHOWN_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text[i] >= 0x20 && text[i] < 0x7f && text[i] != '"' && text[i] != '<'
                            ? text[i]
                            : '.');
    out[n] = 0;
}

static void on_looked_up(struct lookup *l, enum lookup_outcome outcome,
                         const struct dns_answer *answer, const char *note)
{
    struct attempt *a = LIST_OWNER(l, struct attempt, lookup);
    char first[SHOWN_MAX + 1];
    if (outcome != LOOKUP_FOUND) {
        decide(a, VALIDATE_DNS, true, "no TXT record at %.100s: %.90s", a->name, note);
        return;
    }
    for (size_t i = 0; i < answer->count; i++)
        if (record_matches(a, answer->records[i])) {
            decide(a, VALIDATE_OK, false, "ok");
            return;
        }
    shown(first, answer->records[0]);
    decide(a, VALIDATE_INCORRECT_RESPONSE, true,
           "none of %zu TXT records at %.100s is %s (the first is \"%s\")", answer->count, a->name,
           a->want, first);
}

// account_label is base32 of the first ten octets of the SHA-256 of the account's URL, in lower
// case.
static void account_label(char out[ACCOUNT_LABEL_LEN + 1], struct slice url)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(url.p, url.n, digest);
    for (size_t i = 0; i < ACCOUNT_LABEL_LEN; i++) {
        size_t bit = i * 5;
        unsigned two = (unsigned)digest[bit / 8] << 8 | digest[bit / 8 + 1];
        out[i] = alphabet[two >> (11 - bit % 8) & 31];
    }
    out[ACCOUNT_LABEL_LEN] = 0;
}

// begin looks at the records of the name behind `prefix`, which ends with a dot.
static bool begin(struct validation *v, const char *prefix)
{
    const struct validate_request *r = v->request;
    struct attempt *a = calloc(1, sizeof *a);
    if (a == NULL) return false;
    a->v = v;
    a->lookup.done = on_looked_up;
    digest_write(a->want, r);
    v->attempt = a;
    if (strlen(prefix) + r->identifier.value.n > DNS_NAME_LEN_MAX) {
        decide(a, VALIDATE_DNS, false, "the name is too long to have one below it at %s", prefix);
        return true;
    }
    snprintf(a->name, sizeof a->name, "%s%.*s", prefix, SLICE_ARG(r->identifier.value));
    if (!lookup_start(&a->lookup, validation_resolver(v), r->policy, a->name, DNS_TYPE_TXT))
        decide(a, VALIDATE_INTERNAL, true, "no resolver could be started");
    return true;
}

static bool dns_01_begin(struct validation *v) { return begin(v, label); }

static bool dns_account_01_begin(struct validation *v)
{
    char account[ACCOUNT_LABEL_LEN + 1], prefix[ACCOUNT_LABEL_LEN + sizeof label + 2];
    account_label(account, v->request->account_url);
    snprintf(prefix, sizeof prefix, "_%s.%s", account, label);
    return begin(v, prefix);
}

static void dns_01_abandon(struct validation *v)
{
    struct attempt *a = v->attempt;
    if (a == NULL) return;
    v->attempt = NULL;
    lookup_cancel(&a->lookup);
    free(a);
}

static enum validate_problem dns_01_waits_for(const struct validation *v, char *out, size_t size)
{
    const struct attempt *a = v->attempt;
    snprintf(out, size, "the resolver did not answer for TXT at %.150s", a->name);
    return VALIDATE_DNS;
}

const struct validate_method_row validate_dns_01 = {
    .begin = dns_01_begin, .abandon = dns_01_abandon, .waits_for = dns_01_waits_for};
const struct validate_method_row validate_dns_account_01 = {
    .begin = dns_account_01_begin, .abandon = dns_01_abandon, .waits_for = dns_01_waits_for};
