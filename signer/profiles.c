#include "signer/profiles.h"

#include <stdlib.h>

#include "cluster/core/address.h"
#include "proto/err.h"

enum { ARENA_MAX = 4 << 20 };

struct profiles_generation {
    struct profiles_generation *older;
    struct arena arena;
    struct profile *profiles;
    size_t count;
    int64_t until_s; // the end of its time; of the newest: none yet
};

static void generation_free(struct profiles_generation *g)
{
    arena_fini(&g->arena);
    free(g);
}

// old_free frees what nobody may ask for any more.
static void old_free(struct profiles *p, int64_t now_s)
{
    struct profiles_generation **at = p->newest == NULL ? &p->newest : &p->newest->older;
    while (*at != NULL) {
        struct profiles_generation *g = *at;
        if (now_s <= g->until_s) {
            at = &g->older;
            continue;
        }
        *at = g->older;
        generation_free(g);
        p->count--;
    }
}

static const char *text_copy(struct arena *a, const char *text, bool *ok)
{
    struct slice copy = SLICE_NONE;
    *ok = *ok && !failed(arena_dup(&copy, a, slice_str(text)));
    return (const char *)copy.p;
}

static struct config_list list_copy(struct arena *a, const struct config_list *list, bool *ok)
{
    const char *const *from = list->items;
    const char **to = ARENA_ARRAY(a, const char *, list->count + 1);
    *ok = *ok && to != NULL;
    for (size_t i = 0; *ok && i < list->count; i++) to[i] = text_copy(a, from[i], ok);
    return (struct config_list){to, list->count};
}

static struct config_list networks_copy(struct arena *a, const struct config_list *list, bool *ok)
{
    struct address_range *to = ARENA_ARRAY(a, struct address_range, list->count + 1);
    *ok = *ok && to != NULL;
    if (*ok && list->count > 0) memcpy(to, list->items, list->count * sizeof *to);
    return (struct config_list){to, list->count};
}

static struct config_list issuers_copy(struct arena *a, const struct config_list *list, bool *ok)
{
    struct issuer_settings *to = ARENA_ARRAY(a, struct issuer_settings, list->count + 1);
    *ok = *ok && to != NULL;
    if (*ok && list->count > 0) memcpy(to, list->items, list->count * sizeof *to);
    return (struct config_list){to, list->count};
}

static bool profile_copy(struct profile *out, struct arena *a, const struct profile_settings *from)
{
    bool ok = true;
    struct profile_settings *s = ARENA_NEW(a, struct profile_settings);
    if (s == NULL) return false;
    *s = *from;
    s->name = text_copy(a, from->name, &ok);
    s->text = text_copy(a, from->text, &ok);
    s->crl_url = text_copy(a, from->crl_url, &ok);
    s->key_kinds = list_copy(a, &from->key_kinds, &ok);
    s->names = list_copy(a, &from->names, &ok);
    s->issuers = issuers_copy(a, &from->issuers, &ok);
    s->networks = networks_copy(a, &from->networks, &ok);
    if (ok) profile_make(out, s);
    return ok;
}

static struct profiles_generation *generation_new(const struct signer_settings *settings)
{
    const struct profile_settings *each = settings->profiles.items;
    struct profiles_generation *g = calloc(1, sizeof *g);
    if (g == NULL) return NULL;
    arena_init(&g->arena, ARENA_MAX);
    g->until_s = INT64_MAX;
    g->count = settings->profiles.count;
    g->profiles = ARENA_ARRAY(&g->arena, struct profile, g->count + 1);
    bool ok = g->profiles != NULL;
    for (size_t i = 0; ok && i < g->count; i++)
        ok = profile_copy(&g->profiles[i], &g->arena, &each[i]);
    if (ok) return g;
    generation_free(g);
    return NULL;
}

static bool same_weights(const struct profile *a, const struct profile *b)
{
    const struct config_list *x = &a->settings->issuers, *y = &b->settings->issuers;
    return x->count == y->count &&
           (x->count == 0 ||
            memcmp(x->items, y->items, x->count * sizeof(struct issuer_settings)) == 0);
}

// same: hashes, and the weights and sentences for people, which no hash covers.
static bool same(const struct profiles_generation *a, const struct profiles_generation *b)
{
    if (a == NULL || a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (memcmp(a->profiles[i].hash, b->profiles[i].hash, HASH_LEN) != 0 ||
            strcmp(a->profiles[i].settings->text, b->profiles[i].settings->text) != 0 ||
            !same_weights(&a->profiles[i], &b->profiles[i]))
            return false;
    return true;
}

struct err profiles_take(struct profiles *p, const struct signer_settings *settings, int64_t now_s)
{
    struct profiles_generation *g = generation_new(settings);
    if (g == NULL) return ERR(NO_SPACE);
    old_free(p, now_s);
    if (same(p->newest, g) || p->count == PROFILES_GENERATIONS_MAX) {
        bool full = !same(p->newest, g);
        generation_free(g);
        return full ? ERR(POOL_FULL) : OK;
    }
    if (p->newest != NULL) p->newest->until_s = now_s + PROFILES_KEPT_S;
    g->older = p->newest;
    p->newest = g;
    p->count++;
    return OK;
}

void profiles_fini(struct profiles *p)
{
    for (struct profiles_generation *g; (g = p->newest) != NULL;) {
        p->newest = g->older;
        generation_free(g);
    }
    *p = (struct profiles){0};
}

const struct profile *profiles_current(const struct profiles *p, size_t *out_count)
{
    *out_count = p->newest == NULL ? 0 : p->newest->count;
    return p->newest == NULL ? NULL : p->newest->profiles;
}

const struct profile *profiles_find(const struct profiles *p, bool *out_known, struct slice name,
                                    const uint8_t hash[HASH_LEN], uint32_t template_version,
                                    int64_t now_s)
{
    *out_known = false;
    for (const struct profiles_generation *g = p->newest; g != NULL; g = g->older) {
        if (now_s > g->until_s) continue;
        for (size_t i = 0; i < g->count; i++) {
            const struct profile *each = &g->profiles[i];
            if (!slice_eq_str(name, each->settings->name)) continue;
            *out_known |= g == p->newest;
            if (memcmp(each->hash, hash, HASH_LEN) == 0 &&
                each->template_version == template_version)
                return each;
        }
    }
    return NULL;
}
