// crl_serve: CRLs for relying parties: GET and HEAD /crl/ISSUER/SHARD.crl, at the listener for ACME
// clients and at one without TLS (setting `crl`), because whoever checks a certificate must not
// need another one for it (RFC 5280 section 8). Without authentication.
#pragma once
#include "api/edge.h"

// crl_path says whether a path is below /crl/; crl_answer answers for it.
bool crl_path(struct slice path);
void crl_answer(struct edge *e, struct http_exchange *x);
// crl_listener_new listens without TLS; `note` gets a sentence on failure.
RESULT crl_listener_new(struct server **out, char *note, size_t note_size, struct edge *e);
