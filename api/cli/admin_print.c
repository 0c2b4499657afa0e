// admin_print: answers for people: tables, lines of "name: value", PEM as it is; or JSON.
#include <stdio.h>
#include <string.h>

#include "api/cli/admin.h"

enum { VALUES_MAX = 1 << 22, CELL_MAX = 60, COLUMNS_MAX = 16 };

static bool answer_parse(struct cli *cli, struct json *out)
{
    return !failed(json_parse_large(out, &cli->arena, cli->body, VALUES_MAX)) &&
           json_is_object(*out);
}

const char *cli_next(struct cli *cli)
{
    struct json j;
    struct slice next;
    if (!answer_parse(cli, &j) || failed(json_string(json_get(j, "next"), &next))) return NULL;
    return arena_printf(&cli->arena, "%" SLICE_FMT, SLICE_ARG(next));
}

const char *cli_problem(struct cli *cli)
{
    struct json j;
    struct slice detail;
    if (answer_parse(cli, &j) && !failed(json_string(json_get(j, "detail"), &detail)))
        return arena_printf(&cli->arena, "%" SLICE_FMT, SLICE_ARG(detail));
    return arena_printf(&cli->arena, "the answer was a %u without a reason", cli->status);
}

// value_text is a member as one line.
static const char *value_text(struct cli *cli, struct json v)
{
    struct slice s;
    int64_t n;
    bool flag;
    const char *out = "";
    if (!failed(json_string(v, &s))) return arena_printf(&cli->arena, "%" SLICE_FMT, SLICE_ARG(s));
    if (!failed(json_int(v, &n))) return arena_printf(&cli->arena, "%lld", (long long)n);
    if (!failed(json_bool(v, &flag))) return flag ? "yes" : "no";
    if (json_is_array(v) && json_size(v) == 0) return "-";
    for (size_t i = 0; json_is_array(v) && i < json_size(v); i++)
        out = arena_printf(&cli->arena, "%s%s%s", out, i == 0 ? "" : ", ",
                           value_text(cli, json_at(v, i)));
    return out;
}

// ---- one thing

static void client_lines(struct cli *cli, struct json j)
{
    const char *kid = value_text(cli, json_get(j, "kid")),
               *key = value_text(cli, json_get(j, "hmac_key")),
               *directory = value_text(cli, json_get(j, "directory"));
    printf("\nThe secret is shown this once. For clients:\n\n"
           "  certbot register --server %s --eab-kid %s \\\n    --eab-hmac-key %s\n\n"
           "  lego --server %s --eab --kid %s \\\n    --hmac %s ...\n",
           directory, kid, key, directory, kid, key);
    if (strcmp(value_text(cli, json_get(j, "tenant_eab")), "off") == 0)
        printf("\nThis tenant has `eab: off`: bindings are ignored until its configuration says "
               "optional or required.\n");
}

static void object_print(struct cli *cli, struct json j)
{
    int width = 0;
    for (const struct admin_field *f = cli->op->schema->fields; f->name != NULL; f++)
        if ((int)strlen(f->name) > width) width = (int)strlen(f->name);
    for (const struct admin_field *f = cli->op->schema->fields; f->name != NULL; f++) {
        struct json v = json_get(j, f->name);
        if (json_present(v) && f->type != ADMIN_LINES && f->type != ADMIN_JSON)
            printf("%-*s  %s\n", width, f->name, value_text(cli, v));
    }
    for (const struct admin_field *f = cli->op->schema->fields; f->name != NULL; f++)
        if (f->type == ADMIN_LINES && json_present(json_get(j, f->name)))
            printf("%s", value_text(cli, json_get(j, f->name)));
    if (json_present(json_get(j, "hmac_key"))) client_lines(cli, j);
}

// ---- a table

struct table {
    const struct admin_field *columns[COLUMNS_MAX];
    int widths[COLUMNS_MAX];
    size_t count;
};

static const char *cell(struct cli *cli, struct json item, const struct admin_field *f)
{
    struct json v = json_get(item, f->name);
    const char *text = json_present(v) ? value_text(cli, v) : "-";
    return strlen(text) <= CELL_MAX ? text
                                    : arena_printf(&cli->arena, "%.*s...", CELL_MAX - 3, text);
}

static void table_measure(struct cli *cli, struct table *t, struct json items)
{
    for (const struct admin_field *f = cli->op->schema->fields; f->name != NULL; f++) {
        if (f->column == NULL || t->count == COLUMNS_MAX) continue;
        int width = (int)strlen(f->column);
        for (size_t i = 0; i < json_size(items); i++) {
            int n = (int)strlen(cell(cli, json_at(items, i), f));
            if (n > width) width = n;
        }
        t->columns[t->count] = f;
        t->widths[t->count++] = width;
    }
}

static void table_print(struct cli *cli, struct json items)
{
    struct table t = {0};
    table_measure(cli, &t, items);
    for (size_t k = 0; k < t.count; k++)
        printf("%-*s%s", k + 1 < t.count ? t.widths[k] : 0, t.columns[k]->column,
               k + 1 < t.count ? "  " : "\n");
    for (size_t i = 0; i < json_size(items); i++)
        for (size_t k = 0; k < t.count; k++)
            printf("%-*s%s", k + 1 < t.count ? t.widths[k] : 0,
                   cell(cli, json_at(items, i), t.columns[k]), k + 1 < t.count ? "  " : "\n");
}

// pems_print prints certificates one behind the other, for a file.
static void pems_print(struct cli *cli, struct json items)
{
    for (size_t i = 0; i < json_size(items); i++)
        printf("%s", value_text(cli, json_get(json_at(items, i), "pem")));
}

bool cli_print(struct cli *cli)
{
    struct json j;
    if (cli->json) {
        fwrite(cli->body.p, 1, cli->body.n, stdout);
        putchar('\n');
        return true;
    }
    if (!answer_parse(cli, &j)) return false;
    if (json_size(json_get(j, "items")) > 0 &&
        json_present(json_get(json_at(json_get(j, "items"), 0), "pem")))
        pems_print(cli, json_get(j, "items"));
    else if ((cli->op->flags & ADMIN_PAGES) != 0)
        table_print(cli, json_get(j, "items"));
    else
        object_print(cli, j);
    fflush(stdout);
    return true;
}
