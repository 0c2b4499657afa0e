#include "api/acme/identifiers.h"

#include "cluster/core/address.h"

enum { OFFERED_TEXT_MAX = 256 };

// struct given is one element of the request.
struct given {
    size_t place;
    struct slice type, value;
};

// provable says whether the tenant offers a challenge for it.
static bool provable(const struct request *r, const struct identifier *id)
{
    bool wildcard;
    struct identifier base = challenge_identifier(&wildcard, id);
    return challenge_types_for(r->tenant->challenges, &base, wildcard) != 0;
}

static void unprovable_refuse(struct request *r, struct refusals *f, const struct given *g)
{
    char offered[OFFERED_TEXT_MAX];
    challenge_types_text(offered, sizeof offered, r->tenant->challenges);
    refusal_add(r, f, PROBLEM_REJECTED_IDENTIFIER, g->place, g->type, g->value,
                "is %s, which no challenge that is offered here can prove (%s)",
                slice_starts(g->value, SLICE_LIT("*.")) ? "a wildcard" : "an identifier", offered);
}

static bool refuse(struct request *r, struct refusals *f, enum problem p, const struct given *g,
                   const char *why)
{
    refusal_add(r, f, p, g->place, g->type, g->value, "%s", why);
    return false;
}

// address_take reads an address in the one text form that it has (RFC 8738 section 3, RFC 5952
// section 4). False: refused.
static bool address_take(struct request *r, struct refusals *f, const struct given *g,
                         struct identifier *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct arena *a = request_arena(r);
    out->type = IDENTIFIER_IP;
    if (failed(ip_address_parse(&out->value, a, g->value)))
        return refuse(r, f, PROBLEM_MALFORMED, g, "is not the text of an IPv4 or IPv6 address");
    if (out->value.n == 16 && memcmp(out->value.p, mapped, sizeof mapped) == 0)
        return refuse(r, f, PROBLEM_REJECTED_IDENTIFIER, g,
                      "is an IPv4 address inside an IPv6 one; ask for the IPv4 address");
    const char *canonical = identifier_text(a, out);
    if (canonical != NULL && slice_eq_str(g->value, canonical)) return true;
    return refuse(r, f, PROBLEM_MALFORMED, g,
                  arena_printf(a, "is not written as addresses are (RFC 5952): %s",
                               canonical == NULL ? "" : canonical));
}

// name_take reads a DNS name. False: refused.
static bool name_take(struct request *r, struct refusals *f, const struct given *g,
                      struct identifier *out)
{
    out->type = IDENTIFIER_DNS;
    return !failed(dns_name_canonical(&out->value, request_arena(r), g->value, true)) ||
           refuse(r, f, PROBLEM_REJECTED_IDENTIFIER, g,
                  "is not a DNS name that a certificate can carry");
}

// identifier_take reads one element into its canonical form; false: refused.
static bool identifier_take(struct request *r, struct refusals *f, struct json one, size_t place,
                            struct identifier *out)
{
    struct given g = {.place = place};
    if (failed(json_string(json_get(one, "type"), &g.type)) ||
        failed(json_string(json_get(one, "value"), &g.value))) {
        g.type = g.value = SLICE_NONE;
        return refuse(r, f, PROBLEM_MALFORMED, &g, "has no \"type\" and \"value\"");
    }
    bool ip = slice_eq_str(g.type, "ip");
    if (!ip && !slice_eq_str(g.type, "dns"))
        return refuse(r, f, PROBLEM_UNSUPPORTED_IDENTIFIER, &g,
                      "is not of type \"dns\" or \"ip\", those that this server takes");
    if (!(ip ? address_take(r, f, &g, out) : name_take(r, f, &g, out))) return false;
    if (provable(r, out)) return true;
    unprovable_refuse(r, f, &g);
    return false;
}

static bool seen_before(const struct identifiers *l, const struct identifier *id)
{
    for (size_t k = 0; k < l->count; k++)
        if (identifier_cmp(&l->ids[k], id) == 0) return true;
    return false;
}

static bool list_make(struct request *r, struct identifiers *out, size_t count)
{
    *out = (struct identifiers){.ids = request_new(r, count * sizeof *out->ids)};
    if (out->ids == NULL) return false;
    out->places = request_new(r, count * sizeof *out->places);
    return out->places != NULL;
}

static void element_take(struct request *r, struct identifiers *l, struct json one, size_t place)
{
    struct identifier id;
    if (!identifier_take(r, &l->refused, one, place, &id) || seen_before(l, &id)) return;
    l->ids[l->count] = id;
    l->places[l->count++] = place;
}

bool identifiers_take(struct request *r, struct identifiers *out)
{
    struct json list = json_get(r->payload, "identifiers");
    size_t count = json_size(list);
    if (!json_is_array(list) || count == 0 || count > IDENTIFIER_COUNT_MAX) {
        request_fail(r, PROBLEM_MALFORMED, "\"identifiers\" is not a list of 1 to %d identifiers",
                     IDENTIFIER_COUNT_MAX);
        return false;
    }
    if (!list_make(r, out, count)) return false;
    for (size_t i = 0; i < count; i++) element_take(r, out, json_at(list, i), i);
    return true;
}

bool identifiers_take_one(struct request *r, struct identifiers *out)
{
    struct json one = json_get(r->payload, "identifier");
    bool wildcard = false;
    if (!json_is_object(one)) {
        request_fail(r, PROBLEM_MALFORMED, "newAuthz needs a payload with \"identifier\"");
        return false;
    }
    if (!list_make(r, out, 1)) return false;
    element_take(r, out, one, 0);
    if (out->count > 0) (void)challenge_identifier(&wildcard, &out->ids[0]);
    if (wildcard)
        identifier_refuse(r, out, 0,
                          "is a wildcard: it cannot be authorized before an order that names it");
    return true;
}

void identifier_refuse(struct request *r, struct identifiers *l, size_t i, const char *why)
{
    const struct identifier *id = &l->ids[i];
    refusal_add(r, &l->refused, PROBLEM_REJECTED_IDENTIFIER, l->places[i],
                slice_str(id->type == IDENTIFIER_IP ? "ip" : "dns"),
                slice_str(identifier_text(request_arena(r), id)), "%s", why);
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

void identifiers_fit_profile(struct request *r, struct identifiers *l, struct slice profile)
{
    const struct signer_profile *p = catalog_profile(&r->edge->catalog, profile);
    for (size_t i = 0; p != NULL && i < l->count; i++) {
        const struct identifier *id = &l->ids[i];
        bool wildcard;
        (void)challenge_identifier(&wildcard, id);
        if (wildcard && !p->wildcards)
            identifier_refuse(r, l, i, "is a wildcard, which this profile does not have");
        if (id->type == IDENTIFIER_IP && !networks_have(p, id->value))
            identifier_refuse(r, l, i,
                              p->network_count == 0
                                  ? "is an address, and this profile is for names alone"
                                  : "is an address outside the networks of this profile");
    }
}
