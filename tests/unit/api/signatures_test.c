// signatures: how whole front ends check the signatures that they are shown: an account that signs
// often gets a table, which changes nothing about what is taken and what is refused; the metrics
// say how it goes; without the vector kernel all is the same but slower.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/key_tables.h"
#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/unit/unit.h"

enum { REQUESTS = 6 * KEY_USES_ALONE };

static struct front_rig rig;
static struct acme client;

// metric reads one number of front end `front`, -1 when it is not there.
static long metric(unsigned front, const char *row)
{
    static char text[1 << 20];
    char line[128];
    assert_int_equal(front_private_get(&rig, front, "/metrics", text, sizeof text), 200);
    snprintf(line, sizeof line, "\n%s ", row);
    const char *at = strstr(text, line);
    return at == NULL ? -1 : atol(at + strlen(line));
}

// metric_reaches waits until a number that is written once a second is at least `least`.
static bool metric_reaches(unsigned front, const char *row, long least)
{
    struct timespec step = {.tv_nsec = 50000000};
    for (int i = 0; i < 200; i++) {
        if (metric(front, row) >= least) return true;
        nanosleep(&step, NULL);
    }
    print_error("%s is %ld, not yet %ld\n", row, metric(front, row), least);
    return false;
}

static void begin(unsigned front)
{
    front_start(&rig, front);
    acme_init(&client, rig.root_pem_path, rig.ports[front], 1 + front);
    acme_register(&client);
}

static const char *kid_path(void) { return strchr(client.kid + strlen("https://"), '/'); }

// refused fails unless the answer is this problem and speaks of this.
static void refused(const struct acme_answer *a, const char *type, const char *of)
{
    assert_int_equal(a->status, 400);
    assert_string_equal(acme_type(&client, a), type);
    if (strstr(acme_text(&client, a, "detail"), of) == NULL)
        fail_msg("%s", acme_text(&client, a, "detail"));
}

// read_account posts a good request, read_account_spoilt one with a changed signature.
static void read_account(void)
{
    assert_int_equal(acme_call(&client, kid_path(), NULL).status, 200);
}

static void read_account_spoilt(void)
{
    static const char member[] = "\"signature\":\"";
    struct slice jws = acme_jws(&client, kid_path(), ACME_KID, NULL);
    char text[2048];
    assert_true(jws.n < sizeof text);
    memcpy(text, jws.p, jws.n);
    char *at = memmem(text, jws.n, member, strlen(member));
    assert_non_null(at);
    at += strlen(member) + 20;
    *at = *at == 'A' ? 'B' : 'A';
    client.nonce[0] = 0;
    struct acme_answer a = acme_send(&client, "POST", kid_path(), NULL, "application/jose+json",
                                     slice_of(text, jws.n));
    refused(&a, "malformed", "signature does not verify");
}

static void requests_run(void)
{
    for (int i = 0; i < REQUESTS; i++) {
        if (i % 5 == 3)
            read_account_spoilt();
        else
            read_account();
    }
    // The request for a certificate, too: first one with a changed signature.
    const char *order = acme_ready(&client, "a.internal.test");
    const char *finalize = (const char *)make_text(&client.arena, "%s/finalize", order).p;
    const char *csr = acme_csr(&client, "a.internal.test", 70);
    char *spoilt = strdup(csr);
    assert_non_null(spoilt);
    char *last = strrchr(spoilt, '"') - 5;
    *last = *last == 'A' ? 'B' : 'A';
    struct acme_answer a = acme_call(&client, finalize, spoilt);
    free(spoilt);
    refused(&a, "badCSR", "proof of possession");
    a = acme_call(&client, finalize, csr);
    assert_int_equal(a.status, 200);
    assert_string_equal(acme_text(&client, &a, "status"), "valid");
}

#define CHECKED(way) "certmill_signatures_checked_total{way=\"" way "\"}"

static void an_account_that_signs_often_gets_a_table(void **state)
{
    (void)state;
    bool vector = p256_kernel_detect() == P256_IFMA;
    begin(0);
    requests_run();
    if (!vector) printf("avx512ifma: not on this processor, there are no tables\n");
    assert_true(metric_reaches(0, CHECKED("unknown"), KEY_USES_RIPE));
    assert_true(metric_reaches(0, "certmill_signature_batches_total", REQUESTS));
    if (vector) {
        assert_true(metric_reaches(0, "certmill_key_tables", 1));
        assert_true(metric_reaches(0, CHECKED("table"), REQUESTS / 2));
        assert_true(metric(0, "certmill_key_tables_made_total") >= 1);
    } else {
        assert_int_equal(metric(0, "certmill_key_tables"), 0);
    }
    assert_int_equal(metric(0, "certmill_key_tables_evicted_total"), 0);
    acme_fini(&client);
}

static void without_the_vector_kernel_it_is_the_same(void **state)
{
    (void)state;
    rig.extra = "p256: scalar\n";
    front_config(&rig, 1, NULL);
    begin(1);
    requests_run();
    assert_true(metric_reaches(1, CHECKED("unknown"), REQUESTS));
    assert_int_equal(metric(1, CHECKED("table")), 0);
    assert_int_equal(metric(1, "certmill_key_tables"), 0);
    acme_fini(&client);
}

static void without_room_there_are_no_tables(void **state)
{
    (void)state;
    rig.extra = "key_tables: 0\n";
    front_config(&rig, 2, NULL);
    begin(2);
    requests_run();
    assert_true(metric_reaches(2, CHECKED("unknown"), REQUESTS));
    assert_int_equal(metric(2, CHECKED("table")), 0);
    acme_fini(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_that_signs_often_gets_a_table),
        cmocka_unit_test(without_the_vector_kernel_it_is_the_same),
        cmocka_unit_test(without_room_there_are_no_tables),
    };
    if (!front_rig_init(&rig, NULL)) return 77;
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    front_rig_fini(&rig);
    return failures;
}
