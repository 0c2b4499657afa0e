#include "api/cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STEP_MS = 10, TAIL_MAX = 16384 };

// child_become: identity, group, output. Only async-signal-safe calls and those that this
// one-threaded program may make after fork.
static void child_become(const struct process_options *o, const struct passwd *user, int log_fd,
                         pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); // Ctrl-C of the terminal is for us: we stop the children in order
    prctl(PR_SET_PDEATHSIG, o->stop_signal);
    if (getppid() != parent) _exit(127);
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    if (user != NULL && (initgroups(user->pw_name, user->pw_gid) != 0 ||
                         setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
        _exit(126);
    // Changing identity clears it.
    if (user != NULL) prctl(PR_SET_PDEATHSIG, o->stop_signal);
    if (o->dir != NULL && chdir(o->dir) != 0) _exit(126);
    execv(o->argv[0], (char *const *)(uintptr_t)o->argv);
    _exit(127);
}

bool process_start(struct process *p, const struct process_options *o, char *note, size_t note_size)
{
    const struct passwd *user = o->user == NULL ? NULL : getpwnam(o->user);
    if (o->user != NULL && user == NULL) {
        snprintf(note, note_size, "there is no user %s on this system", o->user);
        return false;
    }
    int fd = open(o->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) {
        snprintf(note, note_size, "%s cannot be written: %s", o->log_path, strerror(errno));
        return false;
    }
    off_t from = lseek(fd, 0, SEEK_END);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) child_become(o, user, fd, parent);
    close(fd);
    if (pid < 0) {
        snprintf(note, note_size, "%s cannot be started: %s", o->name, strerror(errno));
        return false;
    }
    const char *slash = strrchr(o->argv[0], '/');
    *p = (struct process){
        .name = o->name, .pid = pid, .stop_signal = o->stop_signal, .log_from = from};
    snprintf(p->program, sizeof p->program, "%s", slash == NULL ? o->argv[0] : slash + 1);
    snprintf(p->log_path, sizeof p->log_path, "%s", o->log_path);
    return true;
}

bool process_alive(struct process *p, int *out_status)
{
    int status = 0;
    if (p->pid == 0) return false;
    if (waitpid(p->pid, &status, WNOHANG) != p->pid) return true;
    p->pid = 0;
    if (out_status != NULL) *out_status = status;
    return false;
}

static void sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

int process_stop(struct process *p, unsigned wait_ms)
{
    int status = 0;
    if (p->pid == 0) return 0;
    kill(p->pid, p->stop_signal);
    for (unsigned waited = 0; waited < wait_ms; waited += STEP_MS) {
        if (!process_alive(p, &status)) return status;
        sleep_ms(STEP_MS);
    }
    pid_t pid = p->pid;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    p->pid = 0;
    return status;
}

// log_read takes the end of what this run has written so far; NUL-terminated.
static size_t log_read(const struct process *p, char text[TAIL_MAX + 1])
{
    FILE *f = fopen(p->log_path, "rb");
    size_t n = 0;
    if (f != NULL && fseeko(f, 0, SEEK_END) == 0) {
        off_t from = ftello(f) - TAIL_MAX;
        if (from < p->log_from) from = p->log_from;
        if (fseeko(f, from, SEEK_SET) == 0) n = fread(text, 1, TAIL_MAX, f);
    }
    if (f != NULL) fclose(f);
    text[n] = 0;
    return n;
}

// own_words finds the last line "PROGRAM: why" in the text and returns its "why"; NULL when there
// is none.
static char *own_words(const struct process *p, char *text)
{
    char *found = NULL;
    size_t n = strlen(p->program);
    for (char *save, *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save))
        if (strncmp(line, p->program, n) == 0 && strncmp(line + n, ": ", 2) == 0)
            found = line + n + 2;
    return found;
}

void process_ended_note(const struct process *p, char *note, size_t note_size)
{
    char text[TAIL_MAX + 1];
    log_read(p, text);
    const char *why = own_words(p, text);
    if (why != NULL)
        snprintf(note, note_size, "%s: %s (its log: %s)", p->name, why, p->log_path);
    else
        snprintf(note, note_size, "%s ended without a word of its own; its log is %s", p->name,
                 p->log_path);
}

int process_run(const struct process_options *o, char *note, size_t note_size)
{
    struct process p;
    int status;
    if (!process_start(&p, o, note, note_size)) return -1;
    while (waitpid(p.pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    if (status != 0) process_ended_note(&p, note, note_size);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void process_log_tail(const struct process *p, unsigned lines)
{
    char text[TAIL_MAX + 1];
    size_t n = log_read(p, text), at = n;
    for (unsigned seen = 0; at > 0; at--)
        if (text[at - 1] == '\n' && at != n && ++seen == lines) break;
    fwrite(text + at, 1, n - at, stderr);
    if (n > at && text[n - 1] != '\n') fputc('\n', stderr);
}
