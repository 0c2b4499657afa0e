#include "signer/profile.h"

#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cluster/core/address.h"

static void add(SHA256_CTX *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(SHA256_CTX *h, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    CHECK(n >= 0 && (size_t)n < sizeof text); // the settings' bounds are below
    SHA256_Update(h, text, (size_t)n);
}

static void add_list(SHA256_CTX *h, const char *key, const struct config_list *list)
{
    const char *const *items = list->items;
    add(h, "%s=", key);
    for (size_t i = 0; i < list->count; i++) add(h, "%s%s", i == 0 ? "" : ",", items[i]);
    add(h, "\n");
}

// add_networks adds nothing where there are none, so that a profile without addresses is the same
// one that it was before there were any.
static void add_networks(SHA256_CTX *h, const struct config_list *list)
{
    const struct address_range *ranges = list->items;
    for (size_t i = 0; i < list->count; i++) {
        char text[ADDRESS_TEXT_MAX];
        address_range_text(text, &ranges[i]);
        add(h, "%s%s%s", i == 0 ? "networks=" : ",", text, i + 1 == list->count ? "\n" : "");
    }
}

bool profile_has_crl(const struct profile *p)
{
    return p->settings->crl_url != NULL && p->settings->crl_url[0] != 0;
}

void crl_uri(char out[CRL_URI_MAX], const char *base, uint16_t issuer, uint32_t shard)
{
    int n = snprintf(out, CRL_URI_MAX, "%s/%u/%u.crl", base, issuer, shard);
    CHECK(n > 0 && n < CRL_URI_MAX); // the settings' bounds are below
}

void profile_make(struct profile *out, const struct profile_settings *s)
{
    SHA256_CTX h;
    out->settings = s;
    out->template_version = profile_has_crl(out) ? TEMPLATE_VERSION_CRL : TEMPLATE_VERSION;
    SHA256_Init(&h);
    add(&h, "certmill profile\nname=%s\nvalidity=%lld\nbackdate=%lld\n", s->name,
        (long long)s->validity_ms / 1000, (long long)s->backdate_ms / 1000);
    add_list(&h, "keys", &s->key_kinds);
    add(&h, "client_auth=%d\nno_rev_avail=%d\nwildcards=%d\n", s->client_auth, s->no_rev_avail,
        s->wildcards);
    add_list(&h, "names", &s->names);
    add_networks(&h, &s->networks);
    // Weights are not in it: they say where new orders go, and not what is signed.
    const struct issuer_settings *issuers = s->issuers.items;
    for (size_t i = 0; i < s->issuers.count; i++)
        add(&h, "issuer=%lld\n", (long long)issuers[i].id);
    if (profile_has_crl(out)) // what has none has the hash that it had before there were any
        add(&h, "crl_url=%s\ncrl_parts=%lld\n", s->crl_url, (long long)s->crl_parts);
    SHA256_Final(out->hash, &h);
}

bool profile_issuer_at(const struct profile *p, size_t i, struct issuer_settings *out)
{
    const struct config_list *list = &p->settings->issuers;
    static const struct issuer_settings first = {1, 1};
    if (i >= list->count && (list->count > 0 || i > 0)) return false;
    *out = list->count == 0 ? first : ((const struct issuer_settings *)list->items)[i];
    return true;
}

bool profile_issuer_allowed(const struct profile *p, uint32_t id)
{
    struct issuer_settings each;
    for (size_t i = 0; profile_issuer_at(p, i, &each); i++)
        if (each.id == id) return true;
    return false;
}

bool profile_key_allowed(const struct profile *p, struct public_key_kind kind)
{
    const char *const *kinds = p->settings->key_kinds.items;
    const char *want = kind.type == KEY_P256      ? "P-256"
                       : kind.type == KEY_P384    ? "P-384"
                       : kind.type == KEY_P521    ? "P-521"
                       : kind.type == KEY_ED25519 ? "Ed25519"
                       : kind.type == KEY_RSA     ? "RSA-2048"
                                                  : "";
    if (!public_key_size_allowed(kind)) return false;
    for (size_t i = 0; i < p->settings->key_kinds.count; i++)
        if (strcmp(kinds[i], want) == 0) return true;
    return false;
}

bool name_below_any(const struct config_list *list, struct slice name)
{
    const char *const *suffixes = list->items;
    for (size_t i = 0; i < list->count; i++) {
        size_t n = strlen(suffixes[i]);
        if (name.n < n || memcmp(name.p + name.n - n, suffixes[i], n) != 0) continue;
        if (name.n == n || name.p[name.n - n - 1] == '.') return true;
    }
    return list->count == 0;
}

bool address_in_any(const struct config_list *list, struct slice octets)
{
    const struct address_range *networks = list->items;
    for (size_t i = 0; i < list->count; i++)
        if (address_range_has_octets(&networks[i], octets)) return true;
    return false;
}

bool profile_name_allowed(const struct profile *p, const struct identifier *name)
{
    if (name->type == IDENTIFIER_IP) return address_in_any(&p->settings->networks, name->value);
    bool wildcard = slice_starts(name->value, SLICE_LIT("*."));
    return name->type == IDENTIFIER_DNS && (!wildcard || p->settings->wildcards) &&
           name_below_any(&p->settings->names, name->value);
}
