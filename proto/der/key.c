#include "proto/der/key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>

#include "proto/der/der.h"
#include "proto/der/internal.h"
#include "proto/err.h"

enum { ED25519_KEY_LEN = 32 };

struct curve {
    struct slice oid;
    enum key_type type;
    unsigned bits;
    int nid;
};

static const struct curve *curve_of(struct slice oid)
{
    static const struct curve curves[] = {
        {OID_P256, KEY_P256, 256, NID_X9_62_prime256v1},
        {OID_P384, KEY_P384, 384, NID_secp384r1},
        {OID_P521, KEY_P521, 521, NID_secp521r1},
    };
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (slice_eq(oid, curves[i].oid)) return &curves[i];
    }
    return NULL;
}

// on_curve decodes an uncompressed point; the library refuses coordinates out of range and points
// off the curve.
static bool on_curve(const struct curve *curve, struct slice point)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(curve->nid);
    EC_POINT *p = group == NULL ? NULL : EC_POINT_new(group);
    bool ok = p != NULL && EC_POINT_oct2point(group, p, point.p, point.n, NULL) == 1;
    EC_POINT_free(p);
    EC_GROUP_free(group);
    if (!ok) ERR_clear_error();
    return ok;
}

// read_ec: the parameters are a named curve (never explicit ones), the point is uncompressed.
static bool read_ec(struct public_key_kind *out, CBS *parameters, struct slice bits)
{
    CBS oid;
    if (!CBS_get_asn1(parameters, &oid, CBS_ASN1_OBJECT) || CBS_len(parameters) != 0) return false;
    const struct curve *curve = curve_of(slice_of_cbs(&oid));
    if (curve == NULL) return false;
    size_t coordinate = (curve->bits + 7) / 8;
    if (bits.n != 1 + 2 * coordinate || bits.p[0] != 0x04 || !on_curve(curve, bits)) return false;
    *out = (struct public_key_kind){curve->type, curve->bits};
    return true;
}

// get_positive takes an INTEGER above zero and gives its magnitude without a sign octet.
static bool get_positive(struct slice *out, CBS *in)
{
    CBS integer;
    if (!CBS_get_asn1(in, &integer, CBS_ASN1_INTEGER)) return false;
    struct slice s = slice_of_cbs(&integer);
    if (s.n == 0 || s.p[0] >= 0x80) return false;
    if (s.p[0] != 0) {
        *out = s;
        return true;
    }
    if (s.n < 2 || s.p[1] < 0x80) return false; // zero, or not in its shortest form
    *out = slice_sub(s, 1, s.n);
    return true;
}

static unsigned bits_of(struct slice magnitude)
{
    unsigned bits = (unsigned)(magnitude.n - 1) * 8;
    for (unsigned top = magnitude.p[0]; top != 0; top >>= 1) bits++;
    return bits;
}

static bool odd(struct slice magnitude) { return (magnitude.p[magnitude.n - 1] & 1) == 1; }

// read_rsa: RFC 8017 appendix A.1.1 behind parameters that are NULL (RFC 3279 section 2.3.1).
static bool read_rsa(struct public_key_kind *out, CBS *parameters, struct slice bits)
{
    CBS null, in = cbs_of_slice(bits), key;
    struct slice n, e;
    if (!CBS_get_asn1(parameters, &null, CBS_ASN1_NULL) || CBS_len(&null) != 0 ||
        CBS_len(parameters) != 0)
        return false;
    if (!CBS_get_asn1(&in, &key, CBS_ASN1_SEQUENCE) || CBS_len(&in) != 0) return false;
    if (!get_positive(&n, &key) || !get_positive(&e, &key) || CBS_len(&key) != 0) return false;
    bool e_fits = odd(e) && bits_of(e) >= 2 && bits_of(e) <= RSA_EXPONENT_BITS_MAX;
    if (!e_fits || !odd(n) || bits_of(n) > RSA_BITS_PARSED_MAX) return false;
    *out = (struct public_key_kind){KEY_RSA, bits_of(n)};
    return true;
}

static bool read_ed25519(struct public_key_kind *out, CBS *parameters, struct slice bits)
{
    if (CBS_len(parameters) != 0 || bits.n != ED25519_KEY_LEN) return false;
    *out = (struct public_key_kind){KEY_ED25519, 256};
    return true;
}

struct err public_key_kind_of(struct public_key_kind *out, struct slice spki)
{
    CBS in = cbs_of_slice(spki), info, algorithm, oid;
    struct slice bits;
    struct public_key_kind kind = {KEY_NONE, 0};
    if (!CBS_get_asn1(&in, &info, CBS_ASN1_SEQUENCE) || CBS_len(&in) != 0) return ERR(BAD_CSR_KEY);
    if (!CBS_get_asn1(&info, &algorithm, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT))
        return ERR(BAD_CSR_KEY);
    if (!get_bits(&bits, &info) || CBS_len(&info) != 0) return ERR(BAD_CSR_KEY);
    bool ok = false;
    if (cbs_is(&oid, OID_EC_PUBLIC_KEY))
        ok = read_ec(&kind, &algorithm, bits);
    else if (cbs_is(&oid, OID_RSA_ENCRYPTION))
        ok = read_rsa(&kind, &algorithm, bits);
    else if (cbs_is(&oid, OID_ED25519))
        ok = read_ed25519(&kind, &algorithm, bits);
    if (!ok) return ERR(BAD_CSR_KEY);
    *out = kind;
    return OK;
}

bool public_key_size_allowed(struct public_key_kind kind)
{
    if (kind.type != KEY_RSA) return kind.type != KEY_NONE;
    return kind.bits >= RSA_BITS_MIN && kind.bits <= RSA_BITS_MAX && kind.bits % 8 == 0;
}

bool public_key_p256_point(uint8_t out[P256_POINT_OCTETS], struct slice spki)
{
    static const struct slice prefix = SLICE_LIT(
        "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03"
        "\x01\x07\x03\x42\x00\x04");
    if (spki.n != prefix.n + P256_POINT_OCTETS || !slice_starts(spki, prefix)) return false;
    memcpy(out, spki.p + prefix.n, P256_POINT_OCTETS);
    return true;
}

const char *public_key_kind_text(struct public_key_kind kind)
{
    switch (kind.type) {
    case KEY_P256:
        return "P-256";
    case KEY_P384:
        return "P-384";
    case KEY_P521:
        return "P-521";
    case KEY_ED25519:
        return "Ed25519";
    case KEY_RSA:
        switch (kind.bits) {
        case 2048:
            return "RSA 2048";
        case 3072:
            return "RSA 3072";
        case 4096:
            return "RSA 4096";
        default:
            return kind.bits < RSA_BITS_MIN ? "RSA below 2048 bits" : "RSA of an unusual size";
        }
    case KEY_NONE:
        break;
    }
    return "no key";
}

EVP_PKEY *public_key_load(struct slice spki)
{
    CBS in = cbs_of_slice(spki);
    EVP_PKEY *key = EVP_parse_public_key(&in);
    if (key != NULL && CBS_len(&in) == 0) return key;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return NULL;
}
