#include "signer/leaf.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "proto/err.h"
#include "signer/err.h"
#include "signer/pki.h"

enum { DAY_S = 86400, LIFE_DAYS = 90, BACKDATE_S = 60, READ_ARENA_MAX = 1 << 18 };

static const struct {
    const char *file, *common_name, *role;
} kinds[] = {
    [LEAF_SIGNER] = {"signer", "signer", "urn:certmill:role:signer"},
    [LEAF_ACME] = {"acme", "acme", "urn:certmill:role:acme"},
    [LEAF_OPERATOR] = {"operator", "operator", "urn:certmill:role:operator"},
    [LEAF_ADMIN] = {"admin", "admin", "urn:certmill:role:admin"},
    [LEAF_SERVER] = {"server", "certmill", NULL},
};

const char *leaf_file(enum leaf_kind kind) { return kinds[kind].file; }
const char *leaf_role(enum leaf_kind kind) { return kinds[kind].role; }

bool leaf_due(int64_t not_before, int64_t not_after, int64_t now_s)
{
    return now_s >= not_before + (not_after - not_before) / 2;
}

struct err leaf_read(struct cert *out, struct arena *a, X509 *cert)
{
    struct buf der;
    struct slice kept;
    const char *note = "";
    buf_init(&der, CERT_SIZE_MAX);
    struct err e = pki_cert_der(&der, cert);
    if (!failed(e)) e = arena_dup(&kept, a, buf_slice(&der));
    buf_fini(&der);
    return failed(e) ? e : cert_parse(out, &note, a, kept);
}

static const char *address_text_of(struct arena *a, struct slice value)
{
    char text[INET6_ADDRSTRLEN];
    int family = value.n == 4 ? AF_INET : AF_INET6;
    return inet_ntop(family, value.p, text, sizeof text) == NULL ? NULL
                                                                 : arena_printf(a, "%s", text);
}

struct err leaf_names_of(struct leaf_names *out, struct arena *a, const struct cert *cert)
{
    const char **dns = ARENA_ARRAY(a, const char *, cert->name_count + 1),
               **ips = ARENA_ARRAY(a, const char *, cert->name_count + 1);
    size_t dns_count = 0, ip_count = 0;
    if (dns == NULL || ips == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < cert->name_count; i++) {
        struct slice value = cert->names[i].value;
        bool is_dns = cert->names[i].type == IDENTIFIER_DNS;
        const char *text = is_dns ? arena_printf(a, "%" SLICE_FMT, SLICE_ARG(value))
                                  : address_text_of(a, value);
        if (text == NULL) return ERR(NO_SPACE);
        if (is_dns)
            dns[dns_count++] = text;
        else
            ips[ip_count++] = text;
    }
    dns[dns_count] = ips[ip_count] = NULL;
    *out = (struct leaf_names){.dns = dns, .ips = ips};
    return OK;
}

// ca_end is the last second of the CA's life; 0 when it cannot be read.
static int64_t ca_end(X509 *ca)
{
    struct arena a;
    struct cert cert;
    arena_init(&a, READ_ARENA_MAX);
    int64_t end = failed(leaf_read(&cert, &a, ca)) ? 0 : cert.not_after;
    arena_fini(&a);
    return end;
}

X509 *leaf_make(enum leaf_kind kind, const struct leaf_names *names, EVP_PKEY *key, X509 *ca,
                EVP_PKEY *ca_key, int64_t now_s, char *note, size_t note_size)
{
    int64_t end = ca_end(ca), wanted = now_s + (int64_t)LIFE_DAYS * DAY_S - 1;
    if (end <= now_s) {
        snprintf(note, note_size, "the CA of %s.pem has expired: make a new one with a ceremony",
                 kinds[kind].file);
        return NULL;
    }
    const struct pki_request r = {.common_name = kinds[kind].common_name,
                                  .not_before = now_s - BACKDATE_S,
                                  .not_after = wanted < end ? wanted : end,
                                  .uri = names->role != NULL ? names->role : kinds[kind].role,
                                  .dns = names->dns,
                                  .ips = names->ips};
    X509 *cert = pki_cert_make(&r, key, ca, ca_key, note, note_size);
    EVP_PKEY *ca_public = X509_get_pubkey(ca);
    bool verified = cert != NULL && ca_public != NULL && X509_verify(cert, ca_public) == 1;
    EVP_PKEY_free(ca_public);
    if (cert == NULL || verified) return cert;
    snprintf(note, note_size, "the signature of %s.pem did not verify after it was made",
             kinds[kind].file);
    X509_free(cert);
    return NULL;
}
