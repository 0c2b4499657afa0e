// config: YAML files read through one settings table per program. The table validates, gives
// defaults, makes docs/configuration.md and answers `certmill config check`. An error names file,
// line, column, key and what was expected. A loaded configuration is const; a reload is a new one,
// delivered to shards by message. Called at start and on SIGHUP only.
//
// Accepted is one YAML document of mappings, lists and scalars, at most CONFIG_SIZE_MAX bytes and
// CONFIG_DEPTH_MAX levels deep. Anchors, aliases, tags, directives and further documents are
// refused: what a file says is what is written at that place.
#pragma once
#include <sys/socket.h>

#include "proto/base/arena.h"
#include "proto/base/buf.h"

enum { CONFIG_ERROR_MAX = 512, CONFIG_SIZE_MAX = 1 << 20, CONFIG_DEPTH_MAX = 16 };

// What a row's field is, and how its text reads.
enum setting_type {
    SETTING_BOOL,     // bool; true or false
    SETTING_INT,      // int64_t; decimal
    SETTING_DURATION, // int64_t milliseconds; "250ms", "10s", "5m", "24h", "90d": with unit
    SETTING_SIZE,     // int64_t bytes; "64KiB", "1MiB", "2GiB" or a plain number
    SETTING_STRING,   // const char *; no NUL byte inside
    SETTING_PATH,     // const char *; relative to the file's folder, stored absolute
    SETTING_ENUM,     // int: position among the choices
    SETTING_ADDRESS,  // struct config_address; as address_parse reads it
    SETTING_RANGE,    // struct address_range (cluster/core/address.h)
    SETTING_GROUP,    // a nested mapping: the struct itself, by `rows`
    SETTING_LIST, // struct config_list: mappings by `rows`, or without rows scalars of `element`
    SETTING_MAP,  // struct config_list: mappings by `rows`, keyed. The key is stored in the
                  // element's first member, a const char *
};

struct config_list {
    void *items; // array of element_size bytes each, in the configuration's arena
    size_t count;
};

struct config_address {
    struct sockaddr_storage address;
    socklen_t len; // 0: absent
};

// struct setting is one row of a table; a table ends with a row whose key is NULL.
// What a file leaves out: a group is read as an empty one, so that its rows give their defaults or
// are missed (optional: all zero). Any other row gets default_text, read as if it stood in the
// file.
struct setting {
    const char *key;
    enum setting_type type;
    size_t offset; // in the struct that the table fills
    // default_text, as in YAML; NULL: required. "" is the empty text, list or map.
    const char *default_text;
    bool optional; // default_text NULL or "" means absent: NULL, zero, no elements
    // reloadable: SIGHUP applies it and all inside it; others are named in a log line.
    bool reloadable;
    // min and max bound INT, DURATION and SIZE, the bytes of STRING, the number of elements of LIST
    // and MAP. max below min: no upper bound; both 0: none (DURATION and SIZE are never negative).
    int64_t min, max;
    const char *const *choices; // ENUM, also as element: NULL-terminated
    unsigned port; // ADDRESS, also as element: of a text without port; 0: it must have one
    enum setting_type element;  // LIST of scalars
    const struct setting *rows; // GROUP, LIST, MAP
    size_t element_size;        // bytes of an element's struct: LIST and MAP with rows
    // check judges what the table cannot say, once a value of the file has been read: a scalar,
    // each element of a LIST or MAP (in a MAP with its name), a GROUP. NULL when it is good, else a
    // sentence's end, "is no host; expected ...": before it stand the place and the key, and a
    // scalar's text. check_all judges a LIST or MAP as a whole (struct config_list).
    const char *(*check)(const void *value);
    const char *(*check_all)(const void *list);
    const char *help; // one or more sentences; also the documentation
};

// config_load fills `out` (a struct described by `rows`, `out_size` bytes) from the YAML file;
// strings and lists are in the arena. `out` is written on success only; what `rows` do not describe
// becomes zero. Otherwise `error` gets "FILE:LINE:COLUMN: KEY: what is wrong; expected ...", the
// key with its groups ("server.tls.key", "listen[0]"); without a place when the file cannot be
// read. ERR_BAD_CONFIG, ERR_NO_SPACE at the arena's ceiling.
RESULT config_load(void *out, size_t out_size, const struct setting *rows, struct arena *a,
                   const char *path, char error[CONFIG_ERROR_MAX]);
// config_parse is config_load on text; `name` stands for the file in messages and its folder is
// `base` (an absolute path).
RESULT config_parse(void *out, size_t out_size, const struct setting *rows, struct arena *a,
                    struct slice text, const char *name, const char *base,
                    char error[CONFIG_ERROR_MAX]);
// config_docs appends the reference as Markdown: a section per group, a row per key with type,
// default, bounds, reload and help. ERR_NO_SPACE.
RESULT config_docs(struct buf *out, const char *title, const struct setting *rows);

struct config_changes {
    size_t reloadable; // keys that differ and that SIGHUP applies
    size_t restart;    // keys that differ and need a restart
};

// config_diff compares two loaded configurations of one table, key by key (map elements by name,
// list elements by position). `restart_keys` gets the dotted keys that differ and are not
// reloadable, separated by ", ". Compare with the configuration that the program started with, so
// that a later reload still names what waits for a restart. ERR_NO_SPACE.
RESULT config_diff(struct config_changes *out, struct buf *restart_keys, const struct setting *rows,
                   const void *before, const void *after);
