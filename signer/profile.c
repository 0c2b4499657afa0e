#include "signer/profile.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

static void list_write(char *out, size_t size, const struct config_list *list)
{
    const char *const *items = list->items;
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < list->count && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i == 0 ? "" : ",", items[i]);
}

void profile_make(struct profile *out, const struct profile_settings *s)
{
    char keys[256], names[PROFILE_TEXT_MAX - 1024];
    list_write(keys, sizeof keys, &s->key_kinds);
    list_write(names, sizeof names, &s->names);
    out->settings = s;
    out->template_version = TEMPLATE_VERSION;
    snprintf(out->text, sizeof out->text,
             "certmill "
             "profile\nname=%s\nvalidity=%lld\nbackdate=%lld\nkeys=%s\nclient_auth=%d\nno_rev_"
             "avail=%d\nnames=%s\n",
             s->name, (long long)s->validity_ms / 1000, (long long)s->backdate_ms / 1000, keys,
             s->client_auth, s->no_rev_avail, names);
    SHA256((const uint8_t *)out->text, strlen(out->text), out->hash);
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
    if (kind.type == KEY_RSA && (kind.bits < 2048 || kind.bits > 4096)) return false;
    for (size_t i = 0; i < p->settings->key_kinds.count; i++)
        if (strcmp(kinds[i], want) == 0) return true;
    return false;
}

bool profile_name_allowed(const struct profile *p, const struct identifier *name)
{
    const char *const *suffixes = p->settings->names.items;
    if (name->type != IDENTIFIER_DNS) return false; // this version signs DNS names only
    if (p->settings->names.count == 0) return true;
    for (size_t i = 0; i < p->settings->names.count; i++) {
        size_t n = strlen(suffixes[i]);
        if (name->value.n < n || memcmp(name->value.p + name->value.n - n, suffixes[i], n) != 0)
            continue;
        if (name->value.n == n || name->value.p[name->value.n - n - 1] == '.') return true;
    }
    return false;
}
