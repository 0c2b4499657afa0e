// csr_parse and csr_verify on any bytes. Oracle: whatever we accept BoringSSL's d2i_X509_REQ
// accepts whole, with the same public key, signature and set of names; what we say is signed by its
// own key BoringSSL says, too.
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "proto/der/csr.h"
#include "proto/der/weak.h"
#include "proto/err.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/x509_names.h"

enum { ARENA_MAX = 1 << 20, NAMES_MAX = 1024 };

// struct gathered: the names of a request as BoringSSL sees them, in our canonical form.
struct gathered {
    struct identifier ids[NAMES_MAX];
    size_t count;
};

static void gather(struct gathered *g, enum identifier_type type, struct slice value)
{
    CHECK(g->count < NAMES_MAX);
    g->ids[g->count++] = (struct identifier){type, value};
}

static void gather_text(struct gathered *g, struct arena *a, struct slice text)
{
    struct slice name;
    CHECK(!failed(dns_name_canonical(&name, a, text, true)));
    gather(g, IDENTIFIER_DNS, name);
}

static void gather_alt_names(struct gathered *g, struct arena *a, X509_REQ *req)
{
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    int at = X509v3_get_ext_by_NID(extensions, NID_subject_alt_name, -1);
    if (at >= 0) {
        GENERAL_NAMES *names = X509V3_EXT_d2i(X509v3_get_ext(extensions, at));
        struct identifier *ids;
        size_t other, count = x509_names_take(&ids, &other, a, names);
        CHECK(names != NULL && other == 0 && count > 0);
        for (size_t i = 0; i < count; i++) {
            if (ids[i].type == IDENTIFIER_DNS)
                gather_text(g, a, ids[i].value);
            else
                gather(g, IDENTIFIER_IP, ids[i].value);
        }
        GENERAL_NAMES_free(names);
    }
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

static void gather_common_names(struct gathered *g, struct arena *a, const X509_NAME *subject)
{
    for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) {
        struct slice address,
            text = x509_string(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
        if (text.n == 0) continue;
        if (!failed(ip_address_parse(&address, a, text)))
            gather(g, IDENTIFIER_IP, address);
        else
            gather_text(g, a, text);
    }
}

static void names_check(const struct csr *csr, struct arena *a, X509_REQ *req)
{
    static struct gathered g;
    g.count = 0;
    gather_alt_names(&g, a, req);
    gather_common_names(&g, a, X509_REQ_get_subject_name(req));
    CHECK(csr->name_count > 0 && csr->name_count <= IDENTIFIER_COUNT_MAX);
    CHECK(identifiers_sort(g.ids, g.count) == csr->name_count);
    for (size_t i = 0; i < csr->name_count; i++)
        CHECK(identifier_cmp(&g.ids[i], &csr->names[i]) == 0);
}

static void key_check(const struct csr *csr, EVP_PKEY *key)
{
    CBB out;
    uint8_t *der;
    size_t n;
    CHECK(CBB_init(&out, 256) && EVP_marshal_public_key(&out, key) && CBB_finish(&out, &der, &n));
    CHECK(slice_eq(slice_of(der, n), csr->spki));
    OPENSSL_free(der);
}

static void accepted_check(const struct csr *csr, struct arena *a, struct slice in)
{
    const uint8_t *p = in.p;
    X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)in.n);
    CHECK(req != NULL && p == in.p + in.n);
    EVP_PKEY *key = X509_REQ_get_pubkey(req);
    const ASN1_BIT_STRING *signature;
    const X509_ALGOR *algorithm;
    X509_REQ_get0_signature(req, &signature, &algorithm);
    CHECK(key != NULL && slice_eq(x509_string(signature), csr->signature));
    key_check(csr, key);
    names_check(csr, a, req);
    if (!failed(csr_verify(csr))) CHECK(X509_REQ_verify(req, key) == 1);
    EVP_PKEY_free(key);
    X509_REQ_free(req);
    ERR_clear_error();
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return mutate_der(data, size, size_max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct csr csr = {.name_count = 77};
    const char *note = NULL;
    arena_init(&a, ARENA_MAX);
    struct err err = csr_parse(&csr, &note, &a, slice_of(data, size));
    if (failed(err)) {
        CHECK(note != NULL && strlen(note) > 10 && csr.name_count == 77);
        CHECK(err_class(err) == ERR_CLASS_CLIENT);
    } else {
        CHECK(size <= CSR_SIZE_MAX);
        accepted_check(&csr, &a, slice_of(data, size));
        (void)key_weakness(csr.spki); // any key that is read can be judged
    }
    CHECK(ERR_peek_error() == 0);
    arena_fini(&a);
    return 0;
}
