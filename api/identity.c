#include "api/identity.h"

#include <openssl/mem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/node_rpc.h"
#include "cluster/core/clock.h"
#include "cluster/core/files.h"
#include "cluster/err.h"
#include "proto/der/cert.h"
#include "proto/der/pem.h"
#include "proto/err.h"

enum { ARENA_MAX = 8 << 20, ATTEMPTS = 10, ATTEMPT_MS = 50 };
enum { SERVER, SIGNER, CLUSTER, ADMIN };

const struct tls_files_settings *identity_files(struct tls_files_settings out[IDENTITY_FILES],
                                                const struct settings *s)
{
    out[SERVER] = (struct tls_files_settings){.chain = s->server.chain, .key = s->server.key};
    out[SIGNER] = s->signer.tls;
    out[CLUSTER] = s->cluster.tls;
    out[ADMIN] = s->admin.tls;
    return out;
}

// struct texts: the files of one identity; the key is wiped with the arena's owner.
struct texts {
    struct slice chain, key, trust;
};

static struct err texts_read(struct texts *t, struct arena *a, char *note, size_t note_size,
                             const struct tls_files_settings *f)
{
    char why[FILES_NOTE_MAX];
    *t = (struct texts){0};
    struct err e = file_read(&t->chain, a, why, AT_FDCWD, f->chain);
    if (!failed(e)) e = file_read(&t->key, a, why, AT_FDCWD, f->key);
    if (!failed(e) && f->trust != NULL) e = file_read(&t->trust, a, why, AT_FDCWD, f->trust);
    if (!failed(e)) return OK;
    snprintf(note, note_size, "%.400s", why);
    return ERR(BAD_CONFIG);
}

static struct err context_make(struct tls_context **out, char *note, size_t note_size, bool server,
                               const struct tls_files_settings *f, const struct texts *t,
                               struct tls_options o)
{
    char why[256];
    o.chain_pem = t->chain;
    o.key_pem = t->key;
    o.trust_pem = t->trust;
    o.now_s = clock_wall_s;
    struct err e = tls_context_new(out, why, sizeof why, server, &o);
    if (failed(e)) snprintf(note, note_size, "%s with %s: %s", f->chain, f->key, why);
    return e;
}

// leaf_note takes what is worth knowing of a chain that a context has taken already.
static void leaf_note(struct identity *i, unsigned which, struct arena *a, struct slice chain)
{
    struct pem_block block;
    struct cert cert;
    const char *note = "";
    SHA256(chain.p, chain.n, i->hashes[which]);
    if (!failed(pem_next(&block, a, &chain)) && !failed(cert_parse(&cert, &note, a, block.der)))
        i->ends_s[which] = cert.not_after;
}

static struct err contexts_make(struct identity *i, char *note, size_t n,
                                const struct tls_files_settings *f, const struct texts *t)
{
    TRY(context_make(
        &i->server, note, n, true, &f[SERVER], &t[SERVER],
        (struct tls_options){.alpn_h2 = true, .alpn_http_1_1 = true, .tickets = true}));
    TRY(context_make(&i->signer, note, n, false, &f[SIGNER], &t[SIGNER],
                     (struct tls_options){.peer_role = "urn:certmill:role:signer",
                                          .peer_name_ignored = true,
                                          .alpn_h2 = true}));
    TRY(context_make(&i->cluster_server, note, n, true, &f[CLUSTER], &t[CLUSTER],
                     (struct tls_options){.peer_required = true, .alpn_h2 = true}));
    TRY(context_make(&i->cluster_client, note, n, false, &f[CLUSTER], &t[CLUSTER],
                     (struct tls_options){
                         .peer_role = NODE_RPC_ROLE, .peer_name_ignored = true, .alpn_h2 = true}));
    if (f[ADMIN].chain == NULL) return OK;
    return context_make(
        &i->admin, note, n, true, &f[ADMIN], &t[ADMIN],
        (struct tls_options){.peer_required = true, .alpn_h2 = true, .alpn_http_1_1 = true});
}

static struct err load_once(struct identity *i, char *note, size_t note_size,
                            const struct settings *s)
{
    struct tls_files_settings f[IDENTITY_FILES];
    struct texts t[IDENTITY_FILES] = {0};
    struct arena a;
    struct err e = OK;
    *i = (struct identity){0};
    arena_init(&a, ARENA_MAX);
    identity_files(f, s);
    for (unsigned k = 0; k < IDENTITY_FILES && !failed(e); k++)
        if (f[k].chain != NULL) e = texts_read(&t[k], &a, note, note_size, &f[k]);
    if (!failed(e)) e = contexts_make(i, note, note_size, f, t);
    for (unsigned k = 0; k < IDENTITY_FILES; k++) {
        if (!failed(e) && f[k].chain != NULL) leaf_note(i, k, &a, t[k].chain);
        OPENSSL_cleanse((uint8_t *)(uintptr_t)t[k].key.p, t[k].key.n);
    }
    arena_fini(&a);
    if (failed(e)) identity_fini(i);
    return e;
}

struct err identity_load(struct identity *out, char *note, size_t note_size,
                         const struct settings *s)
{
    struct err e = load_once(out, note, note_size, s);
    for (int i = 0; err_is(e, ERR_TLS_CONFIG) && i < ATTEMPTS; i++) {
        nanosleep(&(struct timespec){.tv_nsec = ATTEMPT_MS * 1000000L}, NULL);
        e = load_once(out, note, note_size, s);
    }
    return e;
}

void identity_fini(struct identity *i)
{
    tls_context_free(i->server);
    tls_context_free(i->signer);
    tls_context_free(i->cluster_server);
    tls_context_free(i->cluster_client);
    tls_context_free(i->admin);
    *i = (struct identity){0};
}

bool identity_stale(const struct identity *i, const struct settings *s)
{
    struct tls_files_settings f[IDENTITY_FILES];
    bool stale = false;
    identity_files(f, s);
    for (unsigned k = 0; k < IDENTITY_FILES; k++) {
        struct arena a;
        struct slice chain;
        char why[FILES_NOTE_MAX];
        uint8_t hash[IDENTITY_HASH_LEN];
        if (f[k].chain == NULL) continue;
        arena_init(&a, ARENA_MAX);
        if (!failed(file_read(&chain, &a, why, AT_FDCWD, f[k].chain))) {
            SHA256(chain.p, chain.n, hash);
            stale |= memcmp(hash, i->hashes[k], sizeof hash) != 0;
        }
        arena_fini(&a);
    }
    return stale;
}
