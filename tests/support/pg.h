// pg: a real PostgreSQL for tests: a cluster of its own in a temporary folder, on a unix socket, as
// an unprivileged user when the test runs as root. Started, stopped, killed and started again at
// will.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct pg {
    char dir[64];       // temporary folder, removed by pg_fini
    char bin[256];      // folder of initdb and postgres
    char conninfo[160]; // for libpq
    const char *user;   // NULL: as we are
    pid_t pid;
};

// pg_init makes the cluster and starts it; false with a sentence on standard error when PostgreSQL
// is not installed.
bool pg_init(struct pg *p);
void pg_fini(struct pg *p);
// pg_start waits until it answers. pg_stop ends it with a signal: SIGINT (fast), SIGQUIT
// (immediate), SIGKILL (crash: with all its children).
bool pg_start(struct pg *p);
void pg_stop(struct pg *p, int signal);
// pg_psql runs SQL with psql and prints nothing; the exit code. pg_value writes the first column of
// the first row.
int pg_psql(const struct pg *p, const char *sql);
bool pg_value(const struct pg *p, const char *sql, char *out, size_t size);
