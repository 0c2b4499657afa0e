#include "api/cli/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "cluster/core/files.h"

enum {
    ARENA_MAX = 256 << 20,
    LINES_MAX = 4 << 20,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    HELP_COLUMN = 26
};

void cli_option(char out[64], const struct admin_param *p)
{
    snprintf(out, 64, "--%s", p->name);
    for (char *c = out; *c != 0; c++)
        if (*c == '_') *c = '-';
}

// ---- usage: from the table

static bool is_argument(const struct admin_param *p)
{
    return p->in == ADMIN_PATH || p->type == ADMIN_LINES;
}

static void verb_usage(FILE *to, const struct admin_operation *op)
{
    fprintf(to, "       certmill %s %s", op->noun, op->verb);
    for (const struct admin_param *p = op->params; p->name != NULL; p++)
        if (is_argument(p)) fprintf(to, " %s", p->value);
    fprintf(to, " [options]\n           %s\n", op->summary);
}

static void option_say(FILE *to, const char *option, const char *value, const char *help)
{
    char head[96];
    snprintf(head, sizeof head, "%s%s%s", option, value == NULL ? "" : " ",
             value == NULL ? "" : value);
    fprintf(to, "  %-*s %s\n", HELP_COLUMN, head, help);
}

// said_before: an option that an earlier operation of the noun has, too, is told of once.
static bool said_before(const struct admin_operation *op, const struct admin_param *p)
{
    for (const struct admin_operation *o = admin_operations; o < op; o++)
        if (strcmp(o->noun, op->noun) == 0 && admin_param_find(o, slice_str(p->name)) != NULL)
            return true;
    return false;
}

static void noun_usage(FILE *to, const char *noun)
{
    fprintf(
        to,
        "usage: certmill %s VERB [ARGUMENT] [options] --config FILE\n"
        "       certmill %s VERB [ARGUMENT] [options] --admin URL --cert FILE --key FILE --trust "
        "FILE\n\n",
        noun, noun);
    for (size_t i = 0; i < admin_operation_count; i++)
        if (strcmp(admin_operations[i].noun, noun) == 0) verb_usage(to, &admin_operations[i]);
    fprintf(to, "\n");
    for (size_t i = 0; i < admin_operation_count; i++) {
        const struct admin_operation *op = &admin_operations[i];
        for (const struct admin_param *p = op->params; p->name != NULL; p++) {
            char option[64];
            if (strcmp(op->noun, noun) != 0 || is_argument(p) || said_before(op, p)) continue;
            cli_option(option, p);
            option_say(to, option, p->value, p->help);
        }
    }
    option_say(to, "--all", NULL, "Lists: every page.");
    option_say(to, "--json", NULL, "Prints the document as it is, one a line.");
    option_say(to, "--config", "FILE",
               "A front end's configuration: its database and its cluster secret are used.");
    option_say(to, "--admin", "URL", "Or a front end's admin listener: https://HOST:PORT.");
    option_say(to, "--cert", "FILE", "PEM file with the caller's certificate (role admin).");
    option_say(to, "--key", "FILE", "PEM file with its private key.");
    option_say(to, "--trust", "FILE", "PEM file with the root of the listener's certificate.");
    option_say(to, "--help", NULL, "Prints this.");
    fprintf(to, "\nexit code: 0 done, 1 failed or refused, 2 command line or configuration\n");
}

// ---- the command line

static int wrong(struct cli *cli, const char *noun, const char *what, const char *text)
{
    fprintf(stderr, "certmill %s%s%s: %s%s; see certmill %s --help\n", noun,
            cli->op == NULL ? "" : " ", cli->op == NULL ? "" : cli->op->verb, what, text, noun);
    return EXIT_USAGE;
}

static const struct admin_operation *operation_find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < admin_operation_count; i++)
        if (strcmp(admin_operations[i].noun, noun) == 0 &&
            strcmp(admin_operations[i].verb, verb) == 0)
            return &admin_operations[i];
    return NULL;
}

// door_option takes the options that are no parameters; NULL: it is none of them.
static const char **door_option(struct cli *cli, const char *name, size_t n)
{
    const struct {
        const char *name;
        const char **value;
    } rows[] = {{"config", &cli->config},
                {"admin", &cli->admin},
                {"cert", &cli->cert},
                {"key", &cli->key},
                {"trust", &cli->trust}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strlen(rows[i].name) == n && strncmp(rows[i].name, name, n) == 0) return rows[i].value;
    return NULL;
}

static const struct admin_param *option_find(const struct cli *cli, const char *name, size_t n)
{
    for (const struct admin_param *p = cli->op->params; p->name != NULL; p++) {
        char option[64];
        cli_option(option, p);
        if (!is_argument(p) && strlen(option + 2) == n && strncmp(option + 2, name, n) == 0)
            return p;
    }
    return NULL;
}

static bool argument_add(struct cli *cli, const struct admin_param *p, const char *text)
{
    if (cli->argument_count == CLI_ARGUMENTS_MAX) return false;
    cli->arguments[cli->argument_count++] = (struct cli_argument){p, text};
    return true;
}

// place_find is the parameter that the next argument without "--" is for; NULL: none.
static const struct admin_param *place_find(const struct cli *cli)
{
    for (const struct admin_param *p = cli->op->params; p->name != NULL; p++) {
        bool given = false;
        for (size_t i = 0; i < cli->argument_count; i++) given |= cli->arguments[i].param == p;
        if (is_argument(p) && !given) return p;
    }
    return NULL;
}

// file_take is the content of a file of lines ("-": standard input); NULL with a note.
static const char *file_take(struct cli *cli, const char *path)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *text = arena_alloc(&cli->arena, LINES_MAX + 2);
    size_t n = f == NULL || text == NULL ? 0 : fread(text, 1, LINES_MAX + 1, f);
    bool good = f != NULL && text != NULL && !ferror(f) && n <= LINES_MAX;
    snprintf(cli->note, sizeof cli->note, "%s cannot be read, or is larger than 4 MiB", path);
    if (f != NULL && f != stdin) fclose(f);
    if (!good) return NULL;
    text[n] = 0;
    cli->note[0] = 0;
    return text;
}

// option_take takes "--name value" or "--name=value" at argv[*i]. 0: taken.
static int option_take(struct cli *cli, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    size_t n = strcspn(name, "=");
    const char *value = name[n] == '=' ? name + n + 1 : NULL;
    const char **door = door_option(cli, name, n);
    const struct admin_param *p = door != NULL ? NULL : option_find(cli, name, n);
    if (strcmp(name, "json") == 0) return cli->json = true, 0;
    if (strcmp(name, "all") == 0 && (cli->op->flags & ADMIN_PAGES) != 0) return cli->all = true, 0;
    if (door == NULL && p == NULL)
        return wrong(cli, cli->op->noun, "there is no option ", argv[*i]);
    if (value == NULL && p != NULL && p->type == ADMIN_BOOL) value = "true";
    if (value == NULL && *i + 1 < argc) value = argv[++*i];
    if (value == NULL) return wrong(cli, cli->op->noun, "a value is missing behind ", argv[*i]);
    if (door != NULL) return *door = value, 0;
    if (p->type == ADMIN_MANY && (value = file_take(cli, value)) == NULL)
        return wrong(cli, cli->op->noun, cli->note, "");
    return argument_add(cli, p, value) ? 0 : wrong(cli, cli->op->noun, "too many options", "");
}

static int line_read(struct cli *cli, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            int code = option_take(cli, argc, argv, &i);
            if (code != 0) return code;
            continue;
        }
        const struct admin_param *p = place_find(cli);
        const char *text = p != NULL && p->type == ADMIN_LINES ? file_take(cli, argv[i]) : argv[i];
        if (text == NULL) return wrong(cli, cli->op->noun, cli->note, "");
        if (p == NULL || !argument_add(cli, p, text))
            return wrong(cli, cli->op->noun, "there is no place for ", argv[i]);
    }
    const struct admin_param *missing = place_find(cli);
    if (missing != NULL && missing->required)
        return wrong(cli, cli->op->noun, missing->value, " is missing");
    bool remote = cli->admin != NULL,
         whole = cli->cert != NULL && cli->key != NULL && cli->trust != NULL;
    if ((cli->config == NULL) == !remote)
        return wrong(cli, cli->op->noun,
                     "expected --config FILE, or --admin URL with --cert, --key and --trust", "");
    if (remote && !whole)
        return wrong(cli, cli->op->noun, "--admin needs --cert, --key and --trust", "");
    return 0;
}

// ---- run

static int failed_say(const char *text)
{
    fprintf(stderr, "certmill: %s\n", text);
    return EXIT_FAILED;
}

// cursor_set replaces the cursor of the page before.
static void cursor_set(struct cli *cli, const char *cursor)
{
    const struct admin_param *p = admin_param_find(cli->op, SLICE_LIT("cursor"));
    for (size_t i = 0; i < cli->argument_count; i++)
        if (cli->arguments[i].param == p) {
            cli->arguments[i].text = cursor;
            return;
        }
    (void)argument_add(cli, p, cursor);
}

static int pages_print(struct cli *cli, const struct cli_door *door, void *opened)
{
    for (;;) {
        if (!door->ask(opened, cli))
            return failed_say(cli->note), cli->usage ? EXIT_USAGE : EXIT_FAILED;
        if (cli->status >= 300) return failed_say(cli_problem(cli));
        if (!cli_print(cli)) return failed_say("the answer cannot be read");
        const char *next = (cli->op->flags & ADMIN_PAGES) != 0 ? cli_next(cli) : NULL;
        if (next == NULL) return 0;
        if (!cli->all) {
            fprintf(stderr, "there are more: --cursor %s, or --all\n", next);
            return 0;
        }
        cursor_set(cli, next);
    }
}

static int run(struct cli *cli)
{
    const struct cli_door *door = cli->admin != NULL ? &cli_remote : &cli_local;
    void *opened;
    if (!door->open(&opened, cli))
        return failed_say(cli->note), cli->usage ? EXIT_USAGE : EXIT_FAILED;
    int code = pages_print(cli, door, opened);
    door->close(opened);
    return code;
}

static int noun_main(const char *noun, int argc, char **argv)
{
    static struct cli cli;
    if (argc < 2) return noun_usage(stderr, noun), EXIT_USAGE;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) return noun_usage(stdout, noun), 0;
    cli.op = operation_find(noun, argv[1]);
    if (cli.op == NULL) return wrong(&cli, noun, "there is no command ", argv[1]);
    arena_init(&cli.arena, ARENA_MAX);
    int code = line_read(&cli, argc, argv);
    if (code == 0) code = run(&cli);
    arena_fini(&cli.arena);
    return code;
}

int eab_main(int argc, char **argv) { return noun_main("eab", argc, argv); }

int account_main(int argc, char **argv) { return noun_main("account", argc, argv); }

int cert_main(int argc, char **argv) { return noun_main("cert", argc, argv); }

int renewal_main(int argc, char **argv) { return noun_main("renewal", argc, argv); }
