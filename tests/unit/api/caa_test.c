// caa: sets of records, and what they let this CA do (RFC 8659, RFC 8657; T37).
#include "api/validate/caa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { RECORDS_MAX = 4 };

#define ACCOUNT "https://acme.test/acme/default/acct/AAAA"

static bool account_is(const void *ctx, struct slice uri)
{
    (void)ctx;
    return slice_eq_str(uri, ACCOUNT);
}

// Each record is "FLAGS TAG VALUE".
static bool permits(char *why, size_t size, const char *const records[RECORDS_MAX], bool wildcard)
{
    static const char *const ours[] = {"ca.test", "ca2.test"};
    const struct caa_asker asker = {.identities = ours,
                                    .identity_count = 2,
                                    .wildcard = wildcard,
                                    .method = "dns-01",
                                    .account_is = account_is};
    uint8_t data[RECORDS_MAX][512];
    struct slice slices[RECORDS_MAX];
    size_t count = 0;
    for (; count < RECORDS_MAX && records[count] != NULL; count++) {
        char *tag;
        data[count][0] = (uint8_t)strtoul(records[count], &tag, 10);
        size_t tag_n = strcspn(++tag, " "), value_n = strlen(tag + tag_n + 1);
        data[count][1] = (uint8_t)tag_n;
        memcpy(data[count] + 2, tag, tag_n);
        memcpy(data[count] + 2 + tag_n, tag + tag_n + 1, value_n);
        slices[count] = slice_of(data[count], 2 + tag_n + value_n);
    }
    return caa_permits(why, size, slices, count, &asker);
}

static void sets_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *records[RECORDS_MAX];
        bool plain, wildcard; // permitted
    } rows[] = {
        {{"0 issue ca.test"}, true, true},
        {{"0 issue ca2.test"}, true, true},
        {{"0 issue CA.Test"}, true, true},
        {{"0 ISSUE ca.test"}, true, true},
        {{"128 issue ca.test"}, true, true},
        {{"1 issue ca.test"}, true, true}, // a reserved flag
        {{"0 issue other.test"}, false, false},
        {{"0 issue a.ca.test"}, false, false},
        {{"0 issue test"}, false, false},
        {{"0 issue ca.test.evil"}, false, false},
        {{"0 issue ;"}, false, false},
        {{"0 issue "}, false, false},
        {{"0 issue %%%%%"}, false, false},
        {{"0 issue ca.test ca.test"}, false, false},
        {{"0 issue other.test", "0 issue ca.test"}, true, true},
        {{"0 issue ;", "0 issue ca.test"}, true, true},
        {{"0 issue %%%%%", "0 issue ca.test"}, true, true},
        // issuewild
        {{"0 issuewild ca.test"}, true, true},
        {{"0 issuewild other.test"}, true, false},
        {{"0 issuewild ;"}, true, false},
        {{"0 issue ca.test", "0 issuewild ;"}, true, false},
        {{"0 issue ;", "0 issuewild ca.test"}, false, true},
        {{"0 issue other.test", "0 issuewild ca.test"}, false, true},
        {{"0 issuewild other.test", "0 issuewild ca.test"}, true, true},
        {{"0 issue ca.test", "0 issuewild %%%%%"}, true, false},
        // other properties
        {{"0 iodef mailto:a@corp.test"}, true, true},
        {{"128 iodef mailto:a@corp.test"}, true, true},
        {{"128 issuemail ;"}, true, true},
        {{"0 tbs unknown"}, true, true},
        {{"128 tbs unknown"}, false, false},
        {{"129 tbs unknown"}, false, false},
        {{"0 issue ca.test", "128 tbs unknown"}, false, false},
        {{"128 tbs unknown", "0 issue ca.test"}, false, false},
        {{"0 issue other.test", "0 tbs ca.test"}, false, false},
        {{"128 issu ca.test"}, false, false},
        {{"128 issuewildx ca.test"}, false, false},
        // accounturi (RFC 8657 section 3)
        {{"0 issue ca.test; accounturi=" ACCOUNT}, true, true},
        {{"0 issue ca.test; AccountURI=" ACCOUNT}, true, true},
        {{"0 issue ca.test; accounturi=" ACCOUNT "B"}, false, false},
        {{"0 issue ca.test; accounturi="}, false, false},
        {{"0 issue ca.test; accounturi=" ACCOUNT "; accounturi=" ACCOUNT}, false, false},
        {{"0 issue ca.test; accounturi=https://x.test/1; accounturi=" ACCOUNT}, false, false},
        {{"0 issue other.test; accounturi=" ACCOUNT}, false, false},
        {{"0 issue ca.test; accounturi=https://x.test/1", "0 issue ca.test; accounturi=" ACCOUNT},
         true,
         true},
        {{"0 issuewild ca.test; accounturi=https://x.test/1"}, true, false},
        // validationmethods (RFC 8657 section 4)
        {{"0 issue ca.test; validationmethods=dns-01"}, true, true},
        {{"0 issue ca.test; validationmethods=http-01,dns-01"}, true, true},
        {{"0 issue ca.test; validationmethods=http-01"}, false, false},
        {{"0 issue ca.test; validationmethods="}, false, false},
        {{"0 issue ca.test; validationmethods=dns-011"}, false, false},
        {{"0 issue ca.test; validationmethods=dns-0"}, false, false},
        {{"0 issue ca.test; validationmethods=dns-01; validationmethods=dns-01"}, false, false},
        {{"0 issue ca.test; validationmethods=dns-01; accounturi=" ACCOUNT}, true, true},
        {{"0 issue ca.test; validationmethods=http-01; accounturi=" ACCOUNT}, false, false},
        {{"0 issue ca.test; something=else"}, true, true},
        {{"0 issue ca.test; something"}, false, false},
        {{NULL}, true, true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int wildcard = 0; wildcard < 2; wildcard++) {
            char why[256] = "";
            bool want = wildcard ? rows[i].wildcard : rows[i].plain;
            if (permits(why, sizeof why, rows[i].records, wildcard) != want)
                fail_msg("%s, %s: %s", rows[i].records[0], wildcard ? "wildcard" : "plain", why);
            if ((why[0] == 0) != want) fail_msg("%s: nothing is said", rows[i].records[0]);
        }
}

static void what_cannot_be_read_forbids(void **state)
{
    (void)state;
    static const struct slice bad[] = {SLICE_LIT(""), SLICE_LIT("\0"), SLICE_LIT("\0\0ca.test"),
                                       SLICE_LIT("\0\6issue"), SLICE_LIT("\0\377issueca.test")};
    const struct caa_asker asker = {.method = "dns-01", .account_is = account_is};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char why[256] = "";
        assert_false(caa_permits(why, sizeof why, &bad[i], 1, &asker));
        assert_non_null(strstr(why, "malformed"));
    }
}

static void people_are_told(void **state)
{
    (void)state;
    char why[256];
    assert_false(
        permits(why, sizeof why, (const char *const[]){"128 t<b\x01s x", NULL, NULL, NULL}, false));
    assert_string_equal(why, "the critical property \"t.b.s\" is not known here");
    assert_false(permits(why, sizeof why,
                         (const char *const[]){"0 issue other.test", NULL, NULL, NULL}, false));
    assert_string_equal(why,
                        "no \"issue\" property permits this CA, account and challenge (the first "
                        "is \"other.test\")");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_judged),
        cmocka_unit_test(what_cannot_be_read_forbids),
        cmocka_unit_test(people_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
