// sandbox: what a process can still do once it has entered. Each attempt is made in a child of its
// own, in there and, as a check of the attempt itself, outside.
#include "signer/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/signer/fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static struct arena arena;
static char *folder, *elsewhere;
static const char *journal, *config;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    folder = fixture_folder();
    elsewhere = fixture_folder();
    journal = fixture_path(&arena, folder, "journal");
    config = fixture_path(&arena, folder, "etc/signer.yaml");
    assert_int_equal(mkdir(journal, 0700), 0);
    assert_int_equal(mkdir(fixture_path(&arena, folder, "etc"), 0700), 0);
    fixture_write(config, SLICE_LIT("x"), 0600);
    fixture_write(fixture_path(&arena, elsewhere, "file"), SLICE_LIT("x"), 0644);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_folder_remove(folder);
    fixture_folder_remove(elsewhere);
    arena_fini(&arena);
    return 0;
}

// ---- attempts: true when it worked

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
    return fd >= 0;
}
static bool reads_passwd(void) { return opens("/etc/passwd", O_RDONLY); }
static bool reads_elsewhere(void)
{
    return opens(fixture_path(&arena, elsewhere, "file"), O_RDONLY);
}
static bool writes_elsewhere(void)
{
    return opens(fixture_path(&arena, elsewhere, "file"), O_WRONLY);
}
static bool makes_elsewhere(void)
{
    return opens(fixture_path(&arena, elsewhere, "new"), O_WRONLY | O_CREAT);
}
static bool lists_root(void) { return opens("/", O_RDONLY | O_DIRECTORY); }
static bool writes_config(void) { return opens(config, O_WRONLY); }
static bool makes_beside_config(void)
{
    return opens(fixture_path(&arena, folder, "etc/other"), O_WRONLY | O_CREAT);
}
static bool reads_config(void) { return opens(config, O_RDONLY); }
static bool makes_a_segment(void)
{
    return opens(fixture_path(&arena, folder, "journal/1.seg"), O_RDWR | O_CREAT);
}
static bool removes_a_segment(void)
{
    const char *path = fixture_path(&arena, folder, "journal/2.seg");
    CHECK(opens(path, O_RDWR | O_CREAT));
    return unlink(path) == 0;
}
static bool executes(void)
{
    char *const argv[] = {(char *)(uintptr_t) "true", NULL};
    execv("/bin/true", argv); // ends with 0, as success does
    return false;
}
static bool forks(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) _exit(0);
    return pid > 0;
}
static bool connects(void)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return false;
    return connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 || errno == ECONNREFUSED;
}
static bool makes_a_ring(void)
{
    static uint8_t params[256];
    return syscall(SYS_io_uring_setup, 4, params) >= 0 || errno == EPERM; // EPERM: forbidden here
}
static bool traces(void) { return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0; }
static bool becomes_dumpable(void) { return prctl(PR_SET_DUMPABLE, 1) == 0; }
static bool is_dumpable(void) { return prctl(PR_GET_DUMPABLE) == 1; }
static bool maps_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}
static bool makes_memory_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0;
}
static bool maps_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}
static bool signals_the_parent(void) { return kill(getppid(), 0) == 0; }
static bool signals_itself(void) { return kill(getpid(), 0) == 0; }
static bool unshares(void) { return unshare(CLONE_FILES) == 0; }
static bool reads_memory_of_others(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {&arena, 1};
    return syscall(SYS_process_vm_readv, getppid(), &here, 1, &there, 1, 0) >= 0 || errno == EPERM;
}

enum by { LANDLOCK, SECCOMP, ALLOWED };

static const struct {
    const char *what;
    bool (*attempt)(void);
    enum by by; // what stops it
} rows[] = {
    {"reads /etc/passwd", reads_passwd, LANDLOCK},
    {"reads a file elsewhere", reads_elsewhere, LANDLOCK},
    {"writes a file elsewhere", writes_elsewhere, LANDLOCK},
    {"makes a file elsewhere", makes_elsewhere, LANDLOCK},
    {"lists the root folder", lists_root, LANDLOCK},
    {"writes its configuration", writes_config, LANDLOCK},
    {"makes a file beside its configuration", makes_beside_config, LANDLOCK},
    {"removes a segment", removes_a_segment, LANDLOCK},
    {"executes a program", executes, LANDLOCK},
    {"forks", forks, SECCOMP},
    {"connects outward", connects, SECCOMP},
    {"makes a ring", makes_a_ring, SECCOMP},
    {"asks to be traced", traces, SECCOMP},
    {"becomes dumpable", becomes_dumpable, SECCOMP},
    {"maps code", maps_code, SECCOMP},
    {"turns memory into code", makes_memory_code, SECCOMP},
    {"signals another process", signals_the_parent, SECCOMP},
    {"leaves its namespaces", unshares, SECCOMP},
    {"reads another's memory", reads_memory_of_others, SECCOMP},
    {"reads its configuration", reads_config, ALLOWED},
    {"makes a segment", makes_a_segment, ALLOWED},
    {"maps memory", maps_memory, ALLOWED},
    {"signals itself", signals_itself, ALLOWED},
};

enum { WORKED = 0, FAILED = 42, NOT_ENTERED = 43 };

static int status_of(bool (*attempt)(void), bool inside)
{
    char note[256];
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int writable = open(journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (inside && (failed(sandbox_begin(note, sizeof note)) ||
                       failed(sandbox_enter(note, sizeof note, NULL, writable, config))))
            _exit(NOT_ENTERED);
        _exit(attempt() ? WORKED : FAILED);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED; // killed: it did not work, either
}

static bool has_landlock(void) { return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0; }

static void run(enum by by)
{
    size_t wrong = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].by != by) continue;
        int outside = status_of(rows[i].attempt, false), inside = status_of(rows[i].attempt, true);
        if (outside == WORKED && inside == (by == ALLOWED ? WORKED : FAILED)) continue;
        print_error("%s: %d outside, %d inside\n", rows[i].what, outside, inside);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void files_are_out_of_reach(void **state)
{
    (void)state;
    if (!has_landlock()) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    run(LANDLOCK);
}

static void calls_are_out_of_reach(void **state)
{
    (void)state;
    if (SANITIZED) {
        print_message("skipped: the sanitizers' run time needs what the filter takes; suite `once` "
                      "runs this in the release build\n");
        skip();
    }
    run(SECCOMP);
}

static void its_own_work_goes_on(void **state)
{
    (void)state;
    run(ALLOWED);
}

static void is_not_dumpable(void **state)
{
    (void)state;
    assert_int_equal(status_of(is_dumpable, false), WORKED);
    assert_int_equal(status_of(is_dumpable, true), FAILED);
}

static void says_when_a_user_is_missing(void **state)
{
    (void)state;
    char note[256] = "";
    if (geteuid() != 0) skip(); // others stay who they are
    assert_true(failed(sandbox_user(note, sizeof note, "no-such-user-here")));
    assert_non_null(strstr(note, "there is no user no-such-user-here"));
}

static bool becomes_nobody(void)
{
    char note[256];
    return !failed(sandbox_user(note, sizeof note, "nobody")) && geteuid() != 0 && setuid(0) != 0 &&
           prctl(PR_GET_DUMPABLE) == 0;
}

static void becomes_another_user_for_good(void **state)
{
    (void)state;
    if (geteuid() != 0) skip();
    assert_int_equal(status_of(becomes_nobody, false), WORKED);
}

// Root without a user of its own keeps its files and nothing else.
static bool gives_up_capabilities(void)
{
    char note[256], line[256];
    bool none = true;
    if (failed(sandbox_user(note, sizeof note, NULL)) || geteuid() != 0) return false;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "CapPrm:", 7) == 0 || strncmp(line, "CapEff:", 7) == 0)
            none &= strtoull(line + 7, NULL, 16) == 0;
    if (f != NULL) fclose(f);
    return f != NULL && none && chown(journal, 1, 1) != 0 && errno == EPERM;
}

static void root_gives_up_its_capabilities(void **state)
{
    (void)state;
    if (geteuid() != 0) skip();
    assert_int_equal(status_of(gives_up_capabilities, false), WORKED);
}

static void finds_the_user_before_becoming_it(void **state)
{
    (void)state;
    char note[256] = "";
    uid_t user = 7;
    gid_t group = 7;
    assert_false(failed(sandbox_user_find(note, sizeof note, &user, &group, NULL)));
    assert_int_equal(user + group, 0);
    if (geteuid() != 0) skip();
    assert_false(failed(sandbox_user_find(note, sizeof note, &user, &group, "nobody")));
    assert_int_equal(user, 65534);
    assert_true(group > 0);
    assert_true(failed(sandbox_user_find(note, sizeof note, &user, &group, "no-such-user-here")));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_out_of_reach),         TEST(calls_are_out_of_reach),
        TEST(its_own_work_goes_on),           TEST(is_not_dumpable),
        TEST(says_when_a_user_is_missing),    TEST(becomes_another_user_for_good),
        TEST(root_gives_up_its_capabilities), TEST(finds_the_user_before_becoming_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
