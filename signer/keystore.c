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

enum { ARENA_MAX = 4 << 20, KEY_ID_LEN = 20, ISSUER_NAME_MAX = 32 };

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

// certificates_open reads and checks what is public of an issuing CA. ERR_EXPIRED_CA: its time is
// over, or has not come.
static struct err certificates_open(struct issuer *i, struct keystore *k, char *note, int dir,
                                    int64_t now_s)
{
    struct cert root;
    const char *why = "";
    char name[ISSUER_NAME_MAX], text[128];
    snprintf(name, sizeof name, "issuer-%u.pem", i->id);
    TRY(certificate_read(&i->certificate, k, note, dir, name));
    TRY(certificate_read(&i->root, k, note, dir, "root.pem"));
    if (failed(cert_parse(&i->cert, &why, &k->arena, i->certificate)) ||
        failed(cert_parse(&root, &why, &k->arena, i->root)))
        return note_set(note, ERR_KEY, why);
    const struct {
        bool wrong;
        const char *what;
    } rows[] = {{!i->cert.is_ca || i->cert.ski.n == 0,
                 "is not the certificate of a CA with a key identifier"},
                {failed(cert_verify_signed_by(&i->cert, root.spki)),
                 "is not signed by the key of root.pem"},
                {i->cert.ski.n != KEY_ID_LEN, "has a key identifier that is not of 20 octets"},
                {!constraints_readable(&i->cert), "has name constraints that cannot be read"}};
    for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        snprintf(text, sizeof text, "%s %s", name, rows[n].what);
        if (rows[n].wrong) return note_set(note, ERR_KEY, text);
    }
    i->root_spki = root.spki;
    i->root_not_before = root.not_before;
    i->root_not_after = root.not_after;
    TRY(dates_check(note, name, &i->cert, now_s));
    TRY(dates_check(note, "root.pem", &root, now_s));
    return chains_read(i, &k->arena, note, dir, now_s);
}

static bool same_key(EVP_PKEY *key, struct slice spki)
{
    uint8_t *own = NULL;
    int n = i2d_PUBKEY(key, &own);
    bool same = n > 0 && slice_eq(slice_of(own, (size_t)n), spki);
    OPENSSL_free(own);
    return same;
}

static struct err issuer_open(struct issuer *out, struct keystore *k, unsigned id, char *note,
                              int dir, struct slice passphrase, int64_t now_s,
                              enum p256_kernel kernel)
{
    struct issuer i = {.id = (uint16_t)id};
    char name[ISSUER_NAME_MAX], text[128];
    snprintf(name, sizeof name, "issuer-%u.key", id);
    TRY(certificates_open(&i, k, note, dir, now_s));
    TRY(key_read(&i.key, note, dir, name, passphrase));
    *out = i; // closed with the keystore, whatever comes
    i.algorithm = out->algorithm = algorithm_of(i.key);
    SHA256(i.certificate.p, i.certificate.n, out->certificate_hash);
    snprintf(text, sizeof text, "%s does not belong to issuer-%u.pem", name, id);
    if (!same_key(i.key, i.cert.spki)) return note_set(note, ERR_KEY, text);
    snprintf(text, sizeof text, "there is no locked memory left for %s", name);
    return failed(engine_open(&out->engine, i.key, i.cert.spki, kernel))
               ? note_set(note, ERR_KEY, text)
               : OK;
}

// issuers_open opens issuer-1 and all that were added. One whose time is over, or has not come, is
// left out while there is another.
static struct err issuers_open(struct keystore *k, char *note, int dir, struct slice passphrase,
                               int64_t now_s, enum p256_kernel kernel)
{
    struct err over = OK;
    size_t count = 0;
    for (unsigned id = 1; id <= ISSUER_FILES_MAX; id++) {
        char name[ISSUER_NAME_MAX];
        snprintf(name, sizeof name, "issuer-%u.pem", id);
        if (id > 1 && faccessat(dir, name, F_OK, 0) != 0) continue;
        if (count == ISSUERS_MAX)
            return note_set(note, ERR_KEY,
                            "there are more than 8 issuing CAs in force: move away "
                            "issuer-N.pem of those that sign nothing any more");
        struct issuer *i = count == 0 ? &k->issuer : &k->further[count - 1];
        k->further_count = count; // counted before it is open: it is closed with the others
        struct err e = issuer_open(i, k, id, note, dir, passphrase, now_s, kernel);
        if (failed(e) && !err_is(e, ERR_EXPIRED_CA)) return e;
        if (failed(e)) over = e;
        if (!failed(e)) count++;
    }
    k->further_count = count == 0 ? 0 : count - 1;
    return count == 0 ? over : OK;
}

const struct issuer *keystore_issuer_at(const struct keystore *k, size_t i)
{
    if (i == 0) return &k->issuer;
    return i <= k->further_count ? &k->further[i - 1] : NULL;
}

const struct issuer *keystore_issuer(const struct keystore *k, uint32_t id)
{
    const struct issuer *each;
    for (size_t i = 0; (each = keystore_issuer_at(k, i)) != NULL; i++)
        if (each->id == id) return each;
    return NULL;
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
    char name[ISSUER_NAME_MAX];
    snprintf(name, sizeof name, "issuer-%u.pem", k->issuer.id);
    TRY(certificate_object(&k->server.cert, k, note, dir, name));
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
        e = issuers_open(out, note, fd, passphrase, now_s, kernel);
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
    const struct issuer *each;
    for (size_t i = 0; (each = keystore_issuer_at(k, i)) != NULL; i++) {
        engine_close(each->engine);
        EVP_PKEY_free(each->key);
    }
    EVP_PKEY_free(k->internal.key);
    X509_free(k->internal.cert);
    X509_free(k->server.cert);
    vault_free(k->serial_key);
    arena_fini(&k->arena);
    *k = (struct keystore){0};
}
