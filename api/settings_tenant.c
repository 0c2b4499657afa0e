#include "api/settings_tenant.h"

#include <stddef.h>
#include <string.h>

#include "api/challenge_types.h"
#include "proto/der/name.h"

#define IN(type, member) .offset = offsetof(type, member)

// ---- what the tables cannot say; each answers NULL when it is good

// host_ok: "acme.corp", "acme.corp:14000", "[2001:db8::1]:14000": what a client puts into Host.
static bool host_ok(const char *host)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_",
                      address[] = "0123456789abcdefABCDEF:.", digits[] = "0123456789";
    bool v6 = host[0] == '[';
    size_t n = strspn(host + v6, v6 ? address : name);
    const char *port = host + v6 + n + v6;
    if (n == 0 || n > 253 || (v6 && host[1 + n] != ']')) return false;
    if (*port == 0) return true;
    size_t port_n = strspn(port + 1, digits);
    return *port == ':' && port_n > 0 && port_n <= 5 && port[1 + port_n] == 0;
}

static const char *host_wrong(const void *value)
{
    return host_ok(*(const char *const *)value)
               ? NULL
               : "is no host; expected one as clients write it, with its port where that is not "
                 "443: acme.corp, acme.corp:14000 or [2001:db8::1]:14000";
}

static const char *base_url_wrong(const void *value)
{
    const char *url = *(const char *const *)value;
    return (strncmp(url, "https://", 8) == 0 && host_ok(url + 8))
               ? NULL
               : "is no base of URLs; expected https://host or https://host:port without a path";
}

// url_wrong: it goes into documents and headers as it is.
static const char *url_wrong(const void *value)
{
    static const char wrong[] = "is no URL; expected one such as https://acme.corp/terms";
    const char *url = *(const char *const *)value;
    const char *rest = strstr(url, "://");
    bool web = strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
    if (!web || rest[3] == 0) return wrong;
    for (const char *c = url; *c != 0; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("\"<>\\", *c) != NULL) return wrong;
    return NULL;
}

static const char *const caa_choices[] = {"off", "on", NULL};

// identity_wrong: it is compared with what others write.
static const char *identity_wrong(const void *value)
{
    const char *name = *(const char *const *)value;
    struct arena a;
    struct slice canonical;
    arena_init(&a, 4096);
    bool ok = !failed(dns_name_canonical(&canonical, &a, slice_str(name), false)) &&
              slice_eq_str(canonical, name);
    arena_fini(&a);
    return ok ? NULL : "is no name of a CA; expected a domain name in lower case: ca.corp.example";
}

static const char *challenge_wrong(const void *value)
{
    static const char wrong[] = "is no challenge that this program has; expected one of"
#define X(IDENT, ident, bit, name, proves, form, usual) " " name
#include "api/challenge_types.def"
#undef X
        ;
    const char *name = *(const char *const *)value;
    return challenge_type_named(slice_str(name)) != NULL ? NULL : wrong;
}

// offers_issuers says whether one of the challenges names this CA to its client.
static bool offers_issuers(const struct tenant_settings *t)
{
    const char *const *names = t->challenges.items;
    bool any = false;
    for (size_t i = 0; i < t->challenges.count; i++)
        any |= challenge_type_named(slice_str(names[i]))->form == CHALLENGE_HAS_ISSUERS;
    return any;
}

const char *tenant_wrong(const void *value)
{
    const struct tenant_settings *t = value;
    size_t n = strlen(t->name);
    if (n == 0 || n > TENANT_NAME_MAX ||
        strspn(t->name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != n)
        return "is no name for a tenant, which is part of URLs; expected 1 to 63 of a-z, 0-9, '-' "
               "and '_'";
    if (t->base_url == NULL && t->hosts.count == 0)
        return "has neither hosts nor base_url; expected hosts: [\"acme.corp:14000\"], as clients "
               "write them in the directory's URL";
    if (t->caa != 0 && t->caa_identities.count == 0)
        return "looks for CAA records, but has no name that could stand in them; expected "
               "caa_identities: [\"ca.corp.example\"]";
    if (offers_issuers(t) &&
        (t->caa_identities.count == 0 || t->caa_identities.count > CHALLENGE_ISSUERS_MAX))
        return "offers dns-persist-01, whose records name this CA; expected 1 to 10 names in "
               "caa_identities: [\"ca.corp.example\"]";
    return NULL;
}

const char *tenants_wrong(const void *list)
{
    const struct config_list *tenants = list;
    unsigned defaults = 0;
    for (size_t i = 0; i < tenants->count; i++)
        defaults += ((const struct tenant_settings *)tenants->items)[i].is_default;
    return defaults == 1 ? NULL
                         : "has not one default; expected default: true in exactly one tenant";
}

static const struct setting override_rows[] = {
    {.key = "suffix",
     .type = SETTING_STRING,
     IN(struct override_settings, suffix),
     .min = 1,
     .max = 253,
     .help = "This name and every name below it resolve to `address`."},
    {.key = "address",
     .type = SETTING_ADDRESS,
     IN(struct override_settings, address),
     .port = 80,
     .help = "The address; its port is not used."},
    {0},
};

static const struct setting validation_rows[] = {
    {.key = "resolvers",
     .type = SETTING_LIST,
     IN(struct validation_settings, resolvers),
     .default_text = "",
     .element = SETTING_ADDRESS,
     .port = 53,
     .min = 0,
     .max = 8,
     .help = "DNS resolvers, with port where it is not 53. None: those of the host."},
    {.key = "dns_tcp",
     .type = SETTING_BOOL,
     IN(struct validation_settings, dns_tcp),
     .default_text = "false",
     .help = "Resolvers are asked over TCP alone: their answers cannot be forged by those who do "
             "not see the questions. For resolvers that are not on this host."},
    {.key = "overrides",
     .type = SETTING_LIST,
     IN(struct validation_settings, overrides),
     .default_text = "",
     .rows = override_rows,
     .element_size = sizeof(struct override_settings),
     .min = 0,
     .max = 32,
     .help = "Names answered without the DNS. For development; an override proves nothing about "
             "who controls a name."},
    {.key = "allowed",
     .type = SETTING_LIST,
     IN(struct validation_settings, allowed),
     .default_text = "",
     .element = SETTING_RANGE,
     .min = 0,
     .max = 64,
     .help = "Networks in which targets may be. None: everywhere that is not denied."},
    {.key = "denied",
     .type = SETTING_LIST,
     IN(struct validation_settings, denied),
     .default_text = "[127.0.0.0/8, '::1', 169.254.0.0/16, 'fe80::/10', 'fd00:ec2::254', "
                     "100.100.100.200, 168.63.129.16]",
     .element = SETTING_RANGE,
     .min = 0,
     .max = 64,
     .help =
         "Networks in which no target may be; checked again on the connected socket. The default "
         "is this host itself, what is link-local, and where clouds keep their metadata."},
    {.key = "http_port",
     .type = SETTING_INT,
     IN(struct validation_settings, http_port),
     .default_text = "80",
     .min = 1,
     .max = 65535,
     .help = "Port of http-01. RFC 8555 says 80; tests move it."},
    {.key = "tls_alpn_port",
     .type = SETTING_INT,
     IN(struct validation_settings, tls_alpn_port),
     .default_text = "443",
     .min = 1,
     .max = 65535,
     .help = "Port of tls-alpn-01. RFC 8737 says 443; tests move it."},
    {.key = "attempts",
     .type = SETTING_INT,
     IN(struct validation_settings, attempts),
     .default_text = "3",
     .min = 1,
     .max = 20,
     .help = "Tries before a challenge fails."},
    {.key = "retry",
     .type = SETTING_DURATION,
     IN(struct validation_settings, retry_ms),
     .default_text = "1s",
     .min = 10,
     .max = 60000,
     .help = "Pause before the second try; grows by half each time."},
    {.key = "attempt",
     .type = SETTING_DURATION,
     IN(struct validation_settings, attempt_ms),
     .default_text = "5s",
     .min = 100,
     .max = 60000,
     .help = "Longest time of one try."},
    {.key = "total",
     .type = SETTING_DURATION,
     IN(struct validation_settings, total_ms),
     .default_text = "30s",
     .min = 100,
     .max = 300000,
     .help = "Longest time of all tries together."},
    {.key = "redirects",
     .type = SETTING_INT,
     IN(struct validation_settings, redirects),
     .default_text = "10",
     .min = 0,
     .max = 10,
     .help = "Redirects followed at most (RFC 8555 section 8.3)."},
    {0},
};

static const char *const dates_choices[] = {"refuse", "clamp", NULL};
static const char *const eab_choices[] = {"off", "optional", "required", NULL};

static const char *const what_choices[] = {"new_account", "new_order", "failed_validation", NULL};
static const char *const by_choices[] = {"account", "eab_key", "address", "name", NULL};

static const char *limit_wrong(const void *value)
{
    const struct limit_settings *l = value;
    if (l->what == LIMIT_NEW_ACCOUNT && (l->by == LIMIT_BY_ACCOUNT || l->by == LIMIT_BY_NAME))
        return "counts new accounts by something that they do not have; expected by: eab_key or "
               "address";
    if (l->what == LIMIT_FAILED_VALIDATION && l->by == LIMIT_BY_ADDRESS)
        return "counts failed validations by address, though anybody may ask for one; expected by: "
               "account, eab_key or name";
    if (l->per_ms / l->count < 1)
        return "allows more than one in a millisecond; expected a smaller count or a longer time";
    return NULL;
}

static const struct setting limit_rows[] = {
    {.key = "what",
     .type = SETTING_ENUM,
     IN(struct limit_settings, what),
     .choices = what_choices,
     .help = "new_account, new_order, or failed_validation: challenges that failed; new orders are "
             "refused then."},
    {.key = "by",
     .type = SETTING_ENUM,
     IN(struct limit_settings, by),
     .choices = by_choices,
     .help =
         "For each of what there is a count: account, eab_key (accounts without a key do not "
         "count), address (the client's, by blocks), name (the end of each name of the order)."},
    {.key = "count",
     .type = SETTING_INT,
     IN(struct limit_settings, count),
     .min = 1,
     .max = 100000000,
     .help = "So many at once; then one each time that `per` divided by `count` has passed."},
    {.key = "per",
     .type = SETTING_DURATION,
     IN(struct limit_settings, per_ms),
     .min = 1000,
     .max = 2592000000,
     .help = "The time in which that many are earned back."},
    {.key = "labels",
     .type = SETTING_INT,
     IN(struct limit_settings, labels),
     .default_text = "2",
     .min = 1,
     .max = 32,
     .help =
         "With by: name, the number of labels at its end: 2 counts a.b.corp.test for corp.test."},
    {.key = "v4_bits",
     .type = SETTING_INT,
     IN(struct limit_settings, v4_bits),
     .default_text = "24",
     .min = 8,
     .max = 32,
     .help = "With by: address, the size of an IPv4 block: 24 counts 192.0.2.1 for 192.0.2.0/24."},
    {.key = "v6_bits",
     .type = SETTING_INT,
     IN(struct limit_settings, v6_bits),
     .default_text = "48",
     .min = 16,
     .max = 128,
     .help = "The same for IPv6."},
    {0},
};

const struct setting tenant_rows[] = {
    {.key = "default",
     .type = SETTING_BOOL,
     IN(struct tenant_settings, is_default),
     .default_text = "false",
     .help = "This tenant is also served at /directory and /dir. Exactly one is the default."},
    {.key = "base_url",
     .type = SETTING_STRING,
     IN(struct tenant_settings, base_url),
     .default_text = "",
     .optional = true,
     .min = 0,
     .max = 256,
     .help =
         "Scheme, host and port of every URL that is shown (https://acme.corp:14000), whichever "
         "host was asked for. For a front end behind something that changes the host.",
     .check = base_url_wrong},
    {.key = "hosts",
     .type = SETTING_LIST,
     IN(struct tenant_settings, hosts),
     .default_text = "",
     .element = SETTING_STRING,
     .min = 0,
     .max = 64,
     .help = "Hosts, with port where it is not 443, as clients write them in the directory's URL: "
             "[\"acme.corp\", \"acme.corp:14000\"]. Requests for others are refused, and every URL "
             "that "
             "is shown has the host that was asked for. Needed unless `base_url` is there.",
     .check = host_wrong},
    {.key = "profiles",
     .type = SETTING_LIST,
     IN(struct tenant_settings, profiles),
     .element = SETTING_STRING,
     .min = 1,
     .max = 32,
     .help = "Profiles of the signer that orders may use; the first is the default."},
    {.key = "issuer",
     .type = SETTING_INT,
     IN(struct tenant_settings, issuer),
     .default_text = "0",
     .min = 0,
     .max = 1023,
     .help = "Id of the only issuing CA of the tenant's certificates. 0: those of the profile, by "
             "their weights."},
    {.key = "order_lifetime",
     .type = SETTING_DURATION,
     IN(struct tenant_settings, order_ms),
     .default_text = "24h",
     .min = 60000,
     .max = 604800000,
     .help = "How long an order can be finalized."},
    {.key = "authorization_lifetime",
     .type = SETTING_DURATION,
     IN(struct tenant_settings, authz_ms),
     .default_text = "24h",
     .min = 60000,
     .max = 604800000,
     .help = "How long an authorization stays pending."},
    {.key = "authorization_valid",
     .type = SETTING_DURATION,
     IN(struct tenant_settings, authz_valid_ms),
     .default_text = "24h",
     .min = 60000,
     .max = 2592000000,
     .help = "How long a valid authorization lasts."},
    {.key = "authorization_reuse",
     .type = SETTING_BOOL,
     IN(struct tenant_settings, reuse),
     .default_text = "false",
     .help = "A new order takes over the valid authorizations that its account holds for the same "
             "identifiers, so that a renewal needs no second validation; the order ends with the "
             "first of them. Off: each order proves control anew."},
    {.key = "authorization_reuse_left",
     .type = SETTING_DURATION,
     IN(struct tenant_settings, reuse_left_ms),
     .default_text = "1h",
     .min = 60000,
     .max = 604800000,
     .help = "How long an authorization must still last to be taken over."},
    {.key = "dates",
     .type = SETTING_ENUM,
     IN(struct tenant_settings, dates),
     .default_text = "refuse",
     .choices = dates_choices,
     .help = "notBefore and notAfter of an order are honoured within the profile: a beginning at "
             "most 50 minutes past and not ahead, an end within the profile's validity. Outside "
             "of that, refuse: the order is refused; clamp: the nearest date that can be had."},
    {.key = "pre_authorization",
     .type = SETTING_BOOL,
     IN(struct tenant_settings, pre_authorization),
     .default_text = "true",
     .help = "Clients may ask for an authorization before an order (newAuthz, RFC 8555 section "
             "7.4.1); orders take such a one over while it is valid, also where "
             "`authorization_reuse` is off. Each counts as a new order where there is a limit."},
    {.key = "eab",
     .type = SETTING_ENUM,
     IN(struct tenant_settings, eab),
     .default_text = "off",
     .choices = eab_choices,
     .help = "External account binding of new accounts (RFC 8555 section 7.3.4), with keys that "
             "`certmill eab` makes. off: ignored. required: an account without one is refused; "
             "accounts that are there go on."},
    {.key = "challenges",
     .type = SETTING_LIST,
     IN(struct tenant_settings, challenges),
     .default_text = "[http-01, dns-01, tls-alpn-01]",
     .element = SETTING_STRING,
     .min = 1,
     .max = 16,
     .help = "Challenges that are offered for what they can prove: docs/challenges.md.",
     .check = challenge_wrong},
    {.key = "terms_of_service",
     .type = SETTING_STRING,
     IN(struct tenant_settings, terms_of_service),
     .default_text = "",
     .optional = true,
     .min = 0,
     .max = 512,
     .check = url_wrong,
     .help = "URL advertised in the directory; new accounts must agree then."},
    {.key = "website",
     .type = SETTING_STRING,
     IN(struct tenant_settings, website),
     .default_text = "",
     .optional = true,
     .min = 0,
     .max = 512,
     .check = url_wrong,
     .help = "URL advertised in the directory."},
    {.key = "caa_identities",
     .type = SETTING_LIST,
     IN(struct tenant_settings, caa_identities),
     .default_text = "",
     .element = SETTING_STRING,
     .min = 0,
     .max = 16,
     .check = identity_wrong,
     .help = "Names of this CA, advertised in the directory for those who write CAA records (RFC "
             "8659), and recognised in them."},
    {.key = "caa",
     .type = SETTING_ENUM,
     IN(struct tenant_settings, caa),
     .default_text = "off",
     .choices = caa_choices,
     .help = "on: CAA records (RFC 8659, with accounturi and validationmethods of RFC 8657) are "
             "looked for when a name was validated, and again before an order is finalized whose "
             "authorization is older than 8 hours; what forbids, and what cannot be looked up, is "
             "refused. Needs `caa_identities`."},
    {.key = "rate_limits",
     .type = SETTING_LIST,
     IN(struct tenant_settings, limits),
     .default_text = "",
     .rows = limit_rows,
     .element_size = sizeof(struct limit_settings),
     .min = 0,
     .max = 16,
     .check = limit_wrong,
     .help = "Rate limits (RFC 8555 section 6.6), exact over all front ends; none unless given. "
             "What is refused counts towards none of them."},
    {.key = "rate_limit_renewals",
     .type = SETTING_BOOL,
     IN(struct tenant_settings, limit_renewals),
     .default_text = "false",
     .help = "Whether limits of new orders count renewals, too: orders whose \"replaces\" names a "
             "certificate of the account (RFC 9773 section 5)."},
    {.key = "validation",
     .type = SETTING_GROUP,
     IN(struct tenant_settings, validation),
     .rows = validation_rows,
     .help = "How control of names is proved."},
    {0},
};
