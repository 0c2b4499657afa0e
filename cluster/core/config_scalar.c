// Scalars of a configuration: strict text to value, and what to say about a value that is expected.
#include <stdio.h>

#include "cluster/core/address.h"
#include "cluster/core/config_internal.h"
#include "cluster/err.h"
#include "proto/err.h"

struct unit {
    const char *text;
    int64_t factor;
};

static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                        {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit sizes[] = {
    {"TiB", 1ll << 40}, {"GiB", 1ll << 30}, {"MiB", 1ll << 20}, {"KiB", 1ll << 10}, {"", 1},
    {NULL, 0}};

// digits_read reads decimal digits without leading zeros from the front of `s` and says how many
// there were; 0: none or too large.
static size_t digits_read(int64_t *out, struct slice s)
{
    int64_t v = 0;
    size_t n = 0;
    for (; n < s.n && s.p[n] >= '0' && s.p[n] <= '9'; n++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.p[n] - '0', &v))
            return 0;
    }
    if (n > 1 && s.p[0] == '0') return 0;
    *out = v;
    return n;
}

static bool number_read(int64_t *out, struct slice s)
{
    bool negative = s.n > 1 && s.p[0] == '-';
    struct slice digits = slice_sub(s, negative, s.n);
    int64_t v = 0;
    if (digits.n == 0 || digits_read(&v, digits) != digits.n) return false;
    *out = negative ? -v : v;
    return true;
}

static bool with_unit_read(int64_t *out, struct slice s, const struct unit *units)
{
    int64_t v = 0;
    size_t n = digits_read(&v, s);
    if (n == 0) return false;
    for (const struct unit *u = units; u->text != NULL; u++) {
        if (slice_eq_str(slice_sub(s, n, s.n), u->text))
            return !__builtin_mul_overflow(v, u->factor, out);
    }
    return false;
}

static const char *unit_write(char out[32], int64_t v, const struct unit *units)
{
    const struct unit *u = units;
    while (u->factor > 1 && (v == 0 || v % u->factor != 0)) u++;
    snprintf(out, 32, "%lld%s", (long long)(v / u->factor), u->text);
    return out;
}

const char *setting_bound(char out[32], enum setting_type type, int64_t value)
{
    if (type == SETTING_DURATION && value != 0) return unit_write(out, value, durations);
    if (type == SETTING_SIZE) return unit_write(out, value, sizes);
    snprintf(out, 32, "%lld%s", (long long)value, type == SETTING_DURATION ? "s" : "");
    return out;
}

bool setting_has_max(const struct setting *row)
{
    return row->max >= row->min && !(row->min == 0 && row->max == 0);
}

bool setting_is_scalar(enum setting_type type) { return type < SETTING_GROUP; }

size_t scalar_size(enum setting_type type)
{
    switch (type) {
    case SETTING_BOOL:
        return sizeof(bool);
    case SETTING_ENUM:
        return sizeof(int);
    case SETTING_STRING:
    case SETTING_PATH:
        return sizeof(const char *);
    case SETTING_ADDRESS:
        return sizeof(struct config_address);
    case SETTING_RANGE:
        return sizeof(struct address_range);
    default:
        return sizeof(int64_t);
    }
}

const char *setting_choices(char *out, size_t size, const struct setting *row)
{
    size_t n = 0;
    out[0] = 0;
    for (const char *const *c = row->choices; *c != NULL && n < size; c++) {
        n += (size_t)snprintf(out + n, size - n, "%s%s", n == 0 ? "" : ", ", *c);
    }
    return out;
}

static const char *kind_text(enum setting_type type)
{
    switch (type) {
    case SETTING_BOOL:
        return "true or false";
    case SETTING_INT:
        return "a whole number";
    case SETTING_DURATION:
        return "a duration such as 500ms, 30s, 5m, 24h or 90d";
    case SETTING_SIZE:
        return "a size such as 4096, 64KiB, 1MiB or 2GiB";
    case SETTING_STRING:
        return "text";
    case SETTING_PATH:
        return "a path";
    case SETTING_ENUM:
        return "one of ";
    case SETTING_ADDRESS:
        return "an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock";
    case SETTING_RANGE:
        return "an address range such as 10.0.0.0/8 or fd00::/8";
    case SETTING_GROUP:
        return "a mapping of keys and values";
    case SETTING_LIST:
        return "a list";
    case SETTING_MAP:
        return "a mapping of names";
    }
    return "a value";
}

const char *setting_noun(enum setting_type type, int64_t count)
{
    if (type == SETTING_STRING) return count == 1 ? " byte" : " bytes";
    if (type == SETTING_LIST || type == SETTING_MAP) return count == 1 ? " entry" : " entries";
    return "";
}

static const char *bounds_text(char *out, size_t size, const struct setting *row,
                               enum setting_type type)
{
    char low[32], high[32];
    bool counted = setting_noun(type, 0)[0] != 0;
    bool has_max = setting_has_max(row), has_min = row->min != 0 || (has_max && !counted);
    const char *noun = setting_noun(type, has_max ? row->max : row->min);
    out[0] = 0;
    setting_bound(low, type, row->min);
    setting_bound(high, type, row->max);
    if (has_max && has_min)
        snprintf(out, size, "between %s and %s%s", low, high, noun);
    else if (has_max)
        snprintf(out, size, "at most %s%s", high, noun);
    else if (has_min)
        snprintf(out, size, "at least %s%s", low, noun);
    return out;
}

const char *setting_expected(char *out, size_t size, const struct setting *row,
                             enum setting_type type, bool bounds)
{
    char extra[256] = "";
    if (type == SETTING_ENUM)
        setting_choices(extra, sizeof extra, row);
    else if (bounds && type != SETTING_ADDRESS && type != SETTING_GROUP)
        bounds_text(extra, sizeof extra, row, type);
    const char *comma = extra[0] != 0 && type != SETTING_ENUM ? ", " : "";
    snprintf(out, size, "%s%s%s", kind_text(type), comma, extra);
    return out;
}

static bool bool_read(bool *out, struct slice s)
{
    *out = slice_eq_str(s, "true");
    return *out || slice_eq_str(s, "false");
}

static bool choice_read(int *out, struct slice s, const struct setting *row)
{
    for (int i = 0; row->choices[i] != NULL; i++) {
        if (slice_eq_str(s, row->choices[i])) return *out = i, true;
    }
    return false;
}

static bool address_read(struct config_address *out, struct slice s, unsigned port_default)
{
    if (slice_starts(s, SLICE_LIT("unix:")) && !slice_starts(s, SLICE_LIT("unix:/"))) return false;
    return !failed(address_parse(&out->address, &out->len, s, port_default));
}

static struct err string_store(const char **out, struct arena *a, struct slice s)
{
    struct slice copy;
    TRY(arena_dup(&copy, a, s));
    *out = (const char *)copy.p;
    return OK;
}

static struct err path_store(const char **out, struct reading *r, struct slice s)
{
    if (s.p[0] == '/') return string_store(out, r->arena, s);
    while (slice_starts(s, SLICE_LIT("./"))) s = slice_sub(s, 2, s.n);
    size_t base_n = strlen(r->base);
    bool slash = base_n > 0 && r->base[base_n - 1] == '/';
    char *p = arena_alloc(r->arena, base_n + 1 + s.n + 1);
    if (p == NULL) return ERR(NO_SPACE);
    sprintf(p, "%s%s%" SLICE_FMT, r->base, slash ? "" : "/", SLICE_ARG(s));
    *out = p;
    return OK;
}

// number_bad says whether `v` is outside the row's bounds. Elements of a list have none: min and
// max are of their number.
static bool number_bad(const struct setting *row, enum setting_type type, int64_t v)
{
    if (type != row->type) return type != SETTING_INT && v < 0;
    if (row->min == 0 && row->max == 0) return type != SETTING_INT && v < 0;
    return v < row->min || (setting_has_max(row) && v > row->max);
}

static const char *outside_text(const struct setting *row, int64_t v)
{
    return v < row->min ? "too small" : "too large";
}

// text_wrong is what is wrong with a text of type STRING or PATH, NULL when nothing is.
static const char *text_wrong(const struct setting *row, enum setting_type type, struct slice s)
{
    if (memchr(s.p, 0, s.n) != NULL) return "contains a NUL byte";
    if (type == SETTING_PATH) return s.n == 0 ? "is empty" : NULL;
    if (type != row->type || !number_bad(row, type, (int64_t)s.n)) return NULL;
    return s.n == 0 ? "is empty" : (int64_t)s.n < row->min ? "is too short" : "is too long";
}

static struct err number_store(int64_t *field, const struct setting *row, enum setting_type type,
                               struct scalar s, char *wrong, size_t wrong_size)
{
    char quoted[CONFIG_QUOTE_MAX];
    int64_t v = 0;
    bool good = type == SETTING_INT        ? number_read(&v, s.text)
                : type == SETTING_DURATION ? with_unit_read(&v, s.text, durations)
                                           : with_unit_read(&v, s.text, sizes);
    if (type == SETTING_INT && !s.plain) {
        snprintf(wrong, wrong_size, "%s stands in quotes", config_quote(quoted, s.text));
        return ERR(BAD_CONFIG);
    }
    const char *kind = type == SETTING_INT        ? "a whole number"
                       : type == SETTING_DURATION ? "a duration"
                                                  : "a size";
    if (!good) {
        snprintf(wrong, wrong_size, "%s is not %s", config_quote(quoted, s.text), kind);
        return ERR(BAD_CONFIG);
    }
    if (number_bad(row, type, v)) {
        snprintf(wrong, wrong_size, "%s is %s", config_quote(quoted, s.text), outside_text(row, v));
        return ERR(BAD_CONFIG);
    }
    *field = v;
    return OK;
}

struct err scalar_read(void *field, struct reading *r, const struct setting *row,
                       enum setting_type type, struct scalar s, char *wrong, size_t wrong_size)
{
    char quoted[CONFIG_QUOTE_MAX];
    const char *text = NULL;
    bool good = true;
    if (type == SETTING_BOOL && !s.plain) {
        snprintf(wrong, wrong_size, "%s stands in quotes", config_quote(quoted, s.text));
        return ERR(BAD_CONFIG);
    }
    switch (type) {
    case SETTING_INT:
    case SETTING_DURATION:
    case SETTING_SIZE:
        return number_store(field, row, type, s, wrong, wrong_size);
    case SETTING_STRING:
    case SETTING_PATH:
        text = text_wrong(row, type, s.text);
        if (text == NULL)
            return type == SETTING_PATH ? path_store(field, r, s.text)
                                        : string_store(field, r->arena, s.text);
        snprintf(wrong, wrong_size, "%s", text);
        return ERR(BAD_CONFIG);
    case SETTING_BOOL:
        good = bool_read(field, s.text), text = "true or false";
        break;
    case SETTING_ENUM:
        good = choice_read(field, s.text, row), text = "a known choice";
        break;
    case SETTING_ADDRESS:
        good = address_read(field, s.text, row->port), text = "an address";
        break;
    case SETTING_RANGE:
        good = !failed(address_range_parse(field, s.text)), text = "an address range";
        break;
    default:
        CHECK(!"a scalar type");
    }
    if (good) return OK;
    snprintf(wrong, wrong_size, "%s is not %s", config_quote(quoted, s.text), text);
    return ERR(BAD_CONFIG);
}
