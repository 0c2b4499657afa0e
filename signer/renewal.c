#include "signer/renewal.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/core/files.h"
#include "proto/err.h"
#include "signer/err.h"
#include "signer/pki.h"
#include "signer/settings.h"
#include "signer/vault.h"

enum { PEM_MAX = 1 << 18, READ_ARENA_MAX = 4 << 20, PATH_LEN = 128 };

static struct leaf_names names_of(const struct keystore *k, enum leaf_kind kind)
{
    return kind == LEAF_SERVER   ? k->server_names
           : kind == LEAF_SIGNER ? k->signer_names
                                 : (struct leaf_names){0};
}

struct err renewal_make(struct buf *out_chain, struct buf *out_der, char note[KEYSTORE_NOTE_MAX],
                        const struct keystore *k, enum leaf_kind kind, const char *role,
                        EVP_PKEY *key, int64_t now_s)
{
    const struct leaf_ca *ca = leaf_role(kind) == NULL ? &k->server : &k->internal;
    struct leaf_names names = names_of(k, kind);
    names.role = role;
    if (kind == LEAF_SERVER && !k->serves) {
        snprintf(note, KEYSTORE_NOTE_MAX,
                 "this signer's folder has no server certificate to renew");
        return ERR(KEY);
    }
    vault_enter(); // the CA's key is used
    X509 *cert = leaf_make(kind, &names, key, ca->cert, ca->key, now_s, note, KEYSTORE_NOTE_MAX);
    vault_leave();
    struct err e = cert == NULL ? ERR(KEY) : pki_cert_pem(out_chain, cert);
    if (!failed(e) && kind == LEAF_SERVER) e = pki_cert_pem(out_chain, ca->cert);
    if (!failed(e)) e = pki_cert_der(out_der, cert);
    X509_free(cert);
    return e;
}

// ---- the command

static const char usage[] =
    "usage: certmill-signer renew --dir DIR --passphrase-file FILE [--force|--ended] [--front-end "
    "GROUP|--admin NAME]\n"
    "\n"
    "Makes anew, with new keys, the certificates of our own programs in DIR (signer, acme, "
    "operator, "
    "admin, server) that are past half of their\n"
    "life. Running signers and front ends renew theirs by themselves; this is for an installation "
    "that was switched off for too long.\n"
    "Stop the signer first, and give the new files to the front ends.\n"
    "\n"
    "  --force   renew those that are still fresh, too\n"
    "  --ended   only those that have ended: the others can renew themselves\n"
    "  --front-end GROUP  instead, acme-GROUP of a group of front ends, which `callers` in the "
    "signer's configuration may bound;\n"
    "                     made when it is not there\n"
    "  --admin NAME       instead, admin-NAME of one administrator, whose name is in the audit log "
    "then; made when it is not\n"
    "                     there\n";

struct command {
    const char *dir, *passphrase_file, *group;
    enum leaf_kind group_kind; // LEAF_ACME: of front ends, LEAF_ADMIN: one administrator
    bool force, ended;
    int dirfd;
    int64_t now_s;
    struct keystore keys;
    struct arena arena;
    char note[KEYSTORE_NOTE_MAX];
};

// is_due says whether a file exists and is old.
static bool is_due(struct command *c, const char *path)
{
    struct slice pem;
    struct cert cert;
    if (c->group == NULL && faccessat(c->dirfd, path, F_OK, 0) != 0) return false;
    if (c->force || failed(file_read(&pem, &c->arena, c->note, c->dirfd, path))) return true;
    X509 *x = pki_cert_parse(pem);
    bool due = x == NULL || failed(leaf_read(&cert, &c->arena, x)) ||
               (c->ended ? cert.not_after < c->now_s
                         : leaf_due(cert.not_before, cert.not_after, c->now_s));
    X509_free(x);
    return due;
}

// The key goes first: a reader that meets the new key beside the old certificate sees that they do
// not fit and reads again.
static bool pair_write(struct command *c, const char *file, EVP_PKEY *key, struct slice chain)
{
    char path[PATH_LEN];
    struct buf pem;
    buf_init(&pem, PEM_MAX);
    snprintf(path, sizeof path, "%s.key", file);
    bool ok = !failed(pki_key_pem(&pem, key)) &&
              !failed(file_replace(c->note, c->dirfd, path, buf_slice(&pem), true));
    buf_wipe_fini(&pem);
    snprintf(path, sizeof path, "%s.pem", file);
    return ok && !failed(file_replace(c->note, c->dirfd, path, chain, false));
}

// renew makes `file`.pem and its key; `role`: NULL for the kind's own.
static bool renew(struct command *c, enum leaf_kind kind, const char *file, const char *role)
{
    struct buf chain, der;
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%s.pem", file);
    if (!is_due(c, path)) return true;
    EVP_PKEY *key = pki_key_make(PKI_P256);
    buf_init(&chain, PEM_MAX);
    buf_init(&der, PEM_MAX);
    bool ok = key != NULL &&
              !failed(renewal_make(&chain, &der, c->note, &c->keys, kind, role, key, c->now_s)) &&
              pair_write(c, file, key, buf_slice(&chain));
    buf_fini(&chain);
    buf_fini(&der);
    EVP_PKEY_free(key);
    if (ok) printf("renewed %s/%s\n", c->dir, path);
    return ok;
}

static bool all_renew(struct command *c)
{
    bool ok = true;
    for (enum leaf_kind kind = 0; ok && kind < LEAF_KINDS; kind++)
        ok = renew(c, kind, leaf_file(kind), NULL);
    return ok;
}

static bool group_renew(struct command *c)
{
    char file[PATH_LEN], role[PATH_LEN], path[PATH_LEN + 4];
    snprintf(file, sizeof file, "%s-%s", leaf_file(c->group_kind), c->group);
    snprintf(role, sizeof role, "%s:%s", leaf_role(c->group_kind), c->group);
    snprintf(path, sizeof path, "%s.pem", file);
    c->force |= faccessat(c->dirfd, path, F_OK, 0) != 0;
    return renew(c, c->group_kind, file, role);
}

static int run(struct command *c)
{
    c->now_s = clock_wall_s();
    bool ok = !failed(vault_open(c->note, sizeof c->note)) &&
              !failed(folder_open(&c->dirfd, c->note, AT_FDCWD, c->dir, false)) &&
              !failed(keystore_open(&c->keys, c->note, c->dir, c->passphrase_file, c->now_s,
                                    p256_kernel_detect()));
    ok = ok && (c->group == NULL ? all_renew(c) : group_renew(c));
    if (!ok) fprintf(stderr, "certmill-signer: renew: %s\n", c->note);
    return ok ? 0 : 1;
}

int renewal_main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"dir", 1, NULL, 'd'},       {"passphrase-file", 1, NULL, 'p'},
        {"force", 0, NULL, 'f'},     {"ended", 0, NULL, 'e'},
        {"front-end", 1, NULL, 'g'}, {"admin", 1, NULL, 'a'},
        {"help", 0, NULL, 'h'},      {0}};
    struct command c = {.dirfd = -1};
    bool twice = false;
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (o == 'd')
            c.dir = optarg;
        else if (o == 'p')
            c.passphrase_file = optarg;
        else if (o == 'f')
            c.force = true;
        else if (o == 'e')
            c.ended = true;
        else if (o == 'g' || o == 'a') {
            twice |= c.group != NULL;
            c.group = optarg;
            c.group_kind = o == 'g' ? LEAF_ACME : LEAF_ADMIN;
        } else
            return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
    }
    if (c.dir == NULL || optind != argc || twice) return fputs(usage, stderr), 2;
    if (c.group != NULL && !group_name_plain(c.group))
        return fprintf(stderr,
                       "certmill-signer: renew: %s \"%.80s\" is not 1 to 32 lower-case "
                       "letters, digits or hyphens\n",
                       c.group_kind == LEAF_ACME ? "--front-end" : "--admin", c.group),
               2;
    if (failed(clock_start()))
        return fputs("certmill-signer: renew: CERTMILL_TEST_CLOCK_OFFSET_S is not a number of "
                     "seconds\n",
                     stderr),
               2;
    arena_init(&c.arena, READ_ARENA_MAX);
    int code = run(&c);
    keystore_close(&c.keys);
    arena_fini(&c.arena);
    if (c.dirfd >= 0) close(c.dirfd);
    return code;
}
