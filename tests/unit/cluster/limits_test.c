// limits: the soft limit of open files follows what is wanted, the hard one decides how many
// connections there are.
#include "cluster/core/limits.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/core/log.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "tests/unit/unit.h"

static struct log *logger;
static int said[2]; // pipe that the log goes to

// in_child runs `body` in a process whose limits may be lowered for good; true when it returns
// true.
static bool in_child(bool (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) _exit(body() ? 0 : 1);
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status == 0;
}

static bool limit(rlim_t soft, rlim_t hard)
{
    return setrlimit(RLIMIT_NOFILE, &(struct rlimit){soft, hard}) == 0;
}

static size_t soft(void)
{
    struct rlimit l = {0};
    return getrlimit(RLIMIT_NOFILE, &l) == 0 ? l.rlim_cur : 0;
}

static bool says(const char *want)
{
    char text[4096];
    log_flush(logger);
    ssize_t n = read(said[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    return strstr(text, want) != NULL;
}

static bool raised(void)
{
    return limit(256, 4096) && limits_descriptors(1000) == 1000 && soft() == 1000 &&
           limits_descriptors(500) == 1000 && limits_descriptors(9000) == 4096;
}

static bool enough(void) { return limit(256, 4096) && limits_conns(logger, 2, 1000, 100) == 1000; }

static bool too_few(void)
{
    return limit(256, 1064) && limits_conns(logger, 2, 1000, 100) == 400 && soft() == 1064 &&
           says("each core accepts 400 connections instead of 1000: raise it to 2264");
}

static bool hardly_any(void)
{
    return limit(80, 80) && limits_conns(logger, 2, 1000, 100) == 4 && limit(64, 64) &&
           limits_conns(logger, 2, 1000, 100) == 1;
}

static void the_limit_of_open_files_decides(void **state)
{
    (void)state;
    assert_true(in_child(raised));
    assert_true(in_child(enough));
    assert_true(in_child(too_few));
    assert_true(in_child(hardly_any));
}

int main(void)
{
    proto_err_register();
    cluster_err_register();
    if (pipe(said) != 0 ||
        failed(log_new(&logger,
                       &(struct log_options){.level = LOG_WARN, .fd = said[1], .program = "test"})))
        return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_limit_of_open_files_decides)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    log_free(logger);
    return failures;
}
