#include "signer/ceremony.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/core/files.h"
#include "proto/der/name.h"
#include "proto/err.h"
#include "signer/err.h"
#include "signer/leaf.h"
#include "signer/pki.h"
#include "signer/vault.h"

enum {
    PERMIT_MAX = 64,
    NAMES_MAX = 64,
    FILES_MAX = 24,
    PATH_LEN = 4096,
    TEXT_MAX = 40, // of --name and --organization: with what is added at most 64 (RFC 5280, upper
                   // bounds)
    PASSPHRASE_MIN = 8,
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
    "certificates of signer, front ends, operators and administrators, and the front ends' server "
    "certificate. "
    "Nothing that exists is written over.\n"
    "\n"
    "  --key-type T          of the issuing CA: p256 (default), p384, rsa2048, rsa3072, rsa4096\n"
    "  --root-key-type T     of the root (default: as the issuing CA)\n"
    "  --internal-key-type T of the internal root (default p256)\n"
    "  --root-dir DIR        where the root's key goes instead of DIR/root: a medium that is taken "
    "away\n"
    "  --root-passphrase-file FILE  another passphrase for the root's key\n"
    "  --organization O      in the names of root and issuing CA\n"
    "  --name CN             common name prefix (default certmill)\n"
    "  --permit-dns SUFFIX   critical name constraint of the issuing CA; may be repeated\n"
    "  --server-name NAME    further DNS name or address of the front ends' server certificate; "
    "may be repeated\n"
    "  --signer-name NAME    further DNS name or address of the signer's certificate, for gRPC "
    "clients "
    "that compare it; may be repeated\n"
    "  --quiet               print nothing but errors\n";

// struct names: what --server-name and --signer-name collect; NULL-terminated.
struct names {
    const char *dns[NAMES_MAX + 1], *ips[NAMES_MAX + 1];
    size_t dns_count, ip_count;
};

// struct output is a file to write. Everything is made in memory first, so that what cannot be made
// leaves nothing behind.
struct output {
    char path[PATH_LEN];
    struct buf content;
    bool secret;
};

struct ceremony {
    const char *dir, *passphrase_file, *root_dir, *root_passphrase_file, *organization, *name;
    enum pki_key key_type, root_key_type, internal_key_type;
    bool root_key_given, quiet;
    const char *permit[PERMIT_MAX + 1];
    size_t permit_count;
    struct names server, signer;
    struct output files[FILES_MAX];
    size_t file_count;
    struct slice passphrase, root_passphrase; // vault memory
    char root_path[PATH_MAX];
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

static int refuse(const char *option, const char *value, const char *expected)
{
    fprintf(stderr, "certmill-signer: ceremony: %s \"%.200s\" %s\n", option, value, expected);
    return 2;
}

static bool is_dns_name(const char *s)
{
    struct arena a;
    struct slice canonical;
    arena_init(&a, 4096);
    bool ok = !failed(dns_name_canonical(&canonical, &a, slice_str(s), false)) &&
              slice_eq_str(canonical, s);
    arena_fini(&a);
    return ok;
}

static bool is_address(const char *s)
{
    struct arena a;
    struct slice octets;
    arena_init(&a, 4096);
    bool ok = !failed(ip_address_parse(&octets, &a, slice_str(s)));
    arena_fini(&a);
    return ok;
}

// permitted says whether the issuing CA's constraints let a DNS name through (RFC 5280 section
// 4.2.1.10): it is a permitted one or below it.
static bool permitted(const struct ceremony *c, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < c->permit_count; i++) {
        size_t m = strlen(c->permit[i]);
        if (n >= m && strcmp(name + n - m, c->permit[i]) == 0 && (n == m || name[n - m - 1] == '.'))
            return true;
    }
    return c->permit_count == 0;
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

static int name_option(struct ceremony *c, bool server, const char *name)
{
    const char *option = server ? "--server-name" : "--signer-name";
    if (!is_dns_name(name) && !is_address(name))
        return refuse(option, name, "is neither a DNS name in lower case nor an address");
    if (!name_add(server ? &c->server : &c->signer, name))
        return refuse(option, name, "is one too many: 60 of a kind");
    return 0;
}

static int permit_option(struct ceremony *c, const char *suffix)
{
    if (!is_dns_name(suffix))
        return refuse(
            "--permit-dns", suffix,
            "is no DNS suffix; expected lower-case labels without a dot in front, such as "
            "corp.example");
    if (c->permit_count == PERMIT_MAX) return refuse("--permit-dns", suffix, "is one too many: 64");
    c->permit[c->permit_count++] = suffix;
    return 0;
}

static int key_option(struct ceremony *c, int option, const char *type)
{
    enum pki_key *out = option == 'k'   ? &c->key_type
                        : option == 'r' ? &c->root_key_type
                                        : &c->internal_key_type;
    if (!pki_key_parse(out, type))
        return refuse("key type", type,
                      "is not known; expected p256, p384, rsa2048, rsa3072 or rsa4096");
    c->root_key_given |= option == 'r';
    return 0;
}

// options_check looks at what single options cannot tell.
static int options_check(const struct ceremony *c)
{
    if (c->name[0] == 0 || strlen(c->name) > TEXT_MAX)
        return refuse("--name", c->name, "is not of 1 to 40 octets");
    if (c->organization != NULL && (c->organization[0] == 0 || strlen(c->organization) > 64))
        return refuse("--organization", c->organization, "is not of 1 to 64 octets");
    for (size_t i = 0; i < c->server.dns_count; i++)
        if (!permitted(c, c->server.dns[i]))
            return refuse(
                "--server-name", c->server.dns[i],
                "is not at or below any --permit-dns: clients would not take the server's "
                "certificate");
    return 0;
}

static int options_read(struct ceremony *c, int argc, char **argv)
{
    static const struct option longs[] = {{"dir", 1, NULL, 'd'},
                                          {"passphrase-file", 1, NULL, 'p'},
                                          {"key-type", 1, NULL, 'k'},
                                          {"root-key-type", 1, NULL, 'r'},
                                          {"internal-key-type", 1, NULL, 'i'},
                                          {"root-dir", 1, NULL, 'D'},
                                          {"root-passphrase-file", 1, NULL, 'R'},
                                          {"organization", 1, NULL, 'o'},
                                          {"name", 1, NULL, 'n'},
                                          {"permit-dns", 1, NULL, 'P'},
                                          {"server-name", 1, NULL, 's'},
                                          {"signer-name", 1, NULL, 'S'},
                                          {"quiet", 0, NULL, 'q'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    c->name = "certmill";
    int code = 0;
    for (int o; code == 0 && (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
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
        case 'D':
            c->root_dir = optarg;
            break;
        case 'R':
            c->root_passphrase_file = optarg;
            break;
        case 'k':
        case 'r':
        case 'i':
            code = key_option(c, o, optarg);
            break;
        case 'P':
            code = permit_option(c, optarg);
            break;
        case 's':
        case 'S':
            code = name_option(c, o == 's', optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (code != 0) return code;
    if (c->dir == NULL || c->passphrase_file == NULL || optind != argc)
        return fputs(usage, stderr), 2;
    if (!c->root_key_given) c->root_key_type = c->key_type;
    return options_check(c);
}

// ---- what is made

static bool put(struct ceremony *c, const char *path, struct slice content, bool secret)
{
    CHECK(c->file_count < FILES_MAX);
    struct output *f = &c->files[c->file_count];
    if (snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path) return false;
    buf_init(&f->content, PEM_MAX);
    f->secret = secret;
    c->file_count++;
    return !failed(buf_add(&f->content, content));
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

// key_put seals the key when there is a passphrase.
static bool key_put(struct ceremony *c, const char *path, EVP_PKEY *key, struct slice passphrase)
{
    struct buf b;
    buf_init(&b, PEM_MAX);
    struct err e = passphrase.n > 0 ? pki_key_seal(&b, key, passphrase) : pki_key_pem(&b, key);
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
    struct leaf_names n = {.dns = names == NULL ? NULL : names->dns,
                           .ips = names == NULL ? NULL : names->ips};
    EVP_PKEY *key = pki_key_make(PKI_P256);
    X509 *cert = key == NULL ? NULL
                             : leaf_make(kind, &n, key, internal ? c->internal : c->issuer,
                                         internal ? c->internal_key : c->issuer_key, c->now,
                                         c->note, sizeof c->note);
    snprintf(cert_path, sizeof cert_path, "%s.pem", leaf_file(kind));
    snprintf(key_path, sizeof key_path, "%s.key", leaf_file(kind));
    bool ok = cert != NULL && cert_put(c, cert_path, cert, internal ? NULL : c->issuer) &&
              key_put(c, key_path, key, SLICE_NONE);
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

// make_all: the root's certificate last, because it is what says that the folder is complete.
static bool make_all(struct ceremony *c)
{
    char root_key[PATH_LEN], root_cert[PATH_LEN];
    snprintf(root_key, sizeof root_key, "%s/root.key", c->root_dir);
    snprintf(root_cert, sizeof root_cert, "%s/root.pem", c->root_dir);
    return ca_make(c, &c->root, &c->root_key, c->root_key_type, "Root CA", ROOT_DAYS, 1, NULL,
                   NULL) &&
           ca_make(c, &c->issuer, &c->issuer_key, c->key_type, "Issuing CA 1", ISSUER_DAYS, 0,
                   c->root, c->root_key) &&
           key_put(c, root_key, c->root_key, c->root_passphrase) &&
           cert_put(c, root_cert, c->root, NULL) &&
           key_put(c, "issuer-1.key", c->issuer_key, c->passphrase) &&
           cert_put(c, "issuer-1.pem", c->issuer, NULL) && serial_key_make(c) &&
           ca_make(c, &c->internal, &c->internal_key, c->internal_key_type, "Internal Root",
                   INTERNAL_ROOT_DAYS, 0, NULL, NULL) &&
           key_put(c, "internal-root.key", c->internal_key, c->passphrase) &&
           cert_put(c, "internal-root.pem", c->internal, NULL) &&
           leaf_put(c, LEAF_SIGNER, &c->signer) && leaf_put(c, LEAF_ACME, NULL) &&
           leaf_put(c, LEAF_OPERATOR, NULL) && leaf_put(c, LEAF_ADMIN, NULL) &&
           leaf_put(c, LEAF_SERVER, &c->server) && cert_put(c, "root.pem", c->root, NULL);
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

// ---- what is written

// files_absent: a ceremony that was killed has left files without a root.
static bool files_absent(struct ceremony *c)
{
    for (size_t i = 0; i < c->file_count; i++) {
        if (faccessat(c->dirfd, c->files[i].path, F_OK, AT_SYMLINK_NOFOLLOW) != 0) continue;
        snprintf(c->note, sizeof c->note,
                 "%.200s is there already, of a ceremony that did not end or of something else: "
                 "nothing is written over; choose another folder, or move it away",
                 c->files[i].path);
        return false;
    }
    return true;
}

// files_write writes all or, when one cannot be written, takes back those before it.
static bool files_write(struct ceremony *c)
{
    for (size_t i = 0; i < c->file_count; i++) {
        const struct output *f = &c->files[i];
        if (!failed(file_create(c->note, c->dirfd, f->path, buf_slice(&f->content), f->secret)))
            continue;
        while (i-- > 0) unlinkat(c->dirfd, c->files[i].path, 0);
        return false;
    }
    return true;
}

// passphrase_take reads a passphrase file, which nobody else may read.
static bool passphrase_take(struct ceremony *c, struct slice *out, const char *path)
{
    if (failed(file_read_secret(out, c->note, AT_FDCWD, path))) return false;
    while (out->n > 0 && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r')) out->n--;
    if (out->n >= PASSPHRASE_MIN) return true;
    snprintf(c->note, sizeof c->note, "the passphrase in %.200s has fewer than %d characters", path,
             PASSPHRASE_MIN);
    return false;
}

// names_base adds the names with which one machine talks to itself, where the issuing CA's
// constraints let them through.
static bool names_base(struct ceremony *c)
{
    static const char *const base[] = {"localhost", "127.0.0.1", "::1", "acme.internal.test"};
    bool fits = true;
    for (size_t i = 0; i < sizeof base / sizeof base[0]; i++) {
        if (is_address(base[i]) || permitted(c, base[i]))
            fits = fits && name_add(&c->server, base[i]);
        if (i < 3) fits = fits && name_add(&c->signer, base[i]);
    }
    return fits;
}

static bool folders_open(struct ceremony *c)
{
    int root;
    if (failed(folder_open(&c->dirfd, c->note, AT_FDCWD, c->dir, true))) return false;
    if (faccessat(c->dirfd, "root.pem", F_OK, 0) == 0)
        return snprintf(c->note, sizeof c->note,
                        "this folder has a CA already; it is left as it is"),
               false;
    bool apart = c->root_dir != NULL;
    if (!apart) c->root_dir = "root";
    if (failed(folder_open(&root, c->note, apart ? AT_FDCWD : c->dirfd, c->root_dir, true)))
        return false;
    close(root);
    if (!apart) return true;
    // Paths of files are relative to DIR, unless they are absolute.
    if (realpath(c->root_dir, c->root_path) == NULL)
        return snprintf(c->note, sizeof c->note, "%.200s cannot be used: %s", c->root_dir,
                        strerror(errno)),
               false;
    c->root_dir = c->root_path;
    return true;
}

static void what_was_made_print(const struct ceremony *c)
{
    printf("made in %s\n", c->dir);
    fingerprint_print("root", c->root);
    fingerprint_print("issuing CA", c->issuer);
    fingerprint_print("internal root", c->internal);
    printf("the root's key is in %s%s%s: take it offline, the signer does not need it\n",
           c->root_dir[0] == '/' ? "" : c->dir, c->root_dir[0] == '/' ? "" : "/", c->root_dir);
}

static int ceremony_run(struct ceremony *c)
{
    if (!names_base(c)) return fail("more than 60 names of a kind");
    if (failed(vault_open(c->note, sizeof c->note)) ||
        !passphrase_take(c, &c->passphrase, c->passphrase_file) ||
        !passphrase_take(c, &c->root_passphrase,
                         c->root_passphrase_file == NULL ? c->passphrase_file
                                                         : c->root_passphrase_file) ||
        !folders_open(c))
        return fail(c->note);
    vault_enter(); // keys are made and used there
    bool made = make_all(c);
    vault_leave();
    if (!made) return fail(c->note[0] != 0 ? c->note : "a key or certificate could not be made");
    if (!files_absent(c) || !files_write(c)) return fail(c->note);
    if (!c->quiet) what_was_made_print(c);
    return 0;
}

int ceremony_main(int argc, char **argv)
{
    static struct ceremony c; // large
    if (failed(clock_start()))
        return fail("CERTMILL_TEST_CLOCK_OFFSET_S is not a number of seconds");
    c = (struct ceremony){.dirfd = -1, .now = clock_wall_s()};
    int code = options_read(&c, argc, argv);
    if (code != 0) return code;
    code = ceremony_run(&c);
    for (size_t i = 0; i < c.file_count; i++) buf_wipe_fini(&c.files[i].content);
    vault_free((void *)(uintptr_t)c.passphrase.p);
    vault_free((void *)(uintptr_t)c.root_passphrase.p);
    X509_free(c.root);
    X509_free(c.issuer);
    X509_free(c.internal);
    EVP_PKEY_free(c.root_key);
    EVP_PKEY_free(c.issuer_key);
    EVP_PKEY_free(c.internal_key);
    if (c.dirfd >= 0) close(c.dirfd);
    return code;
}
