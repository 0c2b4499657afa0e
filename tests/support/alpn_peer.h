// alpn_peer: what a tls-alpn-01 validation meets, scripted: a TLS server that answers by SNI. Each
// connection runs on a thread of its own with blocking sockets, on loopback and a port of the
// system's choice.
#pragma once
#include <openssl/base.h>

#include "proto/base/slice.h"

struct alpn_row {
    const char *sni;
    EVP_PKEY *key;     // of the certificate; borrowed
    struct slice cert; // DER; shown as it is
    enum {
        ALPN_GOOD,        // "acme-tls/1" is chosen, whatever was offered
        ALPN_NONE,        // no protocol is chosen
        ALPN_OTHER,       // "h2" is chosen, though it was not offered
        ALPN_TLS_1_1,     // no newer version
        ALPN_TLS_1_2,     // no newer version
        ALPN_TLS_1_3,     // no older version
        ALPN_CLIENT_CERT, // a client certificate is asked for, and not insisted on
        ALPN_HUGE,        // the certificate comes sixty times
        ALPN_CHATTY,      // a stream of application data behind the handshake
        ALPN_ENDLESS,     // a handshake message of 16 MiB, octet by octet
        ALPN_HELLO_AGAIN, // HelloRequest (renegotiation) without end, in place of a ServerHello
        ALPN_GARBAGE,     // HTTP in place of TLS
        ALPN_CLOSE,       // the end, behind the ClientHello
        ALPN_SILENT       // nothing, behind the ClientHello
    } how;
};

struct alpn_peer;

// alpn_peer_start serves `rows` until the one with sni NULL on 127.0.0.1 and, where there is IPv6,
// on the same port of ::1.
struct alpn_peer *alpn_peer_start(const struct alpn_row *rows);
unsigned alpn_peer_port(const struct alpn_peer *p);
bool alpn_peer_ipv6(const struct alpn_peer *p);
// alpn_peer_handshakes is how many were finished; alpn_peer_faults how many clients offered another
// list of protocols than "acme-tls/1" alone or a version before TLS 1.2, or sent application data.
unsigned alpn_peer_handshakes(struct alpn_peer *p);
unsigned alpn_peer_faults(struct alpn_peer *p);
// alpn_peer_sent is the most octets that one connection took.
unsigned alpn_peer_sent(struct alpn_peer *p);
void alpn_peer_stop(struct alpn_peer *p);
