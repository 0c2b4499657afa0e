#include "api/secrets.h"

#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "cluster/core/files.h"
#include "cluster/err.h"
#include "proto/err.h"
#include "store/store.h"

enum { TICKET_PART = TLS_TICKET_KEY_LEN / 2 };

// ---- the cluster secret

static struct err cluster_secret(struct secrets *s, char *note, size_t note_size, const char *path)
{
    struct arena a;
    struct slice text = SLICE_NONE;
    char why[FILES_NOTE_MAX];
    arena_init(&a, 2 * FILE_SIZE_MAX);
    struct err e = file_read(&text, &a, why, AT_FDCWD, path);
    if (failed(e)) {
        snprintf(note, note_size, "%.400s", why);
        e = ERR(BAD_CONFIG);
    } else if (text.n < SECRET_FILE_MIN) {
        snprintf(note, note_size,
                 "%s holds fewer than %d bytes: make it with `openssl rand -hex 32`, the same for "
                 "every front end",
                 path, SECRET_FILE_MIN);
        e = ERR(BAD_CONFIG);
    }
    if (!failed(e)) SHA256(text.p, text.n, s->cluster);
    OPENSSL_cleanse((uint8_t *)(uintptr_t)text.p, text.n);
    arena_fini(&a);
    return e;
}

static void ticket_key(uint8_t out[TLS_TICKET_KEY_LEN], const uint8_t secret[SECRET_LEN],
                       int64_t hour)
{
    char label[64];
    uint8_t mac[SHA256_DIGEST_LENGTH];
    unsigned len;
    for (size_t part = 0; part < 2; part++) {
        int n = snprintf(label, sizeof label, "certmill ticket %lld %zu", (long long)hour, part);
        CHECK(HMAC(EVP_sha256(), secret, SECRET_LEN, (const uint8_t *)label, (size_t)n, mac,
                   &len) != NULL);
        memcpy(out + part * TICKET_PART, mac, TICKET_PART);
    }
    OPENSSL_cleanse(mac, sizeof mac);
}

void secrets_tickets_set(const struct secrets *s, struct tls_context *tls, int64_t now_s)
{
    uint8_t current[TLS_TICKET_KEY_LEN], previous[TLS_TICKET_KEY_LEN];
    ticket_key(current, s->cluster, now_s / 3600);
    ticket_key(previous, s->cluster, now_s / 3600 - 1);
    tls_context_ticket_keys(tls, current, previous);
    OPENSSL_cleanse(current, sizeof current);
    OPENSSL_cleanse(previous, sizeof previous);
}

// ---- all

static struct err load(struct secrets *s, char *note, size_t note_size, const struct settings *from)
{
    TRY(cluster_secret(s, note, note_size, from->cluster.secret));
    return store_conninfo_resolve(s->conninfo, sizeof s->conninfo, from->database.conninfo, note,
                                  note_size);
}

struct err secrets_load(struct secrets *out, char *note, size_t note_size, const struct settings *s)
{
    *out = (struct secrets){0};
    struct err e = load(out, note, note_size, s);
    if (failed(e)) secrets_fini(out);
    return e;
}

void secrets_fini(struct secrets *s) { OPENSSL_cleanse(s, sizeof *s); }
