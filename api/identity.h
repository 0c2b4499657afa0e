// identity: the certificates with which a front end shows itself, as TLS contexts: to ACME clients,
// to signers, to other front ends. Read from files at start, on SIGHUP and after a renewal, on
// main's thread; const afterwards, but for the session-ticket keys. The cores get a new one by
// message, and the old one is kept until nothing can use it any more.
#pragma once
#include "api/settings.h"
#include "proto/tls/tls.h"

// The first IDENTITY_RENEWED are renewed by this program; the others' owners do so.
enum { IDENTITY_FILES = 4, IDENTITY_RENEWED = 3, IDENTITY_HASH_LEN = 32 };

struct identity {
    struct tls_context *server; // of the listener for ACME clients
    struct tls_context *signer; // towards the signers
    struct tls_context *cluster_server, *cluster_client;
    struct tls_context *admin; // of the listener for administrators; NULL: not configured
    uint8_t hashes[IDENTITY_FILES][IDENTITY_HASH_LEN]; // of the files' chains, as they were read
    int64_t ends_s[IDENTITY_FILES];                    // notAfter of the leaves
};

// identity_files lists chain and key of each identity: 0 the server's, 1 towards signers, 2 towards
// other front ends, 3 the admin listener's, whose chain is NULL when there is none.
const struct tls_files_settings *identity_files(struct tls_files_settings out[IDENTITY_FILES],
                                                const struct settings *s);
// identity_load reads all files; a key and a certificate that do not fit are read again for a
// moment, because a renewal replaces one after the other. `note` gets a sentence that names the
// file and the cure. identity_fini frees. ERR_BAD_CONFIG, ERR_TLS_CONFIG.
RESULT identity_load(struct identity *out, char *note, size_t note_size, const struct settings *s);
void identity_fini(struct identity *i);
// identity_stale says whether a file holds another chain than the one that was read.
bool identity_stale(const struct identity *i, const struct settings *s);
