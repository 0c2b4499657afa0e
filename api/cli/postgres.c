#include "api/cli/postgres.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    START_MS = 30000,
    STOP_MS = 20000,
    STEP_MS = 50,
    SOCKET_PATH_MAX = 107, // bytes of a socket's path, see unix(7)
    VERSION_MIN = 15,
    TREE_DEPTH = 16
};

static const char systems[] = "/usr/lib/postgresql"; // where Debian has each major version

// ---- the programs

static bool has_programs(const char *dir)
{
    char path[1024];
    static const char *const names[] = {"initdb", "postgres", "pg_isready"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (access(path, X_OK) != 0) return false;
    }
    return true;
}

// output_line runs a program and takes the first line of what it prints.
static bool output_line(char *out, size_t size, const char *command)
{
    FILE *f = popen(command, "r");
    if (f == NULL) return false;
    bool ok = fgets(out, (int)size, f) != NULL;
    ok = pclose(f) == 0 && ok;
    if (ok) out[strcspn(out, "\n")] = 0;
    return ok;
}

// version_of asks a postgres for its major version; 0 when it does not say.
static int version_of(const char *dir)
{
    char path[1024], line[256] = "";
    int fds[2];
    snprintf(path, sizeof path, "%s/postgres", dir);
    if (pipe2(fds, O_CLOEXEC) != 0) return 0;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execl(path, path, "--version", (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    ssize_t n = read(fds[0], line, sizeof line - 1);
    close(fds[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    const char *number = n > 0 ? strstr(line, "PostgreSQL) ") : NULL;
    return number == NULL ? 0 : atoi(number + strlen("PostgreSQL) "));
}

static int newest_version(void)
{
    DIR *d = opendir(systems);
    int best = 0;
    if (d == NULL) return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[512];
        int version = atoi(e->d_name);
        snprintf(path, sizeof path, "%s/%s/bin", systems, e->d_name);
        if (version > best && has_programs(path)) best = version;
    }
    closedir(d);
    return best;
}

// data_version is the major version that made the cluster in `state`; 0 when there is none yet.
static int data_version(const char *state)
{
    char path[1100], line[32] = "";
    snprintf(path, sizeof path, "%s/postgres/PG_VERSION", state);
    FILE *f = fopen(path, "r");
    if (f == NULL) return 0;
    bool ok = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    return ok ? atoi(line) : 0;
}

static bool refuse(char *note, size_t note_size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static bool refuse(char *note, size_t note_size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(note, note_size, fmt, ap);
    va_end(ap);
    return false;
}

// version_fits: a cluster can be used only by the major version that made it.
static bool version_fits(const struct postgres *p, const char *state, int made, char *note,
                         size_t note_size)
{
    int found = version_of(p->bin);
    if (found < VERSION_MIN)
        return refuse(note, note_size,
                      "%s has PostgreSQL %d; install PostgreSQL %d or newer (Debian: apt-get "
                      "install postgresql), or name the folder of its programs in PG_BINDIR",
                      p->bin, found, VERSION_MIN);
    if (made == 0 || made == found) return true;
    return refuse(note, note_size,
                  "the database in %s was made by PostgreSQL %d, and %s has PostgreSQL %d; install "
                  "postgresql-%d, or start anew in another folder with --state",
                  state, made, p->bin, found, made);
}

bool postgres_find(struct postgres *p, const char *state, char *note, size_t note_size)
{
    const char *given = getenv("PG_BINDIR");
    int made = data_version(state), newest = newest_version();
    if (given != NULL) {
        snprintf(p->bin, sizeof p->bin, "%s", given);
        if (has_programs(p->bin)) return version_fits(p, state, made, note, note_size);
        return refuse(note, note_size,
                      "PG_BINDIR names %s, where initdb, postgres or pg_isready is missing; name "
                      "the folder that has PostgreSQL's programs",
                      given);
    }
    snprintf(p->bin, sizeof p->bin, "%s/%d/bin", systems, made);
    if (made > 0 && has_programs(p->bin)) return true;
    if (newest >= VERSION_MIN)
        snprintf(p->bin, sizeof p->bin, "%s/%d/bin", systems, newest);
    else if (!output_line(p->bin, sizeof p->bin, "pg_config --bindir 2>/dev/null") ||
             !has_programs(p->bin))
        return refuse(note, note_size,
                      "PostgreSQL's programs (initdb, postgres) were not found; install PostgreSQL "
                      "%d or newer (Debian: apt-get install postgresql), or name their folder in "
                      "PG_BINDIR",
                      made > 0 ? made : VERSION_MIN);
    return version_fits(p, state, made, note, note_size);
}

// ---- the cluster

const char *postgres_user(void)
{
    if (geteuid() != 0) return NULL;
    return getpwnam("postgres") != NULL ? "postgres" : "nobody";
}

// folder_make makes a folder that only PostgreSQL's user may enter, or takes one that is so. In
// /tmp somebody else may have put something in its place, so nothing is done by name after it was
// made.
static bool folder_make(const struct postgres *p, const char *path, char *note, size_t note_size)
{
    const struct passwd *user = p->user == NULL ? NULL : getpwnam(p->user);
    uid_t uid = user == NULL ? geteuid() : user->pw_uid;
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return refuse(note, note_size, "%s cannot be made: %s", path, strerror(errno));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ours = fd >= 0 && fstat(fd, &st) == 0 && (st.st_uid == uid || st.st_uid == geteuid()) &&
                (st.st_mode & 077) == 0;
    bool given = ours && (st.st_uid == uid || fchown(fd, uid, user->pw_gid) == 0);
    int error = errno;
    if (fd >= 0) close(fd);
    if (!ours)
        return refuse(note, note_size,
                      "%s is not a folder of ours alone; remove it, or choose another folder with "
                      "--state",
                      path);
    return given || refuse(note, note_size, "%s cannot be given to user %s: %s", path, p->user,
                           strerror(error));
}

static int entry_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

// initdb_run makes the cluster beside its place and moves it there when it is whole: what a start
// that was cut short has left is made again.
static bool initdb_run(struct postgres *p, const char *state, char *note, size_t note_size)
{
    char program[600], log[1200], fresh[1100];
    snprintf(program, sizeof program, "%s/initdb", p->bin);
    snprintf(log, sizeof log, "%s/log/initdb.log", state);
    snprintf(fresh, sizeof fresh, "%s.new", p->data);
    const char *const argv[] = {program,
                                "-D",
                                fresh,
                                "-U",
                                "certmill",
                                "--auth=trust",
                                "--encoding=UTF8",
                                "--locale=C",
                                "--no-instructions",
                                NULL};
    (void)nftw(fresh, entry_remove, TREE_DEPTH, FTW_DEPTH | FTW_PHYS);
    if (!folder_make(p, fresh, note, note_size) ||
        process_run(&(struct process_options){.name = "PostgreSQL's initdb",
                                              .argv = argv,
                                              .log_path = log,
                                              .user = p->user,
                                              .dir = "/",
                                              .stop_signal = SIGTERM},
                    note, note_size) != 0)
        return false;
    return rename(fresh, p->data) == 0 ||
           refuse(note, note_size, "%s cannot be moved to %s: %s", fresh, p->data, strerror(errno));
}

// socket_dir_choose: below the state folder when the path fits into a socket address and libpq
// would not read it as a list of hosts, else in /tmp.
static bool socket_dir_choose(struct postgres *p, const char *state, char *note, size_t note_size)
{
    struct stat st;
    int n = snprintf(p->socket_dir, sizeof p->socket_dir, "%s/run", state);
    bool fits = strchr(p->socket_dir, ',') == NULL && n > 0 && (size_t)n < sizeof p->socket_dir &&
                (size_t)n + strlen("/.s.PGSQL.5432.lock") < SOCKET_PATH_MAX;
    if (!fits) {
        if (stat(state, &st) != 0)
            return refuse(note, note_size, "%s cannot be read: %s", state, strerror(errno));
        snprintf(p->socket_dir, sizeof p->socket_dir, "/tmp/certmill-dev-%llx-%llx",
                 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        p->socket_dir_apart = true;
    }
    return folder_make(p, p->socket_dir, note, note_size);
}

// conninfo_make quotes the folder as libpq reads it: \ and ' with \ in front.
static void conninfo_make(struct postgres *p)
{
    char quoted[2 * sizeof p->socket_dir];
    size_t n = 0;
    for (const char *c = p->socket_dir; *c != 0; c++) {
        if (*c == '\\' || *c == '\'') quoted[n++] = '\\';
        quoted[n++] = *c;
    }
    quoted[n] = 0;
    snprintf(p->conninfo, sizeof p->conninfo, "host='%s' port=5432 user=certmill dbname=postgres",
             quoted);
}

bool postgres_prepare(struct postgres *p, const char *state, char *note, size_t note_size)
{
    snprintf(p->data, sizeof p->data, "%s/postgres", state);
    if (!socket_dir_choose(p, state, note, note_size)) return false;
    conninfo_make(p);
    return data_version(state) > 0 || initdb_run(p, state, note, note_size);
}

// ---- running it

// socket_setting writes a value as PostgreSQL's -c reads a list of folders: in double quotes.
static void socket_setting(char *out, size_t size, const struct postgres *p)
{
    size_t n = (size_t)snprintf(out, size, "unix_socket_directories=\"");
    for (const char *c = p->socket_dir; *c != 0 && n + 3 < size; c++) {
        if (*c == '"') out[n++] = '"';
        out[n++] = *c;
    }
    out[n++] = '"';
    out[n] = 0;
}

static bool answers(const struct postgres *p, const char *log, char *note, size_t note_size)
{
    char program[600];
    snprintf(program, sizeof program, "%s/pg_isready", p->bin);
    const char *const argv[] = {program, "-q", "-h",       p->socket_dir, "-p",
                                "5432",  "-d", "postgres", NULL};
    return process_run(&(struct process_options){.name = "pg_isready",
                                                 .argv = argv,
                                                 .log_path = log,
                                                 .dir = "/",
                                                 .stop_signal = SIGTERM},
                       note, note_size) == 0;
}

bool postgres_start(struct postgres *p, const char *state, char *note, size_t note_size)
{
    char program[600], log[1200], sockets[2 * sizeof p->socket_dir];
    snprintf(program, sizeof program, "%s/postgres", p->bin);
    snprintf(log, sizeof log, "%s/log/postgres.log", state);
    socket_setting(sockets, sizeof sockets, p);
    const char *const argv[] = {program,     "-D", p->data, "-c", "listen_addresses=",   "-c",
                                "port=5432", "-c", sockets, "-c", "max_connections=100", NULL};
    if (!process_start(&p->process,
                       &(struct process_options){.name = "PostgreSQL",
                                                 .argv = argv,
                                                 .log_path = log,
                                                 .user = p->user,
                                                 .dir = "/",
                                                 .stop_signal = SIGINT},
                       note, note_size))
        return false;
    for (unsigned waited = 0; waited < START_MS; waited += STEP_MS) {
        if (!process_alive(&p->process, NULL)) {
            process_log_tail(&p->process, 8);
            return refuse(note, note_size,
                          "PostgreSQL ended at once; its last words are above, all of them in %s",
                          log);
        }
        if (answers(p, log, note, note_size)) return true;
        struct timespec t = {.tv_nsec = STEP_MS * 1000000L};
        nanosleep(&t, NULL);
    }
    process_log_tail(&p->process, 8);
    return refuse(note, note_size,
                  "PostgreSQL did not answer within %d s; its last words are above, all of them in "
                  "%s",
                  START_MS / 1000, log);
}

void postgres_stop(struct postgres *p)
{
    process_stop(&p->process, STOP_MS);
    if (p->socket_dir_apart) (void)rmdir(p->socket_dir);
}
