#include "signer/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cluster/core/log.h"
#include "cluster/err.h"
#include "signer/events.h"

static struct err say(char *note, size_t size, const char *what)
{
    snprintf(note, size, "%s: %s", what, strerror(errno));
    return ERR(SYSTEM);
}

struct err sandbox_begin(char *note, size_t note_size)
{
    const struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        return say(note, note_size, "memory could not be kept out of core dumps");
    return OK;
}

struct err sandbox_user(char *note, size_t note_size, const char *user)
{
    if (user == NULL || geteuid() != 0) return OK;
    const struct passwd *p = getpwnam(user);
    if (p == NULL) {
        snprintf(note, note_size, "there is no user %s: create it or change `user`", user);
        return ERR(SYSTEM);
    }
    if (initgroups(p->pw_name, p->pw_gid) != 0 || setgid(p->pw_gid) != 0 || setuid(p->pw_uid) != 0)
        return say(note, note_size, "the identity could not be changed");
    return sandbox_begin(note, note_size); // a change of identity resets it
}

// landlock_enter: files below `writable` may be read and written, nothing else in the file system.
static bool landlock_enter(const char *writable)
{
    const uint64_t handled = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                             LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                             LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                             LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                             LANDLOCK_ACCESS_FS_MAKE_SYM;
    struct landlock_ruleset_attr attr = {.handled_access_fs = handled};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0) return false;
    int dir = open(writable, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr below = {
        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                          LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                          LANDLOCK_ACCESS_FS_REMOVE_FILE,
        .parent_fd = dir};
    bool ok = dir >= 0 &&
              syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0 &&
              syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    if (dir >= 0) close(dir);
    close(rules);
    return ok;
}

// The system calls of the signer at work: epoll, sockets, its journal, memory, time, signals, its
// own end.
static const char *const allowed[] = {
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "accept4",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "connect",
    "socket",
    "bind",
    "listen",
    "setsockopt",
    "getsockopt",
    "getsockname",
    "getpeername",
    "shutdown",
    "close",
    "read",
    "write",
    "pread64",
    "pwrite64",
    "readv",
    "writev",
    "lseek",
    "fdatasync",
    "fsync",
    "openat",
    "fstat",
    "newfstatat",
    "statx",
    "fallocate",
    "ftruncate",
    "fcntl",
    "eventfd2",
    "ioctl",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "mlock",
    "mlock2",
    "munlock",
    "futex",
    "futex_waitv",
    "set_robust_list",
    "rseq",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "getcpu",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "getrandom",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sigaltstack",
    "signalfd4",
    "kill",
    "tgkill",
    "getpid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "uname",
    "getrlimit",
    "prlimit64",
    "sysinfo",
    "exit",
    "exit_group",
    "restart_syscall",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "dup",
    "pipe2",
    "unlink",
    "clone3",
    "clone",
    "prctl",
    "readlink",
    "getcwd",
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#else
#define SANDBOX_SANITIZED 0
#endif

static bool seccomp_enter(void)
{
    scmp_filter_ctx ctx = seccomp_init(
        SCMP_ACT_ERRNO(ENOSYS)); // io_uring_setup and all others: "not there"
    bool ok = ctx != NULL;
    for (size_t i = 0; ok && i < sizeof allowed / sizeof allowed[0]; i++) {
        int number = seccomp_syscall_resolve_name(allowed[i]);
        if (number != __NR_SCMP_ERROR && number >= 0)
            ok = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0) == 0;
    }
    ok = ok && seccomp_load(ctx) == 0;
    if (ctx != NULL) seccomp_release(ctx);
    return ok;
}

struct err sandbox_enter(char *note, size_t note_size, struct log *log, const char *writable)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return say(note, note_size, "privileges could not be given up for good");
    bool landlock = landlock_enter(writable);
    // The sanitizers' run time needs what the filter takes.
    bool seccomp = !SANDBOX_SANITIZED && seccomp_enter();
    if (!seccomp && !SANDBOX_SANITIZED)
        return say(note, note_size, "the system call filter could not be installed");
    LOG(log, &EVENT_SIGNER_SANDBOX,
        landlock ? "files outside the signer's own are out of reach"
                 : "this kernel has no Landlock: files are protected by their modes only",
        LOG_INT("landlock", landlock), LOG_INT("seccomp", seccomp));
    return OK;
}
