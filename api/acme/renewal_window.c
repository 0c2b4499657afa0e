#include "api/acme/renewal_window.h"

#include <openssl/sha.h>
#include <string.h>

enum {
    WIDTH_PART = 32, // a window is this part of the life: 45 minutes of a day
    WIDTH_MIN_S = 2, // clients refuse windows of a second (clients.md 53)
    OVER_S = 60,
    MOVED_PART = 16,       // of a rule's span
    POLL_PART = 24,        // of the life
    POLL_MIN_S = 3600,     // clients.md 53
    POLL_MAX_S = 6 * 3600, // the same
    POLL_SHORT_PART = 8,   // for lives of a few hours
    SPREAD_PART = 10       // of a wait
};

// hash64 is a number that is evenly distributed over serials, one for each purpose.
static uint64_t hash64(const char *purpose, const uint8_t serial[SERIAL_LEN])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint64_t n = 0;
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, purpose, strlen(purpose) + 1);
    SHA256_Update(&c, serial, SERIAL_LEN);
    SHA256_Final(digest, &c);
    for (size_t i = 0; i < 8; i++) n = n << 8 | digest[i];
    return n;
}

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

// place is a second in 0..room that the hash chooses: 0 for no room.
static int64_t place(uint64_t hash, int64_t room)
{
    if (room <= 0) return 0;
    return (int64_t)((unsigned __int128)hash * ((uint64_t)room + 1) >> 64);
}

struct renewal_window renewal_window_of(const uint8_t serial[SERIAL_LEN], int64_t not_before,
                                        int64_t not_after)
{
    int64_t life = max64(not_after - not_before + 1, 1);
    int64_t from = (life + 1) / 2, until = (2 * life - 1) / 3; // from half to before two thirds
    int64_t width = max64(life / WIDTH_PART, WIDTH_MIN_S);
    int64_t start = not_before + from +
                    place(hash64("certmill renewal window", serial), until - width - from);
    return (struct renewal_window){start, start + width};
}

struct renewal_window renewal_window_moved(const uint8_t serial[SERIAL_LEN],
                                           struct renewal_window usual, int64_t from, int64_t until,
                                           int64_t not_after)
{
    int64_t span = max64(until - from, WIDTH_MIN_S), width = max64(span / MOVED_PART, WIDTH_MIN_S);
    int64_t start = from + place(hash64("certmill renewal moved", serial), span - width);
    if (start >= usual.start) return usual;
    int64_t end = min64(start + width, max64(not_after, start + WIDTH_MIN_S));
    return (struct renewal_window){start, end};
}

struct renewal_window renewal_window_over(int64_t revoked_at)
{
    return (struct renewal_window){revoked_at - OVER_S, revoked_at};
}

unsigned renewal_poll_s(const uint8_t serial[SERIAL_LEN], int64_t not_before, int64_t not_after)
{
    int64_t life = max64(not_after - not_before + 1, 1);
    int64_t wait = min64(max64(life / POLL_PART, POLL_MIN_S), POLL_MAX_S);
    wait = max64(min64(wait, life / POLL_SHORT_PART), 1);
    int64_t spread = place(hash64("certmill renewal poll", serial), wait / SPREAD_PART);
    return (unsigned)(wait < POLL_MAX_S ? wait + spread : wait - spread);
}
