#include "signer/reload.h"

#include <stdio.h>

#include "cluster/core/log.h"
#include "signer/events.h"

enum { ARENA_MAX = 4 << 20, KEYS_MAX = 4096 };

// restart_say names what a reload cannot change.
static void restart_say(const struct reload *r, const struct signer_settings *fresh)
{
    struct config_changes changes;
    struct buf keys;
    buf_init(&keys, KEYS_MAX);
    if (!failed(config_diff(&changes, &keys, signer_settings_table, r->settings, fresh)) &&
        changes.restart > 0)
        LOG(r->log, &EVENT_SIGNER_RESTART_NEEDED, NULL, LOG_SLICE("settings", buf_slice(&keys)));
    buf_fini(&keys);
}

static bool taken(const struct reload *r, const struct signer_settings *fresh, char *error,
                  int64_t now_s)
{
    if (failed(profiles_take(r->profiles, fresh, now_s))) {
        snprintf(error, CONFIG_ERROR_MAX,
                 "%s: profiles have changed %d times within an hour, and each version is kept for "
                 "one; send SIGHUP again later",
                 r->path, PROFILES_GENERATIONS_MAX);
        return false;
    }
    if (failed(block_list_read(r->blocked, error, fresh->blocked_keys))) return false;
    restart_say(r, fresh);
    r->settings->rate_per_s = fresh->rate_per_s;
    r->settings->log_level = fresh->log_level;
    log_level_set(r->log, (enum log_level)fresh->log_level);
    LOG(r->log, &EVENT_SIGNER_RELOADED, NULL, LOG_INT("profiles", fresh->profiles.count),
        LOG_INT("generations", r->profiles->count));
    return true;
}

bool reload_run(const struct reload *r, int64_t now_s)
{
    struct signer_settings fresh;
    struct arena a;
    char error[CONFIG_ERROR_MAX];
    arena_init(&a, ARENA_MAX);
    bool ok = !failed(
                  config_load(&fresh, sizeof fresh, signer_settings_table, &a, r->path, error)) &&
              taken(r, &fresh, error, now_s);
    if (!ok) LOG(r->log, &EVENT_SIGNER_RELOAD_REFUSED, error);
    arena_fini(&a);
    return ok;
}
