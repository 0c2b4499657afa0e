// postgres: the private PostgreSQL of `certmill dev`: found, made once, started as a child, never
// the system's own. Unix socket only.
#pragma once
#include "api/cli/process.h"

struct postgres {
    char bin[512];         // folder with initdb and postgres
    char data[1024];       // PGDATA
    char socket_dir[128];  // short enough for a socket path
    bool socket_dir_apart; // not below the state folder, and removed by postgres_stop
    char conninfo[1024];
    const char *user; // NULL, or whom it runs as when we are root (PostgreSQL refuses root)
    struct process process;
};

// postgres_user is whom PostgreSQL runs as: NULL for ourselves.
const char *postgres_user(void);
// postgres_find looks for the programs: PG_BINDIR, /usr/lib/postgresql/*/bin (the version that made
// `state`/postgres when there is one, else the newest), pg_config --bindir. False with a sentence
// that says what to install.
bool postgres_find(struct postgres *p, const char *state, char *note, size_t note_size);
// postgres_prepare makes the cluster under `state`/postgres when it is not there: whole or not at
// all. False with a sentence.
bool postgres_prepare(struct postgres *p, const char *state, char *note, size_t note_size);
// postgres_start starts it and waits until it answers (30 s at most); postgres_stop ends it
// ("fast": open transactions are rolled back).
bool postgres_start(struct postgres *p, const char *state, char *note, size_t note_size);
void postgres_stop(struct postgres *p);
