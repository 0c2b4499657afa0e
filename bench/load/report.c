#include "bench/load/report.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/err.h"
#include "proto/der/cert.h"
#include "proto/der/pem.h"
#include "proto/err.h"

enum { ARENA_MAX = 1 << 20, CHAIN_MAX = 8 };

// chain_read parses up to CHAIN_MAX certificates of a PEM text into the arena.
static struct err chain_read(struct cert out[CHAIN_MAX], size_t *out_count, struct arena *a,
                             struct slice pem)
{
    size_t count = 0;
    const char *note;
    for (;;) {
        struct pem_block block;
        TRY(pem_next(&block, a, &pem));
        if (block.label.n == 0) break;
        if (!slice_eq_str(block.label, "CERTIFICATE")) continue;
        if (count == CHAIN_MAX) return ERR(BAD_CERT);
        TRY(cert_parse(&out[count++], &note, a, block.der));
    }
    *out_count = count;
    return count == 0 ? ERR(BAD_PEM) : OK;
}

static void name_print(FILE *out, const char *what, struct slice der)
{
    const uint8_t *p = der.p;
    X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)der.n);
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *text = NULL;
    size_t n = 0;
    if (name != NULL && bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
        BIO_mem_contents(bio, &text, &n);
    fprintf(out, "  %-10s %.*s\n", what, n == 0 ? 7 : (int)n,
            n == 0 ? "(empty)" : (const char *)text);
    BIO_free(bio);
    X509_NAME_free(name);
}

static void time_print(FILE *out, const char *what, int64_t s)
{
    char text[32];
    time_t t = (time_t)s;
    struct tm tm;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    fprintf(out, "  %-10s %s\n", what, text);
}

static void cert_print(FILE *out, size_t index, const struct cert *c, struct arena *a)
{
    fprintf(out, "certificate %zu\n", index);
    name_print(out, "subject", c->subject);
    for (size_t i = 0; i < c->name_count; i++)
        fprintf(out, "  %-10s %s\n", i == 0 ? "names" : "", identifier_text(a, &c->names[i]));
    time_print(out, "not before", c->not_before);
    time_print(out, "not after", c->not_after);
    name_print(out, "issuer", c->issuer);
    fprintf(out, "  %-10s ", "serial");
    for (size_t i = 0; i < c->serial.n; i++) fprintf(out, "%02x", c->serial.p[i]);
    fprintf(out, "\n");
}

struct err chain_print(FILE *out, struct slice pem)
{
    struct arena a;
    struct cert certs[CHAIN_MAX];
    size_t count;
    arena_init(&a, ARENA_MAX);
    struct err e = chain_read(certs, &count, &a, pem);
    for (size_t i = 0; !failed(e) && i < count; i++) cert_print(out, i, &certs[i], &a);
    if (!failed(e)) fwrite(pem.p, 1, pem.n, out);
    arena_fini(&a);
    return e;
}

static struct err wrong(char *note, size_t size, const char *text)
{
    snprintf(note, size, "%s", text);
    return ERR(BENCH_ANSWER);
}

static bool names_equal(const struct cert *leaf, const char *const *names, size_t count)
{
    if (leaf->name_count != count || leaf->other_name_count != 0) return false;
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t k = 0; k < leaf->name_count; k++)
            found |= leaf->names[k].type == IDENTIFIER_DNS &&
                     slice_eq_str(leaf->names[k].value, names[i]);
        if (!found) return false;
    }
    return true;
}

static struct err check(char *note, size_t size, struct arena *a, struct slice pem,
                        struct slice root_pem, const char *const *names, size_t name_count,
                        struct slice leaf_spki)
{
    struct cert certs[CHAIN_MAX], roots[CHAIN_MAX];
    size_t count, root_count;
    if (failed(chain_read(certs, &count, a, pem)))
        return wrong(note, size, "the chain is not a PEM text of certificates");
    if (failed(chain_read(roots, &root_count, a, root_pem)))
        return wrong(note, size, "the root is not a PEM text of certificates");
    if (!names_equal(&certs[0], names, name_count))
        return wrong(note, size, "the certificate's names are not the ones asked for");
    if (!slice_eq(certs[0].spki, leaf_spki))
        return wrong(note, size, "the certificate is for another key");
    for (size_t i = 0; i + 1 < count; i++)
        if (!slice_eq(certs[i].issuer, certs[i + 1].subject) ||
            failed(cert_verify_signed_by(&certs[i], certs[i + 1].spki)))
            return wrong(note, size, "a certificate of the chain is not signed by the next");
    for (size_t i = 0; i < root_count; i++)
        if (slice_eq(certs[count - 1].issuer, roots[i].subject) &&
            !failed(cert_verify_signed_by(&certs[count - 1], roots[i].spki)))
            return OK;
    return wrong(note, size, "the chain does not lead to the root");
}

struct err chain_check(char *note, size_t note_size, struct slice pem, struct slice root_pem,
                       const char *const *names, size_t name_count, struct slice leaf_spki)
{
    struct arena a;
    arena_init(&a, ARENA_MAX);
    struct err e = check(note, note_size, &a, pem, root_pem, names, name_count, leaf_spki);
    arena_fini(&a);
    return e;
}
