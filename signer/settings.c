#include "signer/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define IN(type, member) .offset = offsetof(type, member)

static const char *const level_choices[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_choices[] = {"text", "json", NULL};
static const char *const key_choices[] = {"P-256", "P-384", "RSA-2048", "P-521", "Ed25519", NULL};

static const struct setting profile_rows[] = {
    {.key = "validity",
     .type = SETTING_DURATION,
     IN(struct profile_settings, validity_ms),
     .default_text = "24h",
     .min = 60000,
     .max = 34560000000,
     .help = "notAfter - notBefore + 1 s, whole seconds."},
    {.key = "backdate",
     .type = SETTING_DURATION,
     IN(struct profile_settings, backdate_ms),
     .default_text = "1m",
     .min = 0,
     .max = 3540000,
     .help = "How far notBefore lies before the time of signing."},
    {.key = "keys",
     .type = SETTING_LIST,
     IN(struct profile_settings, key_kinds),
     .element = SETTING_STRING,
     .min = 1,
     .max = 8,
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
    {.key = "names",
     .type = SETTING_LIST,
     IN(struct profile_settings, names),
     .default_text = "",
     .element = SETTING_STRING,
     .min = 0,
     .max = 256,
     .help = "DNS suffixes that names must be at or below. None: any name."},
    {.key = "text",
     .type = SETTING_STRING,
     IN(struct profile_settings, text),
     .default_text = "24-hour server certificates",
     .min = 1,
     .max = 256,
     .help = "One sentence for people, shown in ACME directories."},
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
    {.key = "user",
     .type = SETTING_STRING,
     IN(struct signer_settings, user),
     .default_text = "",
     .optional = true,
     .min = 0,
     .max = 64,
     .help = "Run as this user when started as root."},
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
     .help = "Most certificates in one second; more are refused as busy."},
    {.key = "profiles",
     .type = SETTING_MAP,
     IN(struct signer_settings, profiles),
     .rows = profile_rows,
     .element_size = sizeof(struct profile_settings),
     .min = 1,
     .max = 64,
     .help = "Profiles by name."},
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
     .help = "Least severe events that are written."},
    {.key = "log_format",
     .type = SETTING_ENUM,
     IN(struct signer_settings, log_format),
     .default_text = "text",
     .choices = format_choices,
     .help = "text or json."},
    {0},
};

bool signer_settings_check(const struct signer_settings *s, char error[CONFIG_ERROR_MAX])
{
    const struct profile_settings *profiles = s->profiles.items;
    for (size_t i = 0; i < s->profiles.count; i++) {
        const char *const *kinds = profiles[i].key_kinds.items;
        for (size_t k = 0; k < profiles[i].key_kinds.count; k++) {
            size_t c = 0;
            while (key_choices[c] != NULL && strcmp(key_choices[c], kinds[k]) != 0) c++;
            if (key_choices[c] == NULL)
                return snprintf(error, CONFIG_ERROR_MAX,
                                "profiles.%s.keys: %s is no key kind; expected P-256, P-384, "
                                "RSA-2048, P-521 or Ed25519",
                                profiles[i].name, kinds[k]),
                       false;
        }
        if (profiles[i].validity_ms % 1000 != 0 || profiles[i].backdate_ms % 1000 != 0)
            return snprintf(error, CONFIG_ERROR_MAX,
                            "profiles.%s: validity and backdate are whole seconds",
                            profiles[i].name),
                   false;
    }
    return true;
}
