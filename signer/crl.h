// crl: a certificate revocation list of one issuer and one shard (RFC 5280 section 5), made from a
// typed request: judged, built, read again, signed, journalled. What is in it comes from the
// request's entries and the signer's own settings; there is no way to have anything else signed.
// One thread.
#pragma once
#include "signer/journal.h"
#include "signer/policy.h"

// A CRL of so many entries fits into a message, a record of the journal and an answer; more
// certificates of one hour are spread over the parts of that hour (crl_parts).
enum { CRL_ENTRIES_MAX = 16384, CRL_URLS_MAX = 64, CRL_DER_MAX = 1 << 20 };

struct crl_revoked {
    uint8_t serial[SERIAL_LEN];
    int64_t revoked_at; // seconds since 1970
    unsigned reason;
};

struct crl_request {
    uint16_t issuer;
    uint8_t issuer_cert_hash[HASH_LEN];
    uint64_t shard, number;
    int64_t this_update, next_update; // seconds since 1970
    const struct crl_revoked *entries;
    size_t count;
};

// enum crl_verdict: CRL_NUMBER says that a number this high was used already, or an older
// thisUpdate was asked for: another number is needed.
enum crl_verdict { CRL_GOOD, CRL_REFUSED, CRL_MISMATCH, CRL_NUMBER, CRL_BUSY };

// crl_judge says whether the request may be signed at `now_s`; `last` is the newest CRL of the
// shard that the journal knows, NULL: none. `note` gets a constant sentence when it may not.
enum crl_verdict crl_judge(const struct policy *p, const struct crl_request *r,
                           const struct journal_crl *last, int64_t now_s, const char **note);
// crl_tbs_build appends the TBSCertList. ERR_NO_SPACE, ERR_CRYPTO.
RESULT crl_tbs_build(struct buf *out, const struct policy *p, const struct crl_request *r);
// crl_lint reads a TBSCertList again, with another reader than wrote it, and compares it with the
// request. NULL when it is what it should be, else a constant sentence.
const char *crl_lint(struct slice tbs, const struct policy *p, const struct crl_request *r);
