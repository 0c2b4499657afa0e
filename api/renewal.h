// renewal: a front end's own certificates made anew at half of their life: a new key here, a
// certificate from the signer, both files replaced. Runs on main's thread, which may block; the
// first core makes the call. Certificates of another CA than the signer's are left alone.
#pragma once
#include "api/identity.h"
#include "cluster/core/shard.h"
#include "signer/client.h"

enum {
    RENEWAL_CSR_MAX = 2048,
    RENEWAL_LEAF_MAX = 16384,
    RENEWAL_CHAIN_MAX = 32768,
    RENEWAL_TEXT_MAX = 256
};

// struct renewal is main's; only while `asked` is set does the first core use it.
struct renewal {
    struct message message;
    struct signer_renew call;
    bool server, asked;
    uint8_t csr[RENEWAL_CSR_MAX];
    size_t csr_len;
    uint8_t leaf[RENEWAL_LEAF_MAX]; // the present certificate, DER: is it of this CA at all?
    size_t leaf_len;
    char chain[RENEWAL_CHAIN_MAX];
    size_t chain_len;
    char text[RENEWAL_TEXT_MAX];
    enum { RENEWAL_FAILED, RENEWAL_MADE, RENEWAL_FOREIGN } result;
    int ends[2]; // pipe: a byte when the core has done with it
};

// renewal_init prepares; renewal_fini releases, once no core runs any more. ERR_SYSTEM.
RESULT renewal_init(struct renewal *r);
void renewal_fini(struct renewal *r);
// renewal_run looks at the files that `s` names and renews those that are due, one after the other;
// failures are logged and left for the next run. Returns false when something is left to try again
// soon. Blocks for the disk and, when something is due, at most half a minute for each file.
bool renewal_run(struct renewal *r, struct log *log, struct shard *first, const struct settings *s);
