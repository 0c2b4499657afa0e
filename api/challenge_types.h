// challenge_types: the table of challenges (api/challenge_types.def) for all who need to know one
// by bit or by name, and what each can prove. Pure; any thread.
#pragma once
#include "proto/der/name.h"

enum challenge_type { // bits: which are offered
#define X(IDENT, ident, bit, name, proves, form, usual) CHALLENGE_##IDENT = (bit),
#include "api/challenge_types.def"
#undef X
};

enum { // what a challenge can prove control of; bits
    CHALLENGE_PROVES_DNS = 1,
    CHALLENGE_PROVES_WILDCARD = 2, // every name below one (RFC 8555 section 7.1.3)
    CHALLENGE_PROVES_IP = 4,
};

enum challenge_form {      // what a challenge's document has besides type, url and status
    CHALLENGE_HAS_TOKEN,   // token (RFC 8555 section 8)
    CHALLENGE_HAS_ISSUERS, // issuer-domain-names (draft-ietf-acme-dns-persist-01)
};

enum { CHALLENGE_ISSUERS_MAX = 10 }; // issuer-domain-names in a document

struct challenge_type_row {
    enum challenge_type type;
    const char *name; // "http-01"
    unsigned proves;
    enum challenge_form form;
    bool usual; // offered unless the settings say otherwise
};

// challenge_type_at is row `i` of the table, in its order; NULL behind the last.
const struct challenge_type_row *challenge_type_at(size_t i);
// challenge_type_row finds one by its bit, challenge_type_named by its name; NULL: unknown.
const struct challenge_type_row *challenge_type_row(uint32_t bit);
const struct challenge_type_row *challenge_type_named(struct slice name);
// challenge_types_for are those of the bits `offered` that can prove an identifier without "*.", or
// every name below it (`wildcard`).
uint32_t challenge_types_for(uint32_t offered, const struct identifier *id, bool wildcard);
// challenge_identifier is the identifier of the authorization for one of an order: a wildcard's
// without its "*.", *out_wildcard told (RFC 8555 section 7.1.4).
struct identifier challenge_identifier(bool *out_wildcard, const struct identifier *id);
// challenge_types_text writes the names of the bits: "http-01, dns-01".
void challenge_types_text(char *out, size_t size, uint32_t bits);
