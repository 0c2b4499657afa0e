#include "tests/fuzz/x509_names.h"

struct slice x509_string(const ASN1_STRING *s)
{
    return slice_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

size_t x509_names_take(struct identifier **out, size_t *out_other, struct arena *a,
                       const GENERAL_NAMES *names)
{
    size_t all = sk_GENERAL_NAME_num(names), count = 0;
    struct identifier *ids = ARENA_ARRAY(a, struct identifier, all + 1);
    CHECK(ids != NULL);
    *out_other = 0;
    for (size_t i = 0; i < all; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS && name->type != GEN_IPADD) {
            ++*out_other;
            continue;
        }
        struct identifier *id = &ids[count++];
        id->type = name->type == GEN_DNS ? IDENTIFIER_DNS : IDENTIFIER_IP;
        CHECK(!failed(
            arena_dup(&id->value, a,
                      x509_string(name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress))));
    }
    *out = ids;
    return count;
}
