#include "tests/support/signer_double.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cluster/core/shard.h"
#include "proto/der/der.h"
#include "signer/client.h"
#include "signer/err.h"
#include "tests/support/make.h"

enum { ISSUER_ID = 1, VALIDITY_S = 86400, BACKDATE_S = 60, RECORDS_MAX = 4096, AWAY_MS = 30 };

struct record {
    struct id order;
    uint8_t serial[SERIAL_LEN];
    uint8_t *der; // NULL: was never signed
    size_t der_len;
    bool burned;
};

static struct {
    pthread_mutex_t lock;
    struct arena arena;
    enum double_mode mode;
    unsigned asked, accused;
    struct record records[RECORDS_MAX];
    size_t record_count;
    struct slice certificate, subject;
    EVP_PKEY *key;
} world = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct signer_client {
    struct shard *shard;
    struct signer_client_options options;
    struct list queue;
    struct turn_hook hook;
    struct timer described, away;
};

// ---- certificates

static struct slice integer(struct arena *a, const uint8_t *p, size_t n)
{
    return MAKE_TLV(a, 0x02, slice_of(p, n));
}

static struct slice time_text(struct arena *a, int64_t s)
{
    struct tm tm;
    time_t t = (time_t)s;
    gmtime_r(&t, &tm);
    return MAKE_TLV(a, 0x17,
                    make_text(a, "%02d%02d%02d%02d%02d%02dZ", tm.tm_year % 100, tm.tm_mon + 1,
                              tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec));
}

static struct slice name(struct arena *a, const char *cn)
{
    return MAKE_SEQUENCE(a, make_rdn(a, OID_COMMON_NAME, 0x0c, slice_str(cn)));
}

static struct slice names_extension(struct arena *a, const struct intent *in, enum double_mode mode)
{
    struct slice parts[IDENTIFIER_COUNT_MAX + 2];
    size_t count = 0;
    for (size_t i = 0; i < in->name_count; i++) {
        const struct identifier *id = &in->names[i];
        bool last = i + 1 == in->name_count;
        if (last && mode == DOUBLE_NAME_MISSING) continue;
        struct slice value = last && mode == DOUBLE_NAME_OTHER   ? SLICE_LIT("other.internal.test")
                             : last && mode == DOUBLE_NAME_TWICE ? in->names[0].value
                                                                 : id->value;
        parts[count++] = MAKE_TLV(a, id->type == IDENTIFIER_DNS ? 0x82 : 0x87, value);
    }
    if (mode == DOUBLE_NAME_MORE)
        parts[count++] = MAKE_TLV(a, 0x82, SLICE_LIT("more.internal.test"));
    if (mode == DOUBLE_NAME_URI) parts[count++] = MAKE_TLV(a, 0x86, SLICE_LIT("spiffe://x/y"));
    return make_extension(a, OID_SUBJECT_ALT_NAME, true, make_tlv(a, 0x30, parts, count));
}

static struct slice signed_by(struct arena *a, struct slice tbs, EVP_PKEY *key)
{
    static const uint8_t no_unused_bits[] = {0};
    return MAKE_SEQUENCE(
        a, tbs, make_algorithm(a, key),
        MAKE_TLV(a, 0x03, slice_of(no_unused_bits, 1), make_signature(a, key, tbs)));
}

static struct slice tbs_make(struct arena *a, struct slice serial, struct slice issuer,
                             struct slice subject, int64_t from, int64_t to, struct slice spki,
                             struct slice extensions)
{
    static const uint8_t v3[] = {2};
    return MAKE_SEQUENCE(a, MAKE_TLV(a, 0xa0, integer(a, v3, 1)), serial,
                         make_algorithm(a, world.key), issuer,
                         MAKE_SEQUENCE(a, time_text(a, from), time_text(a, to)), subject, spki,
                         MAKE_TLV(a, 0xa3, MAKE_TLV(a, 0x30, extensions)));
}

static struct slice ca_extension(struct arena *a)
{
    static const uint8_t yes[] = {0xff};
    return make_extension(a, OID_BASIC_CONSTRAINTS, true,
                          MAKE_SEQUENCE(a, MAKE_TLV(a, 0x01, slice_of(yes, 1))));
}

static struct slice issuer_extensions(struct arena *a)
{
    return MAKE_JOINED(a, ca_extension(a),
                       make_extension(a, OID_SUBJECT_KEY_ID, false,
                                      MAKE_TLV(a, 0x04, SLICE_LIT(SIGNER_DOUBLE_KEY_ID))));
}

static struct slice no_rev_avail_extension(struct arena *a)
{
    return make_extension(a, OID_NO_REV_AVAIL, false, MAKE_EMPTY(a, 0x05));
}

static void serial_of(uint8_t out[SERIAL_LEN], const struct intent *in)
{
    uint8_t hash[HASH_LEN];
    intent_hash(hash, in);
    memcpy(out, hash, SERIAL_LEN);
    int64_t hour = in->not_before / 3600; // in front, so that certificates partition by it
    for (int i = 0; i < 3; i++) out[i] = (uint8_t)(hour >> (16 - 8 * i));
}

// certificate_make is what the mode says; signed well unless it says otherwise.
static struct slice certificate_make(struct arena *a, const struct intent *in,
                                     const uint8_t serial[SERIAL_LEN], enum double_mode mode)
{
    uint8_t number[SERIAL_LEN];
    memcpy(number, serial, SERIAL_LEN);
    if (mode == DOUBLE_OTHER_SERIAL) number[SERIAL_LEN - 1] ^= 1;
    EVP_PKEY *other = make_key(KEY_P256, 0, 77);
    struct slice spki = mode == DOUBLE_OTHER_KEY ? make_spki(a, other) : in->spki,
                 names = names_extension(a, in, mode),
                 extensions = mode == DOUBLE_CA ? MAKE_JOINED(a, names, ca_extension(a))
                              : slice_eq_str(in->profile, "norev")
                                  ? MAKE_JOINED(a, names, no_rev_avail_extension(a))
                                  : names,
                 issuer = mode == DOUBLE_OTHER_ISSUER ? name(a, "another CA") : world.subject;
    struct slice tbs = tbs_make(a, integer(a, number, SERIAL_LEN), issuer, MAKE_EMPTY(a, 0x30),
                                in->not_before - (mode == DOUBLE_EARLY),
                                in->not_after + (mode == DOUBLE_LONG), spki, extensions);
    struct slice out = signed_by(a, tbs, mode == DOUBLE_BAD_SIGNATURE ? other : world.key);
    if (mode == DOUBLE_TRAILING) return MAKE_JOINED(a, out, SLICE_LIT("x"));
    return mode == DOUBLE_GARBAGE ? SLICE_LIT("\x30\x03\x02\x01") : out;
}

void signer_double_init(void)
{
    static const uint8_t one[] = {1};
    arena_init(&world.arena, 1 << 20);
    struct arena *a = &world.arena;
    world.key = make_key(KEY_P256, 0, 70);
    (void)make_key(KEY_P256, 0, 77); // before there are threads
    world.subject = name(a, "double's issuing CA");
    struct slice tbs = tbs_make(a, integer(a, one, 1), name(a, "double's root"), world.subject,
                                1700000000, 2040000000, make_spki(a, world.key),
                                issuer_extensions(a));
    world.certificate = signed_by(a, tbs, world.key);
    world.mode = DOUBLE_HONEST;
}

void signer_double_fini(void)
{
    for (size_t i = 0; i < world.record_count; i++) free(world.records[i].der);
    world.record_count = 0;
    world.asked = world.accused = 0;
    arena_fini(&world.arena);
}

void signer_double_set(enum double_mode mode)
{
    pthread_mutex_lock(&world.lock);
    world.mode = mode;
    pthread_mutex_unlock(&world.lock);
}

static enum double_mode mode_now(void)
{
    pthread_mutex_lock(&world.lock);
    enum double_mode mode = world.mode;
    pthread_mutex_unlock(&world.lock);
    return mode;
}

static unsigned locked_read(const unsigned *what)
{
    pthread_mutex_lock(&world.lock);
    unsigned v = *what;
    pthread_mutex_unlock(&world.lock);
    return v;
}

unsigned signer_double_asked(void) { return locked_read(&world.asked); }
unsigned signer_double_accused(void) { return locked_read(&world.accused); }

unsigned signer_double_signed(void)
{
    unsigned n = 0;
    pthread_mutex_lock(&world.lock);
    for (size_t i = 0; i < world.record_count; i++) n += world.records[i].der != NULL;
    pthread_mutex_unlock(&world.lock);
    return n;
}

struct slice signer_double_issuer(void) { return world.certificate; }

// ---- answers

static struct record *record_of(const struct id *order)
{
    for (size_t i = 0; i < world.record_count; i++)
        if (id_eq(&world.records[i].order, order)) return &world.records[i];
    return NULL;
}

static struct record *record_add(const struct intent *in, struct slice der)
{
    CHECK(world.record_count < RECORDS_MAX);
    struct record *r = &world.records[world.record_count++];
    *r = (struct record){.order = in->order, .der_len = der.n};
    serial_of(r->serial, in);
    if (der.n == 0) return r;
    r->der = malloc(der.n);
    CHECK(r->der != NULL);
    memcpy(r->der, der.p, der.n);
    return r;
}

// decide fills the call; the world is locked.
static struct err decide(struct signer_sign *call, bool burn, struct arena *a)
{
    const struct intent *in = call->intent;
    struct record *r = record_of(&in->order);
    world.asked++;
    if (world.mode == DOUBLE_AWAY) return ERR(SIGNER_AWAY);
    if (burn && world.mode == DOUBLE_NOTHING) return ERR(SIGNER_AWAY);
    if (burn && r == NULL) r = record_add(in, SLICE_NONE);
    if (burn) r->burned = true;
    if (!burn && world.mode == DOUBLE_BUSY) return ERR(SIGNER_BUSY);
    if (!burn && (world.mode == DOUBLE_NEVER || world.mode == DOUBLE_NOTHING))
        return ERR(SIGNER_MISMATCH);
    if (!burn && world.mode == DOUBLE_REFUSES) return ERR(SIGNER_REFUSED);
    serial_of(call->serial, in);
    if (world.mode >= DOUBLE_FIRST_LIE) {
        call->certificate = certificate_make(a, in, call->serial, world.mode);
        return OK;
    }
    if (r == NULL) r = record_add(in, certificate_make(a, in, call->serial, DOUBLE_HONEST));
    call->burned = r->burned;
    call->certificate = r->burned ? SLICE_NONE : slice_of(r->der, r->der_len);
    return call->burned && !burn ? ERR(SIGNER_REFUSED) : OK;
}

static void answer(struct signer_sign *call)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    pthread_mutex_lock(&world.lock);
    struct err e = decide(call, call->target == 1, &a);
    pthread_mutex_unlock(&world.lock);
    call->done(call, e, failed(e) ? err_text(e) : "");
    arena_fini(&a);
}

static void queue_run(struct signer_client *c)
{
    struct list now;
    list_init(&now);
    while (!list_empty(&c->queue)) list_push_back(&now, list_pop_front(&c->queue));
    while (!list_empty(&now)) answer(LIST_OWNER(list_pop_front(&now), struct signer_sign, node));
}

static void on_hook(struct turn_hook *hook)
{
    struct signer_client *c = LIST_OWNER(hook, struct signer_client, hook);
    if (mode_now() == DOUBLE_AWAY) // waits a little, as a call waits for its deadline
        timer_set(c->shard, &c->away, AWAY_MS);
    else
        queue_run(c);
}

static void on_away(struct timer *t) { queue_run(LIST_OWNER(t, struct signer_client, away)); }

static struct err enqueue(struct signer_client *c, struct signer_sign *call, bool burn)
{
    call->target = burn;
    call->burned = false;
    list_push_back(&c->queue, &call->node);
    turn_hook_arm(c->shard, &c->hook);
    return OK;
}

struct err signer_client_sign(struct signer_client *c, struct signer_sign *call,
                              unsigned deadline_ms)
{
    (void)deadline_ms;
    return enqueue(c, call, false);
}

struct err signer_client_burn(struct signer_client *c, struct signer_sign *call,
                              unsigned deadline_ms)
{
    (void)deadline_ms;
    return enqueue(c, call, true);
}

void signer_client_wrong(struct signer_client *c, const struct signer_sign *call)
{
    (void)c;
    (void)call;
    pthread_mutex_lock(&world.lock);
    world.accused++;
    pthread_mutex_unlock(&world.lock);
}

// ---- what is offered

static void on_described(struct timer *t)
{
    struct signer_client *c = LIST_OWNER(t, struct signer_client, described);
    if (c->options.changed != NULL) c->options.changed(c->options.ctx);
}

struct err signer_client_new(struct signer_client **out, struct shard *shard,
                             const struct signer_client_options *options)
{
    struct signer_client *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->shard = shard;
    c->options = *options;
    list_init(&c->queue);
    list_init(&c->hook.node);
    c->hook.run = on_hook;
    c->away.fire = on_away;
    c->described.fire = on_described;
    timer_set(shard, &c->described, 1);
    *out = c;
    return OK;
}

void signer_client_free(struct signer_client *c)
{
    if (c == NULL) return;
    turn_hook_disarm(&c->hook);
    timer_cancel(&c->away);
    timer_cancel(&c->described);
    while (!list_empty(&c->queue)) {
        struct signer_sign *call = LIST_OWNER(list_pop_front(&c->queue), struct signer_sign, node);
        call->done(call, ERR(SIGNER_AWAY), "shutting down");
    }
    free(c);
}

bool signer_client_ready(const struct signer_client *c)
{
    (void)c;
    return mode_now() != DOUBLE_AWAY;
}

const char *signer_client_state_text(const struct signer_client *c)
{
    return signer_client_ready(c) ? "the double is there" : "the double is away";
}

size_t signer_client_profiles(const struct signer_client *c, const struct signer_profile **out)
{
    static const uint16_t issuers[] = {ISSUER_ID};
    static const uint32_t weights[] = {1};
    static const struct slice kinds[] = {SLICE_LIT("P-256"), SLICE_LIT("RSA-2048"),
                                         SLICE_LIT("P-384"), SLICE_LIT("P-521"),
                                         SLICE_LIT("Ed25519")};
    static const struct signer_profile profiles[] = {{.name = SLICE_LIT("server"),
                                                      .hash = {1},
                                                      .template_version = 1,
                                                      .validity_s = VALIDITY_S,
                                                      .backdate_s = BACKDATE_S,
                                                      .issuers = issuers,
                                                      .weights = weights,
                                                      .issuer_count = 1,
                                                      .key_kinds = kinds,
                                                      .key_kind_count = 2,
                                                      .text = SLICE_LIT("for servers")},
                                                     {.name = SLICE_LIT("short"),
                                                      .hash = {2},
                                                      .template_version = 1,
                                                      .validity_s = 3600,
                                                      .backdate_s = BACKDATE_S,
                                                      .issuers = issuers,
                                                      .weights = weights,
                                                      .issuer_count = 1,
                                                      .key_kinds = kinds,
                                                      .key_kind_count = 1,
                                                      .text = SLICE_LIT("for an hour")},
                                                     {.name = SLICE_LIT("wide"),
                                                      .hash = {3},
                                                      .template_version = 1,
                                                      .validity_s = VALIDITY_S,
                                                      .backdate_s = BACKDATE_S,
                                                      .issuers = issuers,
                                                      .weights = weights,
                                                      .issuer_count = 1,
                                                      .key_kinds = kinds,
                                                      .key_kind_count = 5,
                                                      .text = SLICE_LIT("for any key")},
                                                     {.name = SLICE_LIT("norev"),
                                                      .hash = {4},
                                                      .template_version = 1,
                                                      .validity_s = VALIDITY_S,
                                                      .backdate_s = BACKDATE_S,
                                                      .issuers = issuers,
                                                      .weights = weights,
                                                      .issuer_count = 1,
                                                      .key_kinds = kinds,
                                                      .key_kind_count = 1,
                                                      .no_rev_avail = true,
                                                      .text = SLICE_LIT("never revoked")}};
    *out = profiles;
    return signer_client_ready(c) ? sizeof profiles / sizeof profiles[0] : 0;
}

const struct signer_profile *signer_client_profile(const struct signer_client *c,
                                                   struct slice wanted)
{
    const struct signer_profile *all;
    size_t count = signer_client_profiles(c, &all);
    for (size_t i = 0; i < count; i++)
        if (slice_eq(all[i].name, wanted)) return &all[i];
    return NULL;
}

const struct signer_issuer *signer_client_issuer(const struct signer_client *c, uint16_t id)
{
    static __thread struct signer_issuer issuer;
    if (!signer_client_ready(c) || id != ISSUER_ID) return NULL;
    issuer = (struct signer_issuer){
        .id = ISSUER_ID, .certificate = world.certificate, .serial_key_generation = 1};
    SHA256(world.certificate.p, world.certificate.n, issuer.certificate_hash);
    return &issuer;
}

// Renewals are not what these tests are about.
struct err signer_client_renew(struct signer_client *c, struct signer_renew *call, bool server,
                               struct slice csr, unsigned deadline_ms)
{
    (void)c;
    (void)call;
    (void)server;
    (void)csr;
    (void)deadline_ms;
    return ERR(SIGNER_BUSY);
}

// CRLs are made by real signers (tests/e2e/crl_test.py).
struct err signer_client_crl(struct signer_client *c, struct signer_crl *call, unsigned deadline_ms)
{
    (void)c;
    (void)call;
    (void)deadline_ms;
    return ERR(SIGNER_BUSY);
}

void signer_client_tls_set(struct signer_client *c, struct tls_context *tls)
{
    (void)c;
    (void)tls;
}
