#include "signer/crl_sign.h"

#include <openssl/sha.h>

#include "proto/der/crl.h"
#include "proto/err.h"
#include "signer/engine.h"
#include "signer/err.h"
#include "signer/events.h"

typedef Certmill__Signer__V1__SignCrlRequest Request;

#define STATUS(name) CERTMILL__SIGNER__V1__SIGN_CRL_RESPONSE__STATUS__##name

static void answer(struct crl_sign *c, int status, const char *text)
{
    c->response.status = (Certmill__Signer__V1__SignCrlResponse__Status)status;
    c->response.text = (char *)(uintptr_t)text;
}

// request_read takes the message apart; false when it is answered.
static bool request_read(struct crl_request *out, struct crl_sign *c, const Request *q,
                         struct arena *a)
{
    struct crl_revoked *entries = ARENA_ARRAY(a, struct crl_revoked, q->n_entries + 1);
    if (entries == NULL) return answer(c, STATUS(BUSY), "no memory for the entries"), false;
    *out = (struct crl_request){.issuer = (uint16_t)q->issuer,
                                .shard = q->shard,
                                .number = q->number,
                                .this_update = q->this_update,
                                .next_update = q->next_update,
                                .entries = entries,
                                .count = q->n_entries};
    if (q->issuer > 1023 || q->shard > UINT32_MAX || q->issuer_cert_hash.len != HASH_LEN)
        return answer(c, STATUS(REFUSED), "issuer, shard or hash are out of range"), false;
    memcpy(out->issuer_cert_hash, q->issuer_cert_hash.data, HASH_LEN);
    for (size_t i = 0; i < q->n_entries; i++) {
        const Certmill__Signer__V1__CrlEntry *e = q->entries[i];
        if (e->serial.len != SERIAL_LEN)
            return answer(c, STATUS(REFUSED), "a serial is not 20 octets"), false;
        entries[i] = (struct crl_revoked){.revoked_at = e->revoked_at, .reason = e->reason};
        memcpy(entries[i].serial, e->serial.data, SERIAL_LEN);
    }
    return true;
}

// judged says whether it may be signed; false when it is answered.
static bool judged(struct crl_sign *c, const struct crl_request *r)
{
    static const int status_of[] = {[CRL_REFUSED] = STATUS(REFUSED),
                                    [CRL_MISMATCH] = STATUS(MISMATCH),
                                    [CRL_NUMBER] = STATUS(NUMBER_USED),
                                    [CRL_BUSY] = STATUS(BUSY)};
    const struct journal_crl *last = journal_crl_find(c->journal, r->issuer, r->shard);
    const char *note = "";
    enum crl_verdict v = crl_judge(c->policy, r, last, c->now_s, &note);
    c->response.last_number = last == NULL ? 0 : last->number;
    if (v != CRL_GOOD) answer(c, status_of[v], note);
    return v == CRL_GOOD;
}

// made builds, reads again and signs into c->der; false when it is answered.
static bool made(struct crl_sign *c, const struct crl_request *r, struct slice *out_tbs,
                 struct arena *a)
{
    struct err e = crl_tbs_build(&c->der, c->policy, r);
    if (!failed(e)) e = arena_dup(out_tbs, a, buf_slice(&c->der));
    buf_clear(&c->der);
    if (failed(e)) return answer(c, STATUS(BUSY), "no memory for the CRL"), false;
    const char *wrong = crl_lint(*out_tbs, c->policy, r);
    if (wrong != NULL) {
        LOG(c->log, &EVENT_SIGNER_CRL_LINT, wrong, LOG_INT("shard", (int64_t)r->shard));
        return answer(c, STATUS(REFUSED), wrong), false;
    }
    e = engine_sign_crl(&c->der, keystore_issuer(c->policy->keys, r->issuer), *out_tbs, NULL);
    if (!failed(e)) return true;
    LOG(c->log, &EVENT_SIGNER_FAULT, err_text(e), LOG_ERR("error", e));
    return answer(c, STATUS(BUSY), "a signature could not be made, or did not verify"), false;
}

// request_pack is the request without its entries, which are in the CRL.
static bool request_pack(struct slice *out, const Request *q, struct arena *a)
{
    Request bare = *q;
    bare.n_entries = 0;
    uint8_t *p = arena_alloc(a, protobuf_c_message_get_packed_size(&bare.base) + 1);
    if (p != NULL) *out = slice_of(p, protobuf_c_message_pack(&bare.base, p));
    return p != NULL;
}

static bool journalled(struct crl_sign *c, const struct crl_request *r, struct slice request,
                       struct slice tbs, const char *caller)
{
    struct journal_record record = {.kind = JOURNAL_CRL,
                                    .order = journal_crl_key(r->issuer, r->shard, r->number),
                                    .time_s = r->this_update,
                                    .caller = slice_str(caller),
                                    .intent = request,
                                    .certificate = buf_slice(&c->der)};
    SHA256(request.p, request.n, record.intent_hash);
    SHA256(tbs.p, tbs.n, record.tbs_hash);
    SHA256(record.certificate.p, record.certificate.n, record.certificate_hash);
    return !failed(journal_add(c->journal, &record)) && !failed(journal_sync(c->journal));
}

bool crl_sign_run(struct crl_sign *c, const Request *q, const char *caller, struct arena *a)
{
    struct crl_request r;
    struct slice tbs = SLICE_NONE, request = SLICE_NONE;
    certmill__signer__v1__sign_crl_response__init(&c->response);
    buf_init(&c->der, CRL_DER_MAX);
    if (!request_read(&r, c, q, a) || !judged(c, &r) || !made(c, &r, &tbs, a)) return true;
    if (!request_pack(&request, q, a)) {
        answer(c, STATUS(BUSY), "no memory for the journal's record");
        return true;
    }
    if (!journalled(c, &r, request, tbs, caller)) return false;
    answer(c, STATUS(SIGNED), "");
    c->response.crl.data = (uint8_t *)(uintptr_t)buf_slice(&c->der).p;
    c->response.crl.len = buf_len(&c->der);
    LOG(c->log, &EVENT_SIGNER_CRL, NULL, LOG_INT("issuer", r.issuer),
        LOG_INT("shard", (int64_t)r.shard), LOG_INT("number", (int64_t)r.number),
        LOG_INT("entries", r.count), LOG_STR("caller", caller));
    return true;
}

void crl_sign_fini(struct crl_sign *c) { buf_fini(&c->der); }
