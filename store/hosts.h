// hosts: the servers that a connection string names, tried one at a time. libpq can walk over a
// list by itself, but not by our deadlines, and it resolves names blocking: here every server is a
// unix socket or an address. Parsing is pure; hosts_resolve blocks, so it is for the time before
// shards run. One thread at a time.
#pragma once
#include <libpq-fe.h>

#include "proto/base/err.h"

enum { HOSTS_MAX = 16, HOSTS_SETTINGS_MAX = 64 };

// struct hosts is a parsed connection string. All-zero is empty.
struct hosts {
    PQconninfoOption *options; // owned; the settings point into it
    const char *keywords[HOSTS_SETTINGS_MAX], *values[HOSTS_SETTINGS_MAX];
    size_t settings; // all but host, hostaddr and port
    char *lists[3];  // owned: host, hostaddr and port, cut at their commas
    struct host {
        const char *name, *address, *port; // "" where not given
    } hosts[HOSTS_MAX];
    size_t count; // at least 1 after hosts_parse
};

// hosts_parse reads a libpq connection string or URI. ERR_STORE_CONNINFO with a sentence in `note`
// when it is malformed, names a service, or names a host that would have to be resolved
// (`names_allowed` lets those pass). `out` needs hosts_fini only after success.
RESULT hosts_parse(struct hosts *out, const char *conninfo, bool names_allowed, char *note,
                   size_t note_size);
void hosts_fini(struct hosts *h);
// hosts_connect starts connecting to server number `attempt` modulo their count. NULL without
// memory; the caller finishes it.
PGconn *hosts_connect(const struct hosts *h, unsigned attempt);
// hosts_resolve writes a connection string that names the same servers by address, one entry per
// address. Blocks. ERR_STORE_CONNINFO, ERR_STORE_AWAY (a name has no address now), with a sentence.
RESULT hosts_resolve(char *out, size_t out_size, const char *conninfo, char *note,
                     size_t note_size);
