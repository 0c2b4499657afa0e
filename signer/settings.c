#include "signer/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "proto/der/name.h"

enum { PROFILE_NAME_MAX = 64, GROUP_NAME_MAX = 32, CRL_URL_MAX = 200 };

#define IN(type, member) .offset = offsetof(type, member)

static const char *const p256_choices[] = {"auto", "scalar", NULL};
static const char *const level_choices[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_choices[] = {"text", "json", NULL};
static const char *const key_choices[] = {"P-256", "P-384", "RSA-2048", "P-521", "Ed25519", NULL};

// ---- what the tables cannot say; each answers NULL when it is good

static const char *kind_wrong(const void *value)
{
    const char *kind = *(const char *const *)value;
    for (size_t i = 0; key_choices[i] != NULL; i++)
        if (strcmp(key_choices[i], kind) == 0) return NULL;
    return "is no key kind; expected P-256, P-384, RSA-2048, P-521 or Ed25519";
}

static const char *suffix_wrong(const void *value)
{
    const char *suffix = *(const char *const *)value;
    struct arena a;
    struct slice canonical;
    arena_init(&a, 4096);
    bool ok = !failed(dns_name_canonical(&canonical, &a, slice_str(suffix), false)) &&
              slice_eq_str(canonical, suffix);
    arena_fini(&a);
    return ok ? NULL
              : "is no DNS suffix; expected lower-case labels without a dot in front, such as "
                "corp.example";
}

static const char *seconds_wrong(const void *value)
{
    return *(const int64_t *)value % 1000 == 0 ? NULL
                                               : "has a part of a second; expected whole seconds";
}

// A profile's name is in its canonical text, in logs and in what ACME clients see.
static bool name_plain(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(name);
    return n > 0 && n <= PROFILE_NAME_MAX && strspn(name, allowed) == n;
}

// url_wrong: relying parties fetch CRLs without TLS, whose certificates they would have to check
// (RFC 5280 section 8). The URL is copied into certificates as it is.
static const char *url_wrong(const void *value)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/[]%";
    const char *url = *(const char *const *)value;
    size_t n = strlen(url), scheme = strlen("http://");
    bool ok = n == 0 || (strncmp(url, "http://", scheme) == 0 && n > scheme && n <= CRL_URL_MAX &&
                         url[n - 1] != '/' && strspn(url, allowed) == n);
    return ok ? NULL
              : "is no base for CRLs; expected http://HOST[:PORT]/PATH without a slash at its end, "
                "such as http://crl.corp.example/crl";
}

static const char *profile_wrong(const void *value)
{
    const struct profile_settings *p = value;
    if (!name_plain(p->name))
        return "is no name for a profile; expected 1 to 64 letters, digits, dots, hyphens or "
               "underscores";
    const struct issuer_settings *issuers = p->issuers.items;
    int64_t weights = p->issuers.count == 0;
    for (size_t i = 0; i < p->issuers.count; i++) {
        weights += issuers[i].weight;
        for (size_t k = 0; k < i; k++)
            if (issuers[k].id == issuers[i].id)
                return "names an issuer twice; expected each once, with its weight";
    }
    if (weights == 0)
        return "has issuers of weight 0 only, so that nobody would sign; expected one of 1 or more";
    if (p->no_rev_avail && p->crl_url != NULL && p->crl_url[0] != 0)
        return "says no_rev_avail and has a crl_url: a certificate cannot deny revocation data "
               "and name it; expected one of them";
    if (p->backdate_ms >= p->validity_ms)
        return "has a backdate not shorter than its validity, so that a certificate would have "
               "expired when it is made; expected a shorter backdate";
    return NULL;
}

static const struct setting issuer_rows[] = {
    {.key = "id",
     .type = SETTING_INT,
     IN(struct issuer_settings, id),
     .min = 1,
     .max = 99,
     .help = "N of issuer-N.pem."},
    {.key = "weight",
     .type = SETTING_INT,
     IN(struct issuer_settings, weight),
     .default_text = "1",
     .min = 0,
     .max = 1000000,
     .help =
         "Its part of the profile's certificates, beside the others' weights. 0: it gets no new "
         "ones; those on their way are still signed."},
    {0},
};

static const struct setting profile_rows[] = {
    {.key = "validity",
     .type = SETTING_DURATION,
     IN(struct profile_settings, validity_ms),
     .default_text = "24h",
     .min = 60000,
     .max = 34560000000,
     .check = seconds_wrong,
     .help = "notAfter - notBefore + 1 s, whole seconds."},
    {.key = "backdate",
     .type = SETTING_DURATION,
     IN(struct profile_settings, backdate_ms),
     .default_text = "1m",
     .min = 0,
     .max = 3540000,
     .check = seconds_wrong,
     .help = "How far notBefore lies before the time of signing."},
    {.key = "keys",
     .type = SETTING_LIST,
     IN(struct profile_settings, key_kinds),
     .element = SETTING_STRING,
     .min = 1,
     .max = 8,
     .check = kind_wrong,
     .help = "Key kinds: P-256, P-384, RSA-2048 (up to 4096 bits), P-521, Ed25519."},
    {.key = "client_auth",
     .type = SETTING_BOOL,
     IN(struct profile_settings, client_auth),
     .default_text = "false",
     .help = "Adds clientAuth to the extended key usage beside serverAuth."},
    {.key = "no_rev_avail",
     .type = SETTING_BOOL,
     IN(struct profile_settings, no_rev_avail),
     .default_text = "false",
     .help = "Adds noRevAvail (RFC 9608): no revocation data will exist."},
    {.key = "wildcards",
     .type = SETTING_BOOL,
     IN(struct profile_settings, wildcards),
     .default_text = "true",
     .help = "Signs names such as *.corp.example, which front ends ask for when control of the DNS "
             "was proved."},
    {.key = "crl_url",
     .type = SETTING_STRING,
     IN(struct profile_settings, crl_url),
     .default_text = "",
     .optional = true,
     .min = 0,
     .max = CRL_URL_MAX,
     .check = url_wrong,
     .help = "Certificates name a CRL below this URL, which front ends serve as /crl/ISSUER/"
             "SHARD.crl: http://HOST[:PORT]/crl. Absent: they name none, so that a revocation is "
             "recorded and relying parties are not told."},
    {.key = "crl_parts",
     .type = SETTING_INT,
     IN(struct profile_settings, crl_parts),
     .default_text = "1",
     .min = 1,
     .max = 64,
     .help = "CRLs that one hour's certificates are spread over. One CRL holds 16384 revocations "
             "at most: give as many as certificates of an hour divided by that."},
    {.key = "names",
     .type = SETTING_LIST,
     IN(struct profile_settings, names),
     .default_text = "",
     .element = SETTING_STRING,
     .min = 0,
     .max = 256,
     .check = suffix_wrong,
     .help = "DNS suffixes that names must be at or below. None: any name."},
    {.key = "networks",
     .type = SETTING_LIST,
     IN(struct profile_settings, networks),
     .default_text = "",
     .element = SETTING_RANGE,
     .min = 0,
     .max = 64,
     .help = "Networks whose addresses may be in certificates (RFC 8738): [10.0.0.0/8, "
             "'fd00::/8']. None: no certificates for addresses."},
    {.key = "issuers",
     .type = SETTING_LIST,
     IN(struct profile_settings, issuers),
     .default_text = "",
     .rows = issuer_rows,
     .element_size = sizeof(struct issuer_settings),
     .min = 0,
     .max = 8,
     .help = "Issuing CAs that sign the profile (`certmill-signer add-issuer`). None: "
             "issuer 1."},
    {.key = "text",
     .type = SETTING_STRING,
     IN(struct profile_settings, text),
     .default_text = "24-hour server certificates",
     .min = 1,
     .max = 256,
     .help = "One sentence for people, shown in ACME directories."},
    {0},
};

bool group_name_plain(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= GROUP_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static const char *caller_wrong(const void *value)
{
    const struct caller_settings *c = value;
    return group_name_plain(c->name) ? NULL
                                     : "is no name for a group; expected 1 to 32 lower-case "
                                       "letters, digits or hyphens";
}

static const struct setting caller_rows[] = {
    {.key = "profiles",
     .type = SETTING_LIST,
     IN(struct caller_settings, profiles),
     .default_text = "",
     .element = SETTING_STRING,
     .min = 0,
     .max = 64,
     .help = "Profiles that they may use. None: all."},
    {.key = "names",
     .type = SETTING_LIST,
     IN(struct caller_settings, names),
     .default_text = "",
     .element = SETTING_STRING,
     .min = 0,
     .max = 256,
     .check = suffix_wrong,
     .help = "DNS suffixes that names must be at or below, besides the profile's. None: any name."},
    {.key = "networks",
     .type = SETTING_LIST,
     IN(struct caller_settings, networks),
     .default_text = "",
     .element = SETTING_RANGE,
     .min = 0,
     .max = 64,
     .help = "Networks that addresses must be in, besides the profile's. None: any that the "
             "profile has, or no address where `names` bounds the group."},
    {.key = "rate",
     .type = SETTING_INT,
     IN(struct caller_settings, rate_per_s),
     .default_text = "10000000",
     .min = 1,
     .max = 10000000,
     .help = "Most certificates in one second, all of the group's front ends together."},
    {0},
};

const struct setting signer_settings_table[] = {
    {.key = "dir",
     .type = SETTING_PATH,
     IN(struct signer_settings, dir),
     .help = "Folder that the ceremony made."},
    {.key = "passphrase_file",
     .type = SETTING_PATH,
     IN(struct signer_settings, passphrase_file),
     .default_text = "",
     .optional = true,
     .help = "File with the passphrase of the keys. Absent: the systemd credential `passphrase`, "
             "else CERTMILL_PASSPHRASE."},
    {.key = "journal",
     .type = SETTING_PATH,
     IN(struct signer_settings, journal),
     .help = "Folder of the journal: every signature is on disk here before it leaves."},
    {.key = "journal_segment",
     .type = SETTING_SIZE,
     IN(struct signer_settings, journal_segment),
     .default_text = "64MiB",
     .min = 1 << 20,
     .max = 64 << 20,
     .help = "Size of the journal's files, each preallocated as a whole."},
    {.key = "journal_index",
     .type = SETTING_INT,
     IN(struct signer_settings, journal_index),
     .default_text = "1048576",
     .min = 1024,
     .max = 1 << 26,
     .help = "Orders of the last 15 minutes that are known by heart; when there are more, further "
             "ones are refused as busy. About 160 bytes each, taken as they come."},
    {.key = "user",
     .type = SETTING_STRING,
     IN(struct signer_settings, user),
     .default_text = "",
     .optional = true,
     .min = 0,
     .max = 64,
     .help = "Run as this user when started as root: files of `dir` and the passphrase are read "
             "before, the journal is this user's."},
    {.key = "address",
     .type = SETTING_ADDRESS,
     IN(struct signer_settings, address),
     .help = "Where front ends connect (gRPC, mutual TLS)."},
    {.key = "private_address",
     .type = SETTING_ADDRESS,
     IN(struct signer_settings, private_address),
     .help = "Where /livez, /readyz and /metrics are served, without TLS: keep it private."},
    {.key = "region",
     .type = SETTING_INT,
     IN(struct signer_settings, region),
     .default_text = "0",
     .min = 0,
     .max = 63,
     .help = "Region in the serials."},
    {.key = "rate",
     .type = SETTING_INT,
     IN(struct signer_settings, rate_per_s),
     .default_text = "200000",
     .min = 1,
     .max = 10000000,
     .reloadable = true,
     .help = "Most certificates in one second; more are refused as busy."},
    {.key = "blocked_keys",
     .type = SETTING_PATH,
     IN(struct signer_settings, blocked_keys),
     .default_text = "",
     .optional = true,
     .reloadable = true,
     .help = "File of keys that are not certified: a line for each, the SHA-256 of its "
             "SubjectPublicKeyInfo in hexadecimal, and after a blank anything. Read again on "
             "SIGHUP, when it lies in the folder of this file: the sandbox opens no other."},
    {.key = "profiles",
     .type = SETTING_MAP,
     IN(struct signer_settings, profiles),
     .rows = profile_rows,
     .element_size = sizeof(struct profile_settings),
     .min = 1,
     .max = 64,
     .reloadable = true,
     .check = profile_wrong,
     .help = "Profiles by name. After a reload the former versions are honoured for an hour, for "
             "orders that are on their way."},
    {.key = "crl_former_urls",
     .type = SETTING_LIST,
     IN(struct signer_settings, crl_former_urls),
     .default_text = "",
     .element = SETTING_STRING,
     .min = 0,
     .max = 7,
     .reloadable = true,
     .check = url_wrong,
     .help = "Where CRLs were before: what profiles had as crl_url while certificates live that "
             "name it. CRLs say that they are good for these places, too."},
    {.key = "callers",
     .type = SETTING_MAP,
     IN(struct signer_settings, callers),
     .default_text = "",
     .optional = true,
     .rows = caller_rows,
     .element_size = sizeof(struct caller_settings),
     .min = 0,
     .max = 64,
     .check = caller_wrong,
     .help =
         "Groups of front ends and what each may ask for: a front end with the certificate "
         "acme-GROUP.pem (`certmill-signer renew --front-end GROUP`) is of GROUP, one with "
         "acme.pem is of `default`. Absent: any front end may ask for anything; otherwise those "
         "of groups that are not here get nothing."},
    {.key = "p256",
     .type = SETTING_ENUM,
     IN(struct signer_settings, p256),
     .default_text = "auto",
     .choices = p256_choices,
     .help = "How ECDSA P-256 signatures are made and checked. auto: many at once where the "
             "processor has AVX-512 IFMA; scalar: one by one. The signatures are the same."},
    {.key = "sandbox",
     .type = SETTING_BOOL,
     IN(struct signer_settings, sandbox),
     .default_text = "true",
     .help = "seccomp and Landlock: what the signer never does is taken from it."},
    {.key = "log_level",
     .type = SETTING_ENUM,
     IN(struct signer_settings, log_level),
     .default_text = "info",
     .choices = level_choices,
     .reloadable = true,
     .help = "Least severe events that are written."},
    {.key = "log_format",
     .type = SETTING_ENUM,
     IN(struct signer_settings, log_format),
     .default_text = "text",
     .choices = format_choices,
     .help = "text or json."},
    {0},
};
