// client: a pool of signers as a front end sees it: which of them are used, how what is queued
// becomes messages, and answers that do not fit what was asked.
#include "signer/client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/core/server.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "cluster/rpc/method.h"
#include "proto/err.h"
#include "proto/rpc/signer.pb-c.h"
#include "signer/err.h"
#include "signer/events.h"
#include "tests/unit/signer/fixture.h"

enum { SIGNERS_MAX = 3, SIGNS_MAX = 600, SIGN_SIZE_MAX = 1 << 20 };

typedef Certmill__Signer__V1__SignResult SignResult;

// ---- signers that answer as they are told

enum lie {
    HONEST,
    OTHER_ORDER,
    OTHER_HASH,
    SWAPPED,
    ONE_LESS,
    SHORT_SERIAL,
    NO_CERTIFICATE,
    ALL_BUSY,
    ALL_REFUSED,
    FAILS,
};

struct signer {
    struct rpc_service *rpc;
    struct server *server;
    uint32_t region;
    uint8_t profile_hash, serial_hash; // an octet of each
    enum lie lie;
    size_t calls, intents, largest; // largest: intents in one call
};

static struct arena arena;
static struct log *log_;
static struct metrics *metrics;
static struct shard *shard;
static struct signer signers[SIGNERS_MAX];
static struct signer_client *client;
static unsigned changes;

static ProtobufCBinaryData octets(uint8_t *p, size_t n) { return (ProtobufCBinaryData){n, p}; }

static void on_describe(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    struct signer *s = ctx;
    uint8_t profile_hash[HASH_LEN], serial_hash[HASH_LEN], der[] = "issuer";
    char name[] = "server", text[] = "for tests", kind[] = "P-256", *kinds[1] = {kind};
    Certmill__Signer__V1__DescribeResponse m;
    Certmill__Signer__V1__DescribeResponse__Profile profile, *profiles[1] = {&profile};
    Certmill__Signer__V1__DescribeResponse__Issuer
        issuer = CERTMILL__SIGNER__V1__DESCRIBE_RESPONSE__ISSUER__INIT,
        *issuers[1] = {&issuer};
    Certmill__Signer__V1__DescribeResponse__SerialKey
        serial = CERTMILL__SIGNER__V1__DESCRIBE_RESPONSE__SERIAL_KEY__INIT,
        *serials[1] = {&serial};
    uint32_t id = 1;
    (void)message;
    certmill__signer__v1__describe_response__init(&m);
    certmill__signer__v1__describe_response__profile__init(&profile);
    memset(profile_hash, s->profile_hash, HASH_LEN);
    memset(serial_hash, s->serial_hash, HASH_LEN);
    profile.name = name;
    profile.text = text;
    profile.hash = octets(profile_hash, HASH_LEN);
    profile.issuers = &id;
    profile.n_issuers = 1;
    profile.key_kinds = kinds;
    profile.n_key_kinds = 1;
    serial.generation = 1;
    serial.hash = octets(serial_hash, HASH_LEN);
    issuer.id = id;
    issuer.certificate = octets(der, sizeof der);
    issuer.serial_keys = serials;
    issuer.n_serial_keys = 1;
    m.profiles = profiles;
    m.issuers = issuers;
    m.n_profiles = m.n_issuers = 1;
    m.region = s->region;
    rpc_reply(r, &m.base);
}

static void result_make(SignResult *out, const Certmill__Signer__V1__Intent *in, enum lie lie)
{
    static uint8_t serial[SERIAL_LEN], der[] = "certificate", other[HASH_LEN];
    certmill__signer__v1__sign_result__init(out);
    out->status = lie == ALL_BUSY      ? CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BUSY
                  : lie == ALL_REFUSED ? CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__REFUSED
                                       : CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__SIGNED;
    out->order = lie == OTHER_ORDER ? octets(other, 16) : in->order;
    out->intent_hash = lie == OTHER_HASH ? octets(other, HASH_LEN) : in->hash;
    out->serial = octets(serial, lie == SHORT_SERIAL ? SERIAL_LEN - 1 : SERIAL_LEN);
    out->certificate = octets(der, lie == NO_CERTIFICATE ? 0 : sizeof der);
}

static void on_sign(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    struct signer *s = ctx;
    const Certmill__Signer__V1__SignRequest *q = (const Certmill__Signer__V1__SignRequest *)message;
    static SignResult results[SIGNER_BATCH_MAX], *pointers[SIGNER_BATCH_MAX];
    Certmill__Signer__V1__SignResponse m = CERTMILL__SIGNER__V1__SIGN_RESPONSE__INIT;
    s->calls++;
    s->intents += q->n_intents;
    if (q->n_intents > s->largest) s->largest = q->n_intents;
    if (s->lie == FAILS) {
        rpc_fail(r, RPC_UNAVAILABLE, "told to");
        return;
    }
    assert_true(q->n_intents <= SIGNER_BATCH_MAX);
    for (size_t i = 0; i < q->n_intents; i++) {
        result_make(&results[i], q->intents[i], s->lie);
        pointers[s->lie == SWAPPED && i < 2 ? 1 - i : i] = &results[i];
    }
    m.results = pointers;
    m.n_results = q->n_intents - (s->lie == ONE_LESS);
    rpc_reply(r, &m.base);
}

static const struct rpc_method methods[] = {
    {"/certmill.signer.v1.Signer/Sign", &certmill__signer__v1__sign_request__descriptor,
     &certmill__signer__v1__sign_response__descriptor, SIGN_SIZE_MAX, NULL, on_sign},
    {"/certmill.signer.v1.Signer/Describe", &certmill__signer__v1__describe_request__descriptor,
     &certmill__signer__v1__describe_response__descriptor, 65536, NULL, on_describe},
};

static void signer_start(struct signer *s)
{
    char note[256] = "";
    struct server_options o = {.name = "rpc",
                               .plain_version = HTTP_2,
                               .http = {.head_size_max = 16384,
                                        .body_size_max = SIGN_SIZE_MAX + 16,
                                        .header_count_max = 64,
                                        .streams_max = 64,
                                        .abuse_max = 1000,
                                        .out_size_max = 16 << 20},
                               .conns_max = 16,
                               .handshake_ms = 5000,
                               .head_ms = 5000,
                               .body_ms = 5000,
                               .idle_ms = 60000,
                               .write_ms = 5000,
                               .request_ms = 20000};
    struct sockaddr_in *in = (struct sockaddr_in *)&o.listen;
    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    o.listen_len = sizeof *in;
    *s = (struct signer){.profile_hash = 1, .serial_hash = 1};
    s->rpc = rpc_service_new(shard, methods, COUNT_OF(methods), s);
    assert_non_null(s->rpc);
    assert_ok(server_new(&s->server, note, sizeof note, shard, &o, rpc_service_handler(), s->rpc));
}

static void on_changed(void *ctx)
{
    (void)ctx;
    changes++;
}

static void client_start(size_t count)
{
    struct rpc_target targets[SIGNERS_MAX] = {{.text = "signer"}};
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_in *in = (struct sockaddr_in *)&targets[i].address;
        *in = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)server_port(signers[i].server)),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
        targets[i].address_len = sizeof *in;
    }
    struct signer_client_options o = {.channel = {.targets = targets,
                                                  .target_count = count,
                                                  .service = "signer",
                                                  .response_size_max = 16 << 20,
                                                  .connect_ms = 5000,
                                                  .backoff_ms_max = 100},
                                      .describe_ms = 30,
                                      .queue_max = SIGNS_MAX,
                                      .changed = on_changed};
    changes = 0;
    assert_ok(signer_client_new(&client, shard, &o));
}

static void turns(int ms)
{
    for (int i = 0; i < ms; i++) shard_turn(shard, 1);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 256 << 20);
    struct log_options lo = {.level = LOG_ERROR, .fd = STDERR_FILENO, .program = "test"};
    assert_ok(log_new(&log_, &lo));
    assert_ok(metrics_new(&metrics, 1));
    struct shard_options so = {
        .count = 1, .io = SHARD_IO_EPOLL, .metrics = metrics, .log = log_, .name = "test"};
    assert_ok(shard_new(&shard, &so, 0));
    for (size_t i = 0; i < SIGNERS_MAX; i++) signer_start(&signers[i]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    signer_client_free(client);
    client = NULL;
    turns(5);
    for (size_t i = 0; i < SIGNERS_MAX; i++) server_free(signers[i].server);
    turns(5);
    for (size_t i = 0; i < SIGNERS_MAX; i++) rpc_service_free(signers[i].rpc);
    shard_free(shard);
    metrics_free(metrics);
    log_free(log_);
    arena_fini(&arena);
    return 0;
}

// ---- items

static struct {
    struct signer_sign sign;
    struct intent intent;
    struct err err;
    bool done, has_certificate;
    char text[160];
} items[SIGNS_MAX];
static size_t done_count;

static void on_signed(struct signer_sign *s, struct err e, const char *text)
{
    size_t i = (size_t)((char *)s - (char *)items) / sizeof items[0];
    assert_false(items[i].done);
    items[i].done = true;
    items[i].err = e;
    items[i].has_certificate = s->certificate.n > 0;
    snprintf(items[i].text, sizeof items[i].text, "%s", text);
    done_count++;
}

// queued makes `count` intents of `names` long names each and queues them in this turn.
static void queued(size_t count, size_t names)
{
    done_count = 0;
    for (size_t i = 0; i < count; i++) {
        memset(&items[i], 0, sizeof items[i]);
        struct intent *in = &items[i].intent;
        *in = (struct intent){.tenant = SLICE_LIT("default"),
                              .profile = SLICE_LIT("server"),
                              .spki = make_spki(&arena, make_key(KEY_P256, 0, 0)),
                              .issuer = 1,
                              .name_count = names};
        in->order.b[0] = 1;
        in->order.b[14] = (uint8_t)(i >> 8);
        in->order.b[15] = (uint8_t)i;
        in->names = ARENA_ARRAY(&arena, struct identifier, names);
        for (size_t k = 0; k < names; k++)
            in->names[k] = (struct identifier){
                IDENTIFIER_DNS,
                make_text(&arena, "n%03zu.%060d.%060d.%060d.%050d.test", k, 0, 0, 0, 0)};
        items[i].sign = (struct signer_sign){.done = on_signed, .intent = in};
        assert_ok(signer_client_sign(client, &items[i].sign, 20000));
    }
}

static void all_done(size_t count)
{
    for (int i = 0; i < 20000 && done_count < count; i++) shard_turn(shard, 1);
    assert_int_equal(done_count, count);
}

static size_t signed_count(size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) n += !failed(items[i].err) && items[i].has_certificate;
    return n;
}

// ---- which signers are used

static void uses_those_that_agree(void **state)
{
    (void)state;
    signers[1].serial_hash = 9; // another serial key
    signers[2].region = 5;
    client_start(3);
    turns(100);
    assert_true(signer_client_ready(client));
    // The first that answered is the standard, another region's never.
    struct signer *used = signers[0].intents + signers[1].intents == 0 ? NULL : &signers[0];
    for (int round = 0; round < 10; round++) {
        queued(20, 1);
        all_done(20);
        assert_int_equal(signed_count(20), 20);
    }
    used = signers[0].intents > 0 ? &signers[0] : &signers[1];
    assert_int_equal(used->intents, 200);
    assert_int_equal(signers[0].intents + signers[1].intents, 200);
    assert_int_equal(signers[2].intents, 0);
    assert_int_equal(changes, 1);
}

static void shares_work_among_equals(void **state)
{
    (void)state;
    client_start(3);
    turns(100);
    for (int round = 0; round < 30; round++) {
        // Two batches at once: the second goes to whom the first did not go.
        queued(2 * SIGNER_BATCH_MAX, 1);
        all_done(2 * SIGNER_BATCH_MAX);
    }
    size_t busy = 0;
    for (size_t i = 0; i < 3; i++) busy += signers[i].calls > 0;
    assert_true(busy >= 2);
}

static void follows_a_change_of_all(void **state)
{
    (void)state;
    client_start(2);
    turns(100);
    const struct signer_profile *p = signer_client_profile(client, SLICE_LIT("server"));
    assert_non_null(p);
    assert_int_equal(p->hash[0], 1);
    signers[0].profile_hash = 2; // a rollout: one first
    turns(150);
    p = signer_client_profile(client, SLICE_LIT("server"));
    assert_int_equal(p->hash[0], 1);
    signers[1].profile_hash = 2;
    turns(200);
    p = signer_client_profile(client, SLICE_LIT("server"));
    assert_int_equal(p->hash[0], 2);
    assert_int_equal(changes, 2);
    assert_null(signer_client_profile(client, SLICE_LIT("other")));
    assert_null(signer_client_issuer(client, 2));
    assert_non_null(signer_client_issuer(client, 1));
    queued(5, 1);
    all_done(5);
    assert_int_equal(signed_count(5), 5);
}

// ---- messages

static void gathers_what_is_queued(void **state)
{
    (void)state;
    client_start(1);
    turns(100);
    queued(SIGNS_MAX, 1);
    struct signer_sign more = {.done = on_signed, .intent = &items[0].intent};
    assert_err(signer_client_sign(client, &more, 1000), ERR_SIGNER_BUSY); // queue_max wait
    all_done(SIGNS_MAX);
    assert_int_equal(signed_count(SIGNS_MAX), SIGNS_MAX);
    assert_int_equal(signers[0].calls, 3);
    assert_int_equal(signers[0].largest, SIGNER_BATCH_MAX);
}

// 256 intents of a hundred names each are many times what a message may hold.
static void keeps_messages_within_their_size(void **state)
{
    (void)state;
    client_start(1);
    turns(100);
    queued(SIGNER_BATCH_MAX, IDENTIFIER_COUNT_MAX);
    all_done(SIGNER_BATCH_MAX);
    for (size_t i = 0; i < SIGNER_BATCH_MAX; i++)
        if (failed(items[i].err)) fail_msg("%zu: %s", i, items[i].text);
    assert_int_equal(signed_count(SIGNER_BATCH_MAX), SIGNER_BATCH_MAX);
    assert_true(signers[0].largest >= 20 && signers[0].largest < 60);
}

// ---- answers

static void notices_answers_that_do_not_fit(void **state)
{
    static const struct {
        enum lie lie;
        uint32_t code;
        size_t right; // of four
    } rows[] = {
        {HONEST, 0, 4},
        {OTHER_ORDER, ERR_SIGNER_WRONG, 0},
        {OTHER_HASH, ERR_SIGNER_WRONG, 0},
        {SWAPPED, ERR_SIGNER_WRONG, 2},
        {ONE_LESS, ERR_SIGNER_WRONG, 3},
        {SHORT_SERIAL, ERR_SIGNER_WRONG, 0},
        {NO_CERTIFICATE, ERR_SIGNER_WRONG, 0},
        {ALL_BUSY, ERR_SIGNER_BUSY, 0},
        {ALL_REFUSED, ERR_SIGNER_REFUSED, 0},
        {FAILS, ERR_SIGNER_AWAY, 0},
    };
    (void)state;
    client_start(1);
    turns(100);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t right = 0, wrong = 0;
        signers[0].lie = rows[i].lie;
        queued(4, 1);
        all_done(4);
        for (size_t k = 0; k < 4; k++) {
            right += !failed(items[k].err);
            wrong += failed(items[k].err) && err_is(items[k].err, rows[i].code);
        }
        if (right != rows[i].right || right + wrong != 4)
            fail_msg("row %zu: %zu right, %zu wrong", i, right, wrong);
    }
}

static void ends_what_waits_when_it_is_freed(void **state)
{
    (void)state;
    client_start(1);
    queued(3, 1);
    signer_client_free(client);
    client = NULL;
    assert_int_equal(done_count, 3);
    for (size_t i = 0; i < 3; i++) assert_err(items[i].err, ERR_SIGNER_AWAY);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(uses_those_that_agree),
        TEST(shares_work_among_equals),
        TEST(follows_a_change_of_all),
        TEST(gathers_what_is_queued),
        TEST(keeps_messages_within_their_size),
        TEST(notices_answers_that_do_not_fit),
        TEST(ends_what_waits_when_it_is_freed),
    };
    proto_err_register();
    cluster_err_register();
    signer_err_register();
    cluster_metrics_declare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
