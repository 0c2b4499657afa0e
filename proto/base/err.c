#include "proto/base/err.h"

#include <stdio.h>
#include <stdlib.h>

static struct {
    const struct err_entry *entries;
    size_t count;
} tables[ERR_FOLDER_COUNT];

static void (*check_hook)(void);

void err_register(enum err_folder folder, const struct err_entry *entries, size_t count)
{
    tables[folder].entries = entries;
    tables[folder].count = count;
}

static const struct err_entry *entry_of(struct err e)
{
    static const struct err_entry ok = {"OK", "success"};
    static const struct err_entry unknown = {"UNKNOWN", "an error whose folder was not registered"};
    if (e.v == 0) return &ok;
    uint32_t folder = e.v >> 16 & 0xff;
    uint32_t number = e.v & 0xffff;
    if (folder >= ERR_FOLDER_COUNT || number == 0 || number > tables[folder].count) return &unknown;
    return &tables[folder].entries[number - 1];
}

const char *err_name(struct err e) { return entry_of(e)->name; }

const char *err_text(struct err e) { return entry_of(e)->text; }

void err_check_hook_set(void (*hook)(void)) { check_hook = hook; }

void err_check_failed(const char *file, int line, const char *cond)
{
    fprintf(stderr, "certmill: CHECK failed at %s:%d: %s\n", file, line, cond);
    void (*hook)(void) = check_hook;
    check_hook = NULL; // a CHECK inside the hook must not come back here for ever
    if (hook != NULL) hook();
    abort();
}
