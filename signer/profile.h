// profile: what certificates may look like, from the signer's own configuration. A profile has one
// canonical text; its hash is in every intent, so a front end and a signer that disagree notice
// before anything is signed. Const once made; pure.
#pragma once
#include "proto/der/key.h"
#include "proto/rpc/intent.h"
#include "signer/settings.h"

// Template 2 is template 1 with a place of a CRL (cRLDistributionPoints).
enum { TEMPLATE_VERSION = 1, TEMPLATE_VERSION_CRL = 2, KEY_KINDS_MAX = 8, CRL_URI_MAX = 240 };

struct profile {
    const struct profile_settings *settings;
    uint8_t hash[HASH_LEN]; // SHA-256 of the canonical text
    uint32_t template_version;
};

// profile_make fills `out`; settings stay borrowed. They must have passed the checks of the
// settings table: its bounds keep the canonical text free of doubt.
void profile_make(struct profile *out, const struct profile_settings *settings);
// profile_key_allowed and profile_name_allowed are the signer's own policy: key kinds, and names
// below the profile's suffixes (none: any name), wildcards only where it has them.
// profile_issuer_at is the i-th issuing CA of the profile with its weight; false behind the last.
// profile_issuer_allowed: whether it is one of them, with any weight.
bool profile_issuer_at(const struct profile *p, size_t i, struct issuer_settings *out);
bool profile_issuer_allowed(const struct profile *p, uint32_t id);
bool profile_key_allowed(const struct profile *p, struct public_key_kind kind);
bool profile_name_allowed(const struct profile *p, const struct identifier *name);
// profile_has_crl says whether its certificates name a CRL; crl_uri writes the place of one.
bool profile_has_crl(const struct profile *p);
void crl_uri(char out[CRL_URI_MAX], const char *base, uint16_t issuer, uint32_t shard);
// name_below_any says whether a DNS name is at or below one of the suffixes (const char *); any
// name is when there are none.
bool name_below_any(const struct config_list *suffixes, struct slice name);
// address_in_any says whether an address of 4 or 16 octets is in one of the networks (struct
// address_range).
bool address_in_any(const struct config_list *networks, struct slice octets);
