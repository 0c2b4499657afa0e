#include "api/renewal.h"

#include <errno.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "api/edge.h"
#include "api/events.h"
#include "cluster/core/clock.h"
#include "cluster/core/files.h"
#include "cluster/err.h"
#include "proto/der/cert.h"
#include "proto/der/csr_write.h"
#include "proto/der/pem.h"
#include "proto/err.h"

enum {
    ARENA_MAX = 4 << 20,
    PEM_MAX = 65536,
    CALL_MS = 10000,
    WAIT_MS = 25000,
    PATH_LEN_MAX = 4096
};

struct err renewal_init(struct renewal *r)
{
    *r = (struct renewal){.ends = {-1, -1}};
    return pipe(r->ends) == 0 ? OK : ERR(SYSTEM);
}

void renewal_fini(struct renewal *r)
{
    for (int i = 0; i < 2; i++)
        if (r->ends[i] >= 0) close(r->ends[i]);
}

// ---- on the first core

static void answer(struct renewal *r, int result, const char *text)
{
    r->result = (__typeof__(r->result))result;
    snprintf(r->text, sizeof r->text, "%s", text);
    CHECK(write(r->ends[1], "x", 1) == 1);
}

static void on_made(struct signer_renew *call, struct err err, struct slice chain, const char *text)
{
    struct renewal *r = LIST_OWNER(call, struct renewal, call);
    if (failed(err) || chain.n > sizeof r->chain) {
        answer(r, RENEWAL_FAILED, failed(err) ? text : "the signer's answer is too large");
        return;
    }
    memcpy(r->chain, chain.p, chain.n);
    r->chain_len = chain.n;
    answer(r, RENEWAL_MADE, "");
}

// is_foreign: a server certificate of another CA is somebody else's to renew.
static bool is_foreign(const struct edge *e, const struct cert *leaf)
{
    for (size_t i = 0; i < e->catalog.issuer_count; i++) {
        const struct catalog_issuer *issuer = &e->catalog.issuers[i];
        if (slice_eq(leaf->issuer, issuer->subject) &&
            !failed(cert_verify_signed_by(leaf, issuer->spki)))
            return false;
    }
    return true;
}

static void on_ask(struct shard *shard, struct message *m)
{
    struct renewal *r = LIST_OWNER(m, struct renewal, message);
    struct edge *e = edge_of(shard);
    struct arena a;
    struct cert leaf;
    const char *note = "";
    arena_init(&a, ARENA_MAX);
    bool known = e->signer != NULL && !e->stopping && signer_client_ready(e->signer);
    bool foreign = known && r->server &&
                   (failed(cert_parse(&leaf, &note, &a, slice_of(r->leaf, r->leaf_len))) ||
                    is_foreign(e, &leaf));
    arena_fini(&a);
    r->call.done = on_made;
    if (!known)
        answer(r, RENEWAL_FAILED,
               e->signer == NULL ? "shutting down" : signer_client_state_text(e->signer));
    else if (foreign)
        answer(r, RENEWAL_FOREIGN, "");
    else if (failed(signer_client_renew(e->signer, &r->call, r->server,
                                        slice_of(r->csr, r->csr_len), CALL_MS)))
        answer(r, RENEWAL_FAILED, "the signer's queue is full");
}

// ---- on main's thread

// struct pair is one certificate with its key, being renewed.
struct pair {
    struct renewal *r;
    const struct tls_files_settings *files;
    bool server;
    struct arena arena;
    struct slice chain; // the file's
    struct cert leaf;
    EVP_PKEY *key;
    char note[FILES_NOTE_MAX];
};

static bool pair_read(struct pair *p)
{
    struct pem_block block;
    const char *why = "";
    if (failed(file_read(&p->chain, &p->arena, p->note, AT_FDCWD, p->files->chain))) return false;
    struct slice rest = p->chain;
    if (!failed(pem_next(&block, &p->arena, &rest)) &&
        !failed(cert_parse(&p->leaf, &why, &p->arena, block.der)))
        return true;
    snprintf(p->note, sizeof p->note, "%.200s is not a PEM certificate %s", p->files->chain, why);
    return false;
}

static bool pair_due(const struct pair *p)
{
    int64_t half = p->leaf.not_before + (p->leaf.not_after - p->leaf.not_before) / 2;
    return clock_wall_s() >= half;
}

static bool key_make(struct pair *p)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    struct buf csr;
    p->key = EVP_PKEY_new();
    bool ok = ec != NULL && p->key != NULL && EC_KEY_generate_key(ec) == 1 &&
              EVP_PKEY_set1_EC_KEY(p->key, ec) == 1;
    EC_KEY_free(ec);
    buf_init(&csr, RENEWAL_CSR_MAX);
    ok = ok && !failed(csr_write(&csr, p->key, "renewal.invalid")); // a name that says nothing
    if (ok) memcpy(p->r->csr, buf_slice(&csr).p, p->r->csr_len = buf_len(&csr));
    buf_fini(&csr);
    if (!ok) snprintf(p->note, sizeof p->note, "no key could be made");
    return ok;
}

// asked waits for the first core; after WAIT_MS the renewal stays with it until a later run.
static bool asked(struct renewal *r, struct shard *first, char *note)
{
    char byte;
    struct pollfd fd = {.fd = r->ends[0], .events = POLLIN};
    if (first != NULL) {
        r->asked = true;
        r->message.run = on_ask;
        shard_post(first, &r->message);
    }
    if (poll(&fd, 1, first == NULL ? 0 : WAIT_MS) <= 0 || read(r->ends[0], &byte, 1) != 1) {
        snprintf(note, FILES_NOTE_MAX, "the signer has not answered");
        return false;
    }
    r->asked = false;
    snprintf(note, FILES_NOTE_MAX, "%s", r->text);
    return true;
}

// fits: the new certificate is for the new key, and lives.
static bool fits(struct pair *p)
{
    struct pem_block block;
    struct cert leaf;
    const char *why = "";
    uint8_t *spki = NULL;
    struct slice chain = slice_of(p->r->chain, p->r->chain_len);
    int n = i2d_PUBKEY(p->key, &spki);
    bool ok = n > 0 && !failed(pem_next(&block, &p->arena, &chain)) &&
              !failed(cert_parse(&leaf, &why, &p->arena, block.der)) &&
              slice_eq(leaf.spki, slice_of(spki, (size_t)n)) && leaf.not_after > clock_wall_s();
    OPENSSL_free(spki);
    if (!ok) snprintf(p->note, sizeof p->note, "the signer's certificate is not for the new key");
    return ok;
}

// pair_write replaces the key first: who meets the new key beside the old certificate sees that
// they do not fit, and reads again.
static bool pair_write(struct pair *p)
{
    CBB cbb;
    uint8_t *der = NULL;
    size_t n = 0;
    struct buf pem;
    buf_init(&pem, PEM_MAX);
    bool ok = CBB_init(&cbb, 256) && EVP_marshal_private_key(&cbb, p->key) &&
              CBB_finish(&cbb, &der, &n) &&
              !failed(pem_encode(&pem, "PRIVATE KEY", slice_of(der, n)));
    OPENSSL_cleanse(der, n);
    OPENSSL_free(der);
    ok = ok && !failed(file_replace(p->note, AT_FDCWD, p->files->key, buf_slice(&pem), true)) &&
         !failed(file_replace(p->note, AT_FDCWD, p->files->chain,
                              slice_of(p->r->chain, p->r->chain_len), false));
    buf_wipe_fini(&pem);
    return ok;
}

static bool pair_make(struct pair *p, struct shard *first, bool *foreign)
{
    p->r->server = p->server;
    if (p->leaf.der.n > sizeof p->r->leaf) {
        snprintf(p->note, sizeof p->note, "%.200s is too large", p->files->chain);
        return false;
    }
    memcpy(p->r->leaf, p->leaf.der.p, p->r->leaf_len = p->leaf.der.n);
    if (!key_make(p) || !asked(p->r, first, p->note)) return false;
    *foreign = p->r->result == RENEWAL_FOREIGN;
    return *foreign || (p->r->result == RENEWAL_MADE && fits(p) && pair_write(p));
}

// lock_take: of several front ends that share the files one renews them. -1: another one is at it
// (no note), or the folder is not ours to write.
static int lock_take(struct pair *p)
{
    char path[PATH_LEN_MAX];
    snprintf(path, sizeof path, "%.4080s.lock", p->files->key);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        snprintf(
            p->note, sizeof p->note,
            "%.300s cannot be written (%s): let this front end write its certificates' folder, "
            "or renew them with `certmill-signer renew`",
            path, strerror(errno));
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    p->note[0] = 0;
    close(fd);
    return -1;
}

static bool pair_run(struct pair *p, struct log *log, struct shard *first)
{
    bool foreign = false;
    if (!pair_read(p)) return false;
    if (!pair_due(p)) return true;
    int lock = lock_take(p);
    if (lock < 0) return false;
    bool ok = pair_read(p) && (!pair_due(p) || pair_make(p, first, &foreign));
    if (ok && !foreign) LOG(log, &EVENT_SERVER_RENEWED, NULL, LOG_STR("chain", p->files->chain));
    close(lock);
    return ok;
}

bool renewal_run(struct renewal *r, struct log *log, struct shard *first, const struct settings *s)
{
    struct tls_files_settings files[IDENTITY_FILES];
    char note[FILES_NOTE_MAX];
    bool all = true;
    if (r->asked && !asked(r, NULL, note)) return false; // the last call has not ended yet
    identity_files(files, s);
    for (unsigned i = 0; i < IDENTITY_RENEWED; i++) {
        struct pair p = {.r = r, .files = &files[i], .server = i == 0};
        bool again = false;
        for (unsigned k = 0; k < i; k++) again |= strcmp(files[k].chain, files[i].chain) == 0;
        if (again || r->asked) continue;
        arena_init(&p.arena, ARENA_MAX);
        bool ok = pair_run(&p, log, first);
        if (!ok && p.note[0] != 0)
            LOG(log, &EVENT_SERVER_RENEW_FAILED, p.note, LOG_STR("chain", files[i].chain));
        all = all && ok;
        EVP_PKEY_free(p.key);
        arena_fini(&p.arena);
    }
    return all && !r->asked;
}
