// flow: one ACME issuance as a client makes it (RFC 8555 section 7): directory, nonce, account,
// order, authorizations over http-01, finalize, certificate. A state machine over one dialed
// connection on one shard; aims at any ACME server.
#pragma once
#include "bench/load/key.h"
#include "proto/base/err.h"
#include "proto/base/slice.h"

struct target; // bench/load/target.h

enum { FLOW_URL_MAX = 512, FLOW_NOTE_MAX = 512, FLOW_NAMES_MAX = 100 };

struct flow_options {
    struct target *target;    // its shard runs the flow, its responder answers
    const char *const *names; // DNS names for the certificate
    size_t name_count;
    const struct bench_key *account_key, *leaf_key;
    unsigned poll_ms;    // pause between polls when the server names none
    unsigned request_ms; // deadline of each request
    // step is told of each step as it begins, for progress; may be NULL.
    void (*step)(void *ctx, const char *what);
    // done runs once: certificate (PEM chain) on success, `note` says what failed otherwise. The
    // flow may be freed inside it.
    void (*done)(void *ctx, struct err err, struct slice certificate, const char *note);
    void *ctx;
};

struct flow;

// flow_start begins; options are copied, what they point at is borrowed until the flow is freed.
// NULL without memory.
struct flow *flow_start(const struct flow_options *options);
void flow_free(struct flow *f);
// flow_posts is the number of signed requests made so far.
unsigned flow_posts(const struct flow *f);
