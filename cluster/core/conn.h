// conn: one TCP or unix connection on a shard, with or without TLS, that carries an HTTP session:
// what server and dial share. Bytes come from the reactor, go through TLS into the session, and
// what the session and TLS have to say goes out in one send at the end of the turn. Owned by its
// shard.
#pragma once
#include "cluster/core/shard.h"
#include "proto/http/http.h"
#include "proto/tls/tls.h"

struct conn;

struct conn_hooks {
    // established: TLS is done, or there is none: make the session for `alpn`; NULL ends the
    // connection at once, unless it was told to close.
    struct http_session *(*established)(struct conn *c, enum tls_alpn alpn);
    // activity: something moved; the owner looks at its deadlines. Runs at the end of the turn,
    // while the connection is open.
    void (*activity)(struct conn *c);
    // ended: the connection takes no part in anything any more; its session's exchanges have ended.
    // `why` is OK after an orderly end. The owner must keep the memory until `released`.
    void (*ended)(struct conn *c, struct err why, const char *note);
    // released: no operation is under way, the descriptor is closed: the memory may go.
    void (*released)(struct conn *c);
};

enum conn_phase { CONN_PHASE_HANDSHAKE, CONN_PHASE_OPEN, CONN_PHASE_CLOSING, CONN_PHASE_ENDED };

struct conn {
    struct shard *shard;
    const struct conn_hooks *hooks;
    int fd;
    enum conn_phase phase;
    struct tls *tls; // NULL: plain
    struct http_session *session;
    struct op recv_op, send_op;
    bool receiving, sending, eof, busy, lingering, notified;
    struct timer linger;
    struct buf plain; // decrypted, not taken by the session yet; plaintext on its way out
    struct buf out;   // to be sent
    struct buf wire;  // being sent: not touched meanwhile
    struct turn_hook flush;
    uint64_t wires; // number of the `wire` that is or was being sent
    uint64_t bytes_in, bytes_out;
    struct err end_why;
    char end_note[160];
};

// conn_start begins with a connected descriptor. `tls` (taken) NULL: plain text, `established` runs
// at once with TLS_ALPN_NONE.
void conn_start(struct conn *c, struct shard *shard, const struct conn_hooks *hooks, int fd,
                struct tls *tls, size_t out_max);
// conn_feed hands bytes to the connection as if they had been received (what came behind a PROXY
// header).
void conn_feed(struct conn *c, struct slice in);
// conn_kick sends at the end of the turn whatever there is to send.
void conn_kick(struct conn *c);
// conn_end ends it now: `ended` runs inside, `released` later (or inside, when nothing is under
// way).
void conn_end(struct conn *c, struct err why, const char *note);
// conn_close lets what is to be sent go out, then ends in order.
void conn_close(struct conn *c);
