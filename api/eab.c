#include "api/eab.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/aead.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include "api/err.h"
#include "cluster/core/address.h"
#include "proto/err.h"
#include "proto/text/json.h"

enum { KEY_LEN = 32, NONCE_LEN = 12, TAG_LEN = 16, VERSION = 1, NAME_MAX_LEN = 256 };
static const char label[] = "certmill eab secret 1";

size_t eab_secret_len(uint32_t algorithms)
{
    return (algorithms & EAB_HS512) != 0 ? 64 : (algorithms & EAB_HS384) != 0 ? 48 : 32;
}

// ---- the seal: version, nonce, ciphertext with tag

static bool aead_init(EVP_AEAD_CTX *ctx, struct slice cluster_secret)
{
    uint8_t key[KEY_LEN];
    bool ok = HKDF(key, sizeof key, EVP_sha256(), cluster_secret.p, cluster_secret.n, NULL, 0,
                   (const uint8_t *)label, sizeof label - 1) == 1 &&
              EVP_AEAD_CTX_init(ctx, EVP_aead_aes_256_gcm(), key, sizeof key, TAG_LEN, NULL) == 1;
    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

// owner_name is what the seal is bound to: no tenant's name holds a NUL.
static struct slice owner_name(uint8_t out[NAME_MAX_LEN], struct slice tenant, struct slice kid)
{
    if (tenant.n + 1 + kid.n > NAME_MAX_LEN) return SLICE_NONE;
    memcpy(out, tenant.p, tenant.n);
    out[tenant.n] = 0;
    memcpy(out + tenant.n + 1, kid.p, kid.n);
    return slice_of(out, tenant.n + 1 + kid.n);
}

struct err eab_seal(struct slice *out, struct arena *a, struct slice cluster_secret,
                    struct slice tenant, struct slice kid, struct slice secret)
{
    EVP_AEAD_CTX ctx;
    uint8_t name[NAME_MAX_LEN];
    struct slice owner = owner_name(name, tenant, kid);
    size_t n, room = secret.n + TAG_LEN;
    uint8_t *p = arena_alloc(a, 1 + NONCE_LEN + room);
    if (p == NULL || owner.n == 0) return ERR(NO_SPACE);
    EVP_AEAD_CTX_zero(&ctx);
    p[0] = VERSION;
    RAND_bytes(p + 1, NONCE_LEN);
    bool ok = aead_init(&ctx, cluster_secret) &&
              EVP_AEAD_CTX_seal(&ctx, p + 1 + NONCE_LEN, &n, room, p + 1, NONCE_LEN, secret.p,
                                secret.n, owner.p, owner.n) == 1;
    EVP_AEAD_CTX_cleanup(&ctx);
    if (!ok) return ERR(CRYPTO);
    *out = slice_of(p, 1 + NONCE_LEN + n);
    return OK;
}

struct err eab_open(struct slice *out, struct arena *a, struct slice cluster_secret,
                    struct slice tenant, struct slice kid, struct slice sealed)
{
    EVP_AEAD_CTX ctx;
    uint8_t name[NAME_MAX_LEN];
    struct slice owner = owner_name(name, tenant, kid);
    size_t n, head = 1 + NONCE_LEN;
    if (sealed.n < head + TAG_LEN || sealed.p[0] != VERSION || owner.n == 0) return ERR(EAB_SEALED);
    uint8_t *p = arena_alloc(a, sealed.n);
    if (p == NULL) return ERR(NO_SPACE);
    EVP_AEAD_CTX_zero(&ctx);
    bool ok = aead_init(&ctx, cluster_secret) &&
              EVP_AEAD_CTX_open(&ctx, p, &n, sealed.n, sealed.p + 1, NONCE_LEN, sealed.p + head,
                                sealed.n - head, owner.p, owner.n) == 1;
    EVP_AEAD_CTX_cleanup(&ctx);
    if (!ok) return ERR(EAB_SEALED);
    *out = slice_of(p, n);
    return OK;
}

// ---- names

const char *eab_kid_wrong(struct slice kid)
{
    bool ok = kid.n >= 1 && kid.n <= EAB_KID_MAX;
    for (size_t i = 0; ok && i < kid.n; i++) {
        uint8_t c = kid.p[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             (c != 0 && strchr("-_.", c) != NULL);
    }
    return ok ? NULL : "is no key id; expected 1 to 64 letters, digits, '-', '_' and '.'";
}

static bool is_range(struct slice entry)
{
    struct address_range ignored;
    return !failed(address_range_parse(&ignored, entry));
}

const char *eab_identifier_wrong(struct arena *a, struct slice entry)
{
    struct slice name,
        bare = entry.n > 0 && entry.p[0] == '.' ? slice_sub(entry, 1, entry.n) : entry;
    if (is_range(entry)) return NULL;
    if (!failed(dns_name_canonical(&name, a, bare, false)) && slice_eq(name, bare)) return NULL;
    return "is neither a DNS name in lower case (corp.test: it and all names below it; .corp.test: "
           "those below it only) nor a range of addresses (10.0.0.0/8)";
}

// ---- what a key allows

static bool name_below(struct slice name, struct slice entry)
{
    bool only_below = entry.n > 0 && entry.p[0] == '.';
    if (!only_below && slice_eq(name, entry)) return true;
    struct slice suffix = only_below ? slice_sub(entry, 1, entry.n) : entry;
    return name.n > suffix.n + 1 && name.p[name.n - suffix.n - 1] == '.' &&
           slice_eq(slice_sub(name, name.n - suffix.n, suffix.n), suffix);
}

static bool address_within(struct slice value, struct slice entry)
{
    struct address_range range;
    return !failed(address_range_parse(&range, entry)) && address_range_has_octets(&range, value);
}

bool eab_allows(const struct eab_row *key, struct arena *a, const struct identifier *id)
{
    struct json list;
    if (failed(json_parse(&list, a, key->identifiers)) || !json_is_array(list)) return false;
    bool allowed = json_size(list) == 0;
    for (size_t i = 0; i < json_size(list) && !allowed; i++) {
        struct slice entry;
        if (failed(json_string(json_at(list, i), &entry))) return false;
        allowed = id->type == IDENTIFIER_IP ? address_within(id->value, entry)
                                            : !is_range(entry) && name_below(id->value, entry);
    }
    return allowed;
}

bool eab_allows_profile(const struct eab_row *key, struct arena *a, struct slice profile)
{
    struct json list;
    if (failed(json_parse(&list, a, key->profiles)) || !json_is_array(list)) return false;
    bool allowed = json_size(list) == 0;
    for (size_t i = 0; i < json_size(list) && !allowed; i++) {
        struct slice entry;
        allowed = !failed(json_string(json_at(list, i), &entry)) && slice_eq(entry, profile);
    }
    return allowed;
}
