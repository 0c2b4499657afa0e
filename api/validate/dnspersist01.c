// dnspersist01: the dns-persist-01 challenge (draft-ietf-acme-dns-persist-01): a TXT record at
// _validation-persist.<name> names this CA and the account. It stays there, so that there is no
// token.
#include "api/validate/persist.h"
#include "api/validate/txt_check.h"

static bool account_is(const void *ctx, struct slice uri)
{
    return validation_account_is(ctx, uri);
}

static void judge(struct txt_check *c, const struct dns_answer *answer)
{
    const struct validate_request *r = c->v->request;
    const struct persist_asker asker = {.identities = r->policy->identities,
                                        .identity_count = r->policy->identity_count,
                                        .wildcard = r->wildcard,
                                        .now_s = shard_wall_s(validation_shard(c->v)),
                                        .account_is = account_is,
                                        .ctx = r};
    enum persist_verdict best = PERSIST_NOT_OURS;
    int64_t until_s = 0, one_s; // the longest that a good record lasts
    uint8_t text[DNS_TXT_MAX];
    size_t n;
    for (size_t i = 0; i < answer->count; i++) {
        if (!dns_txt_read(text, &n, answer->records[i])) continue;
        enum persist_verdict one = persist_judge(&one_s, slice_of(text, n), &asker);
        if (one > best) best = one;
        if (one_s > until_s) until_s = one_s;
    }
    if (best == PERSIST_GOOD) {
        c->v->last.until_s = until_s == INT64_MAX ? 0 : until_s;
        validation_try_end(c->v, VALIDATE_OK, false, "ok");
    } else
        validation_try_end(
            c->v, VALIDATE_INCORRECT_RESPONSE, true,
            "none of %zu TXT records at %.100s lets the account have certificates of this "
            "CA: %s",
            answer->count, c->name, persist_verdict_text(best));
}

static bool dns_persist_01_begin(struct validation *v)
{
    return txt_check_begin(v, "_validation-persist.", judge);
}

const struct validate_method_row validate_dns_persist_01 = {
    .begin = dns_persist_01_begin, .abandon = txt_check_abandon, .waits_for = txt_check_waits_for};
