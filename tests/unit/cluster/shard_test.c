// shard: the order of a turn, hooks, timers, messages; threads that start, talk, stop and join; the
// clock's seam; the simulated world.
#include "cluster/core/shard.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/core/internal.h"
#include "cluster/core/log.h"
#include "cluster/core/sim.h"
#include "cluster/err.h"
#include "tests/unit/unit.h"

static char story[256]; // what happened, a letter each

static void tell(const char *what)
{
    assert_true(strlen(story) + strlen(what) < sizeof story);
    strcat(story, what);
}

struct actor {
    struct timer timer;
    struct turn_hook hook;
    struct message message;
    struct shard *shard;
    const char *name;
    struct turn_hook *arms; // armed by the hook
    int times;
};

static struct actor *by_hook(struct turn_hook *h)
{
    return (struct actor *)((char *)h - offsetof(struct actor, hook));
}

static void timer_tells(struct timer *t)
{
    tell("T");
    turn_hook_arm(((struct actor *)t)->shard, &((struct actor *)t)->hook);
}

static void message_tells(struct shard *s, struct message *m)
{
    struct actor *a = (struct actor *)((char *)m - offsetof(struct actor, message));
    tell("M");
    turn_hook_arm(s, &a->hook);
    turn_hook_arm(s, &a->hook); // twice is once
}

static void hook_tells(struct turn_hook *h)
{
    struct actor *a = by_hook(h);
    tell(a->name);
    if (a->times-- > 0 && a->arms != NULL) turn_hook_arm(a->shard, a->arms);
}

static struct shard *shard_by_hand(enum shard_io io, struct sim *sim)
{
    struct shard *s = NULL;
    assert_ok(shard_new(&s, &(struct shard_options){.io = io, .sim = sim}, 0));
    return s;
}

static void runs_timers_then_messages_then_hooks(void **state)
{
    (void)state;
    struct shard *s = shard_by_hand(SHARD_IO_EPOLL, NULL);
    struct actor a = {.timer.fire = timer_tells,
                      .hook.run = hook_tells,
                      .message.run = message_tells,
                      .shard = s,
                      .name = "h"};
    story[0] = '\0';
    timer_set(s, &a.timer, 0);
    usleep(3000);
    shard_post(s, &a.message);
    shard_turn(s, 0);
    assert_string_equal(story, "TMh");
    shard_turn(s, 0);
    assert_string_equal(story, "TMh");
    shard_free(s);
}

static void runs_hooks_armed_by_hooks_and_ends_the_turn_all_the_same(void **state)
{
    (void)state;
    struct shard *s = shard_by_hand(SHARD_IO_EPOLL, NULL);
    struct actor a = {.hook.run = hook_tells, .shard = s, .name = "a", .times = 1};
    struct actor b = {.hook.run = hook_tells, .shard = s, .name = "b"};
    a.arms = &b.hook;
    story[0] = '\0';
    turn_hook_arm(s, &a.hook);
    shard_turn(s, 1000); // does not wait: something is armed
    assert_string_equal(story, "ab");
    a.arms = &a.hook; // arms itself for ever
    a.times = 1000;
    story[0] = '\0';
    turn_hook_arm(s, &a.hook);
    shard_turn(s, 1000);
    assert_string_equal(story, "aaaa");
    turn_hook_disarm(&a.hook);
    turn_hook_disarm(&a.hook);
    shard_turn(s, 0);
    assert_string_equal(story, "aaaa");
    shard_free(s);
}

static void waits_no_longer_than_the_next_timer(void **state)
{
    (void)state;
    struct shard *s = shard_by_hand(SHARD_IO_AUTO, NULL);
    struct actor a = {.timer.fire = timer_tells, .hook.run = hook_tells, .shard = s, .name = "h"};
    story[0] = '\0';
    shard_turn(s, 0);
    uint64_t set_at = shard_now_ns(s);
    timer_set(s, &a.timer, 30);
    while (story[0] == '\0') shard_turn(s, 5000);
    uint64_t took = shard_now_ns(s) - set_at;
    assert_true(took >= 30 * 1000000); // never early
    assert_true(took < 3000 * UINT64_C(1000000));
    uint64_t wall = (uint64_t)shard_wall_us(s) / 1000000;
    assert_true(wall - (uint64_t)time(NULL) + 5 <= 10);
    shard_free(s);
}

static struct err start_nothing(struct shard *s, void *ctx)
{
    (void)s;
    (void)ctx;
    return OK;
}

// struct relay goes round all shards, hop by hop.
struct relay {
    struct message message;
    unsigned hops_left;
    unsigned visits[8];
    struct shards *shards;
};

static void relay_run(struct shard *s, struct message *m)
{
    struct relay *relay = (struct relay *)m;
    relay->visits[shard_index(s)]++;
    if (--relay->hops_left == 0)
        shards_stop(relay->shards);
    else
        shard_post(shard_sibling(s, (shard_index(s) + 1) % shard_count(s)), m);
}

struct ends {
    unsigned stops[8];
};

static void stop_notes(struct shard *s, void *ctx)
{
    ((struct ends *)ctx)->stops[shard_index(s)]++;
}

static void threads_talk_stop_and_join(void **state)
{
    (void)state;
    static const enum shard_io kinds[] = {SHARD_IO_AUTO, SHARD_IO_EPOLL};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        struct shards *s = NULL;
        struct ends ends = {0};
        assert_ok(shards_start(
            &s, &(struct shard_options){.count = 3, .io = kinds[k], .pin = true, .name = "test"},
            start_nothing, NULL));
        assert_int_equal(shards_count(s), 3);
        struct relay relay = {.message.run = relay_run, .hops_left = 3000, .shards = s};
        shard_post(shards_at(s, 0), &relay.message);
        shards_join(s, stop_notes, &ends);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(relay.visits[i], 1000);
            assert_int_equal(ends.stops[i], 1);
        }
    }
}

static struct err start_fails_on_one(struct shard *s, void *ctx)
{
    (void)ctx;
    return shard_index(s) == 1 ? ERR(ADDRESS_IN_USE) : OK;
}

static void a_failed_start_stops_all(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct shards *s = NULL;
        assert_err(
            shards_start(&s,
                         &(struct shard_options){.count = 3, .io = SHARD_IO_EPOLL, .name = "test"},
                         start_fails_on_one, NULL),
            ERR_ADDRESS_IN_USE);
        assert_null(s);
    }
}

static void seen_run(struct shard *s, void *ctx) { ((unsigned *)ctx)[shard_index(s)]++; }

static void posts_to_all_and_counts_processors(void **state)
{
    (void)state;
    struct shards *s = NULL;
    unsigned seen[1024] = {0};
    assert_ok(shards_start(
        &s, &(struct shard_options){.count = 0, .io = SHARD_IO_EPOLL, .name = "longer-than-ten"},
        start_nothing, NULL));
    unsigned count = shards_count(s);
    assert_in_range(count, 1, 1024);
    shards_post_all(s, seen_run, seen);
    shards_stop(s);
    shards_stop(s); // twice is once
    shards_join(s, NULL, NULL);
    for (unsigned i = 0; i < count; i++) assert_int_equal(seen[i], 1);
}

static void shifts_the_wall_clock_only_loudly(void **state)
{
    (void)state;
    char path[] = "/tmp/certmill-clock-XXXXXX", text[4096];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    struct log *log;
    struct shards *s = NULL;
    assert_ok(log_new(&log, &(struct log_options){
                                .level = LOG_INFO, .format = LOG_TEXT, .fd = fd, .program = "p"}));
    struct shard_options options = {.count = 1, .io = SHARD_IO_EPOLL, .name = "test", .log = log};

    setenv("CERTMILL_TEST_CLOCK_OFFSET_S", "34560000", 1);
    assert_ok(shards_start(&s, &options, start_nothing, NULL));
    int64_t shifted = clock_wall_us() / 1000000 - (int64_t)time(NULL);
    assert_in_range(shifted, 34560000 - 2, 34560000 + 2);
    shards_stop(s);
    shards_join(s, NULL, NULL);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "warn p clock.shifted "));
    assert_non_null(strstr(text, "offset_s=34560000"));

    static const char *const bad[] = {"400d", "1e3", " ", "9999999999999", "0x10"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        setenv("CERTMILL_TEST_CLOCK_OFFSET_S", bad[i], 1);
        assert_err(shards_start(&s, &options, start_nothing, NULL), ERR_BAD_CONFIG);
    }
    unsetenv("CERTMILL_TEST_CLOCK_OFFSET_S");
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_ok(shards_start(&s, &options, start_nothing, NULL));
    assert_int_equal(clock_offset_s(), 0);
    shards_stop(s);
    shards_join(s, NULL, NULL);
    n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    assert_null(strstr(text, "clock.shifted"));
    log_free(log);
    close(fd);
}

static int refused_child(int write_fd, enum shard_io io)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT_OF(code), .filter = code};
    struct log *log;
    struct shards *s = NULL;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 99;
    if (failed(log_new(&log,
                       &(struct log_options){.level = LOG_INFO, .fd = write_fd, .program = "p"})))
        return 98;
    struct err e = shards_start(
        &s, &(struct shard_options){.count = 2, .io = io, .name = "t", .log = log}, start_nothing,
        NULL);
    if (io == SHARD_IO_URING) return err_is(e, ERR_RING_REFUSED) ? 0 : 1;
    if (failed(e)) return 2;
    if (strcmp(shards_io_name(s), "epoll") != 0) return 3;
    shards_stop(s);
    shards_join(s, NULL, NULL);
    return 0;
}

static void tells_the_log_when_the_ring_is_refused(void **state)
{
    (void)state;
    static const enum shard_io kinds[] = {SHARD_IO_AUTO, SHARD_IO_URING};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        int fds[2], status = 0;
        char text[4096];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) _exit(refused_child(fds[1], kinds[k]));
        close(fds[1]);
        size_t n = 0;
        for (ssize_t got; (got = read(fds[0], text + n, sizeof text - 1 - n)) > 0;)
            n += (size_t)got;
        text[n] = '\0';
        close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        char *said = strstr(text, "ring.refused msg=\"io_uring is refused (io_uring_setup: ");
        assert_non_null(said);
        assert_non_null(strstr(said, "seccomp"));
        // One sentence for the program, not one per core; when the ring was demanded each core that
        // fails may say so.
        if (kinds[k] == SHARD_IO_AUTO) assert_null(strstr(said + 1, "ring.refused"));
    }
}

static void a_simulated_world_repeats_itself(void **state)
{
    (void)state;
    uint64_t random[3][2];
    for (int i = 0; i < 3; i++) {
        struct sim *sim;
        struct sim_options options = {.seed = i == 2 ? 43 : 42, .wall_us = 1000};
        assert_ok(sim_new(&sim, &options));
        struct shard *s = shard_by_hand(SHARD_IO_SIM, sim);
        struct actor a = {
            .timer.fire = timer_tells, .hook.run = hook_tells, .shard = s, .name = "h"};
        story[0] = '\0';
        timer_set(s, &a.timer, 3600000);
        uint64_t before = shard_now_ns(s);
        sim_run(sim, &s, 1, 3599999);
        assert_string_equal(story, "");
        sim_run(sim, &s, 1, 1);
        assert_string_equal(story, "Th");
        assert_int_equal(shard_now_ns(s) - before, UINT64_C(3600000000000)); // an hour, in no time
        assert_int_equal(shard_wall_us(s), 1000 + INT64_C(3600000000));
        shard_random(s, random[i], sizeof random[i]);
        shard_free(s);
        sim_free(sim);
    }
    assert_memory_equal(random[0], random[1], sizeof random[0]);
    assert_memory_not_equal(random[0], random[2], sizeof random[0]);
}

static void keeps_a_pointer_per_slot(void **state)
{
    (void)state;
    struct shard *s = shard_by_hand(SHARD_IO_EPOLL, NULL);
    int x;
    assert_null(shard_slot_get(s, SHARD_SLOT_TEST));
    shard_slot_set(s, SHARD_SLOT_TEST, &x);
    assert_ptr_equal(shard_slot_get(s, SHARD_SLOT_TEST), &x);
    assert_null(shard_slot_get(s, SHARD_SLOT_EDGE));
    assert_ptr_equal(shard_sibling(s, 0), s);
    assert_null(shard_sibling(s, 1));
    uint8_t random[64] = {0}, zero[64] = {0};
    shard_random(s, random, sizeof random);
    assert_memory_not_equal(random, zero, sizeof zero);
    shard_free(s);
}

static void *turn_elsewhere(void *arg)
{
    shard_turn(arg, 0);
    return NULL;
}

static void stops_when_another_thread_uses_a_shard(void **state)
{
    (void)state;
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pthread_t thread;
        struct shard *s = shard_by_hand(SHARD_IO_EPOLL, NULL);
        signal(SIGABRT, SIG_DFL);
        close(2); // the line that it prints
        if (pthread_create(&thread, NULL, turn_elsewhere, s) == 0) pthread_join(thread, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_timers_then_messages_then_hooks),
        cmocka_unit_test(runs_hooks_armed_by_hooks_and_ends_the_turn_all_the_same),
        cmocka_unit_test(waits_no_longer_than_the_next_timer),
        cmocka_unit_test(threads_talk_stop_and_join),
        cmocka_unit_test(a_failed_start_stops_all),
        cmocka_unit_test(posts_to_all_and_counts_processors),
        cmocka_unit_test(shifts_the_wall_clock_only_loudly),
        cmocka_unit_test(tells_the_log_when_the_ring_is_refused),
        cmocka_unit_test(a_simulated_world_repeats_itself),
        cmocka_unit_test(keeps_a_pointer_per_slot),
        cmocka_unit_test(stops_when_another_thread_uses_a_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
