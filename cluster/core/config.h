// config: YAML files read through one settings table per program. The table validates, gives defaults, makes
// docs/configuration.md and answers `certmill config check`. An error names file, line, column, key and what was expected.
// A loaded configuration is const; a reload is a new one, delivered to shards by message. Called at start and on SIGHUP only.
#pragma once
#include "proto/base/arena.h"
#include "proto/base/buf.h"

enum setting_type {
    SETTING_BOOL,      // bool
    SETTING_INT,       // int64_t, within [min, max]
    SETTING_DURATION,  // int64_t milliseconds; text "10s", "5m", "24h", "250ms"
    SETTING_SIZE,      // int64_t bytes; text "64KiB", "1MiB", plain number
    SETTING_STRING,    // const char *
    SETTING_PATH,      // const char *, relative to the configuration file's folder, stored absolute
    SETTING_ENUM,      // int, one of choices (position)
    SETTING_ADDRESS,   // struct sockaddr_storage + socklen_t: struct config_address
    SETTING_RANGE,     // struct address_range (for lists)
    SETTING_GROUP,     // a nested mapping: struct inside, by `rows`
    SETTING_LIST,      // struct config_list of elements, each by `rows` (mapping) or of the scalar type `element`
    SETTING_MAP,       // struct config_list of elements of `rows`, keyed: the key is stored in the element's first member, a const char *
};

struct config_list {
    void *items; // array of element_size bytes each, in the configuration's arena
    size_t count;
};

struct setting {
    const char *key;
    enum setting_type type;
    size_t offset;               // in the struct that the table fills
    const char *default_text;    // as in YAML; NULL: required, "" with optional: absent (NULL, zero, empty)
    bool optional;
    bool reloadable;             // SIGHUP applies it; others are named in a log line that a restart is needed
    int64_t min, max;            // bounds of INT, DURATION, SIZE; of the number of elements for LIST and MAP
    const char *const *choices;  // ENUM, NULL-terminated
    enum setting_type element;   // LIST of scalars
    const struct setting *rows;  // GROUP, LIST, MAP: NULL-key-terminated
    size_t element_size;
    const char *help;            // one or more sentences; also the documentation
};

enum { CONFIG_ERROR_MAX = 512 };

// config_load fills `out` (a struct described by `rows`, `out_size` bytes) from the YAML file; strings and lists are in the arena.
// `error` gets "FILE:LINE:COLUMN: KEY: what is wrong; expected ...". Unknown and duplicate keys are errors. ERR_BAD_CONFIG.
RESULT config_load(void *out, size_t out_size, const struct setting *rows, struct arena *a, const char *path, char error[CONFIG_ERROR_MAX]);
// config_parse is config_load on text; `name` stands for the file in messages and its folder is `base`.
RESULT config_parse(void *out, size_t out_size, const struct setting *rows, struct arena *a, struct slice text, const char *name,
                    const char *base, char error[CONFIG_ERROR_MAX]);
// config_docs appends the reference as Markdown: a section per group, a row per key with type, default, bounds, reload and help.
RESULT config_docs(struct buf *out, const char *title, const struct setting *rows);
