#include "proto/jose/jwk.h"

#include <openssl/bytestring.h>
#include <openssl/sha.h>

#include "proto/err.h"
#include "proto/text/base64url.h"

// The largest member is an RSA modulus of 4096 bits; canonical JSON adds names and quotes around
// its base64url.
enum { COORDINATE_MAX = 66, MODULUS_MAX = RSA_BITS_MAX / 8, EXPONENT_MAX = 5, CANONICAL_MAX = 768 };

// Everything in a SubjectPublicKeyInfo but the key itself is fixed: it is built behind these
// prefixes.
struct curve {
    const char *name;
    enum key_type type;
    size_t coordinate_len; // octets
    struct slice prefix;   // up to and with the 0x04 of the uncompressed point
};

static const struct curve curves[] = {
    {"P-256", KEY_P256, 32,
     SLICE_LIT("\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d"
               "\x03\x01\x07\x03\x42\x00\x04")},
    {"P-384", KEY_P384, 48,
     SLICE_LIT("\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"
               "\x03\x62\x00\x04")},
    {"P-521", KEY_P521, 66,
     SLICE_LIT("\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00"
               "\x23\x03\x81\x86\x00\x04")},
};

enum { CURVE_COUNT = sizeof curves / sizeof curves[0] };

static const struct curve *curve_named(struct slice name)
{
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        if (slice_eq_str(name, curves[i].name)) return &curves[i];
    }
    return NULL;
}

static const struct curve *curve_of(enum key_type type)
{
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        if (curves[i].type == type) return &curves[i];
    }
    return NULL;
}

#define ED25519_PREFIX SLICE_LIT("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00")
#define RSA_ALGORITHM SLICE_LIT("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00")

// member_bytes decodes a base64url member of at most `size` octets.
static struct err member_bytes(uint8_t *out, size_t size, size_t *out_n, struct json j,
                               const char *name)
{
    struct slice text;
    if (failed(json_string(json_get(j, name), &text))) return ERR(BAD_JWK);
    if (failed(base64url_decode_into(out, size, out_n, text))) return ERR(BAD_JWK);
    return OK;
}

// append adds octets to the SPKI that is being built.
static void append(struct jwk *k, struct slice s)
{
    CHECK(s.n <= JWK_SPKI_MAX - (size_t)k->spki_len);
    memcpy(k->spki + k->spki_len, s.p, s.n);
    k->spki_len = (uint16_t)(k->spki_len + s.n);
}

// append_fixed adds a member that must have exactly `n` octets: RFC 7518 section 6.2.1.2 wants
// full-length coordinates.
static struct err append_fixed(struct jwk *k, struct json j, const char *name, size_t n)
{
    uint8_t b[COORDINATE_MAX];
    size_t got;
    TRY(member_bytes(b, n, &got, j, name));
    if (got != n) return ERR(BAD_JWK);
    append(k, slice_of(b, n));
    return OK;
}

static struct err build_ec(struct jwk *k, struct json j)
{
    struct slice name;
    if (failed(json_string(json_get(j, "crv"), &name))) return ERR(BAD_JWK);
    const struct curve *curve = curve_named(name);
    if (curve == NULL) return ERR(BAD_JWK);
    append(k, curve->prefix);
    TRY(append_fixed(k, j, "x", curve->coordinate_len));
    return append_fixed(k, j, "y", curve->coordinate_len);
}

static struct err build_okp(struct jwk *k, struct json j)
{
    struct slice name;
    if (failed(json_string(json_get(j, "crv"), &name)) || !slice_eq_str(name, "Ed25519"))
        return ERR(BAD_JWK);
    append(k, ED25519_PREFIX);
    return append_fixed(k, j, "x", 32);
}

static int add_positive(CBB *out, struct slice magnitude)
{
    CBB integer;
    return CBB_add_asn1(out, &integer, CBS_ASN1_INTEGER) &&
           (magnitude.p[0] < 0x80 || CBB_add_u8(&integer, 0)) &&
           CBB_add_bytes(&integer, magnitude.p, magnitude.n) && CBB_flush(out);
}

static bool write_rsa_spki(struct jwk *k, struct slice n, struct slice e)
{
    CBB out, info, bits, key;
    size_t len;
    CBB_init_fixed(&out, k->spki, sizeof k->spki);
    bool ok = CBB_add_asn1(&out, &info, CBS_ASN1_SEQUENCE) &&
              CBB_add_bytes(&info, RSA_ALGORITHM.p, RSA_ALGORITHM.n) &&
              CBB_add_asn1(&info, &bits, CBS_ASN1_BITSTRING) && CBB_add_u8(&bits, 0) &&
              CBB_add_asn1(&bits, &key, CBS_ASN1_SEQUENCE) && add_positive(&key, n) &&
              add_positive(&key, e) && CBB_finish(&out, NULL, &len);
    if (ok)
        k->spki_len = (uint16_t)len;
    else
        CBB_cleanup(&out);
    return ok;
}

// build_rsa: integers in the fewest octets (RFC 7518 section 6.3.1), so that one key has one
// thumbprint.
static struct err build_rsa(struct jwk *k, struct json j)
{
    uint8_t n[MODULUS_MAX], e[EXPONENT_MAX];
    size_t n_len, e_len;
    TRY(member_bytes(n, sizeof n, &n_len, j, "n"));
    TRY(member_bytes(e, sizeof e, &e_len, j, "e"));
    if (n_len == 0 || n[0] == 0 || e_len == 0 || e[0] == 0) return ERR(BAD_JWK);
    return write_rsa_spki(k, slice_of(n, n_len), slice_of(e, e_len)) ? OK : ERR(BAD_JWK);
}

// has_secret: whoever sends a private key by mistake has to be told, not served.
static bool has_secret(struct json j)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (json_present(json_get(j, names[i]))) return true;
    }
    return false;
}

static struct slice tail(const struct jwk *k, size_t n)
{
    return slice_of(k->spki + k->spki_len - n, n);
}

// The canonical JSON of RFC 7638 section 3.2 is put together in a local array; all of it is ASCII
// of bounded length.
struct text {
    char p[CANONICAL_MAX];
    size_t n;
};

static void put(struct text *t, const char *s)
{
    size_t n = strlen(s);
    CHECK(n <= sizeof t->p - t->n);
    memcpy(t->p + t->n, s, n);
    t->n += n;
}

static void put_base64url(struct text *t, struct slice s)
{
    CHECK(base64url_encoded_len(s.n) <= sizeof t->p - t->n);
    base64url_encode(t->p + t->n, s);
    t->n += base64url_encoded_len(s.n);
}

static void write_ec(struct text *t, const struct jwk *k)
{
    const struct curve *curve = curve_of(k->kind.type);
    size_t n = curve->coordinate_len;
    struct slice point = tail(k, 2 * n);
    put(t, "{\"crv\":\"");
    put(t, curve->name);
    put(t, "\",\"kty\":\"EC\",\"x\":\"");
    put_base64url(t, slice_sub(point, 0, n));
    put(t, "\",\"y\":\"");
    put_base64url(t, slice_sub(point, n, n));
    put(t, "\"}");
}

static void write_okp(struct text *t, const struct jwk *k)
{
    put(t, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"");
    put_base64url(t, tail(k, 32));
    put(t, "\"}");
}

// get_integer takes an INTEGER of a checked key and drops the sign octet.
static struct slice get_integer(CBS *key)
{
    CBS integer;
    CHECK(CBS_get_asn1(key, &integer, CBS_ASN1_INTEGER));
    struct slice s = slice_of(CBS_data(&integer), CBS_len(&integer));
    return s.p[0] == 0 ? slice_sub(s, 1, s.n) : s;
}

static void write_rsa(struct text *t, const struct jwk *k)
{
    CBS in, info, bits, key;
    uint8_t unused;
    CBS_init(&in, k->spki, k->spki_len);
    CHECK(CBS_get_asn1(&in, &info, CBS_ASN1_SEQUENCE) &&
          CBS_get_asn1(&info, NULL, CBS_ASN1_SEQUENCE));
    CHECK(CBS_get_asn1(&info, &bits, CBS_ASN1_BITSTRING) && CBS_get_u8(&bits, &unused) &&
          CBS_get_asn1(&bits, &key, CBS_ASN1_SEQUENCE));
    struct slice n = get_integer(&key), e = get_integer(&key);
    put(t, "{\"e\":\"");
    put_base64url(t, e);
    put(t, "\",\"kty\":\"RSA\",\"n\":\"");
    put_base64url(t, n);
    put(t, "\"}");
}

static void write_canonical(struct text *t, const struct jwk *k)
{
    t->n = 0;
    if (k->kind.type == KEY_RSA)
        write_rsa(t, k);
    else if (k->kind.type == KEY_ED25519)
        write_okp(t, k);
    else
        write_ec(t, k);
}

// finish judges the SPKI that was built or given, and adds kind and thumbprint.
static struct err finish(struct jwk *k)
{
    struct text t;
    if (failed(public_key_kind_of(&k->kind, slice_of(k->spki, k->spki_len)))) return ERR(BAD_JWK);
    if (!public_key_size_allowed(k->kind)) return ERR(BAD_JWK);
    write_canonical(&t, k);
    SHA256((const uint8_t *)t.p, t.n, k->thumbprint);
    return OK;
}

struct err jwk_parse(struct jwk *out, struct json j)
{
    struct jwk k;
    struct slice type;
    k.spki_len = 0;
    if (failed(json_string(json_get(j, "kty"), &type)) || has_secret(j)) return ERR(BAD_JWK);
    if (slice_eq_str(type, "EC"))
        TRY(build_ec(&k, j));
    else if (slice_eq_str(type, "RSA"))
        TRY(build_rsa(&k, j));
    else if (slice_eq_str(type, "OKP"))
        TRY(build_okp(&k, j));
    else
        return ERR(BAD_JWK);
    TRY(finish(&k));
    *out = k;
    return OK;
}

struct err jwk_from_spki(struct jwk *out, struct slice spki)
{
    struct jwk k;
    k.spki_len = 0;
    if (spki.n > JWK_SPKI_MAX) return ERR(BAD_JWK);
    append(&k, spki);
    TRY(finish(&k));
    *out = k;
    return OK;
}

struct err jwk_write(struct buf *out, const struct jwk *jwk)
{
    struct text t;
    write_canonical(&t, jwk);
    return buf_add(out, slice_of(t.p, t.n));
}
