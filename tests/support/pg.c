#include "tests/support/pg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_TRIES = 600, TRY_MS = 50, ENDS_MAX = 40 };

static void pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static bool bin_find(struct pg *p)
{
    int best = 0;
    DIR *d = opendir("/usr/lib/postgresql");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (atoi(e->d_name) > best) best = atoi(e->d_name);
    if (d != NULL) closedir(d);
    snprintf(p->bin, sizeof p->bin, "/usr/lib/postgresql/%d/bin", best);
    return best > 0;
}

static pid_t spawn(const struct pg *p, const char *const *argv, const char *log)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    const struct passwd *user = p->user == NULL ? NULL : getpwnam(p->user);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666), null = open("/dev/null", O_RDONLY);
    if (user != NULL && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) _exit(126);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    dup2(null, 0);
    dup2(fd, 1);
    dup2(fd, 2);
    if (chdir("/") != 0) _exit(126);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int spawn_wait(const struct pg *p, const char *const *argv, const char *log)
{
    int status = -1;
    pid_t pid = spawn(p, argv, log);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool pg_init(struct pg *p)
{
    char program[320], data[96], log[96];
    *p = (struct pg){.user = geteuid() == 0 ? "postgres" : NULL};
    snprintf(p->dir, sizeof p->dir, "/tmp/certmill-pg-XXXXXX");
    if (!bin_find(p) || mkdtemp(p->dir) == NULL) {
        fprintf(stderr, "pg: PostgreSQL is not installed, or /tmp is not writable\n");
        return false;
    }
    const struct passwd *user = p->user == NULL ? NULL : getpwnam(p->user);
    if (user != NULL && chown(p->dir, user->pw_uid, user->pw_gid) != 0) return false;
    snprintf(program, sizeof program, "%s/initdb", p->bin);
    snprintf(data, sizeof data, "%s/data", p->dir);
    snprintf(log, sizeof log, "%s/log", p->dir);
    snprintf(p->conninfo, sizeof p->conninfo, "host=%s port=5432 user=certmill dbname=postgres",
             p->dir);
    const char *const argv[] = {
        program,           "-D",         data,        "-U", "certmill", "--auth=trust",
        "--encoding=UTF8", "--locale=C", "--no-sync", NULL};
    return spawn_wait(p, argv, log) == 0 && pg_start(p);
}

// log_show prints the end of the log, which goes with the folder.
static void log_show(const char *log)
{
    char command[128];
    fprintf(stderr, "pg: PostgreSQL did not start:\n");
    snprintf(command, sizeof command, "tail -n 20 %s >&2", log);
    if (system(command) != 0) fprintf(stderr, "pg: %s cannot be read\n", log);
}

bool pg_start(struct pg *p)
{
    char program[320], data[96], log[96], sockets[128];
    snprintf(program, sizeof program, "%s/postgres", p->bin);
    snprintf(data, sizeof data, "%s/data", p->dir);
    snprintf(log, sizeof log, "%s/log", p->dir);
    snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", p->dir);
    const char *const argv[] = {program,
                                "-D",
                                data,
                                "-c",
                                "listen_addresses=",
                                "-c",
                                sockets,
                                "-c",
                                "shared_buffers=32MB",
                                "-c",
                                "max_connections=60",
                                NULL};
    p->pid = spawn(p, argv, log);
    for (int i = 0, ends = 0; i < START_TRIES && ends <= ENDS_MAX; i++) {
        if (pg_psql(p, "SELECT 1") == 0) return true;
        pause_ms(TRY_MS);
        // The last one's processes may not be gone from its shared memory yet.
        if (waitpid(p->pid, NULL, WNOHANG) != p->pid) continue;
        p->pid = ++ends <= ENDS_MAX ? spawn(p, argv, log) : 0;
    }
    log_show(log);
    return false;
}

void pg_stop(struct pg *p, int signal)
{
    if (p->pid <= 0) return;
    // A crash takes the whole group with it: backends run in the postmaster's session but some
    // leave its process group, so they go by name of their parent.
    if (signal == SIGKILL) {
        char command[64];
        kill(p->pid, SIGSTOP);
        snprintf(command, sizeof command, "pkill -KILL -P %d", (int)p->pid);
        if (system(command) < 0) perror("pkill");
        kill(p->pid, SIGKILL);
    } else {
        kill(p->pid, signal);
    }
    waitpid(p->pid, NULL, 0);
    p->pid = 0;
}

static int psql(const struct pg *p, const char *sql, const char *out)
{
    char program[320];
    snprintf(program, sizeof program, "%s/psql", p->bin);
    const char *const argv[] = {program,           "-X", "-q",        "-t", "-A", "-v",
                                "ON_ERROR_STOP=1", "-d", p->conninfo, "-c", sql,  NULL};
    return spawn_wait(p, argv, out);
}

int pg_psql(const struct pg *p, const char *sql) { return psql(p, sql, "/dev/null"); }

bool pg_value(const struct pg *p, const char *sql, char *out, size_t size)
{
    char path[96];
    snprintf(path, sizeof path, "%s/out", p->dir);
    unlink(path);
    int code = psql(p, sql, path);
    FILE *f = fopen(path, "r");
    bool ok = code == 0 && f != NULL && fgets(out, (int)size, f) != NULL;
    if (f != NULL) fclose(f);
    if (ok) out[strcspn(out, "\n")] = 0;
    return ok;
}

void pg_fini(struct pg *p)
{
    char command[128];
    pg_stop(p, SIGQUIT);
    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    if (p->dir[0] == '/' && system(command) != 0)
        fprintf(stderr, "pg: %s could not be removed\n", p->dir);
}
