#include "api/acme/identifiers.h"

#include "cluster/core/address.h"

enum { SHOWN_MAX = 100, OFFERED_TEXT_MAX = 256 };

static bool identifier_refuse(struct request *r, enum problem p, size_t i, struct slice value,
                              const char *why)
{
    request_fail(r, p, "identifier %zu (%s) %s", i, request_text(r, slice_sub(value, 0, SHOWN_MAX)),
                 why);
    return false;
}

// provable says whether the tenant offers a challenge for it.
static bool provable(const struct request *r, const struct identifier *id)
{
    bool wildcard;
    struct identifier base = challenge_identifier(&wildcard, id);
    return challenge_types_for(r->tenant->challenges, &base, wildcard) != 0;
}

static bool unprovable_refuse(struct request *r, size_t i, struct slice value)
{
    char offered[OFFERED_TEXT_MAX];
    challenge_types_text(offered, sizeof offered, r->tenant->challenges);
    return identifier_refuse(
        r, PROBLEM_REJECTED_IDENTIFIER, i, value,
        arena_printf(
            request_arena(r), "is %s, which no challenge that is offered here can prove (%s)",
            slice_starts(value, SLICE_LIT("*.")) ? "a wildcard" : "an identifier", offered));
}

// address_take reads an address in the one text form that it has (RFC 8738 section 3, RFC 5952
// section 4). False: answered.
static bool address_take(struct request *r, size_t i, struct slice value, struct identifier *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct arena *a = request_arena(r);
    out->type = IDENTIFIER_IP;
    if (failed(ip_address_parse(&out->value, a, value)))
        return identifier_refuse(r, PROBLEM_MALFORMED, i, value,
                                 "is not the text of an IPv4 or IPv6 address");
    if (out->value.n == 16 && memcmp(out->value.p, mapped, sizeof mapped) == 0)
        return identifier_refuse(r, PROBLEM_REJECTED_IDENTIFIER, i, value,
                                 "is an IPv4 address inside an IPv6 one; ask for the IPv4 address");
    const char *canonical = identifier_text(a, out);
    if (canonical != NULL && slice_eq_str(value, canonical)) return true;
    return identifier_refuse(r, PROBLEM_MALFORMED, i, value,
                             arena_printf(a, "is not written as addresses are (RFC 5952): %s",
                                          canonical == NULL ? "" : canonical));
}

// identifier_take reads element `i` into its canonical form; false: answered.
static bool identifier_take(struct request *r, struct json list, size_t i, struct identifier *out)
{
    struct slice type, value;
    struct json one = json_at(list, i);
    if (failed(json_string(json_get(one, "type"), &type)) ||
        failed(json_string(json_get(one, "value"), &value)))
        return identifier_refuse(r, PROBLEM_MALFORMED, i, SLICE_NONE,
                                 "has no \"type\" and \"value\"");
    if (slice_eq_str(type, "ip"))
        return address_take(r, i, value, out) &&
               (provable(r, out) || unprovable_refuse(r, i, value));
    if (!slice_eq_str(type, "dns"))
        return identifier_refuse(r, PROBLEM_UNSUPPORTED_IDENTIFIER, i, value,
                                 "is not of type \"dns\" or \"ip\", those that this server takes");
    out->type = IDENTIFIER_DNS;
    if (failed(dns_name_canonical(&out->value, request_arena(r), value, true)))
        return identifier_refuse(r, PROBLEM_REJECTED_IDENTIFIER, i, value,
                                 "is not a DNS name that a certificate can carry");
    return provable(r, out) || unprovable_refuse(r, i, value);
}

static size_t duplicates_drop(struct identifier *ids, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t k = 0; k < kept; k++) seen |= identifier_cmp(&ids[k], &ids[i]) == 0;
        if (!seen) ids[kept++] = ids[i];
    }
    return kept;
}

struct identifier *identifiers_take(struct request *r, size_t *out_count)
{
    struct json list = json_get(r->payload, "identifiers");
    size_t count = json_size(list);
    if (!json_is_array(list) || count == 0 || count > IDENTIFIER_COUNT_MAX) {
        request_fail(r, PROBLEM_MALFORMED, "\"identifiers\" is not a list of 1 to %d identifiers",
                     IDENTIFIER_COUNT_MAX);
        return NULL;
    }
    struct identifier *ids = request_new(r, count * sizeof *ids);
    if (ids == NULL) return NULL;
    for (size_t i = 0; i < count; i++)
        if (!identifier_take(r, list, i, &ids[i])) return NULL;
    *out_count = duplicates_drop(ids, count);
    return ids;
}

static bool networks_have(const struct signer_profile *p, struct slice octets)
{
    struct address_range range;
    for (size_t i = 0; i < p->network_count; i++)
        if (!failed(address_range_parse(&range, p->networks[i])) &&
            address_range_has_octets(&range, octets))
            return true;
    return false;
}

bool identifiers_fit_profile(struct request *r, const struct identifier *ids, size_t count,
                             struct slice profile)
{
    const struct signer_profile *p = catalog_profile(&r->edge->catalog, profile);
    for (size_t i = 0; i < count; i++) {
        bool wildcard;
        (void)challenge_identifier(&wildcard, &ids[i]);
        if (p != NULL && wildcard && !p->wildcards)
            return identifier_refuse(r, PROBLEM_REJECTED_IDENTIFIER, i, ids[i].value,
                                     "is a wildcard, which this profile does not have");
        if (p != NULL && ids[i].type == IDENTIFIER_IP && !networks_have(p, ids[i].value))
            return identifier_refuse(r, PROBLEM_REJECTED_IDENTIFIER, i,
                                     slice_str(identifier_text(request_arena(r), &ids[i])),
                                     p->network_count == 0
                                         ? "is an address, and this profile is for names alone"
                                         : "is an address outside the networks of this profile");
    }
    return true;
}
