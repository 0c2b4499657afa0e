// vault: what the kernel was told about the memory of secrets, what a child and a core dump get to
// see of it, and that nothing stays in it.
#include "signer/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/bn.h>
#include <openssl/mem.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/core/files.h"
#include "signer/err.h"
#include "tests/unit/signer/fixture.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

static const char secret[] = "correct horse battery staple";

// in_child runs one test body in a process of its own, because the vault belongs to a process: 0
// when it ended well, 100 + signal when it was killed.
static int in_child(int (*body)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(body());
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

// flag_of says whether the map that holds `p` has a flag in VmFlags of smaps.
static bool flag_of(const void *p, const char *flag)
{
    char line[512];
    unsigned long from, to;
    bool here = false, found = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = (unsigned long)p >= from && (unsigned long)p < to;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line + 8, flag) != NULL;
    }
    if (f != NULL) fclose(f);
    return found;
}

// without_memfd_secret is what a kernel without it answers.
static bool without_memfd_secret(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    bool ok = ctx != NULL &&
              seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SYS_memfd_secret, 0) == 0 &&
              seccomp_load(ctx) == 0;
    seccomp_release(ctx);
    return ok;
}

static char *opened(enum vault_kind kind)
{
    char note[256];
    if (failed(vault_open(note, sizeof note)) || vault_kind() != kind) return NULL;
    char *p = vault_alloc(sizeof secret);
    if (p != NULL) memcpy(p, secret, sizeof secret);
    return p;
}

static int locked_flags(void)
{
    if (!without_memfd_secret()) return 2;
    const char *p = opened(VAULT_LOCKED);
    if (p == NULL || !vault_has(p)) return 3;
    char *ordinary = malloc(100);
    int r = !flag_of(p, " lo") ? 4 : !flag_of(p, " dd") ? 5 : !flag_of(p, " wf") ? 6 : 0;
    if (flag_of(ordinary, " lo") || flag_of(ordinary, " dd")) r = 7; // the test can tell
    free(ordinary);
    return r;
}

static int locked_is_wiped_in_a_child(void)
{
    if (!without_memfd_secret()) return 2;
    char *p = opened(VAULT_LOCKED);
    int status;
    if (p == NULL) return 3;
    pid_t child = fork();
    if (child == 0) {
        for (size_t i = 0; i < sizeof secret; i++)
            if (p[i] != 0) _exit(1);
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0) return 4;
    return memcmp(p, secret, sizeof secret) == 0 ? 0 : 5;
}

static int secret_flags(void)
{
    const char *p = opened(VAULT_SECRET);
    if (p == NULL) return 77; // this kernel has no memfd_secret, or it is turned off
    return !flag_of(p, " lo") ? 4 : !flag_of(p, " dd") ? 5 : !flag_of(p, " dc") ? 6 : 0;
}

static int secret_is_not_in_a_child(void)
{
    const char *p = opened(VAULT_SECRET);
    int status;
    if (p == NULL) return 77;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(memcmp(p, secret, sizeof secret) == 0 ? 1 : 2);
    }
    if (waitpid(child, &status, 0) != child) return 4;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 0 : 5;
}

// Not even root reads it through /proc/<pid>/mem.
static int secret_is_not_in_proc(void)
{
    char *p = opened(VAULT_SECRET), got[sizeof secret], here[sizeof secret] = "something ordinary";
    if (p == NULL) return 77;
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, got, sizeof got, (off_t)(uintptr_t)here) != sizeof got) return 3;
    return pread(fd, got, sizeof got, (off_t)(uintptr_t)p) < 0 ? 0 : 4;
}

static int no_limit_says_so(void)
{
    const struct rlimit none = {0, 0};
    char note[256] = "";
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) return 2;
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
        return 3;
    if (!failed(vault_open(note, sizeof note))) return 4;
    return strstr(note, "raise the limit of locked memory") != NULL && vault_kind() == VAULT_CLOSED
               ? 0
               : 5;
}

static void run(const char *what, int (*body)(void))
{
    int r = in_child(body);
    if (r == 77) {
        print_message("skipped: this system has no memfd_secret\n");
        skip();
    }
    if (r != 0) fail_msg("%s: %d", what, r);
}

#define CHILD(f)                \
    static void f(void **state) \
    {                           \
        (void)state;            \
        run(#f, f##_body);      \
    }
#define locks_and_hides_memory_body locked_flags
#define wipes_it_in_a_child_body locked_is_wiped_in_a_child
#define keeps_it_secret_body secret_flags
#define keeps_it_from_a_child_body secret_is_not_in_a_child
#define keeps_it_from_proc_body secret_is_not_in_proc
#define says_when_memory_cannot_be_locked_body no_limit_says_so
CHILD(locks_and_hides_memory)
CHILD(wipes_it_in_a_child)
CHILD(keeps_it_secret)
CHILD(keeps_it_from_a_child)
CHILD(keeps_it_from_proc)
CHILD(says_when_memory_cannot_be_locked)

// ---- the allocator

static int allocates_and_wipes_body(void)
{
    char note[256];
    void *held[64] = {0};
    for (int twice = 0; twice < 2; twice++)
        if (failed(vault_open(note, sizeof note))) return 2;
    srandom(7);
    for (int round = 0; round < 20000; round++) {
        size_t i = (size_t)random() % 64, n = (size_t)random() % 9000;
        if (held[i] != NULL) {
            size_t size = OPENSSL_memory_get_size(held[i]);
            for (size_t k = 0; k < size; k++)
                if (((uint8_t *)held[i])[k] != (uint8_t)i) return 3; // someone else wrote here
            uint8_t *p = held[i];
            vault_free(p);
            for (size_t k = 0; k < size; k++)
                if (p[k] != 0) return 4;
            held[i] = NULL;
            continue;
        }
        held[i] = vault_alloc(n);
        if (held[i] == NULL || !vault_has(held[i]) || (uintptr_t)held[i] % 16 != 0) return 5;
        for (size_t k = 0; k < n; k++)
            if (((uint8_t *)held[i])[k] != 0) return 6;
        memset(held[i], (int)i, n == 0 ? 1 : n);
    }
    for (size_t i = 0; i < 64; i++) vault_free(held[i]);
    if (vault_used() != 0) return 7;
    // All of it is one piece again, and full is an answer.
    void *all = vault_alloc(VAULT_SIZE - 64);
    if (all == NULL || vault_alloc(64) != NULL || vault_alloc(SIZE_MAX) != NULL) return 8;
    vault_free(all);
    vault_free(NULL);
    return vault_used() == 0 ? 0 : 9;
}
CHILD(allocates_and_wipes)

static int takes_the_librarys_blocks_body(void)
{
    char note[256];
    BIGNUM *outside = BN_new(), *inside;
    if (failed(vault_open(note, sizeof note)) || BN_set_word(outside, 5) != 1) return 2;
    vault_enter();
    vault_enter();
    vault_leave();
    inside = BN_new();
    if (BN_set_word(inside, 7) != 1) return 3;
    vault_leave();
    BIGNUM *after = BN_new();
    if (vault_has(outside) || !vault_has(inside) || vault_has(after)) return 4;
    // Each goes back to where it came from, whoever is entered.
    vault_enter();
    BN_free(outside);
    vault_leave();
    BN_free(inside);
    BN_free(after);
    return vault_used() == 0 ? 0 : 5;
}
CHILD(takes_the_librarys_blocks)

static int without_a_vault_body(void)
{
    vault_enter(); // parts are tested without one
    uint8_t *p = vault_alloc(100);
    vault_leave();
    if (p == NULL || vault_has(p) || vault_used() != 0 || vault_kind() != VAULT_CLOSED) return 2;
    for (size_t i = 0; i < 100; i++)
        if (p[i] != 0) return 3;
    vault_free(p);
    return 0;
}
CHILD(without_a_vault)

// ---- files

static void refuses_files_that_others_may_use(void **state)
{
    static const struct {
        unsigned mode;
        bool taken;
    } rows[] = {{0600, true},  {0400, true},  {0640, true},  {0440, true},  {0700, true},
                {0644, false}, {0604, false}, {0666, false}, {0660, false}, {0620, false},
                {0602, false}, {0601, false}, {0610, false}, {0777, false}};
    (void)state;
    struct arena a;
    char note[FILES_NOTE_MAX];
    char *folder = fixture_folder();
    arena_init(&a, 65536);
    const char *path = fixture_path(&a, folder, "key");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice got = SLICE_NONE;
        fixture_write(path, slice_str(secret), rows[i].mode);
        struct err e = file_read_secret(&got, note, AT_FDCWD, path);
        if (rows[i].taken) {
            assert_ok(e);
            assert_slice_str(got, secret);
            vault_free((void *)(uintptr_t)got.p);
        } else {
            assert_err(e, ERR_KEY);
            assert_non_null(strstr(note, path));
            assert_non_null(strstr(note, arena_printf(&a, "(mode %04o): chmod 600", rows[i].mode)));
        }
    }
    struct slice got;
    assert_true(failed(file_read_secret(&got, note, AT_FDCWD, folder)));
    assert_non_null(strstr(note, "is not a file"));
    assert_true(failed(file_read_secret(&got, note, AT_FDCWD, "/no/such/key")));
    assert_non_null(strstr(note, "cannot read /no/such/key (No such file or directory)"));
    arena_fini(&a);
    fixture_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks_and_hides_memory),
        cmocka_unit_test(wipes_it_in_a_child),
        cmocka_unit_test(keeps_it_secret),
        cmocka_unit_test(keeps_it_from_a_child),
        cmocka_unit_test(keeps_it_from_proc),
        cmocka_unit_test(says_when_memory_cannot_be_locked),
        cmocka_unit_test(allocates_and_wipes),
        cmocka_unit_test(takes_the_librarys_blocks),
        cmocka_unit_test(without_a_vault),
        cmocka_unit_test(refuses_files_that_others_may_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
