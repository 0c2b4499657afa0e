#include "signer/issuer_add.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/core/files.h"
#include "proto/der/cert.h"
#include "proto/der/der.h"
#include "proto/err.h"
#include "signer/keystore.h"
#include "signer/pki.h"
#include "signer/vault.h"

enum {
    PERMIT_MAX = 64,
    TEXT_MAX = 64,
    PATH_LEN = 4096,
    PASSPHRASE_MIN = 8,
    PEM_MAX = 1 << 20,
    ARENA_MAX = 4 << 20,
    DAY_S = 86400,
    DAYS = 1825
};

static const char usage[] =
    "usage: certmill-signer add-issuer --dir DIR --passphrase-file FILE --id N [options]\n"
    "\n"
    "Makes one more issuing CA under the root of the ceremony in DIR: issuer-N.pem and "
    "issuer-N.key. The signer takes it with its next start; profiles name it in `issuers`. Nothing "
    "that exists is written over.\n"
    "\n"
    "  --id N                its number, 2 to 99: not one that is there or was before\n"
    "  --key-type T          p256 (default), p384, rsa2048, rsa3072, rsa4096\n"
    "  --root-dir DIR        where root.key is, instead of DIR/root: a medium that was taken away\n"
    "  --root-passphrase-file FILE  another passphrase for the root's key\n"
    "  --organization O      in its name\n"
    "  --name CN             common name prefix (default certmill)\n"
    "  --permit-dns SUFFIX   critical name constraint; may be repeated\n"
    "  --unconstrained       without name constraints, though issuer-1.pem has some\n"
    "  --quiet               print nothing but errors\n";

struct issuer_add {
    const char *dir, *passphrase_file, *root_dir, *root_passphrase_file, *organization, *name;
    const char *permit[PERMIT_MAX + 1];
    size_t permit_count;
    unsigned id;
    enum pki_key key_type;
    bool unconstrained, quiet;
    int dirfd;
    struct arena arena;
    struct slice passphrase, root_passphrase;
    X509 *root, *cert;
    EVP_PKEY *root_key, *key;
    char note[KEYSTORE_NOTE_MAX];
};

static int wrong(const char *option, const char *value, const char *what)
{
    fprintf(stderr, "add-issuer: %s %s %s\n", option, value, what);
    return 2;
}

static bool number_read(unsigned *out, const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '1' || text[0] > '9' || *end != 0 || n < 2 || n > ISSUER_FILES_MAX) return false;
    *out = (unsigned)n;
    return true;
}

static int text_option(struct issuer_add *a, int option, const char *value)
{
    const char **places[] = {['d'] = &a->dir,          ['p'] = &a->passphrase_file,
                             ['D'] = &a->root_dir,     ['R'] = &a->root_passphrase_file,
                             ['o'] = &a->organization, ['n'] = &a->name};
    *places[option] = value;
    bool name = option == 'o' || option == 'n';
    if (name && (value[0] == 0 || strlen(value) > TEXT_MAX - 24))
        return wrong(option == 'o' ? "--organization" : "--name", value,
                     "is not of 1 to 40 octets");
    return 0;
}

static int option_take(struct issuer_add *a, int option, const char *value)
{
    switch (option) {
    case 'i':
        return number_read(&a->id, value) ? 0 : wrong("--id", value, "is no number from 2 to 99");
    case 'k':
        return pki_key_parse(&a->key_type, value)
                   ? 0
                   : wrong("--key-type", value, "is none of p256, p384, rsa2048, rsa3072, rsa4096");
    case 'P':
        if (a->permit_count == PERMIT_MAX) return wrong("--permit-dns", value, "is one too many");
        a->permit[a->permit_count++] = value;
        return 0;
    case 'u':
        a->unconstrained = true;
        return 0;
    case 'q':
        a->quiet = true;
        return 0;
    default:
        return text_option(a, option, value);
    }
}

static int options_read(struct issuer_add *a, int argc, char **argv)
{
    static const struct option longs[] = {{"dir", 1, NULL, 'd'},
                                          {"passphrase-file", 1, NULL, 'p'},
                                          {"id", 1, NULL, 'i'},
                                          {"key-type", 1, NULL, 'k'},
                                          {"root-dir", 1, NULL, 'D'},
                                          {"root-passphrase-file", 1, NULL, 'R'},
                                          {"organization", 1, NULL, 'o'},
                                          {"name", 1, NULL, 'n'},
                                          {"permit-dns", 1, NULL, 'P'},
                                          {"unconstrained", 0, NULL, 'u'},
                                          {"quiet", 0, NULL, 'q'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    a->name = "certmill";
    int code = 0;
    for (int o; code == 0 && (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (o == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        if (o == '?') return fputs(usage, stderr), 2;
        code = option_take(a, o, optarg);
    }
    if (code != 0) return code;
    if (a->dir == NULL || a->passphrase_file == NULL || a->id == 0 || optind != argc)
        return fputs(usage, stderr), 2;
    return 0;
}

// ---- what is there

static bool passphrase_take(struct issuer_add *a, struct slice *out, const char *path)
{
    if (failed(file_read_secret(out, a->note, AT_FDCWD, path))) return false;
    while (out->n > 0 && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r')) out->n--;
    if (out->n >= PASSPHRASE_MIN) return true;
    snprintf(a->note, sizeof a->note, "the passphrase in %.200s has fewer than %d characters", path,
             PASSPHRASE_MIN);
    return false;
}

static bool note(struct issuer_add *a, const char *text)
{
    snprintf(a->note, sizeof a->note, "%s", text);
    return false;
}

// constraints_kept: an issuing CA that may do more than the first is asked for in so many words.
static bool constraints_kept(struct issuer_add *a)
{
    struct slice pem;
    struct cert cert;
    const char *why = "";
    struct buf der;
    if (a->permit_count > 0 || a->unconstrained) return true;
    if (failed(file_read(&pem, &a->arena, a->note, a->dirfd, "issuer-1.pem"))) return false;
    X509 *x = pki_cert_parse(pem);
    buf_init(&der, PEM_MAX);
    bool read = x != NULL && !failed(pki_cert_der(&der, x)) &&
                !failed(cert_parse(&cert, &why, &a->arena, buf_slice(&der)));
    bool constrained = read && cert_extension_find(&cert, OID_NAME_CONSTRAINTS) != NULL;
    buf_fini(&der);
    X509_free(x);
    if (!read) return note(a, "issuer-1.pem cannot be read");
    return !constrained || note(a, "issuer-1.pem has name constraints: give --permit-dns for the "
                                   "new one, too, or --unconstrained");
}

static bool absent(struct issuer_add *a, const char *name)
{
    if (faccessat(a->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) return true;
    snprintf(a->note, sizeof a->note, "%s is there already; choose another --id", name);
    return false;
}

static bool root_open(struct issuer_add *a)
{
    struct slice pem;
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%s/root.key", a->root_dir == NULL ? "root" : a->root_dir);
    if (failed(file_read(&pem, &a->arena, a->note, a->dirfd, "root.pem"))) return false;
    a->root = pki_cert_parse(pem);
    if (a->root == NULL) return note(a, "root.pem is not a PEM certificate");
    if (failed(file_read_secret(&pem, a->note, a->root_dir == NULL ? a->dirfd : AT_FDCWD, path)))
        return false;
    struct err e = pki_key_open(&a->root_key, pem, a->root_passphrase);
    vault_free((void *)(uintptr_t)pem.p);
    if (failed(e))
        return note(a, "the passphrase does not open the root's key: check --root-passphrase-file");
    return X509_check_private_key(a->root, a->root_key) == 1 ||
           note(a, "root.key does not belong to root.pem");
}

// ---- what is made

static int64_t root_end(const struct issuer_add *a)
{
    int64_t end = 0;
    return ASN1_TIME_to_posix(X509_get0_notAfter(a->root), &end) == 1 ? end : 0;
}

static bool issuer_make(struct issuer_add *a)
{
    char cn[200];
    int64_t now = clock_wall_s(), end = now + (int64_t)DAYS * DAY_S - 1, last = root_end(a);
    snprintf(cn, sizeof cn, "%s Issuing CA %u", a->name, a->id);
    struct pki_request r = {.common_name = cn,
                            .organization = a->organization,
                            .not_before = now - 60,
                            .not_after = end < last ? end : last,
                            .ca = true,
                            .permit_dns = a->permit_count > 0 ? a->permit : NULL};
    a->key = pki_key_make(a->key_type);
    a->cert = a->key == NULL
                  ? NULL
                  : pki_cert_make(&r, a->key, a->root, a->root_key, a->note, sizeof a->note);
    return a->cert != NULL || a->note[0] != 0 || note(a, "the key could not be made");
}

// files_write: the certificate last, because it is what the signer looks for.
static bool files_write(struct issuer_add *a, const char *cert_name, const char *key_name)
{
    struct buf key, cert;
    buf_init(&key, PEM_MAX);
    buf_init(&cert, PEM_MAX);
    bool made = !failed(pki_key_seal(&key, a->key, a->passphrase)) &&
                !failed(pki_cert_pem(&cert, a->cert));
    bool ok = made && !failed(file_create(a->note, a->dirfd, key_name, buf_slice(&key), true));
    if (ok && failed(file_create(a->note, a->dirfd, cert_name, buf_slice(&cert), false))) {
        unlinkat(a->dirfd, key_name, 0);
        ok = false;
    }
    buf_wipe_fini(&key);
    buf_fini(&cert);
    return ok;
}

static void say(const struct issuer_add *a, const char *cert_name)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct buf der;
    buf_init(&der, PEM_MAX);
    if (!failed(pki_cert_der(&der, a->cert))) {
        SHA256(buf_slice(&der).p, buf_len(&der), digest);
        printf("made %s in %s\nSHA-256 ", cert_name, a->dir);
        for (size_t i = 0; i < sizeof digest; i++)
            printf("%02X%s", digest[i], i + 1 < sizeof digest ? ":" : "\n");
        printf("name it in the signer's profiles (issuers: [{id: %u}]) and start every signer "
               "again\n",
               a->id);
    }
    buf_fini(&der);
}

static bool run(struct issuer_add *a)
{
    char cert_name[32], key_name[32];
    const char *root_file = a->root_passphrase_file == NULL ? a->passphrase_file
                                                            : a->root_passphrase_file;
    snprintf(cert_name, sizeof cert_name, "issuer-%u.pem", a->id);
    snprintf(key_name, sizeof key_name, "issuer-%u.key", a->id);
    if (failed(vault_open(a->note, sizeof a->note)) ||
        !passphrase_take(a, &a->passphrase, a->passphrase_file) ||
        !passphrase_take(a, &a->root_passphrase, root_file) ||
        failed(folder_open(&a->dirfd, a->note, AT_FDCWD, a->dir, false)) || !absent(a, cert_name) ||
        !absent(a, key_name) || !constraints_kept(a))
        return false;
    vault_enter(); // keys are made and used there
    bool made = root_open(a) && issuer_make(a) && a->cert != NULL;
    made = made && files_write(a, cert_name, key_name);
    vault_leave();
    if (made && !a->quiet) say(a, cert_name);
    return made;
}

int issuer_add_main(int argc, char **argv)
{
    struct issuer_add a = {.dirfd = -1};
    if (failed(clock_start()))
        return fputs("add-issuer: CERTMILL_TEST_CLOCK_OFFSET_S is not a number of seconds\n",
                     stderr),
               1;
    int code = options_read(&a, argc, argv);
    if (code != 0) return code;
    arena_init(&a.arena, ARENA_MAX);
    bool ok = run(&a);
    if (!ok) fprintf(stderr, "add-issuer: %s\n", a.note);
    X509_free(a.root);
    X509_free(a.cert);
    EVP_PKEY_free(a.root_key);
    EVP_PKEY_free(a.key);
    vault_free((void *)(uintptr_t)a.passphrase.p);
    vault_free((void *)(uintptr_t)a.root_passphrase.p);
    arena_fini(&a.arena);
    if (a.dirfd >= 0) close(a.dirfd);
    return ok ? 0 : 1;
}
