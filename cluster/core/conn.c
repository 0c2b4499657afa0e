#include "cluster/core/conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cluster/core/reactor.h"
#include "cluster/err.h"
#include "proto/err.h"

enum { PLAIN_MAX = 1 << 20, PULL_MAX = 65536, LINGER_MS = 1000 };

static void recv_arm(struct conn *c)
{
    if (c->receiving || c->eof || c->phase == CONN_PHASE_ENDED) return;
    c->receiving = true;
    reactor_recv(shard_reactor(c->shard), &c->recv_op, c->fd);
}

static void release_check(struct conn *c)
{
    if (c->phase != CONN_PHASE_ENDED || c->receiving || c->sending || c->busy) return;
    reactor_close(shard_reactor(c->shard), c->fd);
    buf_fini(&c->plain);
    buf_fini(&c->out);
    buf_fini(&c->wire);
    c->hooks->released(c);
}

// end_now: first the exchanges end, then the owner hears of the connection's end.
static void end_now(struct conn *c)
{
    http_session_free(c->session);
    c->session = NULL;
    c->hooks->ended(c, c->end_why, c->end_note);
    tls_free(c->tls);
    c->tls = NULL;
    if (c->receiving) reactor_cancel(shard_reactor(c->shard), &c->recv_op);
    if (c->sending) reactor_cancel(shard_reactor(c->shard), &c->send_op);
    release_check(c);
}

void conn_end(struct conn *c, struct err why, const char *note)
{
    if (c->phase == CONN_PHASE_ENDED) return;
    c->phase = CONN_PHASE_ENDED;
    c->end_why = why;
    snprintf(c->end_note, sizeof c->end_note, "%s", note);
    turn_hook_disarm(&c->flush);
    timer_cancel(&c->linger);
    // Inside a callback of the session it cannot be freed: leave() goes on.
    if (!c->busy) end_now(c);
}

// leave ends a stretch in which callbacks ran; true when the connection ended in it.
static bool leave(struct conn *c)
{
    c->busy = false;
    if (c->phase != CONN_PHASE_ENDED) return false;
    end_now(c);
    return true;
}

void conn_kick(struct conn *c)
{
    if (c->phase != CONN_PHASE_ENDED) turn_hook_arm(c->shard, &c->flush);
}

void conn_close(struct conn *c)
{
    if (c->phase == CONN_PHASE_ENDED || c->phase == CONN_PHASE_CLOSING) return;
    c->phase = CONN_PHASE_CLOSING;
    conn_kick(c);
}

// ---- in

static void linger_over(struct timer *t)
{
    struct conn *c = LIST_OWNER(t, struct conn, linger);
    bool handshake = c->tls != NULL && !tls_established(c->tls);
    conn_end(c, handshake ? ERR(TLS_HANDSHAKE) : OK, handshake ? tls_failure(c->tls) : "closed");
}

static void established(struct conn *c)
{
    c->phase = CONN_PHASE_OPEN;
    c->session = c->hooks->established(c, c->tls == NULL ? TLS_ALPN_NONE : tls_alpn(c->tls));
    if (c->session == NULL && c->phase == CONN_PHASE_OPEN)
        conn_end(c, ERR(NO_SPACE), "no memory for a session");
}

static void session_feed(struct conn *c, struct slice in)
{
    struct err e = c->session == NULL || c->phase != CONN_PHASE_OPEN
                       ? OK
                       : http_session_feed(c->session, in);
    if (failed(e) && c->phase == CONN_PHASE_OPEN) conn_close(c); // the session may have a last word
}

// at_eof: the peer has said that nothing more comes, by TLS or by TCP.
static void at_eof(struct conn *c)
{
    if (c->eof) return;
    c->eof = true;
    bool handshake = c->phase == CONN_PHASE_HANDSHAKE;
    if (c->session != NULL && c->phase == CONN_PHASE_OPEN)
        (void)!failed(http_session_eof(c->session));
    if (c->phase == CONN_PHASE_ENDED) return;
    // A peer that has closed its side may still read what it has asked for, but only while
    // something is being answered.
    if (handshake || c->session == NULL || http_session_open_count(c->session) == 0)
        conn_close(c);
    else
        conn_kick(c);
}

static void tls_in(struct conn *c, struct slice in)
{
    struct err e = tls_feed(c->tls, in);
    if (failed(e)) {
        conn_kick(c);
        c->phase = CONN_PHASE_CLOSING; // the alert goes out
        return;
    }
    if (c->phase == CONN_PHASE_HANDSHAKE && tls_established(c->tls)) established(c);
    while (c->phase == CONN_PHASE_OPEN) {
        struct buf plain;
        buf_init(&plain, PLAIN_MAX);
        e = tls_read(c->tls, &plain);
        size_t n = buf_len(&plain);
        if (n > 0) session_feed(c, buf_slice(&plain));
        buf_fini(&plain);
        if (failed(e) && c->phase == CONN_PHASE_OPEN) conn_close(c);
        if (n == 0 || failed(e)) break;
    }
    if (c->phase == CONN_PHASE_OPEN && tls_peer_closed(c->tls)) at_eof(c);
}

static void feed(struct conn *c, struct slice in)
{
    c->bytes_in += in.n;
    if (c->phase == CONN_PHASE_CLOSING) {
        // Whoever goes on in spite of a failed handshake is not waited for.
        bool handshake = c->tls != NULL && !tls_established(c->tls);
        if (handshake && c->bytes_in > TLS_HANDSHAKE_MAX) linger_over(&c->linger);
        return;
    }
    if (c->tls != NULL)
        tls_in(c, in);
    else
        session_feed(c, in);
}

void conn_feed(struct conn *c, struct slice in)
{
    c->busy = true;
    feed(c, in);
    if (!leave(c)) conn_kick(c);
}

static void on_recv(struct op *op, int32_t res, uint32_t flags)
{
    struct conn *c = LIST_OWNER(op, struct conn, recv_op);
    if ((flags & OP_MORE) == 0) c->receiving = false;
    if (c->phase == CONN_PHASE_ENDED) {
        if (res > 0) reactor_buffer_return(shard_reactor(c->shard), flags);
        release_check(c);
        return;
    }
    c->busy = true;
    if (res > 0) {
        feed(c, reactor_buffer(shard_reactor(c->shard), flags, res));
        reactor_buffer_return(shard_reactor(c->shard), flags);
    } else if (res == 0) {
        at_eof(c);
    } else if (res != -ENOBUFS) {
        conn_end(c, ERR(CONN_RESET), strerror(-res));
    }
    if (leave(c)) return;
    recv_arm(c);
    conn_kick(c);
}

// ---- out

static void send_next(struct conn *c)
{
    if (c->sending || c->phase == CONN_PHASE_ENDED) return;
    if (buf_len(&c->wire) == 0 && buf_len(&c->out) > 0) {
        struct buf t = c->wire;
        c->wire = c->out;
        c->out = t;
        c->wires++;
    }
    if (buf_len(&c->wire) == 0) return;
    struct slice s = buf_slice(&c->wire);
    c->sending = true;
    reactor_send(shard_reactor(c->shard), &c->send_op, c->fd, s.p, s.n);
}

static void on_send(struct op *op, int32_t res, uint32_t flags)
{
    struct conn *c = LIST_OWNER(op, struct conn, send_op);
    (void)flags;
    c->sending = false;
    if (c->phase == CONN_PHASE_ENDED) {
        release_check(c);
    } else if (res < 0) {
        conn_end(c, ERR(CONN_RESET), strerror(-res));
    } else {
        c->bytes_out += (uint64_t)res;
        buf_consume(&c->wire, (size_t)res);
        send_next(c);
        conn_kick(c);
    }
}

// session_pull moves what the session has to say towards the wire; false when it cannot go on.
static bool session_pull(struct conn *c)
{
    bool more = true;
    while (more && c->session != NULL && c->phase != CONN_PHASE_ENDED &&
           buf_len(&c->out) < PULL_MAX) {
        struct buf *to = c->tls == NULL ? &c->out : &c->plain;
        struct err e = http_session_pull(c->session, to, PULL_MAX, &more);
        if (failed(e)) more = false;
        if (c->tls == NULL) continue;
        struct err w = buf_len(&c->plain) == 0 ? OK : tls_write(c->tls, buf_slice(&c->plain));
        buf_clear(&c->plain);
        if (failed(w)) return false;
        if (failed(tls_pull(c->tls, &c->out))) return true; // the rest stays for the next turn
    }
    return true;
}

static void on_flush(struct turn_hook *hook)
{
    struct conn *c = LIST_OWNER(hook, struct conn, flush);
    c->busy = true;
    bool ok = c->phase == CONN_PHASE_HANDSHAKE || session_pull(c);
    if (c->phase == CONN_PHASE_CLOSING && c->tls != NULL && !c->notified) {
        c->notified = true;
        tls_close(c->tls); // behind the session's last words
    }
    if (c->phase != CONN_PHASE_ENDED && c->tls != NULL)
        ok = !failed(tls_pull(c->tls, &c->out)) || ok;
    if (!ok && c->phase != CONN_PHASE_ENDED) conn_end(c, ERR(TLS_PROTOCOL), tls_failure(c->tls));
    if (leave(c)) return;
    send_next(c);
    bool quiet = !c->sending && buf_len(&c->out) == 0;
    bool done = c->phase == CONN_PHASE_CLOSING ||
                (c->session != NULL && http_session_finished(c->session)) ||
                (c->eof && c->session != NULL && http_session_open_count(c->session) == 0);
    if (quiet && done) {
        if (c->phase == CONN_PHASE_OPEN && c->tls != NULL) {
            conn_close(c); // close_notify first
            return;
        }
        // What a peer is still sending must be read before the descriptor goes: closing over unread
        // bytes resets the connection, and the last answer (413) would be lost with it.
        if (!c->eof && !c->lingering) {
            c->lingering = true;
            reactor_shutdown(shard_reactor(c->shard), c->fd);
            timer_set(c->shard, &c->linger, LINGER_MS);
        } else if (c->eof) {
            linger_over(&c->linger);
        }
        return;
    }
    c->hooks->activity(c);
}

void conn_start(struct conn *c, struct shard *shard, const struct conn_hooks *hooks, int fd,
                struct tls *tls, size_t out_max)
{
    c->shard = shard;
    c->hooks = hooks;
    c->fd = fd;
    c->tls = tls;
    c->recv_op.done = on_recv;
    c->send_op.done = on_send;
    c->flush = (struct turn_hook){.run = on_flush};
    c->linger = (struct timer){.fire = linger_over};
    list_init(&c->flush.node);
    buf_init(&c->plain, PLAIN_MAX);
    buf_init(&c->out, out_max + PULL_MAX);
    buf_init(&c->wire, out_max + PULL_MAX);
    c->phase = CONN_PHASE_HANDSHAKE;
    c->busy = true;
    if (tls == NULL) established(c);
    if (leave(c)) return;
    recv_arm(c);
    conn_kick(c);
}
