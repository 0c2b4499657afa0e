// persist: records of dns-persist-01 (draft-ietf-acme-dns-persist-01), one by one.
#include "api/validate/persist.h"

#include "tests/unit/unit.h"

#define ACCOUNT "https://acme.test/acme/default/acct/AAAA"
enum { NOW_S = 1780000000 };

static bool account_is(const void *ctx, struct slice uri)
{
    (void)ctx;
    return slice_eq_str(uri, ACCOUNT);
}

static enum persist_verdict judged(const char *text, bool wildcard)
{
    static const char *const ours[] = {"ca.test", "ca2.test"};
    const struct persist_asker asker = {.identities = ours,
                                        .identity_count = 2,
                                        .wildcard = wildcard,
                                        .now_s = NOW_S,
                                        .account_is = account_is};
    int64_t until_s = -1;
    enum persist_verdict v = persist_judge(&until_s, slice_str(text), &asker);
    assert_true(v == PERSIST_GOOD ? until_s >= NOW_S : until_s == 0);
    return v;
}

static void records_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum persist_verdict plain, wildcard;
    } rows[] = {
        {"ca.test; accounturi=" ACCOUNT, PERSIST_GOOD, PERSIST_NOT_WILDCARD},
        {"ca.test;accounturi=" ACCOUNT, PERSIST_GOOD, PERSIST_NOT_WILDCARD},
        {"CA2.test ; accounturi=" ACCOUNT " ; x=y", PERSIST_GOOD, PERSIST_NOT_WILDCARD},
        {"ca.test; accounturi=" ACCOUNT "; policy=wildcard", PERSIST_GOOD, PERSIST_GOOD},
        {"ca.test; accounturi=" ACCOUNT "; policy=WildCard", PERSIST_GOOD, PERSIST_GOOD},
        {"ca.test; policy=wildcard; accounturi=" ACCOUNT, PERSIST_GOOD, PERSIST_GOOD},
        {"ca.test; accounturi=" ACCOUNT "; policy=all", PERSIST_GOOD, PERSIST_NOT_WILDCARD},
        {"ca.test; accounturi=" ACCOUNT "; policy=wildcards", PERSIST_GOOD, PERSIST_NOT_WILDCARD},
        {"ca.test; accounturi=" ACCOUNT "; policy=", PERSIST_GOOD, PERSIST_NOT_WILDCARD},
        {"ca.test; accounturi=" ACCOUNT "; persistUntil=1780000000", PERSIST_GOOD,
         PERSIST_NOT_WILDCARD},
        {"ca.test; accounturi=" ACCOUNT "; persistUntil=1779999999", PERSIST_ENDED, PERSIST_ENDED},
        {"ca.test; accounturi=" ACCOUNT "; persistUntil=999999999999999999", PERSIST_GOOD,
         PERSIST_NOT_WILDCARD},
        {"ca.test; accounturi=" ACCOUNT "; persistUntil=0; policy=wildcard", PERSIST_ENDED,
         PERSIST_ENDED},
        {"ca.test; accounturi=" ACCOUNT "; persistUntil=9999999999999999999", PERSIST_MALFORMED,
         PERSIST_MALFORMED},
        {"ca.test; accounturi=" ACCOUNT "; persistUntil=", PERSIST_MALFORMED, PERSIST_MALFORMED},
        {"ca.test; accounturi=" ACCOUNT "; persistUntil=-1", PERSIST_MALFORMED, PERSIST_MALFORMED},
        {"ca.test; accounturi=" ACCOUNT "; persistUntil=2027-01-01", PERSIST_MALFORMED,
         PERSIST_MALFORMED},
        {"ca.test; accounturi=" ACCOUNT "; persistUntil=9999999999; persistUntil=1",
         PERSIST_MALFORMED, PERSIST_MALFORMED},
        {"ca.test; accounturi=" ACCOUNT "; policy=wildcard; policy=wildcard", PERSIST_MALFORMED,
         PERSIST_MALFORMED},
        {"ca.test; accounturi=" ACCOUNT "; accounturi=" ACCOUNT, PERSIST_MALFORMED,
         PERSIST_MALFORMED},
        {"ca.test", PERSIST_MALFORMED, PERSIST_MALFORMED},
        {"ca.test; policy=wildcard", PERSIST_MALFORMED, PERSIST_MALFORMED},
        {"ca.test; accounturi=", PERSIST_OTHER_ACCOUNT, PERSIST_OTHER_ACCOUNT},
        {"ca.test; accounturi=" ACCOUNT "B", PERSIST_OTHER_ACCOUNT, PERSIST_OTHER_ACCOUNT},
        {"other.test; accounturi=" ACCOUNT, PERSIST_NOT_OURS, PERSIST_NOT_OURS},
        {"; accounturi=" ACCOUNT, PERSIST_NOT_OURS, PERSIST_NOT_OURS},
        {"ca.test accounturi=" ACCOUNT, PERSIST_NOT_OURS, PERSIST_NOT_OURS},
        {"ca.test; accounturi", PERSIST_NOT_OURS, PERSIST_NOT_OURS},
        {"ca.test.; accounturi=" ACCOUNT, PERSIST_NOT_OURS, PERSIST_NOT_OURS},
        {"", PERSIST_NOT_OURS, PERSIST_NOT_OURS},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (judged(rows[i].text, false) != rows[i].plain) fail_msg("%s", rows[i].text);
        if (judged(rows[i].text, true) != rows[i].wildcard) fail_msg("wildcard: %s", rows[i].text);
    }
}

static void each_verdict_has_its_words(void **state)
{
    (void)state;
    for (int a = PERSIST_NOT_OURS; a <= PERSIST_GOOD; a++)
        for (int b = PERSIST_NOT_OURS; b < a; b++)
            assert_string_not_equal(persist_verdict_text((enum persist_verdict)a),
                                    persist_verdict_text((enum persist_verdict)b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_judged),
        cmocka_unit_test(each_verdict_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
