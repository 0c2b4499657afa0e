// tls: TLS 1.2 and 1.3 by BoringSSL over memory, as server or client. Ciphertext is fed in and
// pulled out; plaintext is read and written. No socket, no clock of its own (BoringSSL reads the
// wall clock for certificate dates unless `now` is given). A context is made at start or on reload
// and is const afterwards: any thread may make connections from it. A connection belongs to one
// thread. Used by cluster/core/conn.
#pragma once
#include "proto/base/buf.h"

struct tls_context;
struct tls;

enum tls_alpn { TLS_ALPN_NONE, TLS_ALPN_HTTP_1_1, TLS_ALPN_H2, TLS_ALPN_ACME_TLS };

// TLS_HANDSHAKE_MAX octets at most are taken from a peer before the handshake is done.
enum { TLS_HANDSHAKE_MAX = 256 * 1024 };

// struct tls_options: everything is borrowed for the call only. PEM texts may hold several
// certificates (chain, leaf first).
struct tls_options {
    struct slice chain_pem; // own certificate chain; empty: none (client without certificate)
    struct slice key_pem;   // its private key, PKCS#8 or SEC1, not encrypted
    struct slice trust_pem; // trust anchors for the peer's certificate; empty: server asks for
                            // none, client trusts nobody
    bool peer_required;     // server: refuse clients without a certificate that chains to trust_pem
    const char *peer_role;  // NULL, or the role that the URI SAN of the peer's leaf must be
                            // ("urn:certmill:role:signer", see tls_role_is), T51
    bool alpn_h2;           // offer or accept "h2"
    bool alpn_http_1_1;     // offer or accept "http/1.1"
    bool alpn_acme_tls;     // client: offer "acme-tls/1" and nothing else (RFC 8737)
    bool insecure;     // client: accept any server certificate of at most 16 KiB, chain and all
                       // (http-01 redirects to https, RFC 8555 section 8.3; tls-alpn-01)
    bool tls_1_2_only; // client: do not offer TLS 1.3
    bool tickets;      // server: TLS 1.3 session tickets
    bool peer_name_ignored; // client: do not compare the server name (role is compared instead)
    int64_t (*now_s)(void); // the time, seconds since 1970, that certificates are compared with;
                            // NULL: the library's clock
};

enum { TLS_TICKET_KEY_LEN = 48 };

// tls_context_new makes a context. `note` gets a sentence that says which input cannot be used and
// why. ERR_TLS_CONFIG.
RESULT tls_context_new(struct tls_context **out, char *note, size_t note_size, bool server,
                       const struct tls_options *options);
// tls_context_free releases the caller's reference; connections keep theirs. NULL is fine.
void tls_context_free(struct tls_context *c);
// tls_context_ticket_keys sets the key that seals new tickets and the previous one that still opens
// them (design: derived from the cluster secret and the hour by every node alike). Server only; any
// thread, takes effect for the next handshake.
void tls_context_ticket_keys(struct tls_context *c, const uint8_t current[TLS_TICKET_KEY_LEN],
                             const uint8_t previous[TLS_TICKET_KEY_LEN]);

// tls_new starts a connection; `server_name` (client) is for SNI and the name check, may be an
// address or NULL. NULL without memory.
struct tls *tls_new(struct tls_context *c, const char *server_name);
// tls_free wipes and frees. NULL is fine.
void tls_free(struct tls *t);
// tls_feed takes ciphertext from the peer and drives the handshake. ERR_TLS_HANDSHAKE,
// ERR_TLS_PROTOCOL: pull the alert, then close.
RESULT tls_feed(struct tls *t, struct slice in);
// tls_read appends all plaintext that is available to `out` (bounded by its ceiling; call again
// after consuming).
RESULT tls_read(struct tls *t, struct buf *out);
// tls_write encrypts plaintext; before the handshake is done it is an error.
RESULT tls_write(struct tls *t, struct slice plain);
// tls_start lets a client send its first flight. tls_close queues close_notify.
RESULT tls_start(struct tls *t);
void tls_close(struct tls *t);
// tls_pull appends ciphertext that is to be sent. ERR_NO_SPACE at the ceiling of `out`: the rest
// stays for the next pull.
RESULT tls_pull(struct tls *t, struct buf *out);
bool tls_established(const struct tls *t);
// tls_peer_closed is true after the peer's close_notify.
bool tls_peer_closed(const struct tls *t);
enum tls_alpn tls_alpn(const struct tls *t);
bool tls_resumed(const struct tls *t);
// tls_resume lets a client offer the session of an earlier connection of the same context; before
// tls_start. False when the earlier one got no ticket.
bool tls_resume(struct tls *t, const struct tls *earlier);
// tls_peer_role writes the role of the authenticated peer: the one URI SAN of its leaf
// ("urn:certmill:role:acme") and a NUL. False, with an empty text, when the peer has no
// certificate, its leaf has no URI SAN or several, or `size` is too small.
bool tls_peer_role(const struct tls *t, char *out, size_t size);
// tls_role_is says whether a role that somebody holds is the wanted one, or that of a group in it:
// the wanted one, a colon and the group's name ("urn:certmill:role:acme:eu").
bool tls_role_is(const char *held, const char *wanted);
// tls_peer_leaf is the DER of the peer's own certificate, verified or not; empty when there is
// none. Valid until tls_free.
struct slice tls_peer_leaf(const struct tls *t);
// tls_key_usage_refused says whether the handshake failed because the peer's certificate does not
// have digitalSignature in its keyUsage, which TLS 1.3 always needs and TLS 1.2 with RSA does not.
bool tls_key_usage_refused(const struct tls *t);
// tls_failure is a sentence for people about the last failure ("certificate expired", "no
// application protocol"); never NULL.
const char *tls_failure(const struct tls *t);
// tls_library_version is BoringSSL's version text, printed at start.
const char *tls_library_version(void);
