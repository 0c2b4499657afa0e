// dns_answer_read, dns_txt_read, issue_value_read, caa_permits and persist_judge on any bytes. The
// first octet says whether the rest is a text ('t') or a message. Oracles: what is taken from a
// message lies in it and within the bounds, whatever stands behind the message; a text that was
// read is the same when it is written in the plainest form and read again; what CAA records permit
// does not depend on their order.
#include <stdlib.h>
#include <string.h>

#include "api/validate/caa.h"
#include "api/validate/dns_answer.h"
#include "api/validate/persist.h"
#include "proto/base/arena.h"
#include "tests/fuzz/fuzz.h"

static const char *const identities[] = {"ca.test"};

static bool account_is(const void *ctx, struct slice uri)
{
    (void)ctx;
    return slice_eq_str(uri, "https://a/1");
}

static void text_check(struct slice text)
{
    struct issue_value v, again;
    const struct persist_asker asker = {.identities = identities,
                                        .identity_count = 1,
                                        .now_s = 1780000000,
                                        .account_is = account_is};
    int64_t until_s, until_again_s;
    enum persist_verdict verdict = persist_judge(&until_s, text, &asker);
    if (!issue_value_read(&v, text)) {
        CHECK(verdict == PERSIST_NOT_OURS);
        return;
    }
    CHECK(v.count <= ISSUE_PARAMETERS_MAX);
    struct arena a;
    arena_init(&a, 64 * 1024 + 16 * text.n);
    const char *plain = arena_printf(&a, "%.*s;", SLICE_ARG(v.issuer));
    for (size_t i = 0; i < v.count; i++)
        plain = arena_printf(&a, "%s %.*s=%.*s;", plain, SLICE_ARG(v.parameters[i].tag),
                             SLICE_ARG(v.parameters[i].value));
    CHECK(issue_value_read(&again, slice_str(plain)) && again.count == v.count &&
          slice_eq(again.issuer, v.issuer));
    for (size_t i = 0; i < v.count; i++)
        CHECK(slice_eq(again.parameters[i].tag, v.parameters[i].tag) &&
              slice_eq(again.parameters[i].value, v.parameters[i].value));
    CHECK(persist_judge(&until_again_s, slice_str(plain), &asker) == verdict &&
          until_again_s == until_s);
    arena_fini(&a);
}

static void records_check(const struct dns_answer *found)
{
    static struct slice reversed[DNS_RECORDS_MAX];
    char why[256];
    for (size_t i = 0; i < found->count; i++) reversed[i] = found->records[found->count - 1 - i];
    for (int wildcard = 0; wildcard < 2; wildcard++) {
        const struct caa_asker asker = {.identities = identities,
                                        .identity_count = 1,
                                        .wildcard = wildcard != 0,
                                        .method = "dns-01",
                                        .account_is = account_is};
        bool permitted = caa_permits(why, sizeof why, found->records, found->count, &asker);
        CHECK(permitted == caa_permits(why, sizeof why, reversed, found->count, &asker));
    }
    for (size_t i = 0; i < found->count; i++) {
        uint8_t text[DNS_TXT_MAX];
        size_t n;
        if (dns_txt_read(text, &n, found->records[i])) text_check(slice_of(text, n));
    }
}

static void message_check(struct slice message, enum dns_type type)
{
    static struct dns_answer found, again;
    const char *why = NULL;
    bool ok = dns_answer_read(&found, &why, message, "a.test", type);
    CHECK(ok || why[0] != 0);
    if (!ok) return;
    CHECK(found.count <= DNS_RECORDS_MAX && found.aliases <= DNS_ALIASES_MAX &&
          strlen(found.owner) <= DNS_NAME_LEN_MAX);
    for (size_t i = 0; i < found.count; i++)
        CHECK(found.records[i].p >= message.p &&
              found.records[i].p + found.records[i].n <= message.p + message.n);
    records_check(&found);
    // Longer by what is not asked for: the same.
    uint8_t *longer = malloc(message.n + 3);
    CHECK(longer != NULL);
    memcpy(longer, message.p, message.n);
    memcpy(longer + message.n, "\xff\xff\xff", 3);
    CHECK(dns_answer_read(&again, &why, slice_of(longer, message.n + 3), "a.test", type));
    CHECK(again.count == found.count && again.aliases == found.aliases &&
          strcmp(again.owner, found.owner) == 0);
    free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536) return 0;
    struct slice rest = slice_of(data + 1, size - 1);
    if (data[0] == 't')
        text_check(rest);
    else {
        message_check(rest, DNS_TYPE_TXT);
        message_check(rest, DNS_TYPE_CAA);
    }
    return 0;
}
