// metrics: buckets against their definition, sums over cores, the exposition text.
#include "cluster/core/metrics.h"

#include <pthread.h>
#include <string.h>

#include "cluster/events.h"
#include "proto/err.h"
#include "tests/unit/unit.h"

static struct metric plain = {"test_things_total", NULL, METRIC_COUNTER, "Things.", 0};
static struct metric stage_parse = {"test_stage_seconds", "stage=\"parse\"", METRIC_HISTOGRAM_US,
                                    "Stages.", 0};
static struct metric level = {"test_level", NULL, METRIC_GAUGE, "Level.", 0};
static struct metric stage_total = {"test_stage_seconds", "stage=\"total\"", METRIC_HISTOGRAM_US,
                                    "Stages.", 0};

static void finds_the_bucket_that_the_definition_says(void **state)
{
    (void)state;
    assert_int_equal(metric_bound_us(0), 20);
    assert_int_equal(metric_bound_us(METRIC_BUCKETS - 1), 1 << 26);
    for (unsigned i = 1; i < METRIC_BUCKETS; i++)
        assert_true(metric_bound_us(i) > metric_bound_us(i - 1));
    for (uint64_t us = 0; us < (UINT64_C(1) << 26) + 100000; us += us < 300000 ? 1 : us / 9973) {
        unsigned want = 0;
        while (want < METRIC_BUCKETS && metric_bound_us(want) < us) want++;
        if (metric_bucket(us) != want)
            fail_msg("%llu us: bucket %u, want %u", (unsigned long long)us, metric_bucket(us),
                     want);
    }
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        assert_int_equal(metric_bucket(metric_bound_us(i)), i);
        assert_int_equal(metric_bucket(metric_bound_us(i) + 1), i + 1);
    }
    assert_int_equal(metric_bucket(UINT64_MAX), METRIC_BUCKETS);
}

static void sums_over_cores(void **state)
{
    (void)state;
    struct metrics *m;
    assert_ok(metrics_new(&m, 3));
    for (unsigned core = 0; core < 3; core++) metric_add(m, core, &plain, core + 1);
    metric_set(m, 0, &level, 5);
    metric_set(m, 1, &level, -2);
    metric_set(m, 1, &level, -3);
    assert_int_equal(metric_total(m, &plain), 6);
    assert_int_equal(metric_total(m, &level), 2);
    metrics_free(m);
}

static size_t times(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text++) n++;
    return n;
}

static void writes_each_family_once(void **state)
{
    (void)state;
    struct metrics *m;
    struct buf out;
    assert_ok(metrics_new(&m, 2));
    buf_init(&out, 1 << 20);
    metric_add(m, 0, &plain, 41);
    metric_add(m, 1, &plain, 1);
    metric_observe_us(m, 0, &stage_parse, 20);        // le 0.000020
    metric_observe_us(m, 1, &stage_parse, 21);        // le 0.000024
    metric_observe_us(m, 1, &stage_parse, 100000000); // only +Inf
    assert_ok(metrics_write(m, &out));
    assert_ok(buf_add(&out, slice_of("", 1)));
    const char *text = (const char *)buf_slice(&out).p;
    assert_int_equal(
        times(text, "# HELP test_stage_seconds Stages.\n# TYPE test_stage_seconds histogram\n"), 1);
    assert_int_equal(times(text, "# TYPE test_stage_seconds "), 1);
    assert_int_equal(times(text, "# HELP test_things_total Things.\n# TYPE test_things_total "
                                 "counter\ntest_things_total 42\n"),
                     1);
    assert_int_equal(times(text, "test_stage_seconds_bucket{stage=\"parse\",le=\"0.000020\"} 1\n"),
                     1);
    assert_int_equal(times(text, "test_stage_seconds_bucket{stage=\"parse\",le=\"0.000024\"} 2\n"),
                     1);
    assert_int_equal(times(text, "test_stage_seconds_bucket{stage=\"parse\",le=\"67.108864\"} 2\n"),
                     1);
    assert_int_equal(times(text, "test_stage_seconds_bucket{stage=\"parse\",le=\"+Inf\"} 3\n"), 1);
    assert_int_equal(times(text, "test_stage_seconds_sum{stage=\"parse\"} 100.000041\n"), 1);
    assert_int_equal(times(text, "test_stage_seconds_count{stage=\"parse\"} 3\n"), 1);
    assert_int_equal(times(text, "test_stage_seconds_count{stage=\"total\"} 0\n"), 1);
    assert_int_equal(times(text, "test_stage_seconds_bucket{stage=\"parse\""), METRIC_BUCKETS + 1);
    assert_int_equal(text[strlen(text) - 1], '\n');
    // The second label set of a family follows the first directly.
    assert_true(strstr(text, "count{stage=\"parse\"}") < strstr(text, "bucket{stage=\"total\""));
    assert_true(strstr(text, "test_level 0\n") > strstr(text, "count{stage=\"total\"}"));
    buf_fini(&out);
    metrics_free(m);
}

static void says_when_there_is_no_room(void **state)
{
    (void)state;
    struct metrics *m;
    struct buf out;
    assert_ok(metrics_new(&m, 1));
    buf_init(&out, 100);
    assert_err(metrics_write(m, &out), ERR_NO_SPACE);
    buf_fini(&out);
    metrics_free(m);
}

struct counting {
    struct metrics *m;
    unsigned core;
};

static void *count_up(void *arg)
{
    struct counting *c = arg;
    for (int i = 0; i < 100000; i++) metric_add(c->m, c->core, &plain, 1);
    return NULL;
}

static void counts_on_several_threads_while_it_is_read(void **state)
{
    (void)state;
    struct metrics *m;
    pthread_t threads[2];
    struct counting c[2];
    assert_ok(metrics_new(&m, 2));
    for (unsigned i = 0; i < 2; i++) {
        c[i] = (struct counting){m, i};
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &c[i]), 0);
    }
    int64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t now = metric_total(m, &plain);
        assert_true(now >= last);
        last = now;
    }
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    assert_int_equal(metric_total(m, &plain), 200000);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_bucket_that_the_definition_says),
        cmocka_unit_test(sums_over_cores),
        cmocka_unit_test(writes_each_family_once),
        cmocka_unit_test(says_when_there_is_no_room),
        cmocka_unit_test(counts_on_several_threads_while_it_is_read),
    };
    cluster_metrics_declare();
    cluster_metrics_declare(); // again changes nothing
    metrics_declare(&plain, 1);
    metrics_declare(&stage_parse, 1);
    metrics_declare(&level, 1);
    metrics_declare(&stage_total, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
