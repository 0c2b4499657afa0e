// alpn_cert_judge on any bytes. Oracle: what proves control of the name is a certificate that
// BoringSSL reads, too, sees as issued by itself and for that one name, and verifies with its own
// key, with a critical extension of id-pe 31 whose content is the digest's OCTET STRING.
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "api/validate/alpn_cert.h"
#include "proto/der/der.h"
#include "proto/err.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/x509_names.h"

enum { ARENA_MAX = 1 << 20 };

// The digest and the name that the seeds are for.
static const uint8_t digest[ALPN_DIGEST_LEN] = {1, 2, 3};

static void extension_check(const X509 *x)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    int at = X509_get_ext_by_OBJ(x, oid, -1);
    ASN1_OBJECT_free(oid);
    CHECK(at >= 0);
    X509_EXTENSION *e = X509_get_ext(x, at);
    struct slice value = x509_string(X509_EXTENSION_get_data(e));
    CHECK(X509_EXTENSION_get_critical(e) != 0 && value.n == 2 + ALPN_DIGEST_LEN);
    CHECK(memcmp(value.p, "\x04\x20", 2) == 0 && memcmp(value.p + 2, digest, sizeof digest) == 0);
}

static void accepted_check(struct arena *a, struct slice in)
{
    const uint8_t *p = in.p;
    struct identifier *ids;
    size_t other;
    X509 *x = d2i_X509(NULL, &p, (long)in.n);
    CHECK(x != NULL && p == in.p + in.n);
    EVP_PKEY *key = X509_get_pubkey(x);
    CHECK(key != NULL && X509_verify(x, key) == 1);
    CHECK(X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(x)) == 0);
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    CHECK(x509_names_take(&ids, &other, a, names) == 1 && other == 0);
    CHECK(ids[0].type == IDENTIFIER_DNS && ids[0].value.n == 6);
    extension_check(x);
    GENERAL_NAMES_free(names);
    EVP_PKEY_free(key);
    X509_free(x);
    ERR_clear_error();
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return mutate_der(data, size, size_max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct identifier id = {IDENTIFIER_DNS, SLICE_LIT("a.test")};
    struct arena a;
    arena_init(&a, ARENA_MAX);
    const char *wrong = alpn_cert_judge(&a, slice_of(data, size), &id, digest);
    if (wrong == NULL)
        accepted_check(&a, slice_of(data, size));
    else
        CHECK(strlen(wrong) > 10);
    CHECK(ERR_peek_error() == 0);
    arena_fini(&a);
    return 0;
}
