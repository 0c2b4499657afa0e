#include "api/acme/limits.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/sha.h>
#include <stdio.h>

#include "api/events.h"
#include "cluster/core/address.h"
#include "proto/err.h"

enum { RETRY_AFTER_MAX_S = 60, SUBJECT_TEXT_MAX = 80 }; // clients.md 58

struct limits {
    struct request *r;
    struct rate_item *items;
    const struct limit_settings **of;
    struct slice *subjects; // for people
    size_t count, size;
    struct store_rate_take take;
    struct store_account_get account;
    struct slice kid;
    void (*next)(struct request *r, void *ctx);
    void *ctx;
};

// ---- what is counted

struct slice limits_name_end(struct slice name, unsigned labels)
{
    if (slice_starts(name, SLICE_LIT("*."))) name = slice_sub(name, 2, name.n);
    for (size_t i = name.n; i > 0; i--)
        if (name.p[i - 1] == '.' && --labels == 0) return slice_sub(name, i, name.n);
    return name;
}

bool limits_block(char out[LIMITS_BLOCK_MAX], const struct sockaddr *address,
                  const struct limit_settings *l)
{
    uint8_t b[16];
    char text[INET6_ADDRSTRLEN];
    if (!address_bytes(b, address)) return false;
    bool v4 = address_is_ipv4(b);
    unsigned bits = (unsigned)(v4 ? l->v4_bits : l->v6_bits), from = v4 ? 12 : 0;
    for (unsigned i = 0; i < 16 - from; i++) {
        unsigned kept = bits <= i * 8 ? 0 : bits - i * 8 >= 8 ? 8 : bits - i * 8;
        b[from + i] &= (uint8_t)(0xff00 >> kept);
    }
    inet_ntop(v4 ? AF_INET : AF_INET6, b + from, text, sizeof text);
    snprintf(out, LIMITS_BLOCK_MAX, "%s/%u", text, bits);
    return true;
}

// key_of: a limit that was changed counts anew.
static struct id key_of(const struct request *r, const struct limit_settings *l,
                        struct slice subject)
{
    char head[256];
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct id key;
    SHA256_CTX c;
    int n = snprintf(head, sizeof head, "certmill rate limit\n%s\n%d %d %lld %lld %lld\n",
                     r->tenant->settings->name, l->what, l->by, (long long)l->count,
                     (long long)l->per_ms, (long long)(l->by == LIMIT_BY_NAME ? l->labels : 0));
    SHA256_Init(&c);
    SHA256_Update(&c, head, (size_t)n);
    SHA256_Update(&c, subject.p, subject.n);
    SHA256_Final(digest, &c);
    memcpy(key.b, digest, sizeof key.b);
    return key;
}

static struct rate_item item_of(const struct request *r, const struct limit_settings *l,
                                struct slice subject, enum rate_how how)
{
    int64_t step_us = l->per_ms * 1000 / l->count;
    return (struct rate_item){key_of(r, l, subject), step_us, step_us * l->count, how};
}

static const struct limit_settings *limit_at(const struct request *r, size_t i)
{
    return &((const struct limit_settings *)r->tenant->settings->limits.items)[i];
}

static void add(struct limits *m, const struct limit_settings *l, struct slice subject,
                enum rate_how how)
{
    struct rate_item item = item_of(m->r, l, subject, how);
    for (size_t i = 0; i < m->count; i++)
        if (id_eq(&m->items[i].key, &item.key)) return;
    CHECK(m->count < m->size);
    m->items[m->count] = item;
    m->of[m->count] = l;
    m->subjects[m->count++] = subject;
}

// one_add adds what is counted once for a request.
static void one_add(struct limits *m, const struct limit_settings *l, enum rate_how how)
{
    struct request *r = m->r;
    char block[LIMITS_BLOCK_MAX];
    if (l->by == LIMIT_BY_ACCOUNT)
        add(m, l, slice_of(r->account.b, sizeof r->account.b), how);
    else if (l->by == LIMIT_BY_EAB_KEY && m->kid.n > 0)
        add(m, l, m->kid, how);
    else if (l->by == LIMIT_BY_ADDRESS && limits_block(block, (const struct sockaddr *)&r->peer, l))
        add(m, l, slice_str(arena_printf(request_arena(r), "%s", block)), how);
}

size_t limits_failed(struct rate_item out[LIMITS_MAX], const struct request *r,
                     const struct identifier *id)
{
    size_t n = 0;
    for (size_t i = 0; i < r->tenant->settings->limits.count; i++) {
        const struct limit_settings *l = limit_at(r, i);
        struct slice subject = SLICE_NONE;
        if (l->what != LIMIT_FAILED_VALIDATION) continue;
        if (l->by == LIMIT_BY_ACCOUNT) subject = slice_of(r->account.b, sizeof r->account.b);
        if (l->by == LIMIT_BY_EAB_KEY) subject = slice_str(r->eab_kid);
        if (l->by == LIMIT_BY_NAME && id->type == IDENTIFIER_DNS)
            subject = limits_name_end(id->value, (unsigned)l->labels);
        if (subject.n > 0) out[n++] = item_of(r, l, subject, RATE_CHARGE);
    }
    return n;
}

// ---- the answer

static const char *subject_text(const struct limits *m, const struct limit_settings *l,
                                struct slice subject)
{
    static const char *const others[] = {
        [LIMIT_BY_ACCOUNT] = "for this account",
        [LIMIT_BY_EAB_KEY] = "for this external account binding key"};
    int n = subject.n > SUBJECT_TEXT_MAX ? SUBJECT_TEXT_MAX : (int)subject.n;
    if (l->by == LIMIT_BY_ACCOUNT || l->by == LIMIT_BY_EAB_KEY) return others[l->by];
    return arena_printf(request_arena(m->r), "%s %.*s",
                        l->by == LIMIT_BY_ADDRESS ? "from" : "at or below", n,
                        (const char *)subject.p);
}

static void refuse(struct limits *m, size_t i, int64_t until_us)
{
    static const char *const whats[] = {[LIMIT_NEW_ACCOUNT] = "new accounts",
                                        [LIMIT_NEW_ORDER] = "new orders",
                                        [LIMIT_FAILED_VALIDATION] = "failed validations"};
    struct request *r = m->r;
    const struct limit_settings *l = m->of[i];
    char time[TIME_TEXT_LEN + 1];
    int64_t wait_s = (until_us - edge_db_now_us(r->edge)) / 1000000 + 1;
    request_time(time, until_us / 1000000 + 1);
    r->retry_after = wait_s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S
                     : wait_s < 1               ? 1
                                                : (unsigned)wait_s;
    r->link_help = r->tenant->settings->website; // RFC 8555 section 6.6
    edge_count(r->edge, &METRIC_RATE_LIMITED);
    request_fail(r, PROBLEM_RATE_LIMITED,
                 "too many %s %s: the limit is %lld in %lld s; there is room again at %s",
                 whats[l->what], subject_text(m, l, m->subjects[i]), (long long)l->count,
                 (long long)(l->per_ms + 999) / 1000, time);
}

static void on_taken(struct store_cmd *cmd, struct err err)
{
    struct limits *m = LIST_OWNER(LIST_OWNER(cmd, struct store_rate_take, cmd), struct limits,
                                  take);
    request_stage(m->r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(m->r, err);
    else if (!m->take.taken)
        refuse(m, m->take.refused, m->take.until_us);
    else
        m->next(m->r, m->ctx);
}

static void take(struct limits *m)
{
    struct request *r = m->r;
    if (m->count == 0) {
        m->next(r, m->ctx);
    } else {
        m->take = (struct store_rate_take){.cmd = {.done = on_taken, .arena = request_arena(r)},
                                           .items = m->items,
                                           .count = m->count};
        store_rate_take(r->edge->store, &m->take);
    }
}

// limits_make is NULL where nothing of it is limited (then `next` has run), or without memory.
static struct limits *limits_make(struct request *r, unsigned whats, struct slice kid, size_t names,
                                  void (*next)(struct request *r, void *ctx), void *ctx)
{
    _Static_assert(LIMITS_MAX * (IDENTIFIER_COUNT_MAX + 1) <= RATE_ITEMS_MAX, "they fit");
    struct arena *a = request_arena(r);
    bool any = false;
    for (size_t i = 0; i < r->tenant->settings->limits.count; i++)
        any |= (whats & 1u << limit_at(r, i)->what) != 0;
    struct limits *m = any ? REQUEST_NEW(r, struct limits) : NULL;
    if (!any) next(r, ctx);
    if (m == NULL) return NULL;
    m->size = r->tenant->settings->limits.count * (names + 1);
    m->items = ARENA_ARRAY(a, struct rate_item, m->size);
    m->of = ARENA_ARRAY(a, const struct limit_settings *, m->size);
    m->subjects = ARENA_ARRAY(a, struct slice, m->size);
    if (m->items == NULL || m->of == NULL || m->subjects == NULL) {
        request_fail_err(r, ERR(NO_SPACE));
        return NULL;
    }
    m->r = r;
    m->kid = kid;
    m->next = next;
    m->ctx = ctx;
    return m;
}

void limits_new_order(struct request *r, const struct identifier *ids, size_t count,
                      void (*next)(struct request *r, void *ctx), void *ctx)
{
    struct limits *m = limits_make(r, 1u << LIMIT_NEW_ORDER | 1u << LIMIT_FAILED_VALIDATION,
                                   slice_str(r->eab_kid), count, next, ctx);
    if (m == NULL) return;
    for (size_t i = 0; i < r->tenant->settings->limits.count; i++) {
        const struct limit_settings *l = limit_at(r, i);
        enum rate_how how = l->what == LIMIT_NEW_ORDER ? RATE_TAKE : RATE_LOOK;
        if (l->what == LIMIT_NEW_ACCOUNT) continue;
        one_add(m, l, how);
        for (size_t k = 0; l->by == LIMIT_BY_NAME && k < count; k++)
            if (ids[k].type == IDENTIFIER_DNS)
                add(m, l, limits_name_end(ids[k].value, (unsigned)l->labels), how);
    }
    take(m);
}

static void on_account(struct store_cmd *cmd, struct err err)
{
    struct limits *m = LIST_OWNER(LIST_OWNER(cmd, struct store_account_get, cmd), struct limits,
                                  account);
    request_stage(m->r, &METRIC_STAGE_STORE);
    if (failed(err))
        request_fail_err(m->r, err);
    else if (m->account.found) // no new one
        m->next(m->r, m->ctx);
    else
        take(m);
}

void limits_new_account(struct request *r, struct slice kid,
                        void (*next)(struct request *r, void *ctx), void *ctx)
{
    struct limits *m = limits_make(r, 1u << LIMIT_NEW_ACCOUNT, kid, 0, next, ctx);
    if (m == NULL) return;
    for (size_t i = 0; i < r->tenant->settings->limits.count; i++)
        if (limit_at(r, i)->what == LIMIT_NEW_ACCOUNT) one_add(m, limit_at(r, i), RATE_TAKE);
    m->account = (struct store_account_get){.cmd = {.done = on_account, .arena = request_arena(r)},
                                            .tenant = slice_str(r->tenant->settings->name)};
    memcpy(m->account.thumbprint, r->key.thumbprint, sizeof m->account.thumbprint);
    store_account_get(r->edge->store, &m->account);
}
