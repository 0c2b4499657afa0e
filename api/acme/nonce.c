#include "api/acme/nonce.h"

#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/text/base64url.h"

enum { BODY_LEN = 18, TAG_LEN = 16, DAY_S = 86400, SKEW_S = 60 };

static void derive(uint8_t out[NONCE_KEY_LEN], const uint8_t *key, size_t key_len,
                   const char *label, int64_t number)
{
    uint8_t text[32] = {0};
    size_t n = strlen(label);
    memcpy(text, label, n);
    for (int i = 0; i < 8; i++) text[n + (size_t)i] = (uint8_t)((uint64_t)number >> (56 - 8 * i));
    unsigned len;
    CHECK(HMAC(EVP_sha256(), key, key_len, text, n + 8, out, &len) != NULL);
}

void nonce_key_init(struct nonce_key *k, struct slice cluster_secret)
{
    derive(k->secret, cluster_secret.p, cluster_secret.n, "certmill nonce root", 0);
    k->day = -1;
}

static void day_turn(struct nonce_key *k, int64_t day)
{
    if (k->day == day) return;
    derive(k->today, k->secret, sizeof k->secret, "certmill nonce day", day);
    derive(k->yesterday, k->secret, sizeof k->secret, "certmill nonce day", day - 1);
    k->day = day;
}

static void tag(uint8_t out[TAG_LEN], const uint8_t key[NONCE_KEY_LEN],
                const uint8_t body[BODY_LEN])
{
    uint8_t full[32];
    unsigned len;
    CHECK(HMAC(EVP_sha256(), key, NONCE_KEY_LEN, body, BODY_LEN, full, &len) != NULL);
    memcpy(out, full, TAG_LEN);
}

static void put(uint8_t *out, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) out[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static uint64_t get(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

void nonce_write(char out[NONCE_TEXT_LEN + 1], struct nonce_key *k, const struct nonce *n)
{
    uint8_t bytes[NONCE_LEN];
    put(bytes, n->boot, 8);
    put(bytes + 8, n->core, 1);
    put(bytes + 9, n->counter, 5);
    put(bytes + 14, n->unix_s, 4);
    day_turn(k, n->unix_s / DAY_S);
    tag(bytes + BODY_LEN, k->today, bytes);
    base64url_encode(out, slice_of(bytes, sizeof bytes));
    out[NONCE_TEXT_LEN] = 0;
}

bool nonce_read(struct nonce *out, struct nonce_key *k, struct slice text, int64_t now_s,
                unsigned lifetime_s)
{
    struct arena a;
    struct slice s;
    uint8_t bytes[NONCE_LEN], want[TAG_LEN];
    if (text.n != NONCE_TEXT_LEN) return false;
    arena_init(&a, 256);
    bool ok = !failed(base64url_decode(&s, &a, text)) && s.n == NONCE_LEN;
    if (ok) memcpy(bytes, s.p, NONCE_LEN);
    arena_fini(&a);
    if (!ok) return false;
    struct nonce n = {.boot = get(bytes, 8),
                      .core = bytes[8],
                      .counter = get(bytes + 9, 5),
                      .unix_s = (uint32_t)get(bytes + 14, 4)};
    int64_t day = n.unix_s / DAY_S, today = now_s / DAY_S;
    if (n.unix_s > now_s + SKEW_S || n.unix_s + (int64_t)lifetime_s < now_s) return false;
    day_turn(k, day > today
                    ? day
                    : today); // a peer whose clock is a minute ahead may be in tomorrow already
    if (day != k->day && day != k->day - 1) return false;
    tag(want, day == k->day ? k->today : k->yesterday, bytes);
    if (CRYPTO_memcmp(want, bytes + BODY_LEN, TAG_LEN) != 0) return false;
    *out = n;
    return true;
}

struct err nonce_window_init(struct nonce_window *w, uint64_t boot, uint8_t core)
{
    *w = (struct nonce_window){.boot = boot, .core = core, .bits = calloc(NONCE_WINDOW / 8, 1)};
    return w->bits == NULL ? ERR(NO_SPACE) : OK;
}

void nonce_window_fini(struct nonce_window *w)
{
    free(w->bits);
    *w = (struct nonce_window){0};
}

uint64_t nonce_window_issue(struct nonce_window *w)
{
    uint64_t counter = w->next++;
    size_t bit = counter % NONCE_WINDOW;
    w->bits[bit / 8] &= (uint8_t) ~(
        1u << (bit % 8)); // the counter that had this bit has left the window
    return counter;
}

enum nonce_verdict nonce_window_redeem(struct nonce_window *w, uint64_t counter)
{
    if (counter >= w->next || w->next - counter > NONCE_WINDOW) return NONCE_UNKNOWN;
    size_t bit = counter % NONCE_WINDOW;
    uint8_t mask = (uint8_t)(1u << (bit % 8));
    if (w->bits[bit / 8] & mask) return NONCE_USED;
    w->bits[bit / 8] |= mask;
    return NONCE_OK;
}
