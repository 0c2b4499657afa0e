// The reference of a settings table as Markdown, and nothing that changes from run to run.
#include <stdio.h>

#include "cluster/core/config_internal.h"

// cell_add appends a text with what would break a table row escaped.
static struct err cell_add(struct buf *out, const char *text)
{
    for (const char *p = text; *p != 0; p++) {
        if (*p == '|')
            TRY(buf_add_str(out, "\\|"));
        else
            TRY(buf_add(out, *p == '\n' ? SLICE_LIT(" ") : slice_of(p, 1)));
    }
    return OK;
}

static struct err type_add(struct buf *out, const struct setting *row)
{
    static const char *const names[] = {"boolean", "integer", "duration", "size",  "text", "path",
                                        "choice",  "address", "range",    "group", "list", "map"};
    static const char *const plurals[] = {"booleans", "integers", "durations", "sizes", "texts",
                                          "paths",    "choices",  "addresses", "ranges"};
    if (row->type != SETTING_LIST) return buf_add_str(out, names[row->type]);
    return buf_printf(out, "list of %s", row->rows != NULL ? "groups" : plurals[row->element]);
}

static bool rows_required(const struct setting *rows)
{
    for (const struct setting *row = rows; row->key != NULL; row++) {
        if (row->optional) continue;
        if (row->type == SETTING_GROUP ? rows_required(row->rows) : row->default_text == NULL)
            return true;
    }
    return false;
}

static struct err default_add(struct buf *out, const struct setting *row)
{
    bool empty = row->default_text == NULL || row->default_text[0] == 0;
    if (row->optional && empty) return buf_add_str(out, "absent");
    if (row->type == SETTING_GROUP)
        return buf_add_str(out, rows_required(row->rows) ? "**required**" : "its defaults");
    if (row->default_text == NULL) return buf_add_str(out, "**required**");
    if (empty) return buf_add_str(out, "empty");
    TRY(buf_add_str(out, "`"));
    TRY(cell_add(out, row->default_text));
    return buf_add_str(out, "`");
}

// bounds_add appends the part of setting_expected that follows the kind: choices or bounds.
static struct err bounds_add(struct buf *out, const struct setting *row)
{
    char low[32], high[32], choices[512];
    enum setting_type type = row->type;
    bool choices_listed = type == SETTING_LIST && row->rows == NULL && row->element == SETTING_ENUM;
    if (type == SETTING_ENUM || choices_listed) {
        return cell_add(out, setting_choices(choices, sizeof choices, row));
    }
    if (row->port != 0) return buf_printf(out, "port %u unless given", row->port);
    bool none = row->min == 0 && row->max == 0;
    if (none || type == SETTING_ADDRESS || type == SETTING_GROUP) return OK;
    setting_bound(low, type, row->min);
    setting_bound(high, type, row->max);
    if (!setting_has_max(row)) {
        return buf_printf(out, "at least %s%s", low, setting_noun(type, row->min));
    }
    return buf_printf(out, "%s to %s%s", low, high, setting_noun(type, row->max));
}

static struct err row_add(struct buf *out, const struct setting *row, bool reloadable)
{
    TRY(buf_printf(out, "| `%s` | ", row->key));
    TRY(type_add(out, row));
    TRY(buf_add_str(out, " | "));
    TRY(default_add(out, row));
    TRY(buf_add_str(out, " | "));
    TRY(bounds_add(out, row));
    TRY(buf_printf(out, " | %s | ",
                   row->type == SETTING_GROUP && !reloadable ? "see there"
                   : reloadable                              ? "yes"
                                                             : "restart"));
    TRY(cell_add(out, row->help == NULL ? "" : row->help));
    return buf_add_str(out, " |\n");
}

// struct section is where a table of rows stands: its dotted key and whether what surrounds it is
// reloadable.
struct section {
    const struct trail *trail;
    const char *help;
    bool reloadable;
};

static struct err section_add(struct buf *out, const struct setting *rows,
                              const struct section *section);

static struct err inner_sections_add(struct buf *out, const struct setting *rows,
                                     const struct section *section)
{
    for (const struct setting *row = rows; row->key != NULL; row++) {
        if (row->rows == NULL) continue;
        struct trail trail = *section->trail;
        trail_key(&trail, slice_str(row->key));
        const char *suffix = row->type == SETTING_LIST  ? "[]"
                             : row->type == SETTING_MAP ? ".<name>"
                                                        : "";
        size_t room = sizeof trail.text - trail.n;
        int n = snprintf(trail.text + trail.n, room, "%s", suffix);
        trail_cut(&trail, trail.n + (n > 0 && (size_t)n < room ? (size_t)n : 0));
        struct section inner = {&trail, row->help, section->reloadable || row->reloadable};
        TRY(section_add(out, row->rows, &inner));
    }
    return OK;
}

static struct err section_add(struct buf *out, const struct setting *rows,
                              const struct section *section)
{
    if (section->trail->n > 0)
        TRY(buf_printf(out, "\n## `%s`\n\n%s\n", section->trail->text,
                       section->help == NULL ? "" : section->help));
    TRY(buf_add_str(out, "\n| key | type | default | bounds | reload | what it does "
                         "|\n|---|---|---|---|---|---|\n"));
    for (const struct setting *row = rows; row->key != NULL; row++) {
        TRY(row_add(out, row, section->reloadable || row->reloadable));
    }
    return inner_sections_add(out, rows, section);
}

struct err config_docs(struct buf *out, const char *title, const struct setting *rows)
{
    struct trail top = {0};
    struct section section = {&top, NULL, false};
    TRY(buf_printf(out, "# %s\n", title));
    return section_add(out, rows, &section);
}
