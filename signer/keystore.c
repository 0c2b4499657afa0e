#include "signer/keystore.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/core/files.h"
#include "proto/der/der.h"
#include "proto/der/pem.h"
#include "proto/err.h"
#include "signer/chains.h"
#include "signer/constraints.h"
#include "signer/engine.h"
#include "signer/err.h"
#include "signer/pki.h"
#include "signer/vault.h"

enum { ARENA_MAX = 4 << 20, KEY_ID_LEN = 20 };

static struct err note_set(char *note, uint32_t code, const char *text)
{
    snprintf(note, KEYSTORE_NOTE_MAX, "%s", text);
    return (struct err){code};
}

// passphrase_read: file, systemd credential, environment. The result is in vault memory.
static struct err passphrase_read(struct slice *out, char *note, const char *file)
{
    char path[4096];
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    char *text = getenv("CERTMILL_PASSPHRASE");
    if (file == NULL && credentials != NULL) {
        snprintf(path, sizeof path, "%s/passphrase", credentials);
        file = path;
    }
    if (file != NULL)
        TRY(file_read_secret(out, note, AT_FDCWD, file));
    else if (text != NULL) {
        uint8_t *p = vault_alloc(strlen(text) + 1);
        if (p == NULL) return note_set(note, ERR_KEY, "no locked memory for the passphrase");
        memcpy(p, text, strlen(text));
        *out = slice_of(p, strlen(text));
        OPENSSL_cleanse(text, strlen(text)); // /proc/<pid>/environ shows it no longer
    } else
        return note_set(note, ERR_PASSPHRASE,
                        "there is no passphrase: set passphrase_file, give the systemd credential "
                        "`passphrase`, or set CERTMILL_PASSPHRASE");
    while (out->n > 0 && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r')) out->n--;
    return OK;
}

static struct err certificate_read(struct slice *out, struct keystore *k, char *note, int dir,
                                   const char *name)
{
    struct slice pem;
    struct pem_block block;
    TRY(file_read(&pem, &k->arena, note, dir, name));
    if (failed(pem_next(&block, &k->arena, &pem)) || !slice_eq_str(block.label, "CERTIFICATE")) {
        snprintf(note, KEYSTORE_NOTE_MAX, "%s is not a PEM certificate", name);
        return ERR(KEY);
    }
    *out = block.der;
    return OK;
}

static struct err key_read(EVP_PKEY **out, char *note, int dir, const char *name,
                           struct slice passphrase)
{
    struct slice pem;
    TRY(file_read_secret(&pem, note, dir, name));
    vault_enter();
    struct err e = pki_key_open(out, pem, passphrase);
    vault_leave();
    vault_free((void *)(uintptr_t)pem.p);
    if (err_is(e, ERR_PASSPHRASE))
        snprintf(note, KEYSTORE_NOTE_MAX, "the passphrase does not open %s: check passphrase_file",
                 name);
    else if (failed(e))
        snprintf(note, KEYSTORE_NOTE_MAX, "%s is not a PKCS#8 key in PEM", name);
    return e;
}

static struct slice algorithm_of(EVP_PKEY *key)
{
    static const uint8_t p256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                   0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    static const uint8_t p384[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                   0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
    static const uint8_t rsa[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};
    if (EVP_PKEY_id(key) == EVP_PKEY_RSA) return slice_of(rsa, sizeof rsa);
    return EVP_PKEY_bits(key) == 384 ? slice_of(p384, sizeof p384) : slice_of(p256, sizeof p256);
}

// dates_check: a CA whose time is over, or has not come, signs nothing that anybody takes.
static struct err dates_check(char *note, const char *name, const struct cert *ca, int64_t now_s)
{
    bool over = now_s > ca->not_after;
    time_t at = (time_t)(over ? ca->not_after : ca->not_before);
    struct tm tm;
    char text[32] = "";
    if (now_s >= ca->not_before && !over) return OK;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
    snprintf(note, KEYSTORE_NOTE_MAX,
             over ? "the CA certificate %s has expired, at %s: make a new one with a ceremony and "
                    "install its root"
                  : "the CA certificate %s is not valid before %s: set this machine's clock",
             name, text);
    return ERR(EXPIRED_CA);
}

static struct err issuer_open(struct keystore *k, char *note, int dir, struct slice passphrase,
                              int64_t now_s, enum p256_kernel kernel)
{
    struct issuer *i = &k->issuer;
    struct cert root;
    const char *why = "";
    TRY(certificate_read(&i->certificate, k, note, dir, "issuer-1.pem"));
    TRY(certificate_read(&i->root, k, note, dir, "root.pem"));
    if (failed(cert_parse(&i->cert, &why, &k->arena, i->certificate)) ||
        failed(cert_parse(&root, &why, &k->arena, i->root)))
        return note_set(note, ERR_KEY, why);
    if (!i->cert.is_ca || i->cert.ski.n == 0)
        return note_set(note, ERR_KEY,
                        "issuer-1.pem is not the certificate of a CA with a key identifier");
    if (failed(cert_verify_signed_by(&i->cert, root.spki)))
        return note_set(note, ERR_KEY, "issuer-1.pem is not signed by the key of root.pem");
    if (i->cert.ski.n != KEY_ID_LEN)
        return note_set(note, ERR_KEY, "the key identifier in issuer-1.pem is not of 20 octets");
    if (!constraints_readable(&i->cert))
        return note_set(note, ERR_KEY, "the name constraints in issuer-1.pem cannot be read");
    i->root_spki = root.spki;
    i->root_not_before = root.not_before;
    i->root_not_after = root.not_after;
    TRY(dates_check(note, "issuer-1.pem", &i->cert, now_s));
    TRY(dates_check(note, "root.pem", &root, now_s));
    i->id = 1;
    TRY(chains_read(i, &k->arena, note, dir, now_s));
    TRY(key_read(&i->key, note, dir, "issuer-1.key", passphrase));
    i->algorithm = algorithm_of(i->key);
    SHA256(i->certificate.p, i->certificate.n, i->certificate_hash);
    uint8_t *spki = NULL;
    int n = i2d_PUBKEY(i->key, &spki);
    bool same = n > 0 && slice_eq(slice_of(spki, (size_t)n), i->cert.spki);
    OPENSSL_free(spki);
    if (!same) return note_set(note, ERR_KEY, "issuer-1.key does not belong to issuer-1.pem");
    return failed(engine_open(&i->engine, i->key, i->cert.spki, kernel))
               ? note_set(note, ERR_KEY, "there is no locked memory left for issuer-1.key")
               : OK;
}

static struct err serial_key_open(struct keystore *k, char *note, int dir, struct slice passphrase)
{
    struct slice sealed;
    TRY(file_read_secret(&sealed, note, dir, "serial-1.key"));
    k->serial_generation = 1;
    k->serial_key = vault_alloc(PKI_SECRET_LEN);
    vault_enter();
    struct err e = k->serial_key == NULL ? ERR(KEY)
                                         : pki_secret_open(k->serial_key, sealed, passphrase);
    vault_leave();
    vault_free((void *)(uintptr_t)sealed.p);
    if (failed(e))
        snprintf(note, KEYSTORE_NOTE_MAX, "%s",
                 err_is(e, ERR_PASSPHRASE)
                     ? "the passphrase does not open serial-1.key: check passphrase_file"
                     : "serial-1.key is not a serial key that the ceremony made");
    return e;
}

// ---- what our own programs' certificates are made with

static struct err certificate_object(X509 **out, struct keystore *k, char *note, int dir,
                                     const char *name)
{
    struct slice pem;
    TRY(file_read(&pem, &k->arena, note, dir, name));
    *out = pki_cert_parse(pem);
    if (*out != NULL) return OK;
    snprintf(note, KEYSTORE_NOTE_MAX, "%s is not a PEM certificate", name);
    return ERR(KEY);
}

// names_read takes the names of a certificate that the ceremony, or a renewal, has left.
static struct err names_read(struct leaf_names *out, struct keystore *k, char *note, int dir,
                             const char *name)
{
    X509 *x;
    struct cert cert;
    TRY(certificate_object(&x, k, note, dir, name));
    struct err e = leaf_read(&cert, &k->arena, x);
    if (!failed(e)) e = leaf_names_of(out, &k->arena, &cert);
    X509_free(x);
    if (failed(e)) snprintf(note, KEYSTORE_NOTE_MAX, "%s cannot be used: %s", name, err_text(e));
    return e;
}

static struct err leaf_cas_open(struct keystore *k, char *note, int dir, struct slice passphrase,
                                int64_t now_s)
{
    struct cert internal;
    TRY(certificate_object(&k->internal.cert, k, note, dir, "internal-root.pem"));
    if (failed(leaf_read(&internal, &k->arena, k->internal.cert)))
        return note_set(note, ERR_KEY, "internal-root.pem cannot be used");
    TRY(dates_check(note, "internal-root.pem", &internal, now_s));
    k->internal_not_before = internal.not_before;
    k->internal_not_after = internal.not_after;
    TRY(key_read(&k->internal.key, note, dir, "internal-root.key", passphrase));
    if (X509_check_private_key(k->internal.cert, k->internal.key) != 1) {
        ERR_clear_error();
        return note_set(note, ERR_KEY, "internal-root.key does not belong to internal-root.pem");
    }
    TRY(certificate_object(&k->server.cert, k, note, dir, "issuer-1.pem"));
    k->server.key = k->issuer.key;
    TRY(names_read(&k->signer_names, k, note, dir, "signer.pem"));
    k->serves = faccessat(dir, "server.pem", F_OK, 0) == 0;
    return k->serves ? names_read(&k->server_names, k, note, dir, "server.pem") : OK;
}

struct err keystore_open(struct keystore *out, char note[KEYSTORE_NOTE_MAX], const char *dir,
                         const char *passphrase_file, int64_t now_s, enum p256_kernel kernel)
{
    struct slice passphrase = SLICE_NONE;
    int fd;
    *out = (struct keystore){0};
    arena_init(&out->arena, ARENA_MAX);
    TRY(passphrase_read(&passphrase, note, passphrase_file));
    struct err e = folder_open(&fd, note, AT_FDCWD, dir, false);
    if (!failed(e)) {
        e = issuer_open(out, note, fd, passphrase, now_s, kernel);
        if (!failed(e)) e = serial_key_open(out, note, fd, passphrase);
        if (!failed(e)) e = leaf_cas_open(out, note, fd, passphrase, now_s);
        close(fd);
    }
    vault_free((void *)(uintptr_t)passphrase.p);
    if (failed(e)) keystore_close(out);
    return e;
}

void keystore_close(struct keystore *k)
{
    engine_close(k->issuer.engine);
    EVP_PKEY_free(k->issuer.key);
    EVP_PKEY_free(k->internal.key);
    X509_free(k->internal.cert);
    X509_free(k->server.cert);
    vault_free(k->serial_key);
    arena_fini(&k->arena);
    *k = (struct keystore){0};
}
