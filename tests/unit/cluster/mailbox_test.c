// mailbox: order, and the wake that must never be lost, with real threads (also built with
// ThreadSanitizer).
#include "cluster/core/mailbox.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/unit.h"

enum { PRODUCERS = 3, EACH = 20000 };

struct numbered {
    struct message message;
    int producer, number;
};

static struct mailbox box;

static void hands_over_in_order(void **state)
{
    (void)state;
    struct numbered m[5] = {0};
    mailbox_init(&box, -1);
    assert_null(mailbox_take(&box));
    for (int i = 0; i < 5; i++) {
        m[i].number = i;
        mailbox_post(&box, &m[i].message);
    }
    struct message *at = mailbox_take(&box);
    for (int i = 0; i < 5; i++, at = at->next) assert_int_equal(((struct numbered *)at)->number, i);
    assert_null(at);
    assert_null(mailbox_take(&box));
}

static void writes_to_the_eventfd_only_when_asleep(void **state)
{
    (void)state;
    struct numbered m[3] = {0};
    uint64_t count;
    int fd = eventfd(0, EFD_NONBLOCK);
    mailbox_init(&box, fd);
    mailbox_post(&box, &m[0].message);
    assert_int_equal(read(fd, &count, sizeof count), -1);
    assert_false(mailbox_sleep(&box)); // something is there: no sleep
    assert_non_null(mailbox_take(&box));
    assert_true(mailbox_sleep(&box));
    mailbox_post(&box, &m[1].message);
    mailbox_post(&box, &m[2].message); // the first one woke
    assert_int_equal(read(fd, &count, sizeof count), (int)sizeof count);
    assert_int_equal(count, 1);
    mailbox_awake(&box);
    close(fd);
}

static void *produce(void *arg)
{
    struct numbered *all = arg;
    for (int i = 0; i < EACH; i++) {
        mailbox_post(&box, &all[i].message);
        if (i % 1000 == 0) usleep(100); // let the consumer fall asleep now and then
    }
    return NULL;
}

static void sleep_until_woken(int fd)
{
    if (!mailbox_sleep(&box)) return;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    // A lost wake would hang for ever; five seconds say so.
    assert_int_equal(poll(&p, 1, 5000), 1);
    uint64_t count;
    assert_int_equal(read(fd, &count, sizeof count), (int)sizeof count);
    mailbox_awake(&box);
}

static void loses_nothing_between_threads(void **state)
{
    (void)state;
    pthread_t threads[PRODUCERS];
    struct numbered *all[PRODUCERS];
    int next[PRODUCERS] = {0}, fd = eventfd(0, EFD_NONBLOCK), left = PRODUCERS * EACH;
    mailbox_init(&box, fd);
    for (int p = 0; p < PRODUCERS; p++) {
        all[p] = calloc(EACH, sizeof *all[p]);
        for (int i = 0; i < EACH; i++) all[p][i] = (struct numbered){.producer = p, .number = i};
        assert_int_equal(pthread_create(&threads[p], NULL, produce, all[p]), 0);
    }
    while (left > 0) {
        struct message *m = mailbox_take(&box);
        if (m == NULL) sleep_until_woken(fd);
        for (; m != NULL; m = m->next, left--) {
            struct numbered *n = (struct numbered *)m;
            assert_int_equal(n->number, next[n->producer]++); // each producer's own order
        }
    }
    for (int p = 0; p < PRODUCERS; p++) {
        pthread_join(threads[p], NULL);
        free(all[p]);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_over_in_order),
        cmocka_unit_test(writes_to_the_eventfd_only_when_asleep),
        cmocka_unit_test(loses_nothing_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
