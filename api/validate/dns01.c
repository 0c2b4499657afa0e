// dns01: the dns-01 challenge (RFC 8555 section 8.4): a TXT record at _acme-challenge.<name> holds
// the digest of the key authorization. One of several records is enough; aliases are followed. And
// dns-account-01 (draft-ietf-acme-dns-account-label-02), which differs in one label of the name: it
// is made of the account's URL, so that several clients can prove one name at a time.
#include <stdio.h>

#include <openssl/sha.h>

#include "api/validate/txt_check.h"
#include "proto/text/base64url.h"

enum { DIGEST_TEXT_LEN = 43, ACCOUNT_LABEL_LEN = 16 };

static const char label[] = "_acme-challenge.";

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

static void judge(struct txt_check *c, const struct dns_answer *answer)
{
    uint8_t text[DNS_TXT_MAX];
    size_t n;
    char want[DIGEST_TEXT_LEN + 1] = "", first[TXT_SHOWN_MAX + 1] = "";
    digest_write(want, c->v->request);
    for (size_t i = 0; i < answer->count; i++) {
        if (!dns_txt_read(text, &n, answer->records[i])) continue;
        if (i == 0) txt_check_shown(first, slice_of(text, n));
        if (!slice_eq_str(slice_of(text, n), want)) continue;
        validation_try_end(c->v, VALIDATE_OK, false, "ok");
        return;
    }
    validation_try_end(c->v, VALIDATE_INCORRECT_RESPONSE, true,
                       "none of %zu TXT records at %.100s is %s (the first is \"%s\")",
                       answer->count, c->name, want, first);
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

static bool dns_01_begin(struct validation *v) { return txt_check_begin(v, label, judge); }

static bool dns_account_01_begin(struct validation *v)
{
    char account[ACCOUNT_LABEL_LEN + 1], prefix[ACCOUNT_LABEL_LEN + sizeof label + 2];
    account_label(account, v->request->account_url);
    snprintf(prefix, sizeof prefix, "_%s.%s", account, label);
    return txt_check_begin(v, prefix, judge);
}

const struct validate_method_row validate_dns_01 = {
    .begin = dns_01_begin, .abandon = txt_check_abandon, .waits_for = txt_check_waits_for};
const struct validate_method_row validate_dns_account_01 = {
    .begin = dns_account_01_begin, .abandon = txt_check_abandon, .waits_for = txt_check_waits_for};
