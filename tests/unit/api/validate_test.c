// validate: http-01 as it meets the world: web servers and resolvers that are right, wrong, slow or
// hostile; and the bounds of a validator.
#include "api/validate/validate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/err.h"
#include "api/validate/url.h"
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "tests/support/peers.h"
#include "tests/unit/unit.h"

enum { LAST_TURNS = 700 };

static const char token[] = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
                  thumbprint[] = "nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";
// The digest of their key authorization (RFC 8555 section 8.4).
#define DIGEST "NGwKoXBgCT8JhEa0bK7AwfSqHyu_ZWeugV07fLGIVq0"
#define ACCOUNT "https://acme.test/acme/default/acct/AAAA"
#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 87\r\n\r\n"
#define TO(location) "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " location "\r\n\r\n"

static const struct web_row web_rows[] = {
    {.host = "ok.test", .answer = OK_HEAD "%K"},
    {.host = "space.test", .answer = "HTTP/1.1 200 OK\r\nContent-Length: 91\r\n\r\n%K\r\n \t"},
    {.host = "chunked.test",
     .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n57\r\n%K\r\n0\r\n\r\n"},
    {.host = "old.test", .answer = "HTTP/1.0 200 OK\r\n\r\n%K"},
    {.host = "wrong.test",
     .answer = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n<b>hello</b>\x01\"\r\n"},
    {.host = "longer.test", .answer = "HTTP/1.1 200 OK\r\nContent-Length: 88\r\n\r\n%Kx"},
    {.host = "empty.test", .answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    {.host = "absent.test", .answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
    {.host = "large.test", .answer = "HTTP/1.1 200 OK\r\n\r\n", .filler = 60000},
    {.host = "head.test", .answer = "HTTP/1.1 200 OK\r\nX: ", .filler = 60000},
    {.host = "garbage.test", .answer = "220 mail.test ESMTP\r\n"},
    {.host = "close.test", .answer = "", .how = WEB_CLOSE},
    {.host = "slow.test", .answer = OK_HEAD "%K", .how = WEB_SLOW},
    {.host = "silent.test", .answer = "", .how = WEB_SILENT},
    {.host = "path.test", .answer = TO("/elsewhere")},
    {.host = "there.test",
     .answer = TO(
         "http://ok.test/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA")},
    {.host = "loop.test", .answer = TO("http://loop.test/.well-known/acme-challenge/x")},
    {.host = "ftp.test", .answer = TO("ftp://ok.test/")},
    {.host = "user.test", .answer = TO("http://a:b@ok.test/")},
    {.host = "port.test", .answer = TO("http://ok.test:22/")},
    {.host = "nowhere.test", .answer = TO("")},
    {.host = "peek.test", .answer = TO("http://wrong.test/admin")},
    {.host = "inside.test", .answer = TO("http://10.9.9.9/")},
    {.host = "a.dns", .answer = OK_HEAD "%K"},
    {.host = "second.dns", .answer = OK_HEAD "%K"},
    {.host = "cut.dns", .answer = OK_HEAD "%K"},
    {.host = "lied.dns", .answer = OK_HEAD "%K"},
    {.host = "alias.dns", .answer = OK_HEAD "%K"},
    {.host = "tcp.dns", .answer = OK_HEAD "%K"},
    {.host = NULL}};

static const struct dns_row dns_rows[] = {
    {.name = "a.dns", .how = DNS_A, .a = {"127.0.0.1"}},
    {.name = "second.dns", .how = DNS_A, .a = {"127.0.0.9", "127.0.0.1"}},
    {.name = "first.dns", .how = DNS_A, .a = {"127.0.0.1", "127.0.0.9"}},
    {.name = "cut.dns", .how = DNS_TRUNCATED, .a = {"127.0.0.1"}},
    {.name = "lied.dns", .how = DNS_WRONG_ID, .a = {"127.0.0.1"}},
    {.name = "alias.dns", .how = DNS_CNAME, .a = {"127.0.0.1"}, .alias = "real.dns"},
    {.name = "none.dns", .how = DNS_A},
    {.name = "nx.dns", .how = DNS_NXDOMAIN},
    {.name = "fail.dns", .how = DNS_SERVFAIL},
    {.name = "no.dns", .how = DNS_REFUSED},
    {.name = "silent.dns", .how = DNS_SILENT},
    {.name = "_acme-challenge.a.dns", .txt = {DIGEST}},
    {.name = "_acme-challenge.parts.dns",
     .txt = {"NGwKoXBgCT|8JhEa0bK7AwfSqHyu_ZWeugV07fLGI||Vq0"}},
    {.name = "_acme-challenge.many.dns", .txt = {"", "v=spf1 -all", DIGEST, "x"}},
    {.name = "_acme-challenge.other.dns", .txt = {"other \x01<b>\"", "second"}},
    {.name = "_acme-challenge.longer.dns", .txt = {DIGEST "x", "x" DIGEST}},
    {.name = "_acme-challenge.case.dns", .txt = {"ngwkoxbgct8jhea0bk7awfsqhyu_zweugv07flgivq0"}},
    {.name = "_acme-challenge.big.dns", .txt = {DIGEST}, .filler = 200}, // over TCP
    {.name = "_acme-challenge.cut.dns", .how = DNS_TRUNCATED, .txt = {DIGEST}},
    {.name = "_acme-challenge.tcp.dns", .how = DNS_TCP, .txt = {DIGEST}},
    {.name = "tcp.dns", .how = DNS_TCP, .a = {"127.0.0.1"}},
    {.name = "_acme-challenge.half.dns", .how = DNS_CUT, .txt = {DIGEST}},
    {.name = "_acme-challenge.flood.dns", .txt = {DIGEST}, .filler = 1000},
    {.name = "_acme-challenge.heap.dns", .txt = {DIGEST}, .filler = 1030},
    {.name = "_acme-challenge.lied.dns", .how = DNS_WRONG_ID, .txt = {DIGEST}},
    {.name = "_acme-challenge.alias.dns", .how = DNS_CNAME, .alias = "a.dns", .txt = {DIGEST}},
    {.name = "_acme-challenge.far.dns", .how = DNS_ALIAS, .alias = "_acme-challenge.nearer.dns"},
    {.name = "_acme-challenge.nearer.dns", .how = DNS_ALIAS, .alias = "_acme-challenge.a.dns"},
    {.name = "_acme-challenge.loop.dns", .how = DNS_ALIAS, .alias = "_acme-challenge.loop2.dns"},
    {.name = "_acme-challenge.loop2.dns", .how = DNS_ALIAS, .alias = "_acme-challenge.loop.dns"},
    {.name = "_acme-challenge.lost.dns", .how = DNS_ALIAS, .alias = "nx.dns"},
    {.name = "_acme-challenge.none.dns"},
    // dns-account-01: the label of the draft's own example, and of the account of these tests.
    {.name = "_ujmmovf2vn55tgye._acme-challenge.example.dns", .txt = {DIGEST}},
    {.name = "_64rv6ojuoy7msfur._acme-challenge.account.dns", .txt = {DIGEST}},
    {.name = "_64rv6ojuoy7msfur._acme-challenge.example.dns", .how = DNS_NXDOMAIN},
    // dns-persist-01
    {.name = "_validation-persist.persist.dns",
     .txt = {"other.test; accounturi=" ACCOUNT, "ca.test; accounturi=" ACCOUNT "; |policy=wildcard",
             "v=spf1 -all"}},
    {.name = "_validation-persist.plain.dns", .txt = {"ca.test; accounturi=" ACCOUNT}},
    {.name = "_validation-persist.past.dns",
     .txt = {"ca.test; accounturi=" ACCOUNT "; persistUntil=1767225600"}},
    {.name = "_validation-persist.theirs.dns", .txt = {"ca.test; accounturi=" ACCOUNT "B"}},
    {.name = "_validation-persist.other.dns", .txt = {"other.test; accounturi=" ACCOUNT}},
    {.name = "_validation-persist.none.dns"},
    // CAA
    {.name = "_acme-challenge.free.caa", .txt = {DIGEST}},
    {.name = "free.caa"},
    {.name = "_acme-challenge.deep.in.ours.caa", .txt = {DIGEST}},
    {.name = "deep.in.ours.caa", .how = DNS_NXDOMAIN},
    {.name = "in.ours.caa"},
    {.name = "ours.caa", .caa = {"0 issue ca.test", "0 issuewild ;"}},
    {.name = "_acme-challenge.theirs.caa", .txt = {DIGEST}},
    {.name = "theirs.caa", .caa = {"0 issue other.test"}},
    {.name = "_acme-challenge.a.theirs.caa", .txt = {DIGEST}},
    {.name = "a.theirs.caa", .how = DNS_ALIAS, .alias = "in.ours.caa"},
    {.name = "_acme-challenge.alias.caa", .txt = {DIGEST}},
    {.name = "alias.caa", .how = DNS_ALIAS, .alias = "theirs.caa"},
    {.name = "_acme-challenge.fail.caa", .txt = {DIGEST}},
    {.name = "fail.caa", .how = DNS_SERVFAIL},
    {.name = "_acme-challenge.below.fail.caa", .txt = {DIGEST}},
    {.name = "below.fail.caa"},
    {.name = "_acme-challenge.half.caa", .txt = {DIGEST}},
    {.name = "half.caa", .how = DNS_CUT},
    {.name = "_acme-challenge.silent.caa", .txt = {DIGEST}},
    {.name = "silent.caa", .how = DNS_SILENT},
    {.name = "_acme-challenge.mine.caa", .txt = {DIGEST}},
    {.name = "mine.caa",
     .caa = {"0 issue ca.test; accounturi=" ACCOUNT "; validationmethods=dns-01"}},
    {.name = "_acme-challenge.elsewhere.caa", .txt = {DIGEST}},
    {.name = "elsewhere.caa",
     .caa = {"0 issue ca.test; accounturi=https://acme2.test/acme/default/acct/AAAA"}},
    {.name = "_acme-challenge.foreign.caa", .txt = {DIGEST}},
    {.name = "foreign.caa", .caa = {"0 issue ca.test; accounturi=" ACCOUNT "B"}},
    {.name = "caa", .how = DNS_NXDOMAIN},
    {.name = "_acme-challenge.nx.dns", .how = DNS_NXDOMAIN},
    {.name = "_acme-challenge.fail.dns", .how = DNS_SERVFAIL},
    {.name = "_acme-challenge.no.dns", .how = DNS_REFUSED},
    {.name = "_acme-challenge.silent.dns", .how = DNS_SILENT},
    {.name = NULL}};

static struct log *logger;
static struct metrics *metrics;
static struct shard *shard;
static struct web *web;
static struct dns *dns;

// ---- one validation

struct run {
    struct validate_request request;
    struct validate_result result;
    unsigned done;
};

static void on_done(struct validate_request *request, const struct validate_result *result)
{
    struct run *r = LIST_OWNER(request, struct run, request);
    r->result = *result;
    r->done++;
}

static struct validate_policy policy_make(struct validate_override *override)
{
    socklen_t len;
    *override = (struct validate_override){.suffix = "test"};
    assert_ok(address_parse(&override->address, &len, SLICE_LIT("127.0.0.1:1"), 1));
    return (struct validate_policy){.overrides = override,
                                    .override_count = 1,
                                    .http_port = web_port(web),
                                    .attempts = 1,
                                    .retry_ms = 20,
                                    .attempt_ms = 700,
                                    .total_ms = 5000,
                                    .redirects = 10};
}

static enum challenge_type method = CHALLENGE_HTTP_01;
static bool wildcard, caa_alone;
static const char *account = ACCOUNT;

static void run_start(struct validator *v, struct run *r, const struct validate_policy *p,
                      const char *name)
{
    *r = (struct run){.request = {.method = method,
                                  .identifier = {IDENTIFIER_DNS, slice_str(name)},
                                  .token = slice_str(token),
                                  .thumbprint = slice_str(thumbprint),
                                  .account_url = slice_str(account),
                                  .wildcard = wildcard,
                                  .caa_alone = caa_alone,
                                  .policy = p,
                                  .done = on_done}};
    assert_ok(validate_start(v, &r->request));
    assert_int_equal(r->done, 0); // never inside
}

static struct validate_result judge(const struct validate_policy *p, const char *name)
{
    struct run r;
    struct validator *v = validator_new(shard, 4);
    run_start(v, &r, p, name);
    for (int i = 0; i < 20000 && r.done == 0; i++) shard_turn(shard, 5);
    for (int i = 0; i < 20; i++) shard_turn(shard, 1);
    assert_int_equal(r.done, 1);
    assert_int_equal(validator_count(v), 0);
    validator_free(v);
    for (int i = 0; i < 5; i++) shard_turn(shard, 1);
    return r.result;
}

static void expect(const struct validate_policy *p, const char *name, enum validate_problem problem,
                   const char *text)
{
    struct validate_result r = judge(p, name);
    if (r.problem != problem || (problem != VALIDATE_OK && strstr(r.detail, text) == NULL))
        fail_msg("%s: problem %d, \"%s\"", name, (int)r.problem, r.detail);
    assert_null(strstr(r.detail, "hello")); // no word of what was fetched (T29)
    // For people: what, of whom, how often, how long, asked whom.
    if (problem != VALIDATE_OK) {
        assert_non_null(
            strstr(r.detail, problem == VALIDATE_CAA ? "CAA" : challenge_type_row(method)->name));
        assert_non_null(strstr(r.detail, " for "));
        assert_non_null(strstr(r.detail, " s ("));
    }
}

// ---- web servers

static void web_servers_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum validate_problem problem;
        const char *text;
    } rows[] = {
        {"ok.test", VALIDATE_OK, ""},
        {"space.test", VALIDATE_OK, ""},
        {"chunked.test", VALIDATE_OK, ""},
        {"old.test", VALIDATE_OK, ""},
        {"there.test", VALIDATE_OK, ""},
        {"wrong.test", VALIDATE_INCORRECT_RESPONSE,
         "answered with 16 bytes that are not the key authorization after"},
        {"peek.test", VALIDATE_INCORRECT_RESPONSE,
         "answered with 16 bytes that are not the key authorization after"},
        {"longer.test", VALIDATE_INCORRECT_RESPONSE,
         "88 bytes that are not the key authorization, but one of another account's"},
        {"empty.test", VALIDATE_INCORRECT_RESPONSE, "answered with 0 bytes"},
        {"absent.test", VALIDATE_INCORRECT_RESPONSE, "answered 404 instead of 200"},
        {"large.test", VALIDATE_INCORRECT_RESPONSE, "more than 1024 bytes"},
        {"head.test", VALIDATE_INCORRECT_RESPONSE, "answered with more than"},
        {"garbage.test", VALIDATE_CONNECTION, "127.0.0.1:"},
        {"close.test", VALIDATE_CONNECTION, "127.0.0.1:"},
        {"slow.test", VALIDATE_CONNECTION, "took the connection but did not answer within 700 ms"},
        {"silent.test", VALIDATE_CONNECTION, "127.0.0.1:"},
        {"path.test", VALIDATE_CONNECTION, "more than 10 redirects"},
        {"loop.test", VALIDATE_CONNECTION, "more than 10 redirects"},
        {"ftp.test", VALIDATE_CONNECTION, "neither an http or https URL"},
        {"user.test", VALIDATE_CONNECTION, "user information"},
        {"port.test", VALIDATE_CONNECTION, "redirects to port 22"},
        {"nowhere.test", VALIDATE_INCORRECT_RESPONSE, "without a Location"},
    };
    struct validate_override o;
    struct validate_policy p = policy_make(&o);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect(&p, rows[i].host, rows[i].problem, rows[i].text);
}

// T29: an address outside the tenant's networks is not even connected to, wherever it came from.
static void networks_bound_every_hop(void **state)
{
    (void)state;
    struct validate_override o;
    struct address_range loopback, ten;
    struct validate_policy p = policy_make(&o);
    assert_ok(address_range_parse(&loopback, SLICE_LIT("127.0.0.0/8")));
    assert_ok(address_range_parse(&ten, SLICE_LIT("10.0.0.0/8")));
    unsigned before = web_requests(web);
    p.denied = &loopback;
    p.denied_count = 1;
    expect(&p, "ok.test", VALIDATE_CONNECTION, "may not be connected to");
    p.denied_count = 0;
    p.allowed = &ten;
    p.allowed_count = 1;
    expect(&p, "ok.test", VALIDATE_CONNECTION, "outside the networks");
    assert_int_equal(web_requests(web), before);
    p.allowed = &loopback;
    expect(&p, "ok.test", VALIDATE_OK, "");
    expect(&p, "inside.test", VALIDATE_CONNECTION, "10.9.9.9");
    // The kernel takes 0.0.0.0 for this host: never, whatever the lists say.
    p.allowed_count = 0;
    static const char *const unspecified[] = {"0.0.0.0:1", "[::]:1", "[::ffff:0.0.0.0]:1",
                                              "[64:ff9b::]:1"};
    for (size_t i = 0; i < COUNT_OF(unspecified); i++) {
        assert_ok(address_parse(&o.address, &(socklen_t){0}, slice_str(unspecified[i]), 1));
        expect(&p, "ok.test", VALIDATE_CONNECTION, "outside the networks");
    }
    // An IPv4 address is the same one inside an IPv6 address.
    static const char *const inside[] = {"[::ffff:127.0.0.1]:1", "[64:ff9b::7f00:1]:1"};
    p.denied = &loopback;
    p.denied_count = 1;
    for (size_t i = 0; i < COUNT_OF(inside); i++) {
        assert_ok(address_parse(&o.address, &(socklen_t){0}, slice_str(inside[i]), 1));
        expect(&p, "ok.test", VALIDATE_CONNECTION, "outside the networks");
    }
}

// The issue's own example of a sentence.
static void a_refused_connection_is_told_to_people(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_policy p = policy_make(&o);
    char want[64];
    p.http_port = 1; // nobody listens there
    p.attempts = 3;
    struct validate_result r = judge(&p, "a.test");
    snprintf(want, sizeof want, "http-01 for a.test: 127.0.0.1:1 refused after 3 tries in 0.");
    assert_non_null(strstr(r.detail, want));
    assert_int_equal(r.problem, VALIDATE_CONNECTION);
    assert_int_equal(r.tries, 3);
    p.total_ms = 10; // no time for a second try
    assert_int_equal(judge(&p, "a.test").tries, 1);
}

// A firewall that drops packets says nothing: people need to know which address was tried. A
// listener whose queue is full does the same.
static void a_silent_address_is_named(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_policy p = policy_make(&o);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    char want[64];
    int fds[6] = {socket(AF_INET, SOCK_STREAM, 0)};
    assert_return_code(bind(fds[0], (struct sockaddr *)&a, len), 0);
    assert_return_code(getsockname(fds[0], (struct sockaddr *)&a, &len), 0);
    assert_return_code(listen(fds[0], 0), 0);
    for (size_t i = 1; i < COUNT_OF(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fds[i], (struct sockaddr *)&a, len);
    }
    p.http_port = ntohs(a.sin_port);
    snprintf(want, sizeof want, "127.0.0.1:%u did not answer", p.http_port);
    expect(&p, "a.test", VALIDATE_CONNECTION, want);
    for (size_t i = 0; i < COUNT_OF(fds); i++) close(fds[i]);
}

// ---- resolvers

static void resolvers_are_asked_and_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum validate_problem problem;
        const char *text;
    } rows[] = {
        {"a.dns", VALIDATE_OK, ""},
        {"second.dns", VALIDATE_OK, ""}, // its first address refuses
        {"cut.dns", VALIDATE_OK, ""},    // over TCP
        {"lied.dns", VALIDATE_OK, ""},   // another id is not the answer
        {"alias.dns", VALIDATE_OK, ""},
        {"none.dns", VALIDATE_DNS, "no A or AAAA record"},
        {"nx.dns", VALIDATE_DNS, "NXDOMAIN"},
        {"fail.dns", VALIDATE_DNS, "SERVFAIL"},
        {"no.dns", VALIDATE_DNS, "refuse"},
    };
    struct validate_override o;
    struct validate_resolver resolvers[2];
    struct validate_policy p = policy_make(&o);
    char text[64], named[80];
    snprintf(text, sizeof text, "127.0.0.1:%u", dns_port(dns));
    assert_ok(address_parse(&resolvers[0].address, &resolvers[0].address_len, slice_str(text), 53));
    p.resolvers = resolvers;
    p.resolver_count = 1;
    p.attempt_ms = 4000;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect(&p, rows[i].host, rows[i].problem, rows[i].text);
    snprintf(named, sizeof named, "(resolver %s)", text);
    expect(&p, "nx.dns", VALIDATE_DNS, named);
    // Of several addresses those that are not allowed are passed over.
    struct address_range nine;
    assert_ok(address_range_parse(&nine, SLICE_LIT("127.0.0.9/32")));
    p.denied = &nine;
    p.denied_count = 1;
    expect(&p, "second.dns", VALIDATE_OK, "");
    // What is said is about those that were tried.
    p.http_port = 1;
    p.attempts = 2;
    expect(&p, "second.dns", VALIDATE_CONNECTION, "127.0.0.1:1 refused after 2 tries");
    expect(&p, "first.dns", VALIDATE_CONNECTION, "127.0.0.1:1 refused after 2 tries");
    p.http_port = web_port(web);
    p.attempts = 1;
    p.denied_count = 0;
    p.attempt_ms = 300;
    expect(&p, "silent.dns", VALIDATE_DNS, "the resolver did not answer within 300 ms");
    // The first of two is dead.
    resolvers[1] = resolvers[0];
    assert_ok(address_parse(&resolvers[0].address, &resolvers[0].address_len,
                            SLICE_LIT("127.0.0.1:1"), 53));
    p.resolver_count = 2;
    p.attempt_ms = 6000;
    expect(&p, "a.dns", VALIDATE_OK, "");
}

static struct validate_policy policy_dns(struct validate_override *o, struct validate_resolver *out)
{
    struct validate_policy p = policy_make(o);
    char text[64];
    snprintf(text, sizeof text, "127.0.0.1:%u", dns_port(dns));
    assert_ok(address_parse(&out->address, &out->address_len, slice_str(text), 53));
    p.resolvers = out;
    p.resolver_count = 1;
    p.attempt_ms = 4000;
    return p;
}

// ---- dns-01

// T32: a resolver may be wrong, slow or hostile; what counts is one record at the right name.
static void txt_records_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum validate_problem problem;
        const char *text;
    } rows[] = {
        {"a.dns", VALIDATE_OK, ""},
        {"parts.dns", VALIDATE_OK, ""},
        {"many.dns", VALIDATE_OK, ""},
        {"other.dns", VALIDATE_INCORRECT_RESPONSE,
         "none of 2 TXT records at _acme-challenge.other.dns is " DIGEST
         " (the first is \"other ..b>.\")"},
        {"longer.dns", VALIDATE_INCORRECT_RESPONSE, "none of 2 TXT records"},
        {"case.dns", VALIDATE_INCORRECT_RESPONSE, "none of 1 TXT records"},
        {"big.dns", VALIDATE_OK, ""},
        {"cut.dns", VALIDATE_OK, ""},
        {"half.dns", VALIDATE_DNS, "is truncated"},
        {"flood.dns", VALIDATE_DNS, "the resolver's answer has too many records"},
        {"heap.dns", VALIDATE_DNS, "the resolver's answer has too many records"},
        {"lied.dns", VALIDATE_OK, ""},
        {"alias.dns", VALIDATE_OK, ""},
        {"far.dns", VALIDATE_OK, ""},
        {"loop.dns", VALIDATE_DNS, "too many aliases"},
        {"lost.dns", VALIDATE_DNS, "NXDOMAIN) (at its alias nx.dns)"},
        {"none.dns", VALIDATE_DNS, "no TXT record at _acme-challenge.none.dns"},
        {"nx.dns", VALIDATE_DNS, "NXDOMAIN"},
        {"fail.dns", VALIDATE_DNS, "SERVFAIL"},
        {"no.dns", VALIDATE_DNS, "refuse"},
    };
    struct validate_override o;
    struct validate_resolver resolver;
    struct validate_policy p = policy_make(&o);
    char text[64], named[80];
    snprintf(text, sizeof text, "127.0.0.1:%u", dns_port(dns));
    assert_ok(address_parse(&resolver.address, &resolver.address_len, slice_str(text), 53));
    p.resolvers = &resolver;
    p.resolver_count = 1;
    p.attempt_ms = 4000;
    method = CHALLENGE_DNS_01;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect(&p, rows[i].host, rows[i].problem, rows[i].text);
    snprintf(named, sizeof named, "(resolver %s)", text);
    expect(&p, "nx.dns", VALIDATE_DNS, named);
    p.attempt_ms = 300;
    expect(&p, "silent.dns", VALIDATE_DNS,
           "the resolver did not answer for TXT at _acme-challenge.silent.dns within 300 ms");
    // A name that cannot have one below it.
    char longest[DNS_NAME_LEN_MAX + 1];
    memset(longest, 'a', sizeof longest);
    longest[DNS_NAME_LEN_MAX] = 0;
    for (size_t i = 63; i < DNS_NAME_LEN_MAX; i += 64) longest[i] = '.';
    expect(&p, longest, VALIDATE_DNS, "too long");
    method = CHALLENGE_HTTP_01;
}

// T32: over TCP alone, when a tenant says so, beside a tenant that does not.
static void resolvers_are_asked_over_tcp_alone(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_resolver resolver;
    struct validate_policy udp = policy_dns(&o, &resolver), tcp = udp;
    tcp.dns_tcp = true;
    udp.attempt_ms = 400;
    static const enum challenge_type methods[] = {CHALLENGE_DNS_01, CHALLENGE_HTTP_01};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        method = methods[i];
        expect(&udp, "tcp.dns", VALIDATE_DNS, "did not answer");
        expect(&tcp, "tcp.dns", VALIDATE_OK, "");
        expect(&tcp, "a.dns", VALIDATE_OK, "");
        expect(&udp, "tcp.dns", VALIDATE_DNS, "did not answer");
    }
}

// Given up in the middle of it: nothing is told, nothing leaks (ASan).
static void a_lookup_is_given_up(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_resolver resolver;
    struct validate_policy p = policy_make(&o);
    char text[64];
    struct run r;
    snprintf(text, sizeof text, "127.0.0.1:%u", dns_port(dns));
    assert_ok(address_parse(&resolver.address, &resolver.address_len, slice_str(text), 53));
    p.resolvers = &resolver;
    p.resolver_count = 1;
    method = CHALLENGE_DNS_01;
    for (int turns = 0; turns < 12; turns++) { // at each step of an answer
        struct validator *v = validator_new(shard, 2);
        run_start(v, &r, &p, "a.dns");
        for (int i = 0; i < turns && r.done == 0; i++) shard_turn(shard, 1);
        validator_free(v);
        for (int i = 0; i < 5; i++) shard_turn(shard, 1);
    }
    method = CHALLENGE_HTTP_01;
}

// ---- dns-account-01 and CAA

// draft-ietf-acme-dns-account-label-02: the label is of the URL as the client knows it.
static void an_account_has_its_own_label(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_resolver resolver;
    struct validate_policy p = policy_dns(&o, &resolver);
    method = CHALLENGE_DNS_ACCOUNT_01;
    expect(&p, "account.dns", VALIDATE_OK, "");
    expect(&p, "example.dns", VALIDATE_DNS,
           "no TXT record at _64rv6ojuoy7msfur._acme-challenge.example.dns");
    account = "https://example.com/acme/acct/ExampleAccount";
    expect(&p, "example.dns", VALIDATE_OK, "");
    account = ACCOUNT;
    method = CHALLENGE_HTTP_01;
}

// draft-ietf-acme-dns-persist-01: a record that stays, for one CA and one account.
static void a_lasting_record_is_judged(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool wildcard;
        enum validate_problem problem;
        const char *text;
    } rows[] = {
        {"persist.dns", false, VALIDATE_OK, ""},
        {"persist.dns", true, VALIDATE_OK, ""},
        {"plain.dns", false, VALIDATE_OK, ""},
        {"plain.dns", true, VALIDATE_INCORRECT_RESPONSE, "no policy=wildcard"},
        {"past.dns", false, VALIDATE_INCORRECT_RESPONSE, "persistUntil is past"},
        {"theirs.dns", false, VALIDATE_INCORRECT_RESPONSE, "names another account"},
        {"other.dns", false, VALIDATE_INCORRECT_RESPONSE, "no record is for this CA"},
        {"none.dns", false, VALIDATE_DNS, "no TXT record at _validation-persist.none.dns"},
    };
    static const char *const ours[] = {"ca.test"};
    struct validate_override o;
    struct validate_resolver resolver;
    struct validate_policy p = policy_dns(&o, &resolver);
    p.identities = ours;
    p.identity_count = 1;
    method = CHALLENGE_DNS_PERSIST_01;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        wildcard = rows[i].wildcard;
        expect(&p, rows[i].host, rows[i].problem, rows[i].text);
    }
    wildcard = false;
    method = CHALLENGE_HTTP_01;
}

static void caa_is_looked_at(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool wildcard;
        enum validate_problem problem;
        const char *text;
    } rows[] = {
        {"free.caa", false, VALIDATE_OK, ""},
        {"deep.in.ours.caa", false, VALIDATE_OK, ""},
        {"deep.in.ours.caa", true, VALIDATE_CAA,
         "CAA for *.deep.in.ours.caa: the CAA records at ours.caa forbid it: no \"issuewild\""},
        {"theirs.caa", false, VALIDATE_CAA,
         "the CAA records at theirs.caa forbid it: no \"issue\" property permits"},
        {"a.theirs.caa", false, VALIDATE_CAA,
         "the CAA records at theirs.caa forbid it"}, // an alias is not climbed from
        {"alias.caa", false, VALIDATE_CAA, "forbid it"},
        {"fail.caa", false, VALIDATE_CAA, "is not known: the resolver failed (SERVFAIL)"},
        {"below.fail.caa", false, VALIDATE_CAA, "CAA records at fail.caa forbid it is not known"},
        {"half.caa", false, VALIDATE_CAA, "is not known: the resolver's answer is truncated"},
        {"silent.caa", false, VALIDATE_CAA, "did not answer"},
        {"mine.caa", false, VALIDATE_OK, ""},
        {"elsewhere.caa", false, VALIDATE_OK, ""}, // another host of the same tenant
        {"foreign.caa", false, VALIDATE_CAA, "forbid it"},
    };
    static const char *const ours[] = {"ca.test"};
    static const char *const bases[] = {"https://acme.test/acme/default/acct/",
                                        "https://acme2.test/acme/default/acct/"};
    struct validate_override o;
    struct validate_resolver resolver;
    struct validate_policy p = policy_dns(&o, &resolver);
    p.identities = ours;
    p.identity_count = 1;
    p.account_bases = bases;
    p.account_base_count = 2;
    method = CHALLENGE_DNS_01;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        wildcard = rows[i].wildcard;
        p.attempt_ms = strcmp(rows[i].host, "silent.caa") == 0 ? 400 : 4000;
        p.caa = false; // nobody looks
        expect(&p, rows[i].host, VALIDATE_OK, "");
        p.caa = true;
        for (int k = 0; k < 2; k++) { // behind the challenge, and alone
            caa_alone = k == 1;
            expect(&p, rows[i].host, rows[i].problem, rows[i].text);
        }
        caa_alone = false;
    }
    wildcard = false;
    // The challenge is judged first, and alone nobody asks for it.
    expect(&p, "none.dns", VALIDATE_DNS, "no TXT record");
    method = CHALLENGE_HTTP_01;
}

// An override is for names at or below its suffix, not for those that only end so.
static void an_override_ends_at_a_label(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_resolver resolver;
    struct validate_policy p = policy_make(&o);
    char text[64];
    snprintf(text, sizeof text, "127.0.0.1:%u", dns_port(dns));
    assert_ok(address_parse(&resolver.address, &resolver.address_len, slice_str(text), 53));
    p.resolvers = &resolver;
    p.resolver_count = 1;
    o.suffix = "x.dns";
    expect(&p, "nx.dns", VALIDATE_DNS, "NXDOMAIN");
    o.suffix = "ok.test";
    expect(&p, "ok.test", VALIDATE_OK, "");
}

// ---- the validator

static void bounds_hold(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_policy p = policy_make(&o);
    struct validator *v = validator_new(shard, 2);
    struct run a, b, c = {.request = {.method = CHALLENGE_HTTP_01, .token = slice_str(token)}};
    run_start(v, &a, &p, "silent.test");
    run_start(v, &b, &p, "slow.test");
    c.request.identifier = (struct identifier){IDENTIFIER_DNS, SLICE_LIT("c.test")};
    assert_err(validate_start(v, &c.request), ERR_VALIDATE_BUSY);
    assert_int_equal(validator_count(v), 2);
    for (int i = 0; i < 30; i++) shard_turn(shard, 2);
    validator_free(v);                                         // gives both up, in the middle
    for (int i = 0; i < LAST_TURNS; i++) shard_turn(shard, 5); // its connections linger
    assert_int_equal(a.done + b.done + c.done, 0);
}

static void other_methods_are_refused(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_policy p = policy_make(&o);
    struct validator *v = validator_new(shard, 2);
    struct run r = {.request = {.method = (enum challenge_type)64,
                                .identifier = {IDENTIFIER_DNS, SLICE_LIT("a.test")},
                                .policy = &p,
                                .done = on_done}};
    assert_err(validate_start(v, &r.request), ERR_VALIDATE_METHOD);
    validator_free(v);
}

// ---- URLs of redirects

static void locations_are_resolved(void **state)
{
    (void)state;
    static const struct url base = {.host = "base.test", .port = 0, .path = "/a/b?c"};
    static const struct {
        const char *location, *host;
        unsigned port;
        bool secure;
        const char *path; // NULL: refused
    } rows[] = {
        {"/x", "base.test", 0, false, "/x"},
        {"http://Other.Test", "other.test", 0, false, "/"},
        {"HTTPS://o.test:8443/p?q#f", "o.test", 8443, true, "/p?q"},
        {"//o.test/x", "o.test", 0, false, "/x"},
        {"http://o.test?q", "o.test", 0, false, "/?q"},
        {"http://[::1]:80/x", "::1", 80, false, "/x"},
        {"http://10.0.0.1/x", "10.0.0.1", 0, false, "/x"},
        {"x", NULL, 0, false, NULL},
        {"", NULL, 0, false, NULL},
        {"ftp://o.test/", NULL, 0, false, NULL},
        {"http:///x", NULL, 0, false, NULL},
        {"http://u@o.test/", NULL, 0, false, NULL},
        {"http://o.test:0/", NULL, 0, false, NULL},
        {"http://o.test:65536/", NULL, 0, false, NULL},
        {"http://o.test:/", NULL, 0, false, NULL},
        {"http://[::1]x/", NULL, 0, false, NULL},
        {"http://o.test/a b", NULL, 0, false, NULL},
        {"http://o.test/\r\nX: y", NULL, 0, false, NULL},
        {"http://o.test\\@e.test/", NULL, 0, false, NULL},
        {"http://o\"test/", NULL, 0, false, NULL},
        {"http://[10.0.0.1]/", NULL, 0, false, NULL},
        {"http://[fe80::1%eth0]/", NULL, 0, false, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct url u = {0};
        const char *why = NULL;
        bool ok = url_resolve(&u, &why, &base, slice_str(rows[i].location));
        if (ok != (rows[i].path != NULL)) fail_msg("%s", rows[i].location);
        if (!ok) {
            assert_non_null(why);
            assert_int_equal(u.host[0], 0); // nothing is left behind
            continue;
        }
        assert_string_equal(u.host, rows[i].host);
        assert_string_equal(u.path, rows[i].path);
        assert_int_equal(u.port, rows[i].port);
        assert_int_equal(u.secure, rows[i].secure);
    }
    char long_path[2100] = "http://o.test/";
    struct url u;
    const char *why;
    memset(long_path + 14, 'a', 1999);
    assert_true(url_resolve(&u, &why, &base, slice_str(long_path)));
    long_path[14 + 1999] = 'a';
    assert_false(url_resolve(&u, &why, &base, slice_str(long_path)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(web_servers_are_judged),
        cmocka_unit_test(networks_bound_every_hop),
        cmocka_unit_test(a_refused_connection_is_told_to_people),
        cmocka_unit_test(a_silent_address_is_named),
        cmocka_unit_test(resolvers_are_asked_and_told_apart),
        cmocka_unit_test(txt_records_are_judged),
        cmocka_unit_test(resolvers_are_asked_over_tcp_alone),
        cmocka_unit_test(a_lookup_is_given_up),
        cmocka_unit_test(an_account_has_its_own_label),
        cmocka_unit_test(a_lasting_record_is_judged),
        cmocka_unit_test(caa_is_looked_at),
        cmocka_unit_test(an_override_ends_at_a_label),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(other_methods_are_refused),
        cmocka_unit_test(locations_are_resolved),
    };
    proto_err_register();
    cluster_err_register();
    api_err_register();
    cluster_metrics_declare();
    struct log_options lo = {.level = LOG_ERROR, .fd = 2, .program = "test"};
    struct shard_options so = {.count = 1, .io = SHARD_IO_EPOLL, .name = "t"};
    if (failed(log_new(&logger, &lo)) || failed(metrics_new(&metrics, 1))) return 1;
    so.log = logger;
    so.metrics = metrics;
    if (failed(shard_new(&shard, &so, 0))) return 1;
    web = web_start(web_rows, thumbprint);
    dns = dns_start(dns_rows);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    shard_free(shard);
    web_stop(web);
    dns_stop(dns);
    metrics_free(metrics);
    log_free(logger);
    return failures;
}
