#include "api/acme/nonce.h"

#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <stdlib.h>
#include <string.h>

#include "api/err.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

enum { BODY_LEN = 18, TAG_LEN = 16, DAY_S = 86400 };

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
    uint8_t bytes[NONCE_LEN], want[TAG_LEN];
    size_t len;
    if (text.n != NONCE_TEXT_LEN ||
        failed(base64url_decode_into(bytes, sizeof bytes, &len, text)) || len != NONCE_LEN)
        return false;
    struct nonce n = {.boot = get(bytes, 8),
                      .core = bytes[8],
                      .counter = get(bytes + 9, 5),
                      .unix_s = (uint32_t)get(bytes + 14, 4)};
    int64_t day = n.unix_s / DAY_S, today = now_s / DAY_S;
    if (n.unix_s > now_s + NONCE_SKEW_S || n.unix_s + (int64_t)lifetime_s < now_s) return false;
    // A peer whose clock is a minute ahead may be in tomorrow already.
    day_turn(k, day > today ? day : today);
    if (day != k->day && day != k->day - 1) return false;
    tag(want, day == k->day ? k->today : k->yesterday, bytes);
    if (CRYPTO_memcmp(want, bytes + BODY_LEN, TAG_LEN) != 0) return false;
    *out = n;
    return true;
}

static struct err window_make(struct nonce_window *w, uint64_t boot, uint8_t core, uint64_t size)
{
    uint8_t *bits = calloc((size + 7) / 8 + 1, 1);
    if (bits == NULL) return ERR(NO_SPACE);
    *w = (struct nonce_window){.boot = boot, .core = core, .size = size, .bits = bits};
    return OK;
}

struct err nonce_window_init(struct nonce_window *w, uint64_t boot, uint8_t core)
{
    return window_make(w, boot, core, NONCE_WINDOW);
}

void nonce_window_fini(struct nonce_window *w)
{
    free(w->bits);
    *w = (struct nonce_window){0};
}

uint64_t nonce_window_issue(struct nonce_window *w)
{
    uint64_t counter = w->next++;
    size_t bit = counter % w->size;
    // The counter that had this bit has left the window.
    w->bits[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
    return counter;
}

enum nonce_verdict nonce_window_redeem(struct nonce_window *w, uint64_t counter)
{
    if (counter >= w->next || w->next - counter > w->size) return NONCE_UNKNOWN;
    size_t bit = counter % w->size;
    uint8_t mask = (uint8_t)(1u << (bit % 8));
    if (w->bits[bit / 8] & mask) return NONCE_USED;
    w->bits[bit / 8] |= mask;
    return NONCE_OK;
}

// window_size is how many counters a window covers that has issued `next`. Below NONCE_WINDOW the
// counters are the bits' places, so a prefix of the bitmap is a bitmap of that size.
static uint64_t window_size(uint64_t next) { return next < NONCE_WINDOW ? next : NONCE_WINDOW; }

struct slice nonce_window_bits(const struct nonce_window *w)
{
    return slice_of(w->bits, (window_size(w->next) + 7) / 8);
}

struct err nonce_window_adopt(struct nonce_window *w, uint64_t boot, uint8_t core, uint64_t next,
                              struct slice bits)
{
    uint64_t size = window_size(next);
    if (size == 0 || next >> 40 != 0 || bits.n != (size + 7) / 8) return ERR(BAD_NONCE_WINDOW);
    TRY(window_make(w, boot, core, size));
    w->next = next;
    memcpy(w->bits, bits.p, bits.n);
    return OK;
}
