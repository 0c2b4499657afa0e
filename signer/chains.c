#include "signer/chains.h"

#include <stdio.h>
#include <unistd.h>

#include "cluster/core/files.h"
#include "proto/der/pem.h"
#include "proto/err.h"
#include "signer/err.h"

enum { CERTS_MAX = 8 };

struct chain_file {
    const char *name;
    struct slice der[CERTS_MAX];
    struct cert certs[CERTS_MAX];
    size_t count;
};

static struct err wrong(char *note, const struct chain_file *f, const char *what)
{
    snprintf(note, KEYSTORE_NOTE_MAX,
             "%s %s; expected certificates in PEM: one for the issuing CA's key, each signed by "
             "the next, a root at the end",
             f->name, what);
    return ERR(KEY);
}

static struct err file_parse(struct chain_file *f, struct arena *a, char *note, int dir)
{
    struct slice pem;
    struct pem_block block;
    const char *why = "";
    TRY(file_read(&pem, a, note, dir, f->name));
    for (;;) {
        if (failed(pem_next(&block, a, &pem))) return wrong(note, f, "is not PEM");
        if (block.label.n == 0) break;
        if (!slice_eq_str(block.label, "CERTIFICATE"))
            return wrong(note, f, "holds something else than certificates");
        if (f->count == CERTS_MAX) return wrong(note, f, "has more than 8 certificates");
        if (failed(cert_parse(&f->certs[f->count], &why, a, block.der)))
            return wrong(note, f, "has a certificate that cannot be read");
        f->der[f->count++] = block.der;
    }
    return f->count >= 2 ? OK : wrong(note, f, "has fewer than two certificates");
}

// links_check: the first is the issuing CA by another issuer, or the same; each is signed by the
// next, the last by itself.
static struct err links_check(const struct chain_file *f, const struct issuer *issuer, char *note)
{
    const struct cert *first = &f->certs[0];
    if (!slice_eq(first->spki, issuer->cert.spki) ||
        !slice_eq(first->subject, issuer->cert.subject) || !slice_eq(first->ski, issuer->cert.ski))
        return wrong(note, f,
                     "begins with a certificate that is not for the issuing CA's name, key and key "
                     "identifier");
    for (size_t i = 0; i < f->count; i++) {
        size_t next = i + 1 < f->count ? i + 1 : i;
        const struct cert *above = &f->certs[next];
        if (!f->certs[i].is_ca) return wrong(note, f, "has a certificate that is not a CA's");
        if (!slice_eq(f->certs[i].issuer, above->subject) ||
            failed(cert_verify_signed_by(&f->certs[i], above->spki)))
            return wrong(note, f,
                         next == i ? "does not end with a root"
                                   : "has a certificate that is not signed by the next");
    }
    return OK;
}

static bool in_force(const struct chain_file *f, int64_t now_s)
{
    for (size_t i = 0; i < f->count; i++)
        if (now_s < f->certs[i].not_before || now_s > f->certs[i].not_after) return false;
    return true;
}

static struct err chain_keep(struct issuer_chain *out, struct arena *a, const struct chain_file *f)
{
    struct slice *certificates = ARENA_ARRAY(a, struct slice, f->count);
    if (certificates == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i + 1 < f->count; i++) certificates[i] = f->der[i];
    *out = (struct issuer_chain){certificates, f->count - 1, f->der[f->count - 1]};
    return OK;
}

struct err chains_read(struct issuer *issuer, struct arena *a, char note[KEYSTORE_NOTE_MAX],
                       int dir, int64_t now_s)
{
    issuer->chain_count = 0;
    for (unsigned k = 2; k < 2 + ISSUER_CHAINS_MAX; k++) {
        char name[40];
        struct chain_file f = {.name = name};
        snprintf(name, sizeof name, "issuer-%u-chain-%u.pem", issuer->id, k);
        if (faccessat(dir, name, F_OK, 0) != 0) continue;
        TRY(file_parse(&f, a, note, dir));
        TRY(links_check(&f, issuer, note));
        if (in_force(&f, now_s)) TRY(chain_keep(&issuer->chains[issuer->chain_count++], a, &f));
    }
    return OK;
}
