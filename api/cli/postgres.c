#include "api/cli/postgres.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 30000, STOP_MS = 20000, STEP_MS = 50, SOCKET_PATH_MAX = 107, VERSION_MIN = 15 };

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

static int newest_version(void)
{
    DIR *d = opendir("/usr/lib/postgresql");
    int best = 0;
    if (d == NULL) return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[512];
        int version = atoi(e->d_name);
        snprintf(path, sizeof path, "/usr/lib/postgresql/%s/bin", e->d_name);
        if (version > best && has_programs(path)) best = version;
    }
    closedir(d);
    return best;
}

bool postgres_find(struct postgres *p, char *note, size_t note_size)
{
    const char *given = getenv("PG_BINDIR");
    if (given != NULL) {
        snprintf(p->bin, sizeof p->bin, "%s", given);
        if (has_programs(p->bin)) return true;
        snprintf(note, note_size,
                 "PG_BINDIR names %s, where initdb, postgres or pg_isready is missing", given);
        return false;
    }
    int newest = newest_version();
    if (newest >= VERSION_MIN) {
        snprintf(p->bin, sizeof p->bin, "/usr/lib/postgresql/%d/bin", newest);
        return true;
    }
    if (output_line(p->bin, sizeof p->bin, "pg_config --bindir 2>/dev/null") &&
        has_programs(p->bin))
        return true;
    snprintf(note, note_size,
             "PostgreSQL's programs (initdb, postgres) were not found; install PostgreSQL %d or "
             "newer (Debian: apt-get install postgresql), or name their folder in PG_BINDIR",
             VERSION_MIN);
    return false;
}

// owner_set gives a folder to the user that PostgreSQL runs as.
static bool folder_make(const struct postgres *p, const char *path, char *note, size_t note_size)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        snprintf(note, note_size, "%s cannot be made: %s", path, strerror(errno));
        return false;
    }
    const struct passwd *user = p->user == NULL ? NULL : getpwnam(p->user);
    if (user != NULL && chown(path, user->pw_uid, user->pw_gid) != 0) {
        snprintf(note, note_size, "%s cannot be given to user %s: %s", path, p->user,
                 strerror(errno));
        return false;
    }
    return true;
}

static bool initdb_run(struct postgres *p, const char *state, char *note, size_t note_size)
{
    char program[600], log[1200], data[1100];
    snprintf(program, sizeof program, "%s/initdb", p->bin);
    snprintf(log, sizeof log, "%s/log/initdb.log", state);
    snprintf(data, sizeof data, "%s", p->data);
    const char *const argv[] = {program,
                                "-D",
                                data,
                                "-U",
                                "certmill",
                                "--auth=trust",
                                "--encoding=UTF8",
                                "--locale=C",
                                "--no-instructions",
                                NULL};
    int code = process_run(&(struct process_options){.name = "initdb",
                                                     .argv = argv,
                                                     .log_path = log,
                                                     .user = p->user,
                                                     .dir = "/",
                                                     .stop_signal = SIGTERM},
                           note, note_size);
    if (code == 0) return true;
    if (code > 0) {
        process_log_tail(log, 8);
        snprintf(note, note_size, "initdb failed with exit code %d; all it said is in %s", code,
                 log);
    }
    return false;
}

// socket_dir_choose: below the state folder when the path fits into a socket address, else in /tmp.
static bool socket_dir_choose(struct postgres *p, const char *state, char *note, size_t note_size)
{
    int n = snprintf(p->socket_dir, sizeof p->socket_dir, "%s/run", state);
    bool fits = n > 0 && (size_t)n < sizeof p->socket_dir &&
                (size_t)n + strlen("/.s.PGSQL.5432.lock") < SOCKET_PATH_MAX;
    if (!fits) {
        struct stat st;
        if (stat(state, &st) != 0) return false;
        snprintf(p->socket_dir, sizeof p->socket_dir, "/tmp/certmill-dev-%llx",
                 (unsigned long long)st.st_ino);
    }
    return folder_make(p, p->socket_dir, note, note_size);
}

bool postgres_prepare(struct postgres *p, const char *state, char *note, size_t note_size)
{
    char version[1100];
    if (geteuid() == 0) p->user = getpwnam("postgres") != NULL ? "postgres" : "nobody";
    snprintf(p->data, sizeof p->data, "%s/postgres", state);
    snprintf(version, sizeof version, "%s/PG_VERSION", p->data);
    if (!socket_dir_choose(p, state, note, note_size)) return false;
    snprintf(p->conninfo, sizeof p->conninfo, "host=%s port=5432 user=certmill dbname=postgres",
             p->socket_dir);
    if (access(version, F_OK) == 0) return true;
    return folder_make(p, p->data, note, note_size) && initdb_run(p, state, note, note_size);
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
    char program[600], log[1200], sockets[200];
    snprintf(program, sizeof program, "%s/postgres", p->bin);
    snprintf(log, sizeof log, "%s/log/postgres.log", state);
    snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", p->socket_dir);
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
            process_log_tail(log, 8);
            snprintf(note, note_size,
                     "PostgreSQL ended at once; its last lines are above, all of it is in %s", log);
            return false;
        }
        if (answers(p, log, note, note_size)) return true;
        struct timespec t = {.tv_nsec = STEP_MS * 1000000L};
        nanosleep(&t, NULL);
    }
    snprintf(note, note_size, "PostgreSQL did not answer within %d s; see %s", START_MS / 1000,
             log);
    return false;
}

void postgres_stop(struct postgres *p) { process_stop(&p->process, STOP_MS); }
