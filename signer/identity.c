#include "signer/identity.h"

#include <stdio.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/core/files.h"
#include "proto/err.h"
#include "signer/err.h"
#include "signer/pki.h"
#include "signer/renewal.h"
#include "signer/vault.h"

enum { ARENA_MAX = 4 << 20, PEM_MAX = 1 << 18 };

static struct err context_make(struct tls_context **out, char *note, const struct identity *i,
                               struct slice chain, struct slice key)
{
    struct tls_options o = {.chain_pem = chain,
                            .key_pem = key,
                            .trust_pem = i->trust,
                            .peer_required = true,
                            .alpn_h2 = true,
                            .now_s = clock_wall_s};
    return tls_context_new(out, note, KEYSTORE_NOTE_MAX, true, &o);
}

static struct err dates_read(struct identity *i, char *note, X509 *cert)
{
    struct arena a;
    struct cert c;
    arena_init(&a, PEM_MAX);
    struct err e = cert == NULL ? ERR(KEY) : leaf_read(&c, &a, cert);
    if (failed(e))
        snprintf(note, KEYSTORE_NOTE_MAX, "signer.pem is not a PEM certificate");
    else {
        i->not_before = c.not_before;
        i->not_after = c.not_after;
    }
    arena_fini(&a);
    return e;
}

// anew makes key and certificate in memory and the context from them.
static struct err anew(struct identity *i, struct tls_context **out, char *note,
                       const struct keystore *k, int64_t now_s)
{
    struct buf chain, der, key_pem;
    EVP_PKEY *key = pki_key_make(PKI_P256);
    buf_init(&chain, PEM_MAX);
    buf_init(&der, PEM_MAX);
    buf_init(&key_pem, PEM_MAX);
    struct err e = key == NULL ? ERR(KEY)
                               : renewal_make(&chain, &der, note, k, LEAF_SIGNER, NULL, key, now_s);
    if (!failed(e)) e = pki_key_pem(&key_pem, key);
    if (!failed(e)) e = context_make(out, note, i, buf_slice(&chain), buf_slice(&key_pem));
    X509 *cert = failed(e) ? NULL : pki_cert_parse(buf_slice(&chain));
    if (!failed(e)) e = dates_read(i, note, cert);
    X509_free(cert);
    buf_fini(&chain);
    buf_fini(&der);
    buf_wipe_fini(&key_pem);
    EVP_PKEY_free(key);
    return e;
}

static struct err open_in(struct identity *i, char *note, int dir, const struct keystore *k,
                          int64_t now_s, bool *renewed)
{
    struct slice chain, key;
    TRY(file_read(&chain, &i->arena, note, dir, "signer.pem"));
    TRY(file_read(&i->trust, &i->arena, note, dir, "internal-root.pem"));
    TRY(file_read_secret(&key, note, dir, "signer.key"));
    X509 *cert = pki_cert_parse(chain);
    struct err e = dates_read(i, note, cert);
    X509_free(cert);
    *renewed = !failed(e) && leaf_due(i->not_before, i->not_after, now_s);
    if (!failed(e))
        e = *renewed ? anew(i, &i->tls, note, k, now_s)
                     : context_make(&i->tls, note, i, chain, key);
    vault_free((void *)(uintptr_t)key.p);
    return e;
}

struct err identity_open(struct identity *out, char note[KEYSTORE_NOTE_MAX], const char *dir,
                         const struct keystore *k, int64_t now_s, bool *renewed)
{
    int fd;
    *out = (struct identity){0};
    arena_init(&out->arena, ARENA_MAX);
    TRY(folder_open(&fd, note, AT_FDCWD, dir, false));
    struct err e = open_in(out, note, fd, k, now_s, renewed);
    close(fd);
    return e;
}

struct err identity_renew(struct identity *i, struct tls_context **old,
                          char note[KEYSTORE_NOTE_MAX], const struct keystore *k, int64_t now_s)
{
    struct tls_context *fresh;
    *old = NULL;
    if (!leaf_due(i->not_before, i->not_after, now_s)) return OK;
    TRY(anew(i, &fresh, note, k, now_s));
    *old = i->tls;
    i->tls = fresh;
    return OK;
}

void identity_close(struct identity *i)
{
    tls_context_free(i->tls);
    arena_fini(&i->arena);
    *i = (struct identity){0};
}
