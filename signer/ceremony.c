#include "signer/ceremony.h"

#include <errno.h>
#include <getopt.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/core/files.h"
#include "proto/err.h"
#include "signer/err.h"
#include "signer/leaf.h"
#include "signer/pki.h"

enum {
    PERMIT_MAX = 64,
    NAMES_MAX = 64,
    DAY_S = 86400,
    ROOT_DAYS = 7300,
    ISSUER_DAYS = 1825,
    INTERNAL_ROOT_DAYS = 3650,
    PEM_MAX = 1 << 20
};

static const char usage[] =
    "usage: certmill-signer ceremony --dir DIR --passphrase-file FILE [options]\n"
    "\n"
    "Makes, in DIR, a root CA (root/, not needed at run time: take it offline), an issuing CA, the "
    "serial key, an internal root with the\n"
    "certificates of signer, front ends and operators, and the front ends' server certificate. "
    "Nothing that exists is written over.\n"
    "\n"
    "  --key-type T        of the issuing CA: p256 (default), p384, rsa2048, rsa3072, rsa4096\n"
    "  --root-key-type T   of the root (default: as the issuing CA)\n"
    "  --organization O    in the names of root and issuing CA\n"
    "  --name CN           common name prefix (default certmill)\n"
    "  --permit-dns SUFFIX critical name constraint of the issuing CA; may be repeated\n"
    "  --server-name NAME  further DNS name or address of the front ends' server certificate; may "
    "be repeated\n"
    "  --signer-name NAME  further DNS name or address of the signer's certificate, for gRPC "
    "clients "
    "that compare it; may be repeated\n"
    "  --quiet             print nothing but errors\n";

// struct names: what --server-name and --signer-name collect; NULL-terminated.
struct names {
    const char *dns[NAMES_MAX + 1], *ips[NAMES_MAX + 1];
    size_t dns_count, ip_count;
};

struct ceremony {
    const char *dir, *passphrase_file, *organization, *name;
    enum pki_key key_type, root_key_type;
    bool root_key_given, quiet;
    const char *permit[PERMIT_MAX + 1];
    size_t permit_count;
    struct names server, signer;
    struct arena arena;
    struct slice passphrase;
    int dirfd;
    int64_t now;
    X509 *root, *issuer, *internal;
    EVP_PKEY *root_key, *issuer_key, *internal_key;
    char note[FILES_NOTE_MAX];
};

static int fail(const char *text)
{
    fprintf(stderr, "certmill-signer: ceremony: %s\n", text);
    return 1;
}

static bool is_address(const char *s)
{
    return strchr(s, ':') != NULL || (s[0] != 0 && strspn(s, "0123456789.") == strlen(s));
}

// name_add takes one name, up to NAMES_MAX of each type; false when there are more.
static bool name_add(struct names *n, const char *name)
{
    bool address = is_address(name);
    size_t *count = address ? &n->ip_count : &n->dns_count;
    if (*count == NAMES_MAX) return false;
    (address ? n->ips : n->dns)[(*count)++] = name;
    return true;
}

static int options_read(struct ceremony *c, int argc, char **argv)
{
    static const struct option longs[] = {
        {"dir", 1, NULL, 'd'},          {"passphrase-file", 1, NULL, 'p'},
        {"key-type", 1, NULL, 'k'},     {"root-key-type", 1, NULL, 'r'},
        {"organization", 1, NULL, 'o'}, {"name", 1, NULL, 'n'},
        {"permit-dns", 1, NULL, 'P'},   {"server-name", 1, NULL, 's'},
        {"signer-name", 1, NULL, 'S'},  {"quiet", 0, NULL, 'q'},
        {"help", 0, NULL, 'h'},         {0}};
    c->name = "certmill";
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (o) {
        case 'd':
            c->dir = optarg;
            break;
        case 'p':
            c->passphrase_file = optarg;
            break;
        case 'o':
            c->organization = optarg;
            break;
        case 'n':
            c->name = optarg;
            break;
        case 'q':
            c->quiet = true;
            break;
        case 'k':
        case 'r':
            if (!pki_key_parse(o == 'k' ? &c->key_type : &c->root_key_type, optarg))
                return fputs(usage, stderr), 2;
            c->root_key_given |= o == 'r';
            break;
        case 'P':
            if (c->permit_count < PERMIT_MAX) c->permit[c->permit_count++] = optarg;
            break;
        case 's':
        case 'S':
            if (!name_add(o == 's' ? &c->server : &c->signer, optarg))
                return fail("more than 62 names of a kind"), 2;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (c->dir == NULL || c->passphrase_file == NULL || optind != argc)
        return fputs(usage, stderr), 2;
    if (!c->root_key_given) c->root_key_type = c->key_type;
    return 0;
}

static bool put(struct ceremony *c, const char *path, struct slice content, bool secret)
{
    return !failed(file_create(c->note, c->dirfd, path, content, secret));
}

static bool cert_put(struct ceremony *c, const char *path, X509 *cert, X509 *chain)
{
    struct buf b;
    buf_init(&b, PEM_MAX);
    bool ok = !failed(pki_cert_pem(&b, cert)) &&
              (chain == NULL || !failed(pki_cert_pem(&b, chain))) &&
              put(c, path, buf_slice(&b), false);
    buf_fini(&b);
    return ok;
}

static bool key_put(struct ceremony *c, const char *path, EVP_PKEY *key, bool sealed)
{
    struct buf b;
    buf_init(&b, PEM_MAX);
    struct err e = sealed ? pki_key_seal(&b, key, c->passphrase) : pki_key_pem(&b, key);
    bool ok = !failed(e) && put(c, path, buf_slice(&b), true);
    buf_wipe_fini(&b);
    return ok;
}

static bool ca_make(struct ceremony *c, X509 **out, EVP_PKEY **out_key, enum pki_key type,
                    const char *what, int days, int path_len, X509 *issuer, EVP_PKEY *issuer_key)
{
    char cn[200];
    snprintf(cn, sizeof cn, "%s %s", c->name, what);
    struct pki_request r = {.common_name = cn,
                            .organization = c->organization,
                            .not_before = c->now - 60,
                            .not_after = c->now + (int64_t)days * DAY_S - 1,
                            .ca = true,
                            .path_len = path_len,
                            .permit_dns = issuer != NULL && c->permit_count > 0 ? c->permit : NULL};
    *out_key = pki_key_make(type);
    *out = *out_key == NULL
               ? NULL
               : pki_cert_make(&r, *out_key, issuer, issuer_key, c->note, sizeof c->note);
    return *out != NULL;
}

static bool leaf_put(struct ceremony *c, enum leaf_kind kind, const struct names *names)
{
    char cert_path[64], key_path[64];
    bool internal = leaf_role(kind) != NULL;
    struct leaf_names n = {names == NULL ? NULL : names->dns, names == NULL ? NULL : names->ips};
    EVP_PKEY *key = pki_key_make(PKI_P256);
    X509 *cert = key == NULL ? NULL
                             : leaf_make(kind, &n, key, internal ? c->internal : c->issuer,
                                         internal ? c->internal_key : c->issuer_key, c->now,
                                         c->note, sizeof c->note);
    snprintf(cert_path, sizeof cert_path, "%s.pem", leaf_file(kind));
    snprintf(key_path, sizeof key_path, "%s.key", leaf_file(kind));
    bool ok = cert != NULL && cert_put(c, cert_path, cert, internal ? NULL : c->issuer) &&
              key_put(c, key_path, key, false);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok;
}

static bool serial_key_make(struct ceremony *c)
{
    uint8_t secret[PKI_SECRET_LEN];
    struct buf b;
    buf_init(&b, 4096);
    RAND_bytes(secret, sizeof secret);
    bool ok = !failed(pki_secret_seal(&b, secret, c->passphrase)) &&
              put(c, "serial-1.key", buf_slice(&b), true);
    OPENSSL_cleanse(secret, sizeof secret);
    buf_wipe_fini(&b);
    return ok;
}

// make_all: the root last of the CA files, because it is what says that the folder is complete.
static bool make_all(struct ceremony *c)
{
    return ca_make(c, &c->root, &c->root_key, c->root_key_type, "Root CA", ROOT_DAYS, 1, NULL,
                   NULL) &&
           ca_make(c, &c->issuer, &c->issuer_key, c->key_type, "Issuing CA 1", ISSUER_DAYS, 0,
                   c->root, c->root_key) &&
           key_put(c, "root/root.key", c->root_key, true) &&
           key_put(c, "issuer-1.key", c->issuer_key, true) &&
           cert_put(c, "issuer-1.pem", c->issuer, NULL) && serial_key_make(c) &&
           ca_make(c, &c->internal, &c->internal_key, PKI_P256, "Internal Root", INTERNAL_ROOT_DAYS,
                   0, NULL, NULL) &&
           key_put(c, "internal-root.key", c->internal_key, true) &&
           cert_put(c, "internal-root.pem", c->internal, NULL) &&
           leaf_put(c, LEAF_SIGNER, &c->signer) && leaf_put(c, LEAF_ACME, NULL) &&
           leaf_put(c, LEAF_OPERATOR, NULL) && leaf_put(c, LEAF_SERVER, &c->server) &&
           cert_put(c, "root.pem", c->root, NULL);
}

static void fingerprint_print(const char *what, X509 *cert)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct buf der;
    buf_init(&der, 65536);
    if (!failed(pki_cert_der(&der, cert))) {
        SHA256(buf_slice(&der).p, buf_len(&der), digest);
        printf("%-14s SHA-256 ", what);
        for (size_t i = 0; i < sizeof digest; i++)
            printf("%02X%s", digest[i], i + 1 < sizeof digest ? ":" : "\n");
    }
    buf_fini(&der);
}

static int ceremony_run(struct ceremony *c)
{
    int root_dir;
    static const char *const base[] = {"localhost", "127.0.0.1", "::1"};
    bool fits = name_add(&c->server, "acme.internal.test");
    for (size_t i = 0; i < sizeof base / sizeof base[0]; i++)
        fits = fits && name_add(&c->server, base[i]) && name_add(&c->signer, base[i]);
    if (!fits) return fail("more than 62 names of a kind");
    if (failed(file_read(&c->passphrase, &c->arena, c->note, AT_FDCWD, c->passphrase_file)))
        return fail(c->note);
    while (c->passphrase.n > 0 && (c->passphrase.p[c->passphrase.n - 1] == '\n' ||
                                   c->passphrase.p[c->passphrase.n - 1] == '\r'))
        c->passphrase.n--;
    if (c->passphrase.n < 8) return fail("the passphrase has fewer than 8 characters");
    if (failed(folder_open(&c->dirfd, c->note, AT_FDCWD, c->dir, true))) return fail(c->note);
    if (faccessat(c->dirfd, "root.pem", F_OK, 0) == 0)
        return fail("this folder has a CA already; it is left as it is");
    if (failed(folder_open(&root_dir, c->note, c->dirfd, "root", true))) return fail(c->note);
    close(root_dir);
    if (!make_all(c))
        return fail(c->note[0] != 0 ? c->note : "a key or certificate could not be made");
    if (c->quiet) return 0;
    printf("made in %s\n", c->dir);
    fingerprint_print("root", c->root);
    fingerprint_print("issuing CA", c->issuer);
    fingerprint_print("internal root", c->internal);
    return 0;
}

int ceremony_main(int argc, char **argv)
{
    if (failed(clock_start()))
        return fail("CERTMILL_TEST_CLOCK_OFFSET_S is not a number of seconds");
    struct ceremony c = {.dirfd = -1, .now = clock_wall_s()};
    int code = options_read(&c, argc, argv);
    if (code != 0) return code;
    arena_init(&c.arena, 1 << 20);
    code = ceremony_run(&c);
    if (c.passphrase.p != NULL)
        OPENSSL_cleanse((uint8_t *)(uintptr_t)c.passphrase.p, c.passphrase.n);
    arena_fini(&c.arena);
    X509_free(c.root);
    X509_free(c.issuer);
    X509_free(c.internal);
    EVP_PKEY_free(c.root_key);
    EVP_PKEY_free(c.issuer_key);
    EVP_PKEY_free(c.internal_key);
    if (c.dirfd >= 0) close(c.dirfd);
    return code;
}
