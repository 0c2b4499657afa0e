// redeem: a nonce is good once, on whichever core of whichever front end it is shown (I9, T05): at
// its maker, at others, when its maker is gone, and when its maker has handed it over.
#include "api/redeem.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/unit/unit.h"

enum { THREADS = 8, RACES = 40, HOPS = 60 };

static struct front_rig rig;
static struct acme clients[THREADS]; // of one account

static const char extra[] = "nonce_lifetime: 5m\n";

static const char *kid_path(struct acme *c) { return strchr(c->kid + strlen("https://"), '/'); }

// shown reads the account at front end `front` with this nonce: "" when it was taken, else the
// problem's type.
static const char *shown(struct acme *c, unsigned front, const char *nonce)
{
    if (c->port != rig.ports[front]) acme_port(c, rig.ports[front]);
    snprintf(c->nonce, sizeof c->nonce, "%s", nonce);
    // The account's URL is that of the front end that is asked.
    c->kid = (const char *)make_text(&c->arena, "%s%s", c->origin, kid_path(c)).p;
    struct acme_answer a = acme_post(c, kid_path(c), ACME_KID, NULL);
    if (acme_headers(&a, "Replay-Nonce") != 1) fail_msg("no fresh nonce: %u", a.status);
    if (a.status == 200) return "";
    assert_int_equal(a.status, 400);
    return acme_type(c, &a);
}

static const char *fresh(struct acme *c, unsigned front)
{
    acme_port(c, rig.ports[front]); // a new connection: any core
    return (const char *)make_text(&c->arena, "%s", acme_nonce(c)).p;
}

static void clients_open(unsigned front)
{
    for (unsigned i = 0; i < THREADS; i++) {
        acme_init(&clients[i], rig.root_pem_path, rig.ports[front], 1);
        acme_register(&clients[i]);
    }
}

static void clients_close(void)
{
    for (unsigned i = 0; i < THREADS; i++) acme_fini(&clients[i]);
}

// ---- one front end

static void any_core_takes_it_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HOPS; i++) {
        const char *nonce = fresh(&clients[0], 0);
        acme_port(&clients[0], rig.ports[0]);
        assert_string_equal(shown(&clients[0], 0, nonce), "");
        acme_port(&clients[0], rig.ports[0]);
        assert_string_equal(shown(&clients[0], 0, nonce), "badNonce");
    }
}

// The answer of every POST, good or bad, carries a nonce that is good.
static void each_answer_gives_the_next_one(void **state)
{
    (void)state;
    struct acme *c = &clients[0];
    acme_port(c, rig.ports[0]);
    acme_nonce(c);
    for (unsigned i = 0; i < 20; i++) {
        const char *path = i % 2 == 0 ? kid_path(c) : "/acme/default/order/none";
        struct acme_answer a = acme_post(c, path, ACME_KID, NULL);
        assert_int_equal(a.status, i % 2 == 0 ? 200 : 404);
    }
}

// A request that fails for another reason has not used its nonce up, and one that succeeded has.
static void a_refused_request_uses_nothing(void **state)
{
    (void)state;
    struct acme *c = &clients[0];
    const char *nonce = fresh(c, 0), *header = "{\"alg\":\"ES256\",\"kid\":\"%K\",\"nonce\":\"%N\","
                                               "\"url\":\"https://elsewhere/\"}";
    (void)shown(c, 0, fresh(c, 0));
    snprintf(c->nonce, sizeof c->nonce, "%s", nonce);
    struct acme_answer a = acme_post(c, kid_path(c), header, NULL);
    assert_string_equal(acme_type(c, &a), "unauthorized");
    assert_string_equal(shown(c, 0, nonce), "");
}

// ---- races

struct race {
    struct acme *c;
    unsigned front;
    const char *nonce;
    pthread_barrier_t *start;
    bool taken;
};

static void *race_run(void *arg)
{
    struct race *r = arg;
    pthread_barrier_wait(r->start);
    r->taken = shown(r->c, r->front, r->nonce)[0] == 0;
    return NULL;
}

static unsigned race(const char *nonce, unsigned fronts)
{
    struct race runs[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    unsigned taken = 0;
    pthread_barrier_init(&start, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        runs[i] = (struct race){&clients[i], i % fronts, nonce, &start, false};
        assert_int_equal(pthread_create(&threads[i], NULL, race_run, &runs[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        taken += runs[i].taken;
    }
    pthread_barrier_destroy(&start);
    return taken;
}

static void one_of_many_at_once_gets_it(void **state)
{
    (void)state;
    front_start(&rig, 1);
    front_know(&rig, 0, 1);
    front_know(&rig, 1, 1);
    for (unsigned i = 0; i < RACES; i++) assert_int_equal(race(fresh(&clients[0], i % 2), 2), 1);
}

// ---- makers that are gone

static void another_front_end_asks_the_maker(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        const char *nonce = fresh(&clients[0], i % 2);
        assert_string_equal(shown(&clients[0], 1 - i % 2, nonce), "");
        assert_string_equal(shown(&clients[0], 0, nonce), "badNonce");
        assert_string_equal(shown(&clients[0], 1, nonce), "badNonce");
    }
}

static void a_dead_makers_nonces_are_refused_and_one_retry_suffices(void **state)
{
    (void)state;
    const char *nonce = fresh(&clients[0], 1), *used = fresh(&clients[0], 1);
    assert_string_equal(shown(&clients[0], 1, used), "");
    front_kill(&rig, 1);
    assert_string_equal(shown(&clients[0], 0, nonce), "badNonce");
    assert_string_equal(shown(&clients[0], 0, clients[0].nonce), "");
    front_start(&rig, 1); // another boot at the same place
    front_know(&rig, 1, 1);
    front_know(&rig, 0, 1);
    assert_string_equal(shown(&clients[0], 1, nonce), "badNonce");
    assert_string_equal(shown(&clients[0], 1, used), "badNonce");
}

// A rolling restart: what a front end made before it left is good once, and what was used stays
// used, at the heir, at one that started later and has to ask, and at the heir's heir.
static void a_front_end_that_leaves_hands_its_nonces_over(void **state)
{
    (void)state;
    struct acme *c = &clients[0];
    const char *good[12], *used[4];
    for (unsigned i = 0; i < COUNT_OF(good); i++) good[i] = fresh(c, 0);
    for (unsigned i = 0; i < COUNT_OF(used); i++) {
        used[i] = fresh(c, 0);
        assert_string_equal(shown(c, 0, used[i]), "");
    }
    front_drain(&rig, 0);
    for (unsigned i = 0; i < 4; i++) { // at the heir
        assert_string_equal(shown(c, 1, good[i]), "");
        assert_string_equal(shown(c, 1, good[i]), "badNonce");
    }
    assert_string_equal(shown(c, 1, used[0]), "badNonce");
    front_start(&rig, 2);
    front_know(&rig, 2, 1);
    front_know(&rig, 1, 1);
    for (unsigned i = 4; i < 8; i++) { // at one that never knew the maker
        assert_string_equal(shown(c, 2, good[i]), "");
        assert_string_equal(shown(c, 2, good[i]), "badNonce");
        assert_string_equal(shown(c, 1, good[i]), "badNonce");
    }
    assert_string_equal(shown(c, 2, good[0]), "badNonce");
    assert_string_equal(shown(c, 2, used[1]), "badNonce");
    const char *heirs = fresh(c, 1);
    front_drain(&rig, 1);
    for (unsigned i = 8; i < 12; i++) { // at the heir's heir
        assert_string_equal(shown(c, 2, good[i]), "");
        assert_string_equal(shown(c, 2, good[i]), "badNonce");
    }
    assert_string_equal(shown(c, 2, heirs), "");
    assert_string_equal(shown(c, 2, good[1]), "badNonce");
    assert_string_equal(shown(c, 2, good[5]), "badNonce");
    assert_string_equal(shown(c, 2, used[2]), "badNonce");
    front_drain(&rig, 2);
}

// Requests that are under way at others while a maker leaves: each nonce is good once, none is
// lost.
static void no_request_suffers_from_a_leave(void **state)
{
    (void)state;
    front_start(&rig, 0);
    front_start(&rig, 1);
    front_know(&rig, 0, 1);
    front_know(&rig, 1, 1);
    const char *nonces[2 * THREADS];
    for (unsigned i = 0; i < COUNT_OF(nonces); i++) nonces[i] = fresh(&clients[0], 0);
    for (unsigned i = 0; i < THREADS; i++) acme_port(&clients[i], rig.ports[1]);
    struct race runs[2 * THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, THREADS + 1);
    for (unsigned i = 0; i < THREADS; i++) {
        runs[i] = (struct race){&clients[i], 1, nonces[i], &start, false};
        assert_int_equal(pthread_create(&threads[i], NULL, race_run, &runs[i]), 0);
    }
    pthread_barrier_wait(&start);
    front_drain(&rig, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(runs[i].taken);
    }
    for (unsigned i = 0; i < COUNT_OF(nonces); i++)
        assert_string_equal(shown(&clients[0], 1, nonces[i]), i < THREADS ? "badNonce" : "");
    pthread_barrier_destroy(&start);
}

static int setup(void **state)
{
    (void)state;
    front_start(&rig, 0);
    clients_open(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clients_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_core_takes_it_once),
        cmocka_unit_test(each_answer_gives_the_next_one),
        cmocka_unit_test(a_refused_request_uses_nothing),
        cmocka_unit_test(one_of_many_at_once_gets_it),
        cmocka_unit_test(another_front_end_asks_the_maker),
        cmocka_unit_test(a_dead_makers_nonces_are_refused_and_one_retry_suffices),
        cmocka_unit_test(a_front_end_that_leaves_hands_its_nonces_over),
        cmocka_unit_test(no_request_suffers_from_a_leave),
    };
    if (!front_rig_init(&rig, extra)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, teardown);
    front_rig_fini(&rig);
    return failures;
}
