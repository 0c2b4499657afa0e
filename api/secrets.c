#include "api/secrets.h"

#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "api/node_rpc.h"
#include "cluster/err.h"
#include "proto/err.h"
#include "store/store.h"

enum { FILE_MAX = 1 << 20, CHUNK = 4096, TICKET_PART = TLS_TICKET_KEY_LEN / 2 };

// file_read reads a whole file into `out`, which is wiped when it is freed.
static struct err file_read(struct buf *out, char *note, size_t note_size, const char *path)
{
    FILE *f = fopen(path, "rb");
    struct err e = f == NULL ? ERR(BAD_CONFIG) : OK;
    for (size_t n = 1; !failed(e) && n > 0;) {
        uint8_t *p = buf_reserve(out, CHUNK);
        n = p == NULL ? 0 : fread(p, 1, CHUNK, f);
        buf_commit(out, n);
        if (p == NULL || ferror(f)) e = ERR(BAD_CONFIG);
    }
    if (failed(e))
        snprintf(note, note_size, "%s cannot be read: %s", path,
                 f == NULL ? strerror(errno) : "it is no plain file, or larger than 1 MiB");
    if (f != NULL) fclose(f);
    return e;
}

// ---- TLS

struct tls_texts {
    struct buf chain, key, trust;
};

static struct err texts_read(struct tls_texts *t, char *note, size_t note_size,
                             const struct tls_files_settings *files)
{
    TRY(file_read(&t->chain, note, note_size, files->chain));
    TRY(file_read(&t->key, note, note_size, files->key));
    return files->trust == NULL ? OK : file_read(&t->trust, note, note_size, files->trust);
}

static struct err context_make(struct tls_context **out, char *note, size_t note_size, bool server,
                               const struct tls_files_settings *files, struct tls_options o)
{
    struct tls_texts t;
    char why[256];
    buf_init(&t.chain, FILE_MAX);
    buf_init(&t.key, FILE_MAX);
    buf_init(&t.trust, FILE_MAX);
    struct err e = texts_read(&t, note, note_size, files);
    o.chain_pem = buf_slice(&t.chain);
    o.key_pem = buf_slice(&t.key);
    o.trust_pem = buf_slice(&t.trust);
    if (!failed(e)) {
        e = tls_context_new(out, why, sizeof why, server, &o);
        if (failed(e)) snprintf(note, note_size, "%s with %s: %s", files->chain, files->key, why);
    }
    buf_fini(&t.chain);
    buf_wipe_fini(&t.key);
    buf_fini(&t.trust);
    return e;
}

struct err secrets_server_tls(struct tls_context **out, char *note, size_t note_size,
                              const char *chain, const char *key)
{
    const struct tls_files_settings files = {.chain = chain, .key = key};
    return context_make(
        out, note, note_size, true, &files,
        (struct tls_options){.alpn_h2 = true, .alpn_http_1_1 = true, .tickets = true});
}

static struct err internal_tls(struct secrets *s, char *note, size_t note_size,
                               const struct settings *from)
{
    const struct tls_files_settings *cluster = &from->cluster.tls;
    TRY(context_make(&s->signer_tls, note, note_size, false, &from->signer.tls,
                     (struct tls_options){.peer_role = "urn:certmill:role:signer",
                                          .peer_name_ignored = true,
                                          .alpn_h2 = true}));
    TRY(context_make(&s->cluster_server_tls, note, note_size, true, cluster,
                     (struct tls_options){.peer_required = true, .alpn_h2 = true}));
    return context_make(&s->cluster_client_tls, note, note_size, false, cluster,
                        (struct tls_options){.peer_role = NODE_RPC_ROLE,
                                             .peer_name_ignored = true,
                                             .alpn_h2 = true});
}

// ---- the cluster secret

static struct err cluster_secret(struct secrets *s, char *note, size_t note_size, const char *path)
{
    struct buf b;
    buf_init(&b, FILE_MAX);
    struct err e = file_read(&b, note, note_size, path);
    if (!failed(e) && buf_len(&b) < SECRET_FILE_MIN) {
        snprintf(note, note_size,
                 "%s holds fewer than %d bytes: make it with `openssl rand -hex 32`, the same for "
                 "every front end",
                 path, SECRET_FILE_MIN);
        e = ERR(BAD_CONFIG);
    }
    if (!failed(e)) SHA256(buf_slice(&b).p, buf_len(&b), s->cluster);
    buf_wipe_fini(&b);
    return e;
}

static void ticket_key(uint8_t out[TLS_TICKET_KEY_LEN], const uint8_t secret[SECRET_LEN],
                       int64_t hour)
{
    char label[64];
    uint8_t mac[SHA256_DIGEST_LENGTH];
    unsigned len;
    for (size_t part = 0; part < 2; part++) {
        int n = snprintf(label, sizeof label, "certmill ticket %lld %zu", (long long)hour, part);
        CHECK(HMAC(EVP_sha256(), secret, SECRET_LEN, (const uint8_t *)label, (size_t)n, mac,
                   &len) != NULL);
        memcpy(out + part * TICKET_PART, mac, TICKET_PART);
    }
    OPENSSL_cleanse(mac, sizeof mac);
}

void secrets_tickets_set(const struct secrets *s, struct tls_context *tls, int64_t now_s)
{
    uint8_t current[TLS_TICKET_KEY_LEN], previous[TLS_TICKET_KEY_LEN];
    ticket_key(current, s->cluster, now_s / 3600);
    ticket_key(previous, s->cluster, now_s / 3600 - 1);
    tls_context_ticket_keys(tls, current, previous);
    OPENSSL_cleanse(current, sizeof current);
    OPENSSL_cleanse(previous, sizeof previous);
}

// ---- all

static struct err load(struct secrets *s, char *note, size_t note_size, const struct settings *from)
{
    TRY(cluster_secret(s, note, note_size, from->cluster.secret));
    TRY(store_conninfo_resolve(s->conninfo, sizeof s->conninfo, from->database.conninfo, note,
                               note_size));
    return internal_tls(s, note, note_size, from);
}

struct err secrets_load(struct secrets *out, char *note, size_t note_size, const struct settings *s)
{
    *out = (struct secrets){0};
    struct err e = load(out, note, note_size, s);
    if (failed(e)) secrets_fini(out);
    return e;
}

void secrets_fini(struct secrets *s)
{
    tls_context_free(s->signer_tls);
    tls_context_free(s->cluster_server_tls);
    tls_context_free(s->cluster_client_tls);
    OPENSSL_cleanse(s, sizeof *s);
}
