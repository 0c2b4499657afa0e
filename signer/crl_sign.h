// crl_sign: one SignCrl request from its message to its answer: read, judged, built, read again,
// signed, verified, journalled and on the disk. One thread; it blocks for the sync, as every
// signature does.
#pragma once
#include "cluster/core/log.h"
#include "proto/base/buf.h"
#include "proto/rpc/signer.pb-c.h"
#include "signer/crl.h"

struct crl_sign {
    const struct policy *policy;
    struct journal *journal;
    struct log *log;
    int64_t now_s;
    struct buf der;                                 // of the CRL, until crl_sign_fini
    Certmill__Signer__V1__SignCrlResponse response; // out
};

// crl_sign_run fills the response. False when the journal failed: nothing may leave and the signer
// must stop. The arena is the call's.
bool crl_sign_run(struct crl_sign *c, const Certmill__Signer__V1__SignCrlRequest *q,
                  const char *caller, struct arena *a);
void crl_sign_fini(struct crl_sign *c);
