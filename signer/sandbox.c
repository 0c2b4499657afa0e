#include "signer/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
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

static struct err user_find(const struct passwd **out, char *note, size_t note_size,
                            const char *user)
{
    *out = user == NULL || geteuid() != 0 ? NULL : getpwnam(user);
    if (*out != NULL || user == NULL || geteuid() != 0) return OK;
    snprintf(note, note_size, "there is no user %s: create it or change `user`", user);
    return ERR(SYSTEM);
}

struct err sandbox_user_find(char *note, size_t note_size, uid_t *out_user, gid_t *out_group,
                             const char *user)
{
    const struct passwd *p;
    *out_user = 0;
    *out_group = 0;
    TRY(user_find(&p, note, note_size, user));
    if (p == NULL) return OK;
    *out_user = p->pw_uid;
    *out_group = p->pw_gid;
    return OK;
}

// capabilities_drop: root without them is a user that owns root's files.
static struct err capabilities_drop(char *note, size_t note_size)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    if (syscall(SYS_capset, &head, none) != 0)
        return say(note, note_size, "root's capabilities could not be given up");
    return OK;
}

struct err sandbox_user(char *note, size_t note_size, const char *user)
{
    const struct passwd *p;
    int parent_died = 0; // the signal that whoever started us wants us to get then
    TRY(user_find(&p, note, note_size, user));
    if (p == NULL) return geteuid() == 0 ? capabilities_drop(note, note_size) : OK;
    (void)prctl(PR_GET_PDEATHSIG, &parent_died);
    if (initgroups(p->pw_name, p->pw_gid) != 0 || setgid(p->pw_gid) != 0 || setuid(p->pw_uid) != 0)
        return say(note, note_size, "the identity could not be changed");
    (void)prctl(PR_SET_PDEATHSIG, parent_died);
    return sandbox_begin(note, note_size); // a change of identity resets both
}

static bool rule_add(int rules, int dir, uint64_t access)
{
    struct landlock_path_beneath_attr below = {.allowed_access = access, .parent_fd = dir};
    return dir >= 0 &&
           syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0;
}

// config_folder: the rule is for the folder, because editors and mounts put a new file in place of
// the old one.
static bool config_folder(char *out, size_t size, const char *config)
{
    const char *slash = strrchr(config, '/');
    int n = slash == NULL ? snprintf(out, size, ".")
                          : snprintf(out, size, "%.*s", (int)(slash - config) + 1, config);
    return n > 0 && (size_t)n < size;
}

// landlock_enter: files below `writable` may be read and written, files beside `config` may be
// read, nothing else in the file system.
static bool landlock_enter(int writable, const char *config)
{
    const uint64_t handled = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                             LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                             LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                             LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                             LANDLOCK_ACCESS_FS_MAKE_SYM;
    const uint64_t journal = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                             LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG;
    struct landlock_ruleset_attr attr = {.handled_access_fs = handled};
    char folder[4096];
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0) return false;
    int beside = config_folder(folder, sizeof folder, config) ? open(folder, O_PATH | O_CLOEXEC)
                                                              : -1;
    bool ok = rule_add(rules, writable, journal) &&
              (beside < 0 || rule_add(rules, beside, LANDLOCK_ACCESS_FS_READ_FILE)) &&
              syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    if (beside >= 0) close(beside); // what its user cannot reach anyway needs no rule
    close(rules);
    return ok;
}

// The system calls of the signer at work: epoll, connections that come in, its journal, its
// configuration file, memory, time, signals, its own end. Listeners and the reactor exist by then,
// so that no further socket is made, and none connects to anywhere.
static const char *const allowed[] = {
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "accept4",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
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
    "munmap",
    "mremap",
    "madvise",
    "brk",
    "mlock",
    "mlock2",
    "munlock",
    "futex",
    "futex_waitv",
    "sched_yield",
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
    "sigaltstack",
    "getpid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "uname",
    "sysinfo",
    "exit",
    "exit_group",
    "restart_syscall",
    "poll",
    "ppoll",
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
    // Memory is never made executable, and signals reach this process alone.
    ok = ok &&
         seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
         seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
         seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1,
                          SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)) == 0 &&
         seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                          SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)) == 0 &&
         seccomp_load(ctx) == 0;
    if (ctx != NULL) seccomp_release(ctx);
    return ok;
}

struct err sandbox_enter(char *note, size_t note_size, struct log *log, int writable,
                         const char *config)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return say(note, note_size, "privileges could not be given up for good");
    bool landlock = landlock_enter(writable, config);
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
