// program: a front end as a process: from its configuration file to its end. It makes what cores
// share, starts an edge with everything that hangs off it on every core, reloads, drains, and takes
// all apart. Used by main, on its thread; tests run several in one process.
#pragma once
#include "api/edge.h"

struct program;

enum { PROGRAM_NOTE_MAX = 1024 };

// program_load reads and checks the configuration file. ERR_BAD_CONFIG with a sentence in `note`;
// ERR_NO_SPACE.
RESULT program_load(struct program **out, const char *path, char note[PROGRAM_NOTE_MAX]);
// program_start starts every core and returns when all listen: what fails says why and what to do
// in `note`. With `seams` the crash points are armed (cluster/core/seam.h). A database or signer
// that is away is no failure: requests get 503 until it is there. After a failure only the end of
// the process gives back what cores had begun.
RESULT program_start(struct program *p, bool seams, char note[PROGRAM_NOTE_MAX]);
// program_reload reads the file again: tenants, the log level and the listener's certificate are
// taken over, or nothing when something in the file is wrong; both are logged.
void program_reload(struct program *p);
// program_tend renews this front end's certificates when half of their life has passed, and takes
// into use what is new in their files. Returns after how many milliseconds it wants to be called
// again; it may block for the signer's answer.
unsigned program_tend(struct program *p);
// program_drain ends it gracefully: readiness off, accept until empty, finish every request,
// validation and issuance, hand the nonces over, tell the others. Returns when that is done, or
// after server.drain_accept, server.drain and a few seconds.
void program_drain(struct program *p);
// program_free stops the cores, if they were started, and frees all. NULL is fine.
void program_free(struct program *p);

// program_core is one core's edge; to be used on its thread. program_count is how many there are.
struct edge *program_core(struct program *p, unsigned index);
unsigned program_count(const struct program *p);
struct log *program_log(struct program *p);
