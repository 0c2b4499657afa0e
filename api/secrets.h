// secrets: what a front end reads from files at its start: the cluster secret and what derives from
// it. Made on main's thread; const afterwards.
#pragma once
#include "api/settings.h"
#include "proto/tls/tls.h"

enum { SECRET_FILE_MIN = 32, SECRET_LEN = 32, CONNINFO_MAX = 4096 };

struct secrets {
    uint8_t cluster[SECRET_LEN]; // SHA-256 of the file
    char conninfo[CONNINFO_MAX]; // names resolved: libpq would do that blocking
};

// secrets_load reads all files; `note` gets a sentence that names the file and the cure.
// secrets_fini wipes and frees. ERR_BAD_CONFIG, ERR_STORE_CONNINFO.
RESULT secrets_load(struct secrets *out, char *note, size_t note_size, const struct settings *s);
void secrets_fini(struct secrets *s);
// secrets_tickets_set gives `tls` the session-ticket keys of this hour and the last: every front
// end makes the same from the cluster secret (design.md section 5).
void secrets_tickets_set(const struct secrets *s, struct tls_context *tls, int64_t now_s);
