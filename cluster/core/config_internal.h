// What the parts of config share: the reading under way, its place in the file, scalars as text.
// Only config*.c include it.
#pragma once
#include <yaml.h>

#include "cluster/core/config.h"

enum { CONFIG_TRAIL_MAX = 200, CONFIG_QUOTE_MAX = 160 };

// struct trail is the dotted key of the place at hand. What does not fit is left out.
struct trail {
    char text[CONFIG_TRAIL_MAX];
    size_t n;
};

// trail_cut goes back to a length that `n` was at before: leaving a key.
void trail_cut(struct trail *t, size_t n);
// trail_key appends ".key", quoted when it holds more than letters, digits, '_' and '-';
// trail_index appends "[i]".
void trail_key(struct trail *t, struct slice key);
void trail_index(struct trail *t, size_t i);

struct reading {
    struct arena *arena;
    struct slice text; // the file's bytes
    const char *name;  // for messages
    const char *base;  // folder of relative paths
    char *error;       // CONFIG_ERROR_MAX bytes
    struct trail trail;
};

// reading_fail writes the message for the place `at` and returns ERR_BAD_CONFIG.
RESULT reading_fail(struct reading *r, yaml_mark_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// reading_check refuses what is not one document of plain mappings, lists and scalars within the
// bounds. After it, loading the text as a document succeeds (memory apart) and recursion over it is
// bounded.
RESULT reading_check(struct reading *r);
// config_quote writes at most 40 bytes of `s` for a message: in double quotes, control bytes and
// quotes escaped.
const char *config_quote(char out[CONFIG_QUOTE_MAX], struct slice s);

// struct scalar is one value as text; plain: written without quotes.
struct scalar {
    struct slice text;
    bool plain;
};

// scalar_read stores the value of a scalar type at `field`. `wrong` gets what is wrong ("\"x\" is
// not a duration"). ERR_BAD_CONFIG, ERR_NO_SPACE.
RESULT scalar_read(void *field, struct reading *r, const struct setting *row,
                   enum setting_type type, struct scalar s, char *wrong, size_t wrong_size);
size_t scalar_size(enum setting_type type);
bool setting_is_scalar(enum setting_type type);
bool setting_has_max(const struct setting *row);
// setting_expected writes what a value must be: "a duration such as 30s, between 1s and 1h".
const char *setting_expected(char *out, size_t size, const struct setting *row,
                             enum setting_type type, bool bounds);
// setting_bound writes a bound in the setting's own unit: "10s", "1MiB", "3".
const char *setting_bound(char out[32], enum setting_type type, int64_t value);
// setting_noun is what a bound counts: " bytes", " entries", "".
const char *setting_noun(enum setting_type type, int64_t count);
// setting_choices writes "a, b, c".
const char *setting_choices(char *out, size_t size, const struct setting *row);
