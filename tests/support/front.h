// front: whole front ends in a test's process, over a real PostgreSQL, with the signer's double
// behind them: started, reloaded, drained, killed as far as a process can kill a part of itself.
// Also the http-01 responder that validations reach.
#pragma once
#include "api/program.h"
#include "tests/support/pg.h"

enum { FRONTS_MAX = 4 };

struct front_rig {
    struct pg pg;
    char dir[64];
    char root_pem_path[96]; // of the front ends' server certificates
    unsigned count;
    struct program *programs[FRONTS_MAX]; // NULL: not running
    unsigned ports[FRONTS_MAX], private_ports[FRONTS_MAX], cluster_ports[FRONTS_MAX];
    const char *extra; // YAML for the end of each configuration; NULL: none
};

// front_rig_init starts PostgreSQL, makes the schema, certificates and files. False when PostgreSQL
// is not installed. front_rig_fini ends all.
bool front_rig_init(struct front_rig *f, const char *extra);
void front_rig_fini(struct front_rig *f);
// front_start starts front end `index` and waits until it is ready. front_drain ends it as SIGTERM
// does; front_kill without telling anybody.
void front_start(struct front_rig *f, unsigned index);
void front_drain(struct front_rig *f, unsigned index);
void front_kill(struct front_rig *f, unsigned index);
// front_config writes the configuration of a front end with other tenants; NULL: the first ones.
void front_config(struct front_rig *f, unsigned index, const char *tenants);
// front_private_get reads a path of front end `index`'s private listener into `out`, as text with
// the answer's head; returns the status.
unsigned front_private_get(const struct front_rig *f, unsigned index, const char *path, char *out,
                           size_t size);
// front_know waits until front end `index` knows `count` living others.
void front_know(struct front_rig *f, unsigned index, unsigned count);

// responder_start answers GET /.well-known/acme-challenge/TOKEN with TOKEN.thumbprint on the
// validations' port; responder_stop ends it for good. front_rig_init and front_rig_fini do so. The
// thumbprint is that of the key last given to responder_thumbprint; NULL: 404.
void responder_start(struct front_rig *f);
void responder_stop(struct front_rig *f);
void responder_thumbprint(const char *text);
