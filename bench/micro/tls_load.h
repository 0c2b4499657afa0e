// tls_load: full TLS 1.3 handshakes against a server that is running: each client connects, shakes
// hands without a ticket, and closes; then again. Closed loop, loopback or any address given. One
// thread.
#pragma once
#include <stddef.h>
#include <sys/types.h>

enum { TLS_LOAD_CLIENTS_MAX = 512 };

struct tls_load_options {
    const char *host, *port; // numeric address
    unsigned clients, seconds;
    pid_t server; // 0: none; otherwise its CPU time is reported
};

// tls_load_run shakes hands for so many seconds and prints what it saw. Exit code: 1 when any
// handshake failed.
int tls_load_run(const struct tls_load_options *o);
