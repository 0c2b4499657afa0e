// peers: what a validation meets, scripted: a web server that answers by Host, and a DNS server
// that answers by name. Each runs on a thread of its own with blocking sockets, on loopback and a
// port of the system's choice.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// struct web_row is the answer for one host. "%K" in `answer` stands for the token in the request's
// path and the thumbprint behind a dot; "%P" for the server's port.
struct web_row {
    const char *host, *answer;
    enum { WEB_ANSWER, WEB_CLOSE, WEB_SLOW, WEB_SILENT } how; // slow: an octet every 20 ms
    size_t filler;                                            // so many 'x' behind the answer
};

struct web;
// web_start serves `rows` until the one with host NULL; web_stop ends it and frees. `thumbprint` is
// borrowed.
struct web *web_start(const struct web_row *rows, const char *thumbprint);
unsigned web_port(const struct web *w);
unsigned web_requests(struct web *w); // so far
void web_stop(struct web *w);

// struct dns_row is the answer for one name, to questions for A, TXT and CAA; over UDP at most 512
// octets, cut to none when it is longer.
struct dns_row {
    const char *name;
    enum {
        DNS_A, // the addresses in `a`, the texts in `txt`
        DNS_NXDOMAIN,
        DNS_SERVFAIL,
        DNS_REFUSED,
        DNS_SILENT,
        DNS_TRUNCATED, // over UDP; over TCP the addresses
        DNS_WRONG_ID,  // a false answer with another id comes first
        DNS_CNAME,     // `alias`, whose records come along
        DNS_ALIAS,     // `alias` alone
        DNS_CUT,       // truncated over TCP, too
        DNS_TCP        // silent over UDP
    } how;
    const char *a[4]; // dotted; NULL-terminated when fewer
    const char *alias;
    const char *txt[4]; // "|" ends one string of a record; NULL-terminated when fewer
    unsigned filler;    // so many other texts before them
    const char *caa[4]; // "FLAGS TAG VALUE"; NULL-terminated when fewer
};

struct dns;
struct dns *dns_start(const struct dns_row *rows);
unsigned dns_port(const struct dns *d);
void dns_stop(struct dns *d);
